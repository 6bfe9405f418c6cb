"""A consumer of the group in memory: the real loop and a real sink, between them and Kafka nothing that is real."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from memory_kafka import Letters

from workloads.analytics.consumer import Analytics
from workloads.analytics.health import Health
from workloads.analytics.journal import Journal
from workloads.analytics.metrics import Metrics
from workloads.analytics.settings import AnalyticsSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from lake import Lake
    from memory_kafka import Group, Member

GOOD = json.dumps({"commodity": "gold", "series": "s", "observed_at": "2024-01-01T00:00:00Z", "price": 1.5}).encode()


class Node:
    """One consumer; it flushes at every turn unless its settings say otherwise."""

    def __init__(self, name: str, group: Group, lake: Lake, **settings: Any) -> None:
        """Make it; it joins the group when it starts."""
        self.name = name
        self._group = group
        self.letters = Letters()
        self.sink = lake.sink(name, retry_seconds=0.1)
        self.analytics = Analytics(
            AnalyticsSettings(
                bootstrap_servers="memory",
                catalog_uri=lake.uri,
                warehouse=lake.warehouse,
                group_instance_id=name,
                **({"flush_seconds": 1e-9} | settings),
            ),
            self.sink,
            self.letters,  # type: ignore[arg-type]  # stands for the writer
            Journal(name),
            metrics=Metrics(),
            health=Health(30.0),
        )

    @property
    def member(self) -> Member:
        """Its membership of the moment."""
        return self._group.members[self.name]

    def live(self, *steps: Callable[[], object]) -> None:
        """Run until after the last step; each step happens before a turn, and at the end SIGTERM comes."""
        script = iter(steps)

        def stopping() -> bool:
            step = next(script, None)
            if step is not None:
                step()
            return step is None

        self.analytics.run(stopping)
