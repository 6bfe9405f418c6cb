"""Floors of recovery: true lower bounds, from literal settings, by the formulas of docs/recovery.md."""

from __future__ import annotations

import pytest
from recovery_settings import defaults, tuned

from assay.recovery.floors import Fault, floors_of
from assay.recovery.phases import PHASES


@pytest.mark.parametrize(
    ("fault", "least", "most"),
    [
        (Fault.CONSUMER_TERMINATED, 0.0, 1 + 1 + 1),
        (Fault.CONSUMER_KILLED_CLASSIC, 6 - 1 - 1, 6 + (1 + 1) + 1),
        (Fault.CONSUMER_KILLED, 4 - 0.5 - 1, 4 + (0 + 2 * 0.5 + 1) + 1),
        (Fault.STATIC_MEMBER_KILLED, 0.0, 6 + (1 + 1) + 1),
        (Fault.BROKER_TERMINATED, 0.0, 1.2 * 0.5 + 1),
        (Fault.BROKER_KILLED, 2 - 0.4, 2 * 9 / 8 + 1.2 * 0.5 + 1),
        (Fault.COORDINATOR_KILLED, 2 - 0.4, 2 * 9 / 8 + 2 + 1),
        (Fault.CONTROLLER_KILLED, (1.0 - 0.5) + 2, (1.3 + 2 * 0.6) + 2 * 9 / 8 + 2 + (1 + 1) + 1),
        (Fault.BROKER_ISOLATED, 2 - 0.4, 3 + 2 + 2 + (1 + 1) + 1),
        (Fault.NODE_LOST, 6 - 1 - 1, (1.3 + 2 * 0.6) + 2 * 9 / 8 + 6 + 0 + (1 + 1) + 1),
        (Fault.NODE_REPLACED, 20 - 0.26 * 20 + 10, 20 + 2 * 2 + 10 + 0.1 + (1 + 1) + 1),
        (Fault.ROLLING_RESTART, 0.0, 1.2 * 0.5 + (1 + 1) + 1),
    ],
)
def test_the_tuned_platform(fault: Fault, least: float, most: float) -> None:
    """Each floor by hand."""
    floor = floors_of(tuned())[fault]
    assert floor.least_seconds == pytest.approx(least)
    assert floor.most_seconds == pytest.approx(most)


@pytest.mark.parametrize("settings", [defaults(), tuned(), tuned("CONSUMER", static=True)])
def test_every_fault_has_the_five_phases_in_order(settings: object) -> None:
    """No least above its most, and no fault left out."""
    floors = floors_of(settings)  # type: ignore[arg-type]  # parameters have no types of their own
    assert set(floors) == set(Fault)
    for floor in floors.values():
        assert tuple(phase.name for phase in floor.phases) == PHASES
        for phase in floor.phases:
            assert phase.least_seconds is not None
            assert phase.most_seconds is not None
            assert 0 <= phase.least_seconds <= phase.most_seconds
            assert phase.source or not phase.settings


def test_a_killed_consumer_may_have_been_about_to_speak() -> None:
    """So the least is what is left of its session then, and no more than the session itself."""
    detect = floors_of(defaults())[Fault.CONSUMER_KILLED_CLASSIC].phases[0]
    assert (detect.least_seconds, detect.most_seconds) == (41.0, 45.0)
    assert [setting.found for setting in detect.settings] == ["45000 ms", "3000 ms"]


def test_of_brokers_that_wait_differently_the_first_gives_the_least_and_the_last_the_most() -> None:
    """Who notices a silent controller first may need the last one's vote."""
    elect = floors_of(tuned(quorum_fetch=1.0, quorum_fetch_longest=2.0, quorum_election=0.5))
    controller = elect[Fault.CONTROLLER_KILLED].phases[1]
    assert (controller.least_seconds, controller.most_seconds) == (0.5, 2.0 + 2 * 0.5)


def test_a_setting_that_two_ends_lack_is_told_once() -> None:
    """Both ends of the brokers' fetch timeouts are unknown for one reason."""
    floor = floors_of(tuned(quorum_fetch=None, quorum_fetch_longest=None))[Fault.CONTROLLER_KILLED]
    assert floor.phases[1].unknown == "controller.quorum.fetch.timeout.ms: nobody said"


def test_a_heartbeat_longer_than_the_session_gives_no_negative_time() -> None:
    """Nothing is noticed before it happened."""
    detect = floors_of(tuned(broker_heartbeat=5.0))[Fault.BROKER_KILLED].phases[0]
    assert detect.least_seconds == 0


def test_a_client_that_hears_nothing_waits_beside_the_election_and_not_after_it() -> None:
    """With a socket timeout shorter than the election takes, only the question for the new leader is left."""
    client = floors_of(tuned(consumers_socket=1.0, load_socket=1.0))[Fault.BROKER_ISOLATED].phases[2]
    assert client.most_seconds == 2.0


def test_the_slowest_client_counts() -> None:
    """Every partition must be acknowledged and consumed again."""
    quick, slow = tuned(consumers_socket=4.0), tuned(consumers_socket=4.0, load_socket=60.0)
    assert floors_of(quick)[Fault.BROKER_ISOLATED] != floors_of(slow)[Fault.BROKER_ISOLATED]
    slow_most = floors_of(slow)[Fault.BROKER_ISOLATED].most_seconds
    assert slow_most is not None
    assert slow_most > 60


@pytest.mark.parametrize(
    ("protocol", "static", "idle"),
    [
        ("CLASSIC", False, {Fault.CONSUMER_KILLED, Fault.STATIC_MEMBER_KILLED}),
        ("CONSUMER", False, {Fault.CONSUMER_KILLED_CLASSIC, Fault.STATIC_MEMBER_KILLED}),
        ("CLASSIC", True, {Fault.CONSUMER_KILLED, Fault.CONSUMER_KILLED_CLASSIC}),
        ("CONSUMER", True, {Fault.CONSUMER_KILLED, Fault.CONSUMER_KILLED_CLASSIC}),
    ],
)
def test_what_can_not_happen_says_why(protocol: str, static: bool, idle: set[Fault]) -> None:
    """A group has one protocol, and its members are static or not; the others' floors are shown all the same."""
    floors = floors_of(tuned(protocol, static=static))
    assert {fault for fault, floor in floors.items() if floor.not_in_use} == idle


def test_what_is_unknown_is_unknown_with_its_reason_and_touches_nothing_else() -> None:
    """The rest of a floor stays known, and so do other floors."""
    floors = floors_of(tuned(node_grace=None))
    floor = floors[Fault.NODE_REPLACED]
    assert (floor.least_seconds, floor.most_seconds) == (None, None)
    assert floor.unknown == "node-monitor-grace-period: nobody said"
    assert floor.known_least_seconds == 10
    assert [fault for fault, one in floors.items() if one.unknown] == [Fault.NODE_REPLACED]


def test_without_the_groups_protocol_nothing_is_assumed_of_its_members() -> None:
    """Which timeouts hold depends on it."""
    floors = floors_of(tuned(""))
    assert floors[Fault.CONSUMER_TERMINATED].unknown == "protocol: the group's protocol is not known"
    assert floors[Fault.BROKER_KILLED].least_seconds == 1.6
