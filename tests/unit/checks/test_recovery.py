"""What recovery is, on literal services: when it begins, when it ends, and where its time went."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from runs import Run, served

from assay.chaos.catalogue import CATALOGUE
from assay.checks import UndecidedError
from assay.checks.history import Fault
from assay.checks.outage import ACKS, CONSUMPTION, LAG, Outage, outage_of
from assay.checks.phases import Signs, phases_of, signs_of, whole_after
from assay.checks.recovery import FLOORS
from assay.checks.service import Service, acknowledgements, longest_gap, service_of
from assay.checks.shards import SendsShard
from assay.recovery.floors import Fault as Kind
from assay.recovery.phases import PHASES

SECOND = 1_000_000_000


def every(step: float, first: float, last: float, *pauses: tuple[float, float]) -> Any:
    """Times from `first` to `last` seconds, one each `step`, but none inside a pause."""
    times = np.arange(first, last, step)
    for begin, end in pauses:
        times = times[(times <= begin) | (times >= end)]
    return (times * SECOND).astype(np.int64)


def steady(seconds: float = 60) -> Service:
    """Two partitions, acknowledged each 0.1 s, consumed each 0.5 s, ten messages waiting."""
    samples = every(0.25, 0, seconds)
    return Service(
        {0: every(0.1, 0, seconds), 1: every(0.1, 0, seconds)},
        {0: every(0.5, 0, seconds), 1: every(0.5, 0, seconds)},
        samples,
        np.full(len(samples), 10),
        int(seconds * SECOND),
    )


def fault(bites: float | None = 20, heal: float | None = None) -> Fault:
    """One that was asked for at 19 s."""
    healed = int((heal + 1) * SECOND) if heal else None
    bites_ns = int(bites * SECOND) if bites is not None else None
    return Fault("f", "kill", "pod/x", 19 * SECOND, bites_ns, int(heal * SECOND) if heal else None, healed)


def acks(service: Service, *pauses: tuple[float, float], partition: int = 1) -> Service:
    """The same, with nothing acknowledged in one partition during the pauses."""
    return replace(service, acked={**service.acked, partition: every(0.1, 0, service.ends_ns / SECOND, *pauses)})


def test_nothing_interrupted_is_no_recovery() -> None:
    """A fault that clients do not notice takes no time to recover from."""
    found = outage_of(steady(), fault())
    assert (found.seconds, dict(found.back_ns)) == (0, {})


def test_one_partition_without_acknowledgements_is_an_outage() -> None:
    """The other one being served all along does not count; recovery ends with the first acknowledgement after."""
    found = outage_of(acks(steady(), (20.0, 24.0)), fault())
    assert found.seconds == pytest.approx(4.0, abs=0.11)
    assert found.ack_gaps[1] == pytest.approx(4.0, abs=0.11)
    assert found.ack_gaps[0] < 0.3
    assert set(found.back_ns) == {ACKS}


def test_a_flicker_within_five_seconds_is_not_yet_recovery() -> None:
    """Served for three seconds and gone again: the second gap belongs to the outage."""
    found = outage_of(acks(steady(), (20.0, 22.0), (25.0, 28.0)), fault())
    assert found.seconds == pytest.approx(8.0, abs=0.11)


def test_a_gap_after_five_steady_seconds_is_another_matter() -> None:
    """Full service lasted; what comes later is not this recovery."""
    found = outage_of(acks(steady(), (20.0, 22.0), (27.5, 30.0)), fault())
    assert found.seconds == pytest.approx(2.0, abs=0.11)


def test_a_gap_before_the_fault_is_healed_is_told_though_it_is_no_recovery() -> None:
    """What strikes again after steady seconds, as a rolling restart does: its longest gap is that until it is over."""
    service = acks(steady(), (20.0, 22.0), (40.0, 43.0))
    found = outage_of(service, fault(heal=44))
    assert found.seconds == pytest.approx(2.0, abs=0.11)
    assert found.longest_gap == pytest.approx(3.0, abs=0.11)
    assert [at / SECOND for at in found.longest] == pytest.approx([40.0, 43.0], abs=0.11)
    assert outage_of(service, fault(heal=30)).longest_gap == pytest.approx(2.0, abs=0.11)


def test_a_gap_as_before_the_fault_is_no_interruption() -> None:
    """Where half-second pauses were usual, one of nine tenths is too."""
    usual = acks(steady(), (14.0, 14.6), (17.0, 17.6))
    assert outage_of(acks(usual, (14.0, 14.6), (17.0, 17.6), (22.0, 22.9)), fault()).seconds == 0


def test_consumption_counts_as_sends_do() -> None:
    """Nothing consumed in one partition for six seconds, everything acknowledged."""
    service = replace(steady(), consumed={0: every(0.5, 0, 60), 1: every(0.5, 0, 60, (20.0, 26.0))})
    found = outage_of(service, fault())
    assert found.seconds == pytest.approx(6.0, abs=0.6)
    assert set(found.back_ns) == {CONSUMPTION}


def test_lag_has_to_be_as_before() -> None:
    """Served again after two seconds, caught up after nine: recovery takes nine."""
    service = acks(steady(), (20.0, 22.0))
    high = (service.lag_at > 20 * SECOND) & (service.lag_at < 29 * SECOND)
    found = outage_of(replace(service, lag=np.where(high, 5000, 10)), fault())
    assert found.seconds == pytest.approx(9.0, abs=0.3)
    assert found.peak_lag == 5000
    assert found.back_ns[LAG] > found.back_ns[ACKS]


@pytest.mark.parametrize(
    ("service", "given", "words"),
    [
        (steady(), fault(bites=None), "never seen to bite"),
        (acks(steady(), (20.0, 58.0)), fault(), "did not last"),
        (steady(21), fault(), "did not last"),
        (steady(), fault(bites=1), "no steady service"),
        (acks(steady(), (0.0, 30.0)), fault(), "acknowledged in partition 1"),
    ],
    ids=["no bite", "down to the end", "load too short", "no before", "a dead partition before"],
)
def test_what_can_not_be_said(service: Service, given: Fault, words: str) -> None:
    """No bite, no steady service before, or none after: nobody knows how long recovery took."""
    with pytest.raises(UndecidedError, match=words):
        outage_of(service, given)


def outage(**back: float) -> Outage:
    """From 20 s to the last of what came back."""
    times = {name: int(at * SECOND) for name, at in back.items()}
    base = outage_of(steady(), fault())
    return replace(base, served_ns=max(times.values(), default=base.bitten_ns), back_ns=times)


def test_phases_add_up_to_the_whole() -> None:
    """A dead broker: metadata changes at 23, the last election is at 24, acks at 25, consumption at 27, lag at 30."""
    found = phases_of(
        outage(**{ACKS: 25, CONSUMPTION: 27, LAG: 30}), Signs((23 * SECOND, 24 * SECOND, 29 * SECOND), (26 * SECOND,))
    )
    assert [one.name for one in found] == list(PHASES)
    assert [one.seconds for one in found] == [3, 3, 0, 1, 3]
    assert sum(one.seconds for one in found) == 10


def test_a_dead_consumer_is_evicted_and_nobody_elects() -> None:
    """Acknowledgements went on: the survivors' new assignment ends detection, their first commit the rejoin."""
    found = phases_of(outage(**{CONSUMPTION: 27.5, LAG: 29}), Signs((), (26 * SECOND,)))
    assert [one.seconds for one in found] == [6, 0, 0, 1.5, 1.5]


def test_signs_that_nobody_saw_leave_their_time_to_the_next_phase() -> None:
    """No metadata, no events: all of the outage is the client's discovery, and still adds up."""
    found = phases_of(outage(**{ACKS: 26}), Signs((), ()))
    assert [one.seconds for one in found] == [0, 0, 6, 0, 0]


def test_changes_outside_the_outage_are_no_signs() -> None:
    """What changed before the bite, or after full service, belongs to something else."""
    found = phases_of(outage(**{ACKS: 26}), Signs((5 * SECOND, 40 * SECOND), (1 * SECOND,)))
    assert [one.seconds for one in found] == [0, 0, 6, 0, 0]


def leaders(*rows: tuple[float, int, int | None, list[int]]) -> list[dict[str, Any]]:
    """Rows of the ledger: seconds, partition, leader, in sync."""
    return [
        {"at_ns": int(at * SECOND), "partition": number, "leader": leader, "in_sync": in_sync}
        for at, number, leader, in_sync in rows
    ]


def test_the_first_look_is_no_change() -> None:
    """What the ledger begins with, and an unchanged row, tell of no election."""
    run = Run()
    run.leaders = leaders((1, 0, 0, [0, 1, 2]), (1, 1, 1, [0, 1, 2]), (5, 1, 2, [0, 2]), (6, 1, 2, [0, 2]))
    assert signs_of(run.history()).metadata_ns == (5 * SECOND,)


def test_whole_again_when_the_last_replica_is_in_sync() -> None:
    """Asked to heal at 30 s, in sync everywhere at 33: three seconds; and none where one never came back."""
    run = Run()
    run.leaders = leaders((1, 0, 0, [0, 1, 2]), (1, 1, 1, [0, 1, 2]), (21, 1, 2, [0, 2]), (33, 1, 2, [0, 1, 2]))
    healed = fault(heal=30)
    assert whole_after(run.history(), healed, outage(**{ACKS: 24})) == 3
    run.leaders = leaders((1, 0, 0, [0, 1, 2]), (21, 0, 2, [0, 2]))
    assert whole_after(run.history(), healed, outage(**{ACKS: 24})) is None


def test_the_service_is_what_the_ledgers_say() -> None:
    """Acknowledgements by tick and partition; commits by samples or by the consumers' own word, the earlier one."""
    run = Run(messages=30)
    run.events = run.told()
    for row in run.events:
        row["seen_ns"] = row["at_ns"] + 7
    history = run.history()
    tally = acknowledgements(SendsShard(history, 0, 100))
    service = service_of(history, tally)
    acked = dict.fromkeys(history.partitions, 0)
    for rows in run.outcomes.values():
        for row in rows:
            acked[row["partition"]] += 1
    assert {number: int(tally.bins[f"acked {number}"].sum()) for number in acked} == acked
    committed = {row["seen_ns"] for row in run.events if row["kind"] == "committed" and row["partition"] == 1}
    assert committed <= set(service.consumed[1].tolist())


def test_the_service_is_seen_while_the_load_runs() -> None:
    """Whether service is back is asked before anybody asks where the partitions end."""
    run = Run(messages=30)
    whole = service_of(run.history(), acknowledgements(SendsShard(run.history(), 0, 100)))
    for row in run.manifest["partitions"]:
        row |= {"end": row["start"], "end_asked": False, "committed_asked": False}
    history = run.history()
    seen = service_of(history, acknowledgements(SendsShard(history, 0, 100)))
    assert [times.tolist() for times in seen.acked.values()] == [times.tolist() for times in whole.acked.values()]


def test_the_longest_gap_reaches_over_the_border() -> None:
    """A gap that began before the span counts as long as it was."""
    assert longest_gap(every(1, 0, 60, (18.0, 23.0)), 20 * SECOND, 40 * SECOND) == pytest.approx(5)


@pytest.mark.parametrize(
    ("run", "verdict", "words"),
    [
        (served(), "pass", "clients noticed nothing"),
        (served(gap=(20, 24)), "pass", "full service was back 4.0"),
        (served(gap=(20, 27)), "fail", "the objective is 5 s"),
        (served(gap=(20, 37)), "fail", "did not last"),
        (served(seconds=23, gap=(20, 21)), "unknown", "did not last"),
        (served(seconds=27, gap=(20, 24)), "unknown", "did not last"),
    ],
    ids=["unnoticed", "in time", "late", "never", "load too short", "in time, and not long enough"],
)
def test_recovery_is_held_against_its_objective(run: Run, verdict: str, words: str) -> None:
    """In time passes, late fails; where the load ended before either was shown, nobody knows."""
    found = run.finding("recovered")
    assert (found.verdict.value, words in found.summary) == (verdict, True), found.summary


def test_without_an_objective_nothing_is_asked() -> None:
    """A fault alone does not promise that a load goes on long enough to show recovery."""
    assert "recovered" not in {one.check for one in served(objective=None).judged().findings}


def test_each_recovery_stands_in_the_judgement_with_its_phases() -> None:
    """For reports and for many runs: figures by name, phases that add up."""
    (one,) = served(gap=(20, 24)).judged().recoveries
    assert one.measured["recovery_seconds"] == pytest.approx(sum(phase.seconds for phase in one.phases))
    assert one.measured["longest_ack_gap_seconds"] == pytest.approx(4.0, abs=0.3)
    assert one.measured["objective_seconds"] == 5


def test_refusing_writes_is_right_while_too_few_replicas_are_in_sync() -> None:
    """Fewer than min.insync.replicas until healing: recovery counts from when that was asked for."""
    run = served(gap=(20, 24))
    run.manifest["settings"] = {"topic min.insync.replicas": "2"}
    run.leaders = leaders((1, 0, 0, [0, 1, 2]), (1, 1, 1, [0, 1, 2]), (20.5, 0, 0, [0]), (23, 0, 0, [0, 1, 2]))
    (one,) = run.judged().recoveries
    assert one.measured["recovery_seconds"] == pytest.approx(3.0, abs=0.2)
    assert one.measured["whole_after_heal_seconds"] == pytest.approx(3.0, abs=0.2)
    assert "healing was asked for" in one.summary


def test_recovery_stands_beside_what_the_settings_allow() -> None:
    """Of the floors that the fault can have the widest counts; one that is not in use does not."""
    run = served(gap=(20, 24))
    for row in run.faults:
        row["fault"] = "broker-sigkill"
    run.manifest["objectives"] = {"recovery_seconds": {"broker-sigkill": 5}}
    one = {"objective": "", "objective_seconds": None, "verdict": "possible", "detail": ""}
    run.manifest["feasibility"] = [
        {**one, "fault": "broker SIGKILL", "least_seconds": 2.5, "most_seconds": 4.0},
        {**one, "fault": "broker SIGKILL, active controller", "least_seconds": 3.0, "most_seconds": 8.0},
        {
            **one,
            "fault": "broker SIGKILL, coordinator",
            "least_seconds": 0,
            "most_seconds": 99,
            "verdict": "not in use",
        },
    ]
    (found,) = run.judged().recoveries
    assert (found.measured["floor_least_seconds"], found.measured["floor_most_seconds"]) == (2.5, 8.0)
    assert found.measured["over_floor"] == pytest.approx(found.measured["recovery_seconds"] / 8)


@pytest.mark.parametrize(("kind", "floor"), [("packet-drop", 4.0), ("packet-drop (brokers, both)", None)])
def test_a_broker_that_some_still_reach_has_no_floor(kind: str, floor: float | None) -> None:
    """What the settings allow is counted for one that is cut off from everyone, both ways."""
    run = served(gap=(20, 24))
    for row in run.faults:
        row |= {"fault": "broker-isolated", "kind": kind}
    run.manifest["objectives"] = {"recovery_seconds": {"broker-isolated": 5}}
    one = {"objective": "", "objective_seconds": None, "verdict": "possible", "detail": ""}
    run.manifest["feasibility"] = [{**one, "fault": "broker isolated", "least_seconds": 2.5, "most_seconds": 4.0}]
    assert run.judged().recoveries[0].measured.get("floor_most_seconds") == floor


def test_an_unknown_floor_is_none() -> None:
    """Where a setting could not be read, nothing stands beside the recovery."""
    run = served(gap=(20, 24))
    assert "floor_least_seconds" not in run.judged().recoveries[0].measured


def test_a_rolling_restart_is_held_to_its_longest_gap() -> None:
    """Its parts add up to that gap, and the objective is for the gap, however long the restart itself takes."""
    run = served(gap=(24, 28))
    for row in run.faults:
        row["fault"] = "rolling-restart"
    for limit, verdict in ((5, "pass"), (3, "fail")):
        run.manifest["objectives"] = {"recovery_seconds": {"rolling-restart": limit}}
        (one,) = run.judged().recoveries
        assert one.measured["recovery_seconds"] == pytest.approx(4.0, abs=0.3)
        assert sum(phase.seconds for phase in one.phases) == pytest.approx(one.measured["recovery_seconds"])
        assert (one.verdict.value, "longest gap between acknowledgements was" in one.summary) == (verdict, True)


def test_floors_have_the_names_of_both_houses() -> None:
    """Each fault is one of the catalogue, each floor one of those that are computed."""
    assert FLOORS.keys() <= CATALOGUE.keys()
    assert {name for names in FLOORS.values() for name in names} <= {str(one) for one in Kind}
