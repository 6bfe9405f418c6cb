"""What the consumer says of itself: the events, and the offsets that they name. Pure; the journal says them.

The table in workloads/README.md is for whoever reads the lines. Offsets are half-open ranges [first, next).
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable


class Event(StrEnum):
    """Everything that happens to a consumer; each is told after it is true."""

    STARTED = "consumer.started"
    ASSIGNED = "consumer.assigned"
    REVOKED = "consumer.revoked"
    LOST = "consumer.lost"
    POLLED = "consumer.polled"
    WRITTEN = "consumer.written"
    COMMITTED = "consumer.committed"
    STOPPED = "consumer.stopped"


class Range(NamedTuple):
    """Offsets of one partition; in JSON `[partition, first, next, records]`, null where an event does not say."""

    partition: int
    first: int | None
    next: int | None
    records: int | None


class Runs:
    """Contiguous runs of offsets, in the order in which they began.

    A message that is not at the offset after its partition's last one begins another run: so a hole and a step back
    are both seen, within a batch and between batches.
    """

    def __init__(self) -> None:
        """Nothing came yet."""
        self._runs: list[list[int]] = []
        self._last: dict[int, list[int]] = {}

    def add(self, partition: int, offset: int) -> None:
        """A message came."""
        run = self._last.get(partition)
        if run is not None and run[2] == offset:
            run[2] = offset + 1
            return
        run = self._last[partition] = [partition, offset, offset + 1]
        self._runs.append(run)

    def take(self) -> list[Range]:
        """The runs since the last call."""
        runs = [Range(partition, first, after, after - first) for partition, first, after in self._runs]
        self._runs, self._last = [], {}
        return runs

    def forget(self, partitions: Iterable[int]) -> None:
        """Leave out the runs of these partitions."""
        gone = set(partitions)
        self._runs = [run for run in self._runs if run[0] not in gone]
        self._last = {partition: run for partition, run in self._last.items() if partition not in gone}
