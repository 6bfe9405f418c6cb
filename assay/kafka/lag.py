"""Lag over time, from broker offsets: what a consumer believes of itself is not asked.

The sampler runs in the judge's process, so that it does not die with what it watches. A sample that could not be taken
is counted and missing, never made up.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from assay.errors import AssayError
from assay.kafka.admin import Admin
from assay.ledger import LedgerWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from types import TracebackType

SAMPLE_SECONDS: Final = 0.25
_POLL_SECONDS: Final = 0.25


def remaining(
    ends: Mapping[int, int], committed: Mapping[int, int | None], starts: Mapping[int, int] | None = None
) -> dict[int, int]:
    """How many offsets each partition's group is still short of `ends`, where it is short at all (pure).

    A group that never committed in a partition has all of it before it, from `starts` (0 where not given): with nothing
    to read it is short of nothing.
    """
    starts = starts or {}
    short = {}
    for partition, end in ends.items():
        at = committed.get(partition)
        left = end - (starts.get(partition, 0) if at is None else at)
        if left > 0:
            short[partition] = left
    return short


@dataclass(frozen=True)
class Drain:
    """How waiting for a group ended: whether it caught up, what it is short of by partition, and after how long."""

    drained: bool
    short: Mapping[int, int]
    seconds: float


def wait_for_drain(
    admin: Admin,
    group: str,
    topic: str,
    ends: Mapping[int, int],
    *,
    timeout_seconds: float,
    on_progress: Callable[[Mapping[int, int]], None] = lambda _: None,
) -> Drain:
    """Wait until the committed offsets of `group` have reached `ends` (by partition), by the brokers' word.

    Args:
        admin: The cluster.
        group: The consumer group.
        topic: Its topic.
        ends: The offsets to reach.
        timeout_seconds: After how long to give up; a group that did not catch up is a result, not an error.
        on_progress: Is told what is left, after each look.

    Raises:
        AssayError: Kafka does not answer at all for the whole time.
    """
    began = time.monotonic()
    starts = {partition: low for partition, (low, _) in admin.watermarks(topic).items()}
    short: dict[int, int] | None = None
    failed: AssayError | None = None
    while True:
        try:
            short = remaining(ends, admin.committed_of(group, topic, sorted(ends)), starts)
            on_progress(short)
        except AssayError as error:  # a coordinator may be moving just now
            failed = error
        spent = time.monotonic() - began
        if short is not None and not short:
            return Drain(drained=True, short={}, seconds=spent)
        if spent >= timeout_seconds:
            if short is None and failed is not None:
                raise failed
            return Drain(drained=False, short=short or {}, seconds=spent)
        time.sleep(min(_POLL_SECONDS, timeout_seconds - spent))


class LagSampler:
    """Writes the lag ledger from a thread of its own, while its context lasts.

    Attributes:
        samples: How many samples were written.
        missed: How many could not be taken, because the brokers did not answer.
    """

    def __init__(
        self,
        bootstrap: str,
        topic: str,
        group: str,
        path: Path,
        *,
        interval_seconds: float = SAMPLE_SECONDS,
    ) -> None:
        """Look the topic's partitions up and create the ledger `path`; sampling starts with the context.

        Raises:
            AssayError: There is no such topic, Kafka does not answer, or the file exists.
        """
        self._admin = Admin(bootstrap)
        self._topic = topic
        self._group = group
        self._partitions = sorted(self._admin.watermarks(topic))
        self._interval = interval_seconds
        self._ledger = LedgerWriter(path, "lag")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lag-sampler", daemon=True)
        self.samples = 0
        self.missed = 0
        self.latest: dict[int, int] = {}

    def __enter__(self) -> Self:
        """Take the first sample soon, then one each interval."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take one last sample and close the ledger with its end mark."""
        self._stop.set()
        self._thread.join()
        self._sample()
        self._ledger.close()

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            self._sample()
            due = max(due + self._interval, time.monotonic())

    def _sample(self) -> None:
        try:
            # Committed first: an end that is read later can only be larger, so lag is never understated.
            committed = self._admin.committed_of(self._group, self._topic, self._partitions)
            ends = self._admin.ends(self._topic, self._partitions)
        except AssayError:
            self.missed += 1
            return
        count = len(self._partitions)
        self._ledger.append(
            {
                "at_ns": [time.monotonic_ns()] * count,
                "partition": self._partitions,
                "end_offset": [ends[partition] for partition in self._partitions],
                "committed_offset": [committed[partition] for partition in self._partitions],
            }
        )
        self.latest = remaining(ends, committed)
        self.samples += 1
