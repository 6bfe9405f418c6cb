"""A crash that ends by itself: after its time, and not if somebody has ended it before."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from assay.clusters.crash import crash

if TYPE_CHECKING:
    from assay.clusters.embedded import EmbeddedCluster


@dataclass
class Told:
    """A cluster whose node somebody starts after so many looks."""

    started_after: int
    calls: list[str] = field(default_factory=list)

    def kill_node(self, name: str) -> None:
        """Note it."""
        self.calls.append(f"kill {name}")

    def revive_node(self, name: str) -> None:
        """Note it."""
        self.calls.append(f"revive {name}")

    def node_runs(self, _name: str) -> bool:
        """Not until somebody starts it."""
        self.started_after -= 1
        return self.started_after < 0


def test_a_crash_ends_after_its_time() -> None:
    """Not before."""
    told, began = Told(started_after=1_000_000), time.monotonic()
    crash(cast("EmbeddedCluster", told), "one", 0.5)
    assert told.calls == ["kill one", "revive one"]
    assert time.monotonic() - began >= 0.5


def test_a_crash_that_somebody_ended_is_left_alone() -> None:
    """Another crash of the node after that is another's to end."""
    told = Told(started_after=1)
    crash(cast("EmbeddedCluster", told), "one", 60)
    assert told.calls == ["kill one"]
