"""Specifications of the checks that nothing was proved by nothing."""

from __future__ import annotations

import pytest
from runs import Run

from assay.verdict import Verdict


@pytest.fixture
def run() -> Run:
    """A clean run."""
    return Run()


def test_a_run_without_messages() -> None:
    """Nothing sent is never a pass, whatever the checks have to complain about."""
    complaints = Run(messages=0).complaints()
    assert complaints["vacuous"] == "unknown"
    assert complaints["throughput"] == "unknown"
    assert "fail" not in complaints.values()


def test_fewer_messages_than_planned(run: Run) -> None:
    """The load generator died on the way."""
    run.manifest["plan"]["messages"] = 100
    assert run.complaints() == {"vacuous": "unknown"}


def test_a_partition_without_a_record(run: Run) -> None:
    """Two healthy partitions don't stand for four."""
    run.manifest["plan"]["partitions"] = 4
    assert run.complaints() == {"vacuous": "unknown"}
    assert "partition 3 got no record" in run.finding("vacuous").summary


@pytest.mark.parametrize(
    ("change", "gap"),
    [({"partitions": []}, "pod-1 had no partition"), ({"ready": False}, "pod-1 was not ready")],
)
def test_a_replica_that_took_no_part(run: Run, change: dict[str, object], gap: str) -> None:
    """Each of the three consumers is ready and holds a partition."""
    run.manifest["replicas"][1] |= change
    assert run.complaints() == {"vacuous": "unknown"}
    assert gap in run.finding("vacuous").summary


def test_a_missing_replica(run: Run) -> None:
    """Two of three."""
    run.manifest["replicas"].pop()
    assert run.complaints() == {"vacuous": "unknown"}


def test_a_drain_that_did_not_end(run: Run) -> None:
    """The consumers were still busy when we looked."""
    run.manifest["drained"] = False
    assert run.complaints() == {"vacuous": "unknown"}


def test_a_run_that_stopped_early(run: Run) -> None:
    """What stopped it is said."""
    run.manifest["stopped"] = "Kafka went away."
    assert run.complaints() == {"vacuous": "unknown"}
    assert "Kafka went away" in run.finding("vacuous").summary


def test_an_empty_sink(run: Run) -> None:
    """No row of this run in the sink: unseen, since nothing was committed either."""
    run.sink.clear()
    for given in run.manifest["partitions"]:
        given["committed"] = given["start"]
    assert "the sink has no row" in run.finding("vacuous").summary


def test_torn_ledgers_are_said(run: Run) -> None:
    """A ledger without its end mark: judged as far as it goes, and never a pass."""
    run.torn.add("attempts")
    assert run.complaints()["incomplete"] == "unknown"
    assert "attempts of load-0" in run.finding("incomplete").summary


def test_every_preflight_check_is_a_finding_of_its_own(run: Run) -> None:
    """Failed ones fail the run, unknown ones leave it unknown."""
    run.manifest["preflight"] = [
        {"name": "dns", "verdict": "pass", "detail": "Every name resolves."},
        {"name": "policy", "verdict": "fail", "detail": "The feed can reach Kafka."},
        {"name": "resources", "verdict": "unknown", "detail": "A pod could not be read."},
    ]
    assert run.complaints() == {"preflight: policy": "fail", "preflight: resources": "unknown"}


def test_no_preflight_is_unknown(run: Run) -> None:
    """Nothing checked is nothing shown."""
    run.manifest["preflight"] = []
    assert run.complaints() == {"preflight": "unknown"}


@pytest.mark.parametrize("kind", ["log", "sink", "etl", "lag", "attempts"])
def test_a_missing_ledger_leaves_its_checks_unknown(run: Run, kind: str) -> None:
    """Nothing is concluded from evidence that isn't there; nothing fails for it either."""
    ledgers = [ledger for ledger in run.ledgers() if ledger.kind not in (kind, kind.replace("attempts", "outcomes"))]
    run.ledgers = lambda: ledgers  # type: ignore[method-assign]
    complaints = run.complaints()
    assert complaints
    assert set(complaints.values()) == {Verdict.UNKNOWN.value}


class TestFaults:
    """Faults that were asked for have to have been there."""

    def fault(self, *steps: str) -> list[dict[str, object]]:
        """The ledger of one fault."""
        what = {"fault": "kill-1", "kind": "broker-kill", "target": "pod/kafka-1", "detail": None}
        return [what | {"at_ns": number, "step": step} for number, step in enumerate(steps)]

    def test_a_fault_that_bit_and_healed(self, run: Run) -> None:
        """It happened."""
        run.faults = self.fault("inject-asked", "bites", "heal-asked", "healed")
        assert run.complaints() == {}

    def test_a_fault_that_never_bit(self, run: Run) -> None:
        """The API took it, and nothing happened: the run shows nothing of it."""
        run.faults = self.fault("inject-asked", "heal-asked", "healed")
        assert run.complaints() == {"vacuous": "unknown"}
        assert "kill-1 on pod/kafka-1 was never seen to bite" in run.finding("vacuous").summary

    def test_a_fault_that_never_healed(self, run: Run) -> None:
        """What came after was not recovery."""
        run.faults = self.fault("inject-asked", "bites")
        assert run.complaints() == {"vacuous": "unknown"}

    def test_a_loss_names_the_fault_that_was_active(self, run: Run) -> None:
        """The acknowledgement came while a broker was being killed."""
        run.faults = self.fault("inject-asked", "bites", "healed")
        for row, at in zip(run.faults, (4, 5, 9), strict=True):
            row["at_ns"] = at * 1_000_000
        run.lose("load-0", 0)
        assert run.finding("lost").places[0]["fault"] == "kill-1"
        run.lose("load-1", 5)
        assert run.finding("lost").examples[1]["fault"] == "none"


class TestDeadLetters:
    """Messages that rightly are no rows."""

    def test_a_message_of_this_run_in_the_dead_letters_has_arrived(self, run: Run) -> None:
        """It is not in the sink, and not lost."""
        row = run.at("load-1", 3, run.sink)
        run.sink.remove(row)
        run.deadletters = [{"partition": row["partition"], "offset": row["offset"], "reason": "not_json"}]
        assert run.complaints() == {}


def test_what_does_not_belong_to_the_run_is_not_asked_for(run: Run) -> None:
    """A run of the load alone passes without pre-flight and ETL, and has no findings on them; asked for, they lack."""
    run.manifest |= {"preflight": [], "etl": None}
    lacking = {"etl conservation", "etl throughput", "preflight", "vacuous"}
    assert run.complaints() == dict.fromkeys(lacking, "unknown")
    run.manifest["plan"]["parts"] = []
    assert run.complaints() == {}
    assert not {one.check for one in run.judged().findings} & {"etl conservation", "etl throughput", "preflight"}
