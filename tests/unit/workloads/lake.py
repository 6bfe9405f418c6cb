"""An Iceberg catalog and warehouse in a folder, with writers of the sink and a reader of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyiceberg.catalog.sql import SqlCatalog

from workloads.analytics.sink import Sink, open_sink

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pyiceberg.table import Table


class Lake:
    """Both tables, empty until a sink is opened."""

    def __init__(self, folder: Path) -> None:
        """Use this folder."""
        self.folder = folder
        self.uri = f"sqlite:///{folder}/catalog.db"
        self.warehouse = f"file://{folder}/warehouse"

    def sink(
        self,
        owner: str = "one",
        topic_id: str = "topic",
        *,
        retry_seconds: float = 10.0,
        beat: Callable[[], None] = lambda: None,
    ) -> Sink:
        """A writer of the sink."""
        return open_sink(
            ("sink", self.uri, self.warehouse),
            topic_id,
            owner,
            start_seconds=10.0,
            retry_seconds=retry_seconds,
            beat=beat,
        )

    def table(self, name: str = "commodity.prices") -> Table:
        """A table as a reader of its own opens it."""
        return SqlCatalog("sink", uri=self.uri, warehouse=self.warehouse).load_table(name)

    def rows(self, name: str = "commodity.prices") -> list[dict[str, Any]]:
        """All rows of a table."""
        found: list[dict[str, Any]] = self.table(name).scan().to_arrow().to_pylist()
        return found

    def places(self) -> list[tuple[int, int]]:
        """Partition and offset of every row of prices."""
        return sorted((row["kafka_partition"], row["kafka_offset"]) for row in self.rows())
