"""Specifications of the checks on what consumers say of themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from runs import MILLISECOND, Run

if TYPE_CHECKING:
    from runs import Row

CHECKS = ("skipped", "went back", "unsound start", "commit ahead")


@pytest.fixture
def run() -> Run:
    """A clean run whose consumers' events are written out: partition 1 has offsets 100 to 103."""
    run = Run()
    run.events = run.told()
    return run


def event(run: Run, kind: str, number: int = 0, partition: int = 1) -> Row:
    """An event of a partition's consumer, counted by kind."""
    assert run.events is not None
    return [row for row in run.events if row["kind"] == kind and row["partition"] == partition][number]


def another(
    run: Run, *steps: tuple[str, int | None, int | None], partition: int = 1, instance: str = "pod-9/9"
) -> None:
    """Append the events of one more instance, from its beginning."""
    assert run.events is not None
    for n, (kind, first, after) in enumerate(steps):
        place = {"partition": partition, "first": first, "next": after, "records": None}
        clock = {"at_ns": n * MILLISECOND, "seen_ns": None}
        run.events.append({"instance": instance, "n": n, "kind": kind, **place, **clock})


def test_a_clean_story_has_no_complaint(run: Run) -> None:
    """Three consumers read, wrote and committed their partitions in two goes."""
    assert run.complaints() == {}
    assert run.finding("skipped").measured == {"polled_ranges": 6, "skips": 0, "missing_events": 0}


class TestSkipped:
    """Offsets with records that nobody polled in turn."""

    def test_a_poll_that_begins_further_on(self, run: Run) -> None:
        """The second poll leaves one record out, and the record is named."""
        event(run, "polled", 1)["first"] += 1
        assert run.complaints() == {"skipped": "fail"}
        assert run.finding("skipped").examples[0]["such as"] == "load-0 seq 4"

    def test_an_offset_that_holds_nothing_is_no_skip(self, run: Run) -> None:
        """Compaction and transactions leave holes."""
        event(run, "polled", 1)["first"] += 1
        run.log.remove(run.at("load-0", 4))
        run.sink.remove(run.at("load-0", 4, run.sink))
        assert "skipped" not in run.complaints()

    def test_passing_over_after_a_reassignment_is_another_matter(self, run: Run) -> None:
        """A new assignment says itself where it begins: that is judged as a start."""
        another(run, ("assigned", None, 102), ("polled", 102, 104))
        assert run.complaints() == {}


class TestWentBack:
    """Offsets that one assignment read twice."""

    def test_a_poll_that_begins_further_back(self, run: Run) -> None:
        """The second poll has the first one's last record again."""
        event(run, "polled", 1)["first"] -= 1
        assert run.complaints() == {"went back": "fail"}

    def test_reading_again_after_a_reassignment_is_allowed(self, run: Run) -> None:
        """Back to the committed offset: that is what commits are for."""
        another(run, ("assigned", None, 102), ("polled", 102, 104), ("lost", None, None))
        another(run, ("assigned", None, 102), ("polled", 102, 104), instance="pod-8/8")
        assert run.complaints() == {}

    def test_the_same_instance_assigned_anew(self, run: Run) -> None:
        """A partition that was lost and comes back to the same process begins anew."""
        another(
            run,
            ("assigned", None, 102),
            ("polled", 102, 104),
            ("lost", None, None),
            ("assigned", None, 102),
            ("polled", 102, 104),
        )
        assert run.complaints() == {}


class TestUnsoundStart:
    """Assignments that begin where nobody had committed."""

    def test_a_start_that_leaves_records_behind(self, run: Run) -> None:
        """Offset 103 was never committed, and the record before it is nowhere."""
        run.sink.remove(run.at("load-0", 4, run.sink))
        for row in run.events or []:
            row["next"] = 102 if (row["kind"], row["next"]) == ("committed", 103) else row["next"]
        another(run, ("assigned", None, 103))
        assert run.complaints() == {"unsound start": "fail", "lost downstream": "fail"}

    def test_a_start_from_what_the_sink_has(self, run: Run) -> None:
        """Its predecessor died between write and commit: everything before is in the sink, so nothing is left out."""
        another(run, ("assigned", None, 103), ("polled", 103, 104))
        assert run.complaints() == {}

    def test_a_start_at_an_offset_that_only_the_brokers_saw_committed(self, run: Run) -> None:
        """The line of the commit was lost with its consumer; the sampler of lag has seen it."""
        run.sink.remove(run.at("load-0", 4, run.sink))
        run.lag.append({"at_ns": 11 * MILLISECOND, "partition": 1, "end_offset": 104, "committed_offset": 103})
        another(run, ("assigned", None, 103))
        assert "unsound start" not in run.complaints()

    def test_the_reset_position_where_nothing_was_committed(self, run: Run) -> None:
        """The first consumer of all begins at the earliest record."""
        run.log = [row for row in run.log if row["run_id"] != "etl-1"]
        event(run, "assigned", partition=1)["next"] = None
        event(run, "polled", partition=1)["first"] = 0
        assert "unsound start" not in run.complaints()
        assert "skipped" not in run.complaints()


class TestCommitAhead:
    """Commits of what was not written yet."""

    def test_a_commit_before_its_write(self, run: Run) -> None:
        """Nobody died, so nothing was lost: it is wrong all the same."""
        written, committed = event(run, "written"), event(run, "committed")
        written["n"], committed["n"] = committed["n"], written["n"]
        assert run.complaints() == {"commit ahead": "fail"}

    def test_a_commit_that_no_write_followed(self, run: Run) -> None:
        """The consumer died in between, and the rows are nowhere."""
        run.events = [row for row in run.events or [] if row is not event(run, "written", 1)]
        for number, row in enumerate([row for row in run.events if row["partition"] == 1], start=1):
            row["n"] = number
        run.sink.remove(run.at("load-0", 4, run.sink))
        assert run.complaints() == {"commit ahead": "fail", "lost downstream": "fail"}

    def test_a_write_whose_line_was_lost(self, run: Run) -> None:
        """The successor commits what it found in the sink; the writer's last line died with it."""
        run.events = [row for row in run.events or [] if row["partition"] != 1]
        another(run, ("assigned", None, 100), ("polled", 100, 104), instance="pod-8/8")
        another(run, ("committed", 100, 104), ("assigned", None, 104))
        assert run.complaints() == {}

    def test_a_commit_of_what_the_owner_before_wrote(self, run: Run) -> None:
        """The write was told by another instance."""
        another(run, ("committed", 102, 104), ("assigned", None, 104))
        assert run.complaints() == {}


class TestMissingEvents:
    """Lines that did not reach the judge."""

    def test_a_gap_leaves_all_four_unknown(self, run: Run) -> None:
        """Whatever stood in the missing line, nothing is concluded across it."""
        run.events = [row for row in run.events or [] if row is not event(run, "written", 1)]
        assert run.complaints() == dict.fromkeys(CHECKS, "unknown")
        assert run.finding("commit ahead").measured["missing_events"] == 1

    def test_what_is_wrong_beside_a_gap_is_wrong(self, run: Run) -> None:
        """Another consumer's events are whole."""
        run.events = [row for row in run.events or [] if row is not event(run, "written", 1)]
        event(run, "polled", 1, partition=2)["first"] += 1
        assert run.complaints()["skipped"] == "fail"

    def test_consumers_that_say_nothing(self, run: Run) -> None:
        """No event at all: unknown, and never a pass."""
        run.events = []
        assert run.complaints() == dict.fromkeys(CHECKS, "unknown")

    def test_an_instance_that_was_there_before_we_looked(self, run: Run) -> None:
        """Its log was rotated: what it did before is not known, and what it says then is not held against it."""
        run.events = [row for row in run.events or [] if row["partition"] != 1 or row["n"] >= 5]
        assert run.complaints() == dict.fromkeys(CHECKS, "unknown")
