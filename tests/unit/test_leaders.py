"""When a row of the ledger of leaders is written: at the start, and when a leader or the replicas in sync change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from assay import ledger
from assay.errors import AssayError
from assay.kafka import leaders
from assay.kafka.admin import PartitionFacts
from assay.kafka.leaders import changes

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

ALL = (0, 1, 2)
START = {0: PartitionFacts(0, ALL, ALL), 1: PartitionFacts(1, ALL, ALL)}


def test_the_first_look_is_the_start() -> None:
    """Every partition has a row then."""
    assert changes({}, START) == [(0, 0, ALL), (1, 1, ALL)]


def test_nothing_changed_is_no_row() -> None:
    """However often it is looked at."""
    assert changes(START, dict(START)) == []


def test_a_leader_and_the_replicas_in_sync_count_each_alone() -> None:
    """Also when nobody leads any more."""
    assert changes(START, START | {1: PartitionFacts(None, ALL, ALL)}) == [(1, None, ALL)]
    assert changes(START, START | {0: PartitionFacts(0, ALL, (0, 2))}) == [(0, 0, (0, 2))]


def test_a_partition_that_was_not_told_this_time_has_not_changed() -> None:
    """It is unknown, and the next look tells."""
    assert changes(START, {0: START[0]}) == []


@dataclass
class CutOff:
    """Stands for an admin client that asks the first of its brokers; one of them does not answer."""

    bootstrap: str
    answer_seconds: float = 8.0

    def partitions(self, _topic: str) -> dict[int, PartitionFacts]:
        """As known, or no answer."""
        if self.bootstrap == "cut-off:1":
            raise AssayError("no answer")
        return START


def test_a_broker_that_does_not_answer_is_not_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next sample asks the next one; the one that is missing is counted."""
    monkeypatch.setattr(leaders, "Admin", CutOff)
    path = tmp_path / "leaders.arrows"
    with leaders.sampler("cut-off:1,other:1", "prices", path) as sampling:
        pass
    assert (sampling.taken, sampling.missed) == (1, 1)
    assert [row["partition"] for row in ledger.read(path).whole().to_pylist()] == [0, 1]
