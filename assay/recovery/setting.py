"""The settings that decide how fast a platform recovers, each as it was found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

#: How many of a setting's own units make a second.
UNITS: Final = {"ms": 1000, "s": 1}


@dataclass(frozen=True)
class Setting:
    """One setting, as it was found.

    Attributes:
        name: Where it is set, by its own name.
        owner: Who has it: `brokers`, `group`, `consumers`, `load`, `consumer pods`, `nodes`, `controller manager`.
        seconds: Its value; infinite: without end; None: it is not known.
        unit: Its own unit, `ms` or `s`.
        why: Why it is not known; or, beside a value, what else must be known of where it is from.
    """

    name: str
    owner: str
    seconds: float | None
    unit: str = "ms"
    why: str = ""

    @property
    def found(self) -> str:
        """The value in its own unit, or why it is not known."""
        if self.seconds is None:
            return f"unknown: {self.why}"
        return written(self.seconds, self.unit) + (f" ({self.why})" if self.why else "")

    def __str__(self) -> str:
        """As tables have it: `brokers: broker.session.timeout.ms = 9000 ms`."""
        return f"{self.owner}: {self.name} = {self.found}"


def written(seconds: float, unit: str) -> str:
    """So many seconds in a setting's own unit: `9000 ms`, `50 s`, `for ever`."""
    if seconds == float("inf"):
        return "for ever"
    return f"{seconds * UNITS[unit]:g} {unit}" if unit == "s" else f"{round(seconds * UNITS[unit])} {unit}"


@dataclass(frozen=True)
class Settings:
    """All that floors are computed from; each field is one setting.

    Attributes:
        broker_session: Silence after which the controller fences a broker.
        broker_heartbeat: How often a broker speaks to the controller.
        quorum_fetch: Silence of the active controller after which the first of its peers seeks another.
        quorum_fetch_longest: The same of the last: brokers may differ, lest they all notice at once.
        quorum_election: How long an election may take before it is tried again; a random time up to twice this.
        classic_session: Silence after which a consumer of the classic protocol is put out of its group.
        classic_heartbeat: How often such a consumer speaks to its coordinator.
        classic_session_least: The shortest classic session that the brokers take.
        consumer_session: The same with the protocol of KIP-848, where the group decides.
        consumer_heartbeat: The same.
        consumer_assignment: How often such a group's partitions may be assigned anew (KIP-1263).
        consumer_session_least: The shortest session that the brokers take for such a group.
        consumers_socket: How long a consumer's client waits for an answer of a broker.
        load_socket: The same of the load's client.
        consumers_retry: The longest pause between a consumer's client's attempts.
        load_retry: The same of the load's client.
        flush: How often a consumer makes durable and commits what it has.
        node_lease: How long a node's lease is; the node renews it each quarter of that.
        node_grace: Silence after which a node is taken for lost.
        node_monitor: How often nodes are looked at.
        toleration: How long the consumers' pods stay bound to a lost node.
        protocol: The group's protocol, `CLASSIC` or `CONSUMER`; any other: not known.
        static: Whether the group has static members (KIP-345); None: not known.
    """

    broker_session: Setting
    broker_heartbeat: Setting
    quorum_fetch: Setting
    quorum_fetch_longest: Setting
    quorum_election: Setting
    classic_session: Setting
    classic_heartbeat: Setting
    classic_session_least: Setting
    consumer_session: Setting
    consumer_heartbeat: Setting
    consumer_assignment: Setting
    consumer_session_least: Setting
    consumers_socket: Setting
    load_socket: Setting
    consumers_retry: Setting
    load_retry: Setting
    flush: Setting
    node_lease: Setting
    node_grace: Setting
    node_monitor: Setting
    toleration: Setting
    protocol: str
    static: bool | None
