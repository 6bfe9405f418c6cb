"""From a platform's settings to the floor of every fault.

`least` is a true lower bound: each formula counts everything that may have happened before the fault (a heartbeat that
was about to be due) for it. `most` is what the settings allow, without any work: no start of a process, no backlog.

Kafka's clients here are librdkafka's, so what is no setting of theirs is a constant of its sources.
"""

from __future__ import annotations

from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Final

from assay.recovery.phases import Floor, Phase, idle, phase
from assay.recovery.setting import Setting

if TYPE_CHECKING:
    from collections.abc import Mapping

    from assay.recovery.phases import PhaseName
    from assay.recovery.setting import Settings


class Fault(StrEnum):
    """Kinds of faults, as floors tell them apart."""

    CONSUMER_TERMINATED = "consumer SIGTERM"
    CONSUMER_KILLED_CLASSIC = "consumer SIGKILL, classic protocol"
    CONSUMER_KILLED = "consumer SIGKILL, consumer protocol"
    STATIC_MEMBER_KILLED = "consumer SIGKILL, static member"
    BROKER_TERMINATED = "broker SIGTERM"
    BROKER_KILLED = "broker SIGKILL"
    COORDINATOR_KILLED = "broker SIGKILL, coordinator"
    CONTROLLER_KILLED = "broker SIGKILL, active controller"
    BROKER_ISOLATED = "broker isolated"
    NODE_LOST = "node lost, survivors serve"
    NODE_REPLACED = "node lost, pods replaced"
    ROLLING_RESTART = "rolling restart, longest gap"


#: librdkafka's main thread looks at heartbeats and coordinators, and a broker's thread at timed-out requests, at least
#: once in so many seconds (rdkafka.c `rd_kafka_thread_main`, rdkafka_broker.c `rkb_timeout_scan_intvl`).
TICK_SECONDS: Final = 1.0
#: Between two questions for a group's coordinator (rdkafka_cgrp.c `rkcg_coord_query_intvl`).
COORDINATOR_QUERY_SECONDS: Final = 1.0
#: By how much a pause between attempts may be longer than its setting (rdkafka_int.h `RD_KAFKA_RETRY_JITTER_PERCENT`).
RETRY_JITTER: Final = 1.2
#: Stale brokers are looked for each 1/8 of their session (QuorumController `maybeFenceStaleBrokerPeriodNs`).
FENCING_PART: Final = 1 / 8
#: A controller's peers hear from it at least this often (KafkaRaftClient `MAX_FETCH_WAIT_MS`).
QUORUM_FETCH_SECONDS: Final = 0.5
#: A node renews its lease each quarter of it, up to 4 % later (kubelet `nodeLeaseRenewIntervalFraction`, and
#: `JitterUntil` of the lease controller).
LEASE_PART: Final = 0.25 * 1.04
#: Nodes that wait for their taint are looked at this often (node lifecycle controller `NodeEvictionPeriod`).
TAINT_SECONDS: Final = 0.1

_NO_PROTOCOL: Final = Setting("protocol", "group", None, why="the group's protocol is not known")

_KIP_631: Final = "KIP-631; Kafka 4.3 QuorumController, BrokerHeartbeatManager"
_KIP_595: Final = "KIP-595, KIP-996; Kafka 4.3 KafkaRaftClient, ClusterControlManager.activate"
_KIP_62: Final = "KIP-62; Kafka documentation of session.timeout.ms; librdkafka rdkafka_cgrp.c"
_KIP_848: Final = "KIP-848, KIP-1263; Kafka documentation of group.consumer.session.timeout.ms"
_CLIENT: Final = "KIP-580; librdkafka CONFIGURATION.md, rdkafka_metadata.c"
_SOCKET: Final = "librdkafka CONFIGURATION.md socket.timeout.ms, rdkafka_broker.c rd_kafka_broker_timeout_scan"
_KUBERNETES: Final = "Kubernetes documentation of nodes (heartbeats), taints and tolerations; node lifecycle controller"


def floors_of(settings: Settings) -> Mapping[Fault, Floor]:
    """The floor of every fault, by what the settings say; where one is not known, so is what follows from it."""
    beginnings = {
        Fault.CONSUMER_TERMINATED: (
            idle("detect", "the consumer leaves its group by itself, once it has flushed"),
            idle("elect or evict"),
            idle("client discovers"),
            _assign(settings),
        ),
        Fault.CONSUMER_KILLED_CLASSIC: _silent_member(settings, "CLASSIC"),
        Fault.CONSUMER_KILLED: _silent_member(settings, "CONSUMER"),
        Fault.STATIC_MEMBER_KILLED: _static_member(settings),
        Fault.BROKER_TERMINATED: (
            idle("detect", "the broker hands its partitions over before it ends (controlled shutdown)"),
            idle("elect or evict"),
            _told(settings),
            idle("rejoin and assign"),
        ),
        Fault.BROKER_KILLED: (_fenced(settings), _elected(), _told(settings), idle("rejoin and assign")),
        Fault.COORDINATOR_KILLED: (_fenced(settings), _elected(), _coordinator(settings), idle("rejoin and assign")),
        # It may coordinate the group as well, and without a coordinator for a session its members begin anew.
        Fault.CONTROLLER_KILLED: (
            _fenced(settings, anew=True),
            _new_controller(settings, certain=True),
            _coordinator(settings),
            _assign(settings),
        ),
        Fault.BROKER_ISOLATED: (
            _fenced(settings),
            _new_controller(settings, certain=False),
            _silent_broker(settings),
            _assign(settings),
        ),
        Fault.NODE_LOST: (
            _lost_with_member(settings),
            _new_controller(settings, certain=False),
            _silent_broker(settings, _session(settings)),
            _assign(settings),
        ),
        Fault.NODE_REPLACED: (_lost_node(settings), _evicted(settings), idle("client discovers"), _assign(settings)),
        Fault.ROLLING_RESTART: (
            idle("detect", "each one is told to end, and leaves by itself"),
            idle("elect or evict"),
            _told(settings),
            _assign(settings),
        ),
    }
    idle_faults = _not_in_use(settings)
    return {
        fault: Floor(fault.value, (*phases, _caught_up(settings)), idle_faults.get(fault, ""))
        for fault, phases in beginnings.items()
    }


def _not_in_use(settings: Settings) -> dict[Fault, str]:
    found = {}
    for fault, protocol in ((Fault.CONSUMER_KILLED_CLASSIC, "CLASSIC"), (Fault.CONSUMER_KILLED, "CONSUMER")):
        if settings.protocol in ("CLASSIC", "CONSUMER") and settings.protocol != protocol:
            found[fault] = f"the group uses the {settings.protocol.lower()} protocol"
        elif settings.static:
            found[fault] = "the group's members are static"
    if settings.static is False:
        found[Fault.STATIC_MEMBER_KILLED] = "no member of the group is static"
    return found


# ---- detect ----


def _fenced(settings: Settings, *, anew: bool = False) -> Phase:
    """The controller fences a broker that it does not hear from; a new controller begins to count anew."""
    session, beat = settings.broker_session, settings.broker_heartbeat
    if anew:
        return phase(
            "detect",
            (session,),
            lambda session: (session, session * (1 + FENCING_PART)),
            "session (counted from the new controller's start), to session + 1/8",
            _KIP_631,
        )
    return phase(
        "detect",
        (session, beat),
        lambda session, beat: (session - beat, session * (1 + FENCING_PART)),
        "session - heartbeat, to session + 1/8",
        _KIP_631,
    )


def _session(settings: Settings, protocol: str = "") -> Setting:
    """The session of the group's members."""
    found = {"CLASSIC": settings.classic_session, "CONSUMER": settings.consumer_session}
    return found.get(protocol or settings.protocol, _NO_PROTOCOL)


def _heartbeat(settings: Settings, protocol: str = "") -> Setting:
    found = {"CLASSIC": settings.classic_heartbeat, "CONSUMER": settings.consumer_heartbeat}
    return found.get(protocol or settings.protocol, _NO_PROTOCOL)


def _silent_member(settings: Settings, protocol: str) -> tuple[Phase, ...]:
    """The coordinator puts a member out that it does not hear from, and the others take its partitions over."""
    return (
        phase(
            "detect",
            (_session(settings, protocol), _heartbeat(settings, protocol)),
            lambda session, beat: (session - beat - TICK_SECONDS, session),
            f"session - heartbeat - {TICK_SECONDS:g} s of librdkafka's loop, to session",
            _KIP_848 if protocol == "CONSUMER" else _KIP_62,
        ),
        idle("elect or evict", "a session that ends is the eviction"),
        idle("client discovers"),
        _assign(settings, protocol),
    )


def _static_member(settings: Settings) -> tuple[Phase, ...]:
    """A static member that is back before its session ends takes its partitions up again: nothing moves."""
    return (
        phase(
            "detect",
            (_session(settings),),
            lambda session: (0.0, session),
            "nobody waits if it is back in time, else the session",
            "KIP-345",
        ),
        idle("elect or evict"),
        idle("client discovers"),
        _assign(settings),
    )


def _lost_with_member(settings: Settings) -> Phase:
    """A broker and a consumer are silent at once; if the broker coordinated the group, sessions are counted anew."""
    return phase(
        "detect",
        (settings.broker_session, settings.broker_heartbeat, _session(settings), _heartbeat(settings)),
        lambda session, beat, member, member_beat: (
            max(session - beat, member - member_beat - TICK_SECONDS),
            session * (1 + FENCING_PART) + member,
        ),
        "the later of the broker's and the consumer's, to both (a new coordinator counts a session anew)",
        f"{_KIP_631}; KIP-848 (a coordinator that loads a group starts its sessions)",
    )


def _lost_node(settings: Settings) -> Phase:
    """The node's lease is not renewed, and the node is marked."""
    return phase(
        "detect",
        (settings.node_grace, settings.node_monitor, settings.node_lease),
        lambda grace, monitor, lease: (grace - lease * LEASE_PART, grace + 2 * monitor),
        "grace - 26 % of the lease, to grace + 2 looks",
        _KUBERNETES,
    )


# ---- elect or evict ----


def _elected() -> Phase:
    return idle("elect or evict", "the fencing and the new leaders are one record of the controller's")


def _new_controller(settings: Settings, *, certain: bool) -> Phase:
    """The controllers notice that the active one is silent, and elect another.

    Who notices first may be refused until the others have noticed too (KIP-996), so that the last one's timeout counts.
    """
    return phase(
        "elect or evict",
        (settings.quorum_fetch, settings.quorum_fetch_longest, settings.quorum_election),
        lambda first, last, election: (first - QUORUM_FETCH_SECONDS if certain else 0.0, last + 2 * election),
        ("shortest fetch timeout - 0.5 s" if certain else "0 if it was not the active controller")
        + ", to the longest + twice the election timeout",
        _KIP_595,
    )


def _evicted(settings: Settings) -> Phase:
    """The pods are deleted when they do not tolerate the node's taint any longer."""
    return phase(
        "elect or evict",
        (settings.toleration,),
        lambda toleration: (toleration, toleration + TAINT_SECONDS),
        "toleration",
        _KUBERNETES,
    )


# ---- client discovers ----


def _told(settings: Settings) -> Phase:
    """A client that was refused, or whose connection was closed, asks again and again who leads."""
    return phase(
        "client discovers",
        (settings.consumers_retry, settings.load_retry),
        lambda *pauses: (0.0, RETRY_JITTER * max(pauses)),
        "0 to 1.2 of the longest pause between attempts",
        _CLIENT,
    )


def _coordinator(settings: Settings) -> Phase:
    """A consumer asks again and again who coordinates its group."""
    return phase(
        "client discovers",
        (settings.consumers_retry, settings.load_retry),
        lambda *pauses: (0.0, max(COORDINATOR_QUERY_SECONDS + TICK_SECONDS, RETRY_JITTER * max(pauses))),
        f"0 to {COORDINATOR_QUERY_SECONDS + TICK_SECONDS:g} s between questions, or 1.2 of the longest pause",
        f"{_CLIENT}, rdkafka_cgrp.c",
    )


def _silent_broker(settings: Settings, member: Setting | None = None) -> Phase:
    """A client waits for the answer of a broker that is silent; it waits since before the others had elected.

    Nothing keeps a client from finding out at once, when it happens to refresh what it knows: at best it waits for
    nothing.
    """
    sessions = (settings.broker_session,) if member is None else (settings.broker_session, member)
    return phase(
        "client discovers",
        (
            settings.consumers_socket,
            settings.load_socket,
            settings.consumers_retry,
            settings.load_retry,
            settings.quorum_fetch_longest,
            settings.quorum_election,
            *sessions,
        ),
        partial(_left_to_wait, alone=member is None),
        "0, to what of the socket timeout + 2 s of librdkafka's loops is left after the election, + a new question",
        f"{_SOCKET}; {_CLIENT}",
    )


def _left_to_wait(  # noqa: PLR0917  # as many as there are settings, by their order
    socket: float,
    load_socket: float,
    retry: float,
    load_retry: float,
    fetch: float,
    election: float,
    *sessions: float,
    alone: bool,
) -> tuple[float, float]:
    silence = max(socket, load_socket) + 2 * TICK_SECONDS
    question = max(COORDINATOR_QUERY_SECONDS + TICK_SECONDS, RETRY_JITTER * max(retry, load_retry))
    elected = fetch + 2 * election + sessions[0] * (1 + FENCING_PART)
    if alone:
        return 0.0, max(silence - elected, 0.0) + question
    # Meanwhile a new coordinator waits for the lost consumer, so that even the question costs nothing more.
    return 0.0, max(silence + question - elected - sessions[1], 0.0)


# ---- rejoin and assign, catch up ----


def _assign(settings: Settings, protocol: str = "") -> Phase:
    """The members that are left learn by their next heartbeats that partitions are theirs."""
    name: PhaseName = "rejoin and assign"
    beat = _heartbeat(settings, protocol)
    if (protocol or settings.protocol) == "CONSUMER":
        return phase(
            name,
            (beat, settings.consumer_assignment),
            lambda beat, assignment: (0.0, assignment + 2 * beat + TICK_SECONDS),
            "0 to the interval of assignments + two heartbeats + librdkafka's loop",
            _KIP_848,
        )
    return phase(
        name,
        (beat,),
        lambda beat: (0.0, beat + TICK_SECONDS),
        "0 to heartbeat + librdkafka's loop",
        f"KIP-429; {_KIP_62}",
    )


def _caught_up(settings: Settings) -> Phase:
    """What is consumed counts once it is durable and committed."""
    return phase(
        "catch up",
        (settings.flush,),
        lambda flush: (0.0, flush),
        "0 to one flush; the backlog itself is work",
        "docs/recovery.md: consumed means committed",
    )
