"""Health: what "live" and "ready" mean for a consumer.

Live: the loop turned within the limit. Ready: besides, at least one partition is assigned, and every assigned
partition either has no lag or its offset moved within the limit. A consumer that merely runs is not ready.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class Health:
    """The loop's pulse and its partitions' progress; written by the loop, read by the HTTP server's threads."""

    def __init__(self, limit_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin alive and not ready.

        Args:
            limit_seconds: How long a loop or a lagging partition may stand still.
            clock: Seconds, monotonic.
        """
        self._limit = limit_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._turned = clock()
        self._progress: dict[int, tuple[int, int, float]] = {}

    def beat(self) -> None:
        """The loop turned."""
        self._turned = self._clock()

    def assign(self, partitions: Iterable[int]) -> None:
        """These partitions came; each has the limit's time to move."""
        with self._lock:
            for partition in partitions:
                self._progress[partition] = (-1, 0, self._clock())

    def give_up(self, partitions: Iterable[int]) -> None:
        """These partitions went."""
        with self._lock:
            for partition in partitions:
                self._progress.pop(partition, None)

    def progress(self, partition: int, position: int, lag: int) -> None:
        """An assigned partition is at this position, so many records behind the broker's end."""
        with self._lock:
            if partition in self._progress:
                before, _, since = self._progress[partition]
                self._progress[partition] = (position, lag, self._clock() if position != before else since)

    def live(self) -> tuple[bool, str]:
        """Whether the program is alive, and why (not)."""
        still = self._clock() - self._turned
        return still <= self._limit, f"the loop last turned {still:.1f} s ago"

    def ready(self) -> tuple[bool, str]:
        """Whether the program is assigned and progressing, and why (not)."""
        alive, why = self.live()
        if not alive:
            return False, why
        with self._lock:
            progress = dict(self._progress)
        if not progress:
            return False, "no partition is assigned"
        now = self._clock()
        stuck = sorted(p for p, (_, lag, since) in progress.items() if lag > 0 and now - since > self._limit)
        if stuck:
            return False, f"partitions {', '.join(map(str, stuck))} have lag and stand still"
        return True, f"partitions {', '.join(map(str, sorted(progress)))} progress"
