"""Specifications of what a run has to reach: throughput, success, latency, lag."""

from __future__ import annotations

import pytest
from runs import MILLISECOND, Run

from assay.ledger import Outcome
from assay.verdict import Verdict


@pytest.fixture
def run() -> Run:
    """A clean run: twelve messages, one a millisecond, each acknowledged after 5 ms."""
    return Run()


class TestThroughput:
    """Acknowledged messages a second, first intended send to last acknowledgement."""

    def test_the_window(self, run: Run) -> None:
        """Twelve messages from 0 ms to 16 ms."""
        assert run.finding("throughput").measured["acknowledged_per_second"] == pytest.approx(750)

    def test_too_slow(self, run: Run) -> None:
        """Paced well above the objective, and below it in fact."""
        run.manifest["objectives"]["throughput_per_second"] = 800.0
        assert run.complaints() == {"throughput": "fail"}

    def test_paced_at_the_objective(self, run: Run) -> None:
        """The tail's latency takes its share of the pace: 95 % of it is enough."""
        run.manifest["plan"]["rate_per_second"] = 780.0
        run.manifest["objectives"]["throughput_per_second"] = 780.0
        assert run.complaints() == {}

    def test_paced_below_the_objective_proves_nothing(self, run: Run) -> None:
        """It kept its pace; whether it could go faster was not tried."""
        run.manifest["plan"]["rate_per_second"] = 700.0
        run.manifest["objectives"]["throughput_per_second"] = 7000.0
        assert run.complaints() == {"throughput": "unknown"}

    def test_paced_below_the_objective_and_slower_still(self, run: Run) -> None:
        """It did not even keep its pace."""
        run.manifest["plan"]["rate_per_second"] = 2000.0
        run.manifest["objectives"]["throughput_per_second"] = 7000.0
        assert run.complaints() == {"throughput": "fail"}

    def test_unpaced(self, run: Run) -> None:
        """As fast as it goes is judged by the objective alone."""
        run.manifest["plan"]["rate_per_second"] = 0.0
        assert run.complaints() == {}


class TestSuccess:
    """Acknowledged, of all attempted."""

    def test_a_failed_send_is_no_success(self, run: Run) -> None:
        """11 of 12 are below 99.9 %, and the error is named."""
        run.lose("load-0", 5)
        run.outcomes["load-0"][5] |= {"outcome": Outcome.FAIL, "offset": None, "error": "_MSG_TIMED_OUT"}
        assert run.complaints() == {"success": "fail"}
        assert run.finding("success").examples == ({"error": "_MSG_TIMED_OUT", "count": 1},)

    def test_a_lower_objective(self, run: Run) -> None:
        """11 of 12 reach 90 %."""
        run.outcomes["load-0"][5] |= {"outcome": Outcome.UNKNOWN, "offset": None}
        run.manifest["objectives"]["success_ratio"] = 0.9
        assert run.complaints() == {}


class TestLatency:
    """From the intended send to the acknowledgement."""

    def test_waiting_to_send_counts(self, run: Run) -> None:
        """A message sent late because the client was stuck is late, however fast its acknowledgement was."""
        run.attempts["load-0"][0] |= {"intended_ns": -100 * MILLISECOND}
        assert run.finding("latency").measured["max_ms"] == pytest.approx(105)

    def test_sending_ahead_does_not_make_it_faster(self, run: Run) -> None:
        """A message sent before its time counts from when it was sent."""
        run.attempts["load-0"][0] |= {"intended_ns": 4 * MILLISECOND}
        assert run.finding("latency").measured["max_ms"] == pytest.approx(5)

    def test_the_objective(self, run: Run) -> None:
        """Where one is set, the 99th percentile has to meet it."""
        run.manifest["objectives"]["latency_p99_ms"] = 4.9
        assert run.complaints() == {"latency": "fail"}
        run.manifest["objectives"]["latency_p99_ms"] = 5.0
        assert run.complaints() == {}

    def test_a_clock_that_went_back(self, run: Run) -> None:
        """An acknowledgement before its send can't be timed."""
        run.outcomes["load-0"][3]["ended_ns"] = 1
        assert run.complaints() == {"latency": "unknown", "clock": "unknown"}


class TestLag:
    """Messages that waited for the group."""

    def test_what_was_not_asked_for_is_unknown(self, run: Run) -> None:
        """A run that stopped before the drain's end does not know what the group has committed."""
        run.manifest["partitions"][1] |= {"committed": None, "committed_asked": False}
        assert run.finding("lag").verdict is Verdict.UNKNOWN

    def test_final_lag_beyond_the_objective(self, run: Run) -> None:
        """Five left, four allowed."""
        run.manifest["partitions"][0]["committed"] -= 3
        run.manifest["partitions"][1]["committed"] -= 2
        assert run.complaints() == {"lag": "fail"}
        assert run.finding("lag").measured["final_messages"] == 5

    def test_final_lag_within_the_objective(self, run: Run) -> None:
        """Four are allowed."""
        run.manifest["partitions"][0]["committed"] -= 4
        assert run.complaints() == {}

    def test_a_group_that_never_committed_has_everything_before_it(self, run: Run) -> None:
        """Lag 0 must not be read out of a missing commit."""
        run.manifest["partitions"][0]["committed"] = None
        assert run.finding("lag").measured["final_messages"] == 104

    def test_the_peak_is_over_all_partitions_at_one_time(self, run: Run) -> None:
        """Two partitions' peaks at different times do not add up."""
        run.lag = [
            {"at_ns": at, "partition": number, "end_offset": 100 + waiting, "committed_offset": 100}
            for number, story in ((0, (30, 0)), (1, (0, 20)))
            for at, waiting in enumerate(story)
        ]
        assert run.finding("lag").measured["peak_messages"] == 30

    def test_a_partition_keeps_its_last_sample(self, run: Run) -> None:
        """Samples of partitions need not share their times."""
        run.lag = [
            {"at_ns": at, "partition": number, "end_offset": 100 + waiting, "committed_offset": 100}
            for at, number, waiting in ((0, 0, 30), (1, 1, 20), (2, 0, 0))
        ]
        assert run.finding("lag").measured["peak_messages"] == 50

    def test_a_peak_while_paced(self, run: Run) -> None:
        """More waited than the objective allows."""
        run.lag[3]["end_offset"] += 60_000
        assert run.complaints() == {"lag": "fail"}

    def test_a_peak_while_unpaced_is_only_measured(self, run: Run) -> None:
        """An unpaced load says nothing of the consumers."""
        run.lag[3]["end_offset"] += 60_000
        run.manifest["plan"]["rate_per_second"] = 0.0
        assert run.complaints() == {}

    def test_no_samples(self, run: Run) -> None:
        """The end is known, the peak is not."""
        run.lag = []
        assert run.finding("lag").verdict is Verdict.UNKNOWN
