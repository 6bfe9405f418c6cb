"""The sink: two Iceberg tables that several consumers append to, each row of the log exactly once.

Every append of prices names, in its snapshot's summary, the topic's id and for each partition the offset after its last
row. Before an append the table is refreshed and what another append already holds is left out; the commit then fails
unless no other came between (the format's optimistic concurrency), and the whole is tried again. So neither a commit of
unknown outcome, nor a crash between the append and the commit of offsets, nor a consumer that was thought dead and
comes back, writes a row twice.

The topic's id is in the key because a topic that was deleted and made again starts at offset 0.
"""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

import pyarrow as pa
import stamina
import structlog
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import CommitFailedException, NamespaceAlreadyExistsError, TableAlreadyExistsError
from sqlalchemy.exc import SQLAlchemyError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyiceberg.table import Table

    from workloads.analytics.decode import Row
    from workloads.analytics.window import WindowRow

Result = TypeVar("Result")

NAMESPACE: Final = "commodity"
PRICES: Final = "commodity.prices"
WINDOWS: Final = "commodity.windows"

_TIME: Final[pa.DataType] = pa.timestamp("us", tz="UTC")
PRICES_SCHEMA: Final = pa.schema(
    [  # type: ignore[arg-type]  # the stubs join the many types of these pairs to object
        ("run_id", pa.string()),
        ("producer", pa.string()),
        ("seq", pa.int64()),
        ("kafka_partition", pa.int32()),
        ("kafka_offset", pa.int64()),
        ("kafka_timestamp", _TIME),
        ("payload_hash", pa.string()),
        ("commodity", pa.string()),
        ("series", pa.string()),
        ("observed_at", _TIME),
        ("price", pa.float64()),
        ("volume", pa.float64()),
        ("synthetic", pa.bool_()),
        ("ingested_at", _TIME),
    ]
)
WINDOWS_SCHEMA: Final = pa.schema(
    [
        ("commodity", pa.string()),
        ("window_start", _TIME),
        ("window_end", _TIME),
        ("kafka_partition", pa.int32()),
        ("count", pa.int64()),
        ("open", pa.float64()),
        ("high", pa.float64()),
        ("low", pa.float64()),
        ("close", pa.float64()),
        ("mean", pa.float64()),
        ("volatility", pa.float64()),
        ("volume", pa.float64()),
    ]
)
#: Small commits every second would else grow the metadata, and with it every later commit.
_PROPERTIES: Final = {
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "50",
    "commit.manifest-merge.enabled": "true",
    "commit.manifest.min-count-to-merge": "50",
    "commit.retry.num-retries": "0",  # retried here, with a new look at what is already there
    "write.metadata.metrics.default": "none",
    "write.metadata.metrics.column.kafka_partition": "full",
    "write.metadata.metrics.column.kafka_offset": "full",
    "write.metadata.metrics.column.kafka_timestamp": "full",
    "write.metadata.metrics.column.window_start": "full",
}
#: Snapshots kept in the metadata; older ones are forgotten when there are twice as many. Rows are not touched.
_SNAPSHOTS: Final = 100
_FIRST_WAIT: Final = 0.02
_LONGEST_WAIT: Final = 1.0


class SinkError(RuntimeError):
    """The sink can't be used; the message says why and what to do."""


class Appended(NamedTuple):
    """What an append did: rows written, rows left out since they were there, and conflicts on the way."""

    rows: int
    skipped: int
    conflicts: int


class Sink:
    """Both tables, opened by `open_sink`."""

    def __init__(
        self, prices: Table, windows: Table, topic_id: str, retry_seconds: float, beat: Callable[[], None]
    ) -> None:
        """Hold the tables.

        Args:
            prices: `commodity.prices`.
            windows: `commodity.windows`.
            topic_id: Id of the Kafka topic whose offsets the rows have.
            retry_seconds: How long a failing append is tried again.
            beat: Called before every try, so that a long wait is not taken for a dead loop.
        """
        self._prices = prices
        self._windows = windows
        self._topic_id = topic_id
        self._retry_seconds = retry_seconds
        self._beat = beat

    def next_offsets(self, partitions: set[int]) -> dict[int, int]:
        """For each of these partitions of which recent appends know: the offset after its last row.

        Raises:
            SinkError: The catalog or warehouse can't be read for too long.
        """
        return self._persist(lambda: self._landed(partitions))[0]

    def append_prices(self, rows: Sequence[Row]) -> Appended:
        """Make rows durable, but for those that already are; rows of a partition in the order of their offsets.

        Raises:
            SinkError: It could not be done in time.
        """

        def attempt() -> tuple[int, int]:
            landed = self._landed({row.kafka_partition for row in rows})
            new = [row for row in rows if row.kafka_offset >= landed.get(row.kafka_partition, -1)] if landed else rows
            if new:
                ends = {self._key(row.kafka_partition): str(row.kafka_offset + 1) for row in new}
                self._prices.append(_table(new, PRICES_SCHEMA), snapshot_properties=ends)
            return len(new), len(rows) - len(new)

        (written, skipped), conflicts = self._persist(attempt)
        self._forget(self._prices)
        return Appended(written, skipped, conflicts)

    def append_windows(self, rows: Sequence[WindowRow]) -> Appended:
        """Make closed windows durable.

        Raises:
            SinkError: It could not be done in time.
        """

        def attempt() -> None:
            self._windows.refresh()
            self._windows.append(_table(rows, WINDOWS_SCHEMA))

        _, conflicts = self._persist(attempt)
        self._forget(self._windows)
        return Appended(len(rows), 0, conflicts)

    def _key(self, partition: int) -> str:
        return f"kafka.{self._topic_id}.{partition}"

    def _landed(self, partitions: set[int]) -> dict[int, int]:
        self._prices.refresh()
        wanted = {self._key(partition): partition for partition in partitions}
        found: dict[int, int] = {}
        for snapshot in sorted(self._prices.snapshots(), key=lambda one: one.sequence_number or 0, reverse=True):
            if not wanted:
                break
            summary = snapshot.summary.additional_properties if snapshot.summary else {}
            for key in wanted.keys() & summary.keys():
                found[wanted.pop(key)] = int(summary[key])
        return found

    def _persist(self, attempt: Callable[[], Result]) -> tuple[Result, int]:
        """Try until it succeeds or time is over; how many conflicts there were."""
        end = time.monotonic() + self._retry_seconds
        conflicts = failures = 0
        while True:
            self._beat()
            try:
                return attempt(), conflicts
            except CommitFailedException:
                conflicts += 1
                error: Exception | None = None
            except (SQLAlchemyError, OSError) as found:
                failures += 1
                error = found
                structlog.get_logger().warning("sink.failed", error=str(found).splitlines()[0], failures=failures)
            if time.monotonic() > end:
                cause = str(error).splitlines()[0] if error else f"{conflicts} conflicts with other writers"
                raise SinkError(f"The Iceberg sink could not be written for {self._retry_seconds:g} s ({cause}).")
            wait = min(_LONGEST_WAIT, _FIRST_WAIT * 2 ** min(10, conflicts + 3 * failures))
            time.sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311  # jitter, not a secret

    def _forget(self, table: Table) -> None:
        """Drop old snapshots from the metadata now and then; a conflict leaves it to whoever comes next."""
        snapshots = table.snapshots()
        if len(snapshots) <= 2 * _SNAPSHOTS:
            return
        last = sorted(snapshot.timestamp_ms for snapshot in snapshots)[-_SNAPSHOTS]
        try:
            table.maintenance.expire_snapshots().older_than(datetime.fromtimestamp(last / 1000, UTC)).commit()
        except (CommitFailedException, SQLAlchemyError, OSError) as error:
            structlog.get_logger().info("sink.snapshots_kept", error=str(error).splitlines()[0])


def open_sink(
    catalog: tuple[str, str, str], topic_id: str, start_seconds: float, retry_seconds: float, beat: Callable[[], None]
) -> Sink:
    """Open both tables, making what is missing; others may be doing the same at this moment.

    Args:
        catalog: Name, address and warehouse of the catalog.
        topic_id: Id of the Kafka topic.
        start_seconds: How long to wait for the catalog.
        retry_seconds: As for `Sink`.
        beat: As for `Sink`.

    Raises:
        SinkError: The catalog can't be reached or the tables can't be made in time.
    """
    name, uri, warehouse = catalog
    lost_race = (NamespaceAlreadyExistsError, TableAlreadyExistsError, CommitFailedException)
    try:
        for attempt in stamina.retry_context(
            on=(SQLAlchemyError, OSError, *lost_race), attempts=None, timeout=start_seconds, wait_max=2.0
        ):
            with attempt:
                beat()
                opened = SqlCatalog(name, uri=uri, warehouse=warehouse, pool_pre_ping="true")
                opened.create_namespace_if_not_exists(NAMESPACE)
                prices, windows = (
                    opened.create_table_if_not_exists(table, schema=schema, properties=_PROPERTIES)
                    for table, schema in ((PRICES, PRICES_SCHEMA), (WINDOWS, WINDOWS_SCHEMA))
                )
    except (SQLAlchemyError, OSError, *lost_race) as error:
        cause = str(error).splitlines()[0]
        raise SinkError(
            f"The Iceberg catalog or warehouse {warehouse} can't be used ({cause}): check its address and password."
        ) from None
    return Sink(prices, windows, topic_id, retry_seconds, beat)


def _table(rows: Sequence[Row] | Sequence[WindowRow], schema: pa.Schema) -> pa.Table:
    """Rows as columns; times come as whole microseconds."""
    columns = [
        pa.array(column, pa.int64()).cast(field.type) if field.type == _TIME else pa.array(column, field.type)
        for column, field in zip(zip(*rows, strict=True), schema, strict=True)
    ]
    return pa.Table.from_arrays(columns, schema=schema)
