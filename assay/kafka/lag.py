"""Lag over time, from broker offsets: what a consumer believes of itself is not asked.

The sampler runs in the judge's process, so that it does not die with what it watches. A sample that could not be taken
is counted and missing, never made up.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from assay.errors import AssayError
from assay.kafka.admin import Admin
from assay.kafka.clients import SAMPLE_ANSWER_SECONDS
from assay.ledger import LedgerWriter
from assay.sampling import Sampling

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

SAMPLE_SECONDS: Final = 0.25
_POLL_SECONDS: Final = 0.25
#: What a sample is made of may be so far apart, in seconds.
_APART_SECONDS: Final = 0.3


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


def sampler(bootstrap: str, topic: str, group: str, path: Path) -> Sampling:
    """A sampler that writes the lag ledger `path` while its context lasts.

    Raises:
        AssayError: There is no such topic, Kafka does not answer, or the file exists.
    """
    partitions = sorted(Admin(bootstrap).watermarks(topic))
    admin = Admin(bootstrap, answer_seconds=SAMPLE_ANSWER_SECONDS)
    ledger = LedgerWriter(path, "lag")

    def sample() -> None:
        # Committed first: an end that is read later can only be larger, so lag is never understated. It is overstated
        # by what was committed in between, which must not be much.
        committed = admin.committed_of(group, topic, partitions)
        known = time.monotonic()
        ends = admin.ends(topic, partitions)
        if time.monotonic() - known > _APART_SECONDS:
            raise AssayError("The end offsets came too long after the committed ones to tell how many records wait.")
        ledger.append(
            {
                "at_ns": [time.monotonic_ns()] * len(partitions),
                "partition": partitions,
                "end_offset": [ends[partition] for partition in partitions],
                "committed_offset": [committed[partition] for partition in partitions],
            }
        )

    return Sampling("lag-sampler", sample, SAMPLE_SECONDS, ledger)
