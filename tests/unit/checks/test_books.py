"""Specifications of the checks that ask whether log and ledgers can answer for the whole run."""

from __future__ import annotations

import pytest
from runs import Run

from assay.checks import UndecidedError
from assay.ledger import Outcome


@pytest.fixture
def run() -> Run:
    """A clean run."""
    return Run()


class TestTruncated:
    """History that was cut during the run."""

    def test_a_first_offset_inside_our_records(self, run: Run) -> None:
        """The log can't answer for what it no longer has."""
        run.manifest["partitions"][0]["log_start_after"] = 101
        assert run.complaints()["truncated"] == "unknown"

    def test_retention_of_older_records_takes_nothing_from_us(self, run: Run) -> None:
        """The first offset moved, but not as far as this run's first record."""
        run.manifest["partitions"][1]["log_start_after"] = 60
        assert run.complaints() == {}
        assert run.finding("truncated").measured["partitions_shedding_older_records"] == 1

    def test_an_end_offset_that_went_back(self, run: Run) -> None:
        """An end before the start can only come from a log that was cut."""
        run.manifest["partitions"][0]["end"] = 90
        assert run.complaints()["truncated"] == "unknown"

    def test_a_leader_epoch_that_went_back(self, run: Run) -> None:
        """Epochs never fall with growing offsets, unless a leader overwrote history."""
        run.at("load-0", 0)["leader_epoch"] = 7
        assert run.complaints() == {"truncated": "unknown"}

    def test_a_leader_epoch_that_grows(self, run: Run) -> None:
        """An election during the run is no cut."""
        for row in run.log:
            row["leader_epoch"] = 4 + (row["offset"] > 101)
        assert run.complaints() == {}


class TestConservation:
    """Attempted = ok + fail + unknown, and the log holds as many as the brokers count."""

    def test_the_sum_is_shown(self, run: Run) -> None:
        """One of each kind."""
        run.outcomes["load-0"][0] |= {"outcome": Outcome.UNKNOWN, "offset": None}
        run.lose("load-0", 1)
        run.outcomes["load-0"][1] |= {"outcome": Outcome.FAIL, "offset": None}
        assert "12 attempted = 10 ok + 1 failed + 1 unknown" in run.finding("conservation").summary
        assert "conservation" not in run.complaints()

    def test_a_hole_that_no_loss_explains(self, run: Run) -> None:
        """The brokers count one record more than was read."""
        run.manifest["partitions"][2] |= {"end": 105, "committed": 105}
        assert run.complaints() == {"conservation": "unknown"}

    def test_a_hole_that_a_loss_explains_is_left_to_it(self, run: Run) -> None:
        """A record vanished from its very offset: one flaw, one complaint, and the sink's row witnesses it."""
        run.log.remove(run.at("load-0", 1))
        assert run.complaints() == {"lost": "fail"}

    def test_a_gap_in_the_attempts(self, run: Run) -> None:
        """Seqs are dense: a missing one means that the book-keeping is at fault."""
        del run.attempts["load-0"][2]
        del run.outcomes["load-0"][2]
        assert run.complaints()["conservation"] == "unknown"

    def test_a_seq_that_was_attempted_twice(self, run: Run) -> None:
        """Two attempts under one seq can't be told apart."""
        run.attempts["load-0"].append(dict(run.attempts["load-0"][2]))
        assert run.complaints() == {"conservation": "unknown"}

    def test_an_outcome_without_an_attempt(self, run: Run) -> None:
        """Something ended that never began."""
        run.outcomes["load-0"].append(run.outcomes["load-0"][0] | {"seq": 99})
        assert run.complaints() == {"conservation": "unknown"}

    def test_two_outcomes_of_one_send(self, run: Run) -> None:
        """A send ends once; the first end counts."""
        run.outcomes["load-0"].append(run.outcomes["load-0"][0] | {"outcome": Outcome.FAIL})
        assert run.complaints() == {"conservation": "unknown"}

    def test_an_outcome_of_no_known_kind(self, run: Run) -> None:
        """A fourth kind of outcome does not exist."""
        run.outcomes["load-0"][0]["outcome"] = 9
        assert run.complaints()["conservation"] == "unknown"

    @pytest.mark.parametrize("seq", [-1, 10**15])
    def test_seqs_that_are_damage(self, run: Run, seq: int) -> None:
        """No array of 10^15 rows is made for one damaged seq: what depends on the sends is unknown."""
        run.attempts["load-0"][3]["seq"] = seq
        assert run.complaints()["lost"] == "unknown"

    def test_producers_with_one_name(self, run: Run) -> None:
        """Two ledgers of one producer contradict each other, whatever they say."""
        ledgers = run.ledgers()
        history = run.history()
        history.ledgers = (*ledgers, ledgers[0])
        with pytest.raises(UndecidedError, match="both of producer load-0"):
            _ = history.senders
