"""Specifications of the checks from producers to log; every story starts clean and has one flaw."""

from __future__ import annotations

import pytest
from runs import ETL, Run

from assay.ledger import Outcome
from assay.verdict import Verdict


@pytest.fixture
def run() -> Run:
    """A clean run of twelve messages by two producers over three partitions."""
    return Run()


def test_a_clean_run_has_no_complaint(run: Run) -> None:
    """Nothing but passes in a run where nothing went wrong, even with another run's records before it."""
    assert run.complaints() == {}


class TestLost:
    """An acknowledged send that is absent from the log."""

    def test_an_acknowledged_send_that_the_log_does_not_have_is_lost(self, run: Run) -> None:
        """One message gone, the later ones moved up: `lost` and nothing else fails, and it names the message."""
        run.lose("load-0", 3)
        assert run.complaints() == {"lost": "fail"}
        found = run.finding("lost")
        assert found.total == 1
        assert found.examples[0]["producer"] == "load-0"
        assert found.examples[0]["seq"] == 3
        assert found.measured["lost"] == 1

    @pytest.mark.parametrize("seq", [0, 2, 5])
    def test_first_middle_and_last_are_alike(self, run: Run, seq: int) -> None:
        """The place of a loss does not matter."""
        run.lose("load-1", seq)
        assert run.complaints() == {"lost": "fail"}

    def test_a_log_whose_end_was_not_asked_for_lacks_nothing(self, run: Run) -> None:
        """A run that stopped between load and drain read back nothing: everything seems gone, and nothing is known."""
        for row in run.manifest["partitions"]:
            row |= {"end": row["start"], "end_asked": False, "committed": None, "committed_asked": False}
        run.log, run.sink = [], []
        assert run.finding("lost").verdict is Verdict.UNKNOWN
        assert "not asked after the load where the partitions end" in run.finding("lost").summary
        assert "fail" not in run.complaints().values()

    def test_a_loss_names_what_stands_at_its_offset_now(self, run: Run) -> None:
        """Another record at the acknowledged offset is the trace of a truncated log."""
        row = run.lose("load-0", 0)
        assert row["offset"] == 100
        assert run.finding("lost").examples[0]["now there"] == "load-1 seq 0 (epoch 0)"

    def test_a_duplicate_does_not_hide_a_loss(self, run: Run) -> None:
        """One lost and another written twice: counts are right, and both are called out."""
        run.lose("load-0", 3)
        run.append(run.at("load-0", 4), partition=1)
        assert run.complaints() == {"lost": "fail", "duplicate": "fail"}

    def test_an_unknown_send_that_is_absent_is_no_loss(self, run: Run) -> None:
        """Without an acknowledgement there is nothing to lose."""
        run.lose("load-0", 3)
        run.outcomes["load-0"][3] |= {"outcome": Outcome.UNKNOWN, "offset": None}
        assert "lost" not in run.complaints()

    def test_a_failed_send_that_is_absent_is_no_loss(self, run: Run) -> None:
        """What was reported as not written need not be there."""
        run.lose("load-0", 3)
        run.outcomes["load-0"][3] |= {"outcome": Outcome.FAIL, "offset": None}
        assert "lost" not in run.complaints()

    def test_an_unread_tail_is_not_a_loss(self, run: Run) -> None:
        """If the log's ledger was cut short, an absent message may be in the part that wasn't read: unknown."""
        run.log.pop()
        run.torn.add("log")
        assert run.finding("lost").verdict is Verdict.UNKNOWN

    def test_a_partition_that_was_not_read_is_not_lost(self, run: Run) -> None:
        """The brokers say that partition 2 has records, the reader has none of them: it wasn't read."""
        run.log = [row for row in run.log if row["partition"] != 2]
        found = run.finding("lost")
        assert found.verdict is Verdict.UNKNOWN
        assert found.measured["out_of_reach"] == 4

    def test_retention_is_not_a_loss(self, run: Run) -> None:
        """A record below the log's present first offset can't be looked up: unknown, and `truncated` says why."""
        run.log = [row for row in run.log if (row["partition"], row["offset"]) != (1, 100)]
        run.manifest["partitions"][1]["log_start_after"] = 101
        assert run.finding("lost").verdict is Verdict.UNKNOWN
        assert run.finding("truncated").verdict is Verdict.UNKNOWN

    def test_a_wiped_partition_is_a_loss(self, run: Run) -> None:
        """Brokers that come back with an empty log have lost what they acknowledged."""
        run.log = [row for row in run.log if row["partition"] != 2]
        run.manifest["partitions"][2] |= {"end": 0, "log_start": 0}
        assert run.finding("lost").measured["lost"] == 4
        assert run.finding("lost").verdict is Verdict.FAIL

    def test_zero_is_a_sample(self, run: Run) -> None:
        """Zero of twelve bounds the rate by 3/12, and says so."""
        found = run.finding("lost")
        assert found.measured["upper_bound_95"] == pytest.approx(0.25)
        assert "25 %" in found.summary

    def test_examples_are_capped_and_the_listing_is_not(self) -> None:
        """Ten examples of fourteen; what is gathered by producer and partition is of all of them."""
        run = Run(messages=60)
        for seq in (*range(3, 15), 20, 21):
            run.lose("load-0", seq)
        found = run.finding("lost")
        assert len(found.examples) == 10
        assert found.total == 14
        assert found.places[0] == {
            "producer": "load-0",
            "partition": 0,
            "messages": 5,
            "seqs_from": 3,
            "seqs_to": 21,
            "offsets_from": 102,
            "offsets_to": 110,
            "seconds_from": 0.006,
            "seconds_to": 0.047,
        }
        assert "load-0 in partition 0: 5 (seqs 3-21, offsets 102-110)" in found.summary


class TestAbortedRead:
    """A failed send that stands in the log."""

    def test_a_failed_send_in_the_log_is_an_aborted_read(self, run: Run) -> None:
        """The client was told "not persisted", and it is there."""
        run.outcomes["load-0"][2] |= {"outcome": Outcome.FAIL, "offset": None}
        assert run.complaints() == {"aborted read": "fail", "success": "fail"}

    def test_an_unknown_send_in_the_log_is_none(self, run: Run) -> None:
        """The client was told "possibly persisted", and it is there: no lie."""
        run.outcomes["load-0"][2] |= {"outcome": Outcome.UNKNOWN, "offset": None}
        assert run.complaints() == {"success": "fail"}


class TestUnknownResolved:
    """Sends without a certain outcome, resolved by the log."""

    def test_written_and_not_written_are_told_apart(self, run: Run) -> None:
        """One unknown send is in the log and one is not; neither is an anomaly, both are listed."""
        run.outcomes["load-0"][2] |= {"outcome": Outcome.UNKNOWN, "offset": None}
        run.lose("load-1", 4)
        run.outcomes["load-1"][4] |= {"outcome": Outcome.UNKNOWN, "offset": None}
        found = run.finding("unknown resolved")
        assert found.verdict is Verdict.PASS
        assert found.measured == {"written": 1, "not_written": 1}
        assert [example["resolved"] for example in found.examples] == ["written", "not written"]

    def test_an_attempt_without_an_outcome_is_unknown(self, run: Run) -> None:
        """The load generator died before it learnt the end: the send counts as unknown."""
        run.outcomes["load-0"].pop()
        assert run.finding("unknown resolved").measured == {"written": 1, "not_written": 0}
        assert run.complaints() == {"success": "unknown"}

    def test_a_dead_producer_leaves_only_unknown_sends(self, run: Run) -> None:
        """No ledger of outcomes: six unknown sends, which may have been acknowledged; what they decide is open."""
        del run.outcomes["load-1"]
        assert run.finding("unknown resolved").measured["written"] == 6
        assert run.complaints() == {"success": "unknown", "throughput": "unknown", "incomplete": "unknown"}


class TestPhantom:
    """A record that nobody attempted."""

    def test_a_record_of_this_run_without_an_attempt_is_a_phantom(self, run: Run) -> None:
        """A seq that was never reached."""
        run.append(run.at("load-0", 0) | {"seq": 77}, partition=0)
        assert run.complaints() == {"phantom": "fail"}

    def test_a_record_of_an_unknown_producer_is_a_phantom(self, run: Run) -> None:
        """A producer that has no ledger."""
        run.append(run.at("load-0", 0) | {"producer": "load-9"}, partition=0)
        assert run.complaints() == {"phantom": "fail"}

    def test_a_strangers_record_is_a_phantom(self, run: Run) -> None:
        """Another run's record among ours, which the manifest does not name."""
        run.append(run.at("load-0", 0) | {"run_id": "run-0"}, partition=0)
        assert run.complaints() == {"phantom": "fail"}

    def test_a_named_runs_record_is_none(self, run: Run) -> None:
        """The ETL may write while the load runs, if the manifest names its run."""
        run.append(run.at("load-0", 0) | {"run_id": ETL, "producer": "etl", "seq": 3}, partition=0)
        assert run.complaints() == {}

    def test_the_platforms_own_traffic_is_none(self, run: Run) -> None:
        """Records without a run id are only counted."""
        run.append(run.at("load-0", 0) | {"run_id": None, "producer": None, "seq": None}, partition=0)
        assert run.complaints() == {}
        assert run.finding("phantom").measured["without_run_id"] == 1

    def test_an_earlier_run_before_our_start_is_none(self, run: Run) -> None:
        """What stood in the topic before is not ours to judge."""
        run.log.insert(0, run.log[0] | {"offset": 90, "run_id": "run-0"})
        assert "phantom" not in run.complaints()

    def test_a_torn_ledger_of_attempts_makes_phantoms_unknown(self, run: Run) -> None:
        """The attempt may stand in the part that is missing."""
        run.attempts["load-0"].pop()
        run.outcomes["load-0"].pop()
        run.torn.add("attempts")
        assert run.finding("phantom").verdict is Verdict.UNKNOWN


class TestDuplicate:
    """One send at more than one offset."""

    def test_one_send_at_two_offsets_is_a_duplicate(self, run: Run) -> None:
        """Both places are named."""
        first = run.at("load-0", 1)
        second = run.append(first, partition=1)
        assert run.complaints() == {"duplicate": "fail"}
        assert run.finding("duplicate").examples[0]["places"] == f"1@{first['offset']}, 1@{second['offset']}"

    def test_a_copy_in_another_partition_is_a_duplicate_too(self, run: Run) -> None:
        """The partition does not excuse it."""
        run.append(run.at("load-0", 1), partition=2)
        assert run.complaints() == {"duplicate": "fail"}

    def test_the_reader_seeing_a_record_twice_is_none(self, run: Run) -> None:
        """The same offset read again is the reader's own affair, and is counted."""
        run.log.append(dict(run.at("load-0", 1)))
        assert run.complaints() == {}
        assert run.finding("inconsistent offset").measured["read_again"] == 1

    def test_equal_payloads_under_two_seqs_are_none(self, run: Run) -> None:
        """Two messages may say the same."""
        run.attempts["load-0"][1]["payload_hash"] = 7
        run.attempts["load-0"][2]["payload_hash"] = 7
        for rows in (run.log, run.sink):
            for seq in (1, 2):
                row = run.at("load-0", seq, rows)
                row["payload_hash"] = 7
                if "claimed_hash" in row:
                    row["claimed_hash"] = 7
        assert run.complaints() == {}


class TestCorrupt:
    """A value that is not what was sent."""

    def test_a_changed_value_is_corrupt(self, run: Run) -> None:
        """The consumers and the reader saw the same wrong value: the log is at fault, and only it."""
        for rows in (run.log, run.sink):
            run.at("load-1", 2, rows)["payload_hash"] = 1
        assert run.complaints() == {"corrupt": "fail"}
        assert run.finding("corrupt").examples[0]["log hash"] == "0000000000000001"

    def test_a_changed_header_is_corrupt(self, run: Run) -> None:
        """The value is right, the claim about it is not."""
        run.at("load-1", 2)["claimed_hash"] = 1
        assert run.complaints() == {"corrupt": "fail"}

    def test_other_runs_are_checked_by_their_own_claim(self, run: Run) -> None:
        """The ETL's records have no ledger of attempts, yet their header says what was sent."""
        for rows in (run.log, run.sink):
            rows[0]["payload_hash"] = 1
        assert run.complaints() == {"corrupt": "fail"}

    def test_a_missing_header_is_not_a_wrong_one(self, run: Run) -> None:
        """Without a claim, the ledger of attempts decides alone."""
        run.at("load-1", 2)["claimed_hash"] = None
        assert run.complaints() == {}


class TestReordered:
    """Offsets that do not grow with seq, per producer and partition."""

    def swap(self, run: Run, one: tuple[str, int], other: tuple[str, int]) -> None:
        """Exchange two records' places, everywhere, acknowledgements included."""
        for rows in (run.log, run.sink):
            first, second = run.at(*one, rows), run.at(*other, rows)
            first["offset"], second["offset"] = second["offset"], first["offset"]
        outcomes = run.outcomes[one[0]][one[1]], run.outcomes[other[0]][other[1]]
        outcomes[0]["offset"], outcomes[1]["offset"] = outcomes[1]["offset"], outcomes[0]["offset"]

    def test_two_messages_of_one_producer_in_the_wrong_order(self, run: Run) -> None:
        """Seqs 0 and 3 of one producer share a partition; 3 stands before 0."""
        self.swap(run, ("load-0", 0), ("load-0", 3))
        assert run.complaints() == {"reordered": "fail"}
        assert run.finding("reordered").examples[0] == {
            "producer": "load-0",
            "partition": 0,
            "seq": 3,
            "offset": 100,
            "stands before seq": 0,
            "at_seconds": 0.01,
            "before it": "etl seq 2 (epoch 0)",
            "now there": "load-0 seq 3 (epoch 0)",
            "after it": "load-1 seq 0 (epoch 0)",
        }

    def test_the_order_between_producers_is_nobodys_promise(self, run: Run) -> None:
        """Two producers' messages change places."""
        self.swap(run, ("load-0", 0), ("load-1", 0))
        assert run.complaints() == {}

    def test_a_duplicate_is_not_called_reordered(self, run: Run) -> None:
        """A late copy of an early message stands behind later ones; that is a duplicate."""
        run.append(run.at("load-0", 0), partition=0)
        assert run.complaints() == {"duplicate": "fail"}


class TestInconsistentOffset:
    """Two values at one offset, or a record elsewhere than acknowledged."""

    def test_an_acknowledged_offset_that_holds_another_record(self, run: Run) -> None:
        """The record is in the log, but not where the broker said."""
        run.outcomes["load-0"][0]["offset"] = 103
        assert run.complaints() == {"inconsistent offset": "fail"}

    def test_an_acknowledgement_from_another_partition(self, run: Run) -> None:
        """Sent to one partition, acknowledged in another."""
        run.outcomes["load-0"][0]["partition"] = 1
        assert run.complaints() == {"inconsistent offset": "fail"}

    def test_two_values_at_one_offset(self, run: Run) -> None:
        """The reader saw two different records at one place: both were sent, so only the place is wrong."""
        run.log.append(run.at("load-0", 0) | {"payload_hash": 5, "claimed_hash": 5, "seq": None, "run_id": None})
        assert run.complaints() == {"inconsistent offset": "fail"}

    def test_an_acknowledgement_without_an_offset_is_not_compared(self, run: Run) -> None:
        """Kafka acknowledges a retried batch that it had already without its offset."""
        run.outcomes["load-0"][0]["offset"] = None
        assert run.complaints() == {}

    def test_a_duplicate_with_the_acknowledged_place_among_its_own_is_consistent(self, run: Run) -> None:
        """It's a duplicate, no more."""
        run.append(run.at("load-0", 0), partition=0)
        assert "inconsistent offset" not in run.complaints()
