"""Watching a service: what is steady, and what is not yet, from samples that are made up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from assay import run as runs
from assay.chaos import watch
from assay.checks.service import Service
from assay.errors import UsageError
from assay.ledger import LedgerWriter
from assay.manifest import Objectives, Partition, Plan

if TYPE_CHECKING:
    from pathlib import Path

    from assay.run import Run

SECOND = 1_000_000_000
RATE = 300


def times(first: float, last: float, every: float) -> Any:
    """Moments in nanoseconds, from the first to the last second."""
    return (np.arange(first, last + every / 2, every) * SECOND).astype(np.int64)


def service(acks: Any, commits: Any, lag: int = 100, ends: float = 30) -> Service:
    """A service of one partition."""
    at = times(0, ends, 0.25)
    return Service({0: acks}, {0: commits}, at, np.full(len(at), lag), int(ends * SECOND))


def test_steady_is_what_has_been_so_for_long_enough() -> None:
    """Each partition acknowledged and committed without a long gap, and little waits."""
    assert watch.unsteady(service(times(0, 30, 0.25), times(0, 30, 1)), RATE, 10) is None


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (service(times(25, 30, 0.25), times(0, 30, 1)), "nothing was acknowledged in partition 0 10 s ago"),
        (service(times(0, 28, 0.25), times(0, 30, 1)), "nothing was acknowledged in partition 0 for 2.0 s"),
        (service(times(0, 30, 0.25), times(0, 26, 1)), "nothing was committed in partition 0 for 4.0 s"),
        (service(times(0, 30, 0.25), np.empty(0, dtype=np.int64)), "nothing was committed in partition 0 10 s ago"),
        (service(times(0, 30, 0.25), times(0, 30, 1), lag=901), "901 messages waited"),
    ],
)
def test_what_is_not_steady_says_why(found: Service, sentence: str) -> None:
    """One healthy partition, or one good second, stands for nothing."""
    assert watch.unsteady(found, RATE, 10) == sentence


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run of one partition that has begun."""
    plan = Plan(messages=9000, rate_per_second=RATE, seed=1, topic="prices", group="group", partitions=1)
    begun = runs.begin(tmp_path, plan, Objectives(), {})
    begun.note(
        partitions=(Partition(partition=0, log_start=0, start=0, end=0, log_start_after=0, committed=None),),
    )
    return begun


def record(
    run: Run, silent: tuple[float, float], until: float, *, behind: float = 0, commits_until: float = np.inf
) -> None:
    """Write what would be recorded of a service with a silence, as far as it goes; a fault bites where that begins.

    What was acknowledged is committed so many seconds later (`behind`), and nothing after `commits_until`.
    """
    every = 0.25
    sent = np.arange(0, until, 1 / RATE)
    acked = np.where((sent >= silent[0]) & (sent < silent[1]), silent[1], sent)
    seqs = np.arange(len(sent))
    attempts = LedgerWriter(run.folder / "attempts.load-0.arrows", "attempts", "load-0")
    at = (sent * SECOND).astype(np.int64)
    numbers = {"seq": seqs, "partition": np.zeros(len(sent), dtype=np.int32)}
    attempts.append(numbers | {"intended_ns": at, "sent_ns": at, "payload_hash": seqs.astype(np.uint64)})
    known = acked <= until
    outcomes = LedgerWriter(run.folder / "outcomes.load-0.arrows", "outcomes", "load-0")
    ended = (acked[known] * SECOND).astype(np.int64)
    numbers = {name: column[known] for name, column in numbers.items()}
    numbers |= {"outcome": np.zeros(known.sum(), dtype=np.int8), "offset": seqs[known], "ended_ns": ended}
    outcomes.append(numbers | {"error": [None] * int(known.sum())})
    lag = LedgerWriter(run.folder / "lag-run.arrows", "lag")
    for moment in np.arange(0, until, every):
        end = int(np.count_nonzero(acked <= moment))
        committed = int(np.count_nonzero(acked <= min(moment, commits_until) - behind))
        row = {"at_ns": [int(moment * SECOND)], "partition": [0], "end_offset": [end], "committed_offset": [committed]}
        lag.append(row)
    faults = LedgerWriter(run.folder / "faults.arrows", "faults")
    row = {"fault": ["cut"], "kind": ["packet-drop"], "target": ["pod/kafka-0"], "detail": [None]}
    for step in ("inject-asked", "bites"):
        faults.append(row | {"at_ns": [int(silent[0] * SECOND)], "step": [step]})


def test_service_is_back_when_the_judge_would_see_it(run: Run) -> None:
    """From ledgers that nobody has closed yet: 5 s after the silence has ended, and not before."""
    record(run, silent=(12, 18), until=24)
    assert watch.unserved(run) is None


@pytest.mark.parametrize("until", [17, 22])
def test_service_is_not_back_before_it_has_lasted(run: Run, until: float) -> None:
    """Neither in the silence nor soon after it."""
    record(run, silent=(12, 18), until=until)
    assert "full service did not last for 5 s" in str(watch.unserved(run))


def test_a_silence_that_has_just_begun_is_no_service_yet(run: Run) -> None:
    """Short by now, it may turn out to be long: what lasts is known up to the last commit, not beyond."""
    record(run, silent=(12, 18), until=26.4, behind=2, commits_until=24.75)
    assert "full service did not last for 5 s" in str(watch.unserved(run))


def test_without_a_before_there_is_nothing_to_wait_for(run: Run) -> None:
    """A fault that bit at once, after the load began: that will not become better."""
    record(run, silent=(1, 2), until=24)
    with pytest.raises(UsageError, match=r"^Recovery can't be told, since there was no steady service for 3 s"):
        watch.unserved(run)


def test_nothing_is_known_before_anything_was_recorded(run: Run) -> None:
    """And that is said, not taken for service."""
    assert watch.unserved(run) == "no ledger of the lag could be read"
