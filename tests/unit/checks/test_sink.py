"""Specifications of the checks from log to sink."""

from __future__ import annotations

import pytest
from runs import Run

from assay.verdict import Verdict


@pytest.fixture
def run() -> Run:
    """A clean run."""
    return Run()


class TestLostDownstream:
    """A committed record that the sink does not have."""

    def test_a_committed_record_that_is_not_in_the_sink(self, run: Run) -> None:
        """The consumer committed before it wrote."""
        run.sink.remove(run.at("load-1", 3, run.sink))
        assert run.complaints() == {"lost downstream": "fail"}
        assert run.finding("lost downstream").examples[0]["seq"] == 3

    def test_another_runs_record_counts_too(self, run: Run) -> None:
        """The ETL's rows have to arrive as well."""
        del run.sink[0]
        assert run.complaints() == {"lost downstream": "fail"}

    def test_the_platforms_own_record_may_be_elsewhere(self, run: Run) -> None:
        """A poison message of nobody's run is in the dead letters, rightly."""
        run.append(run.at("load-0", 0) | {"run_id": None, "producer": None, "seq": None}, partition=0)
        run.sink.pop()
        assert run.complaints() == {}

    def test_a_repeat_does_not_hide_a_loss(self, run: Run) -> None:
        """As many rows as records, yet one is missing."""
        run.sink.remove(run.at("load-1", 3, run.sink))
        run.sink.append(dict(run.at("load-1", 2, run.sink)))
        assert run.complaints() == {"lost downstream": "fail", "redelivered": "fail"}

    def test_a_torn_ledger_of_the_sink_proves_no_loss(self, run: Run) -> None:
        """The row may be in the part that could not be read."""
        run.sink.pop()
        run.torn.add("sink")
        assert run.finding("lost downstream").verdict is Verdict.UNKNOWN

    def test_nothing_committed_is_no_proof(self, run: Run) -> None:
        """A group that never committed has lost nothing and shown nothing."""
        for given in run.manifest["partitions"]:
            given["committed"] = None
        assert run.complaints()["lost downstream"] == "unknown"


class TestUnseen:
    """Records that nobody saw arrive."""

    def test_a_record_beyond_the_committed_offset(self, run: Run) -> None:
        """Not lost: the drain ended too early."""
        run.sink.remove(run.at("load-1", 5, run.sink))
        run.manifest["partitions"][2]["committed"] -= 1
        assert run.complaints() == {"unseen": "unknown"}

    def test_an_uncommitted_record_in_the_sink_was_seen(self, run: Run) -> None:
        """It is durable; only the commit is missing."""
        run.manifest["partitions"][2]["committed"] -= 1
        assert run.complaints() == {}


class TestRedelivered:
    """One offset more than once in the sink."""

    def test_at_least_once_allows_repeats(self, run: Run) -> None:
        """Where the sink promises no more, they are counted."""
        run.manifest["objectives"]["sink_repeats"] = None
        run.sink.append(dict(run.at("load-1", 2, run.sink)))
        assert run.complaints() == {}
        assert run.finding("redelivered").measured["repeated"] == 1

    def test_exactly_once_does_not(self, run: Run) -> None:
        """One repeat is one too many."""
        run.sink.append(dict(run.at("load-1", 2, run.sink)))
        assert run.complaints() == {"redelivered": "fail"}

    def test_a_duplicate_in_the_log_is_no_redelivery(self, run: Run) -> None:
        """Two offsets, each once in the sink: the producer's fault, not the consumer's."""
        run.append(run.at("load-0", 1), partition=1)
        assert run.finding("redelivered").measured["repeated"] == 0


class TestPhantomInSink:
    """Rows of the sink that the log does not bear out."""

    def test_a_row_beyond_the_log(self, run: Run) -> None:
        """This run's row at an offset that never was."""
        run.sink.append(run.at("load-1", 2, run.sink) | {"offset": 500})
        assert run.complaints() == {"phantom in sink": "fail"}

    def test_a_row_that_is_another_record(self, run: Run) -> None:
        """The place exists, but what stands there is not what the sink says; so the record itself is missing too."""
        run.at("load-1", 2, run.sink)["seq"] = 99
        assert run.complaints() == {"phantom in sink": "fail"}

    def test_traffic_after_our_reader_had_ended(self, run: Run) -> None:
        """The platform's own messages go on."""
        run.sink.append(run.sink[-1] | {"offset": 500, "run_id": None, "producer": None, "seq": None})
        assert run.complaints() == {}

    def test_rows_from_before_our_reader_began(self, run: Run) -> None:
        """Earlier runs' rows stay in the sink for ever."""
        run.sink.append(run.sink[-1] | {"offset": 20, "run_id": "run-0"})
        assert run.complaints() == {}


class TestCorruptInSink:
    """Rows whose payload is not the log's."""

    def test_a_row_with_another_hash(self, run: Run) -> None:
        """The log is right, the sink is not."""
        run.at("load-1", 2, run.sink)["payload_hash"] = 1
        assert run.complaints() == {"corrupt in sink": "fail"}

    def test_a_row_that_is_right_where_the_log_is_wrong(self, run: Run) -> None:
        """The log is at fault, and only it."""
        run.at("load-1", 2)["payload_hash"] = 1
        assert run.complaints() == {"corrupt": "fail"}
