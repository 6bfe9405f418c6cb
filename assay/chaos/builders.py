"""How each fault of the catalogue comes about: from plain arguments and what runs now, to a `Fault`.

Everything here looks; nothing is changed before `inject`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

from assay.chaos import isolation, roles, target
from assay.chaos.composite import AtOnce
from assay.chaos.deletion import Deleted
from assay.chaos.faults import Killed, Paused
from assay.errors import UsageError

if TYPE_CHECKING:
    from typing import Literal

    from assay.chaos.faults import Fault
    from assay.chaos.machines import Machines
    from assay.chaos.node import Nodes
    from assay.chaos.target import Target
    from assay.kafka.admin import Admin
    from assay.platform import Platform

WHO: Final = ("broker", "consumer")
HOW: Final = ("sigkill", "sigterm", "pause", "isolated")
GRACE: Final = ("normal", "none")


@dataclass(frozen=True)
class Site:
    """What faults are built from.

    Attributes:
        platform: The platform.
        nodes: Its cluster's nodes.
        admin: Asks its brokers.
        machines: The machines below its nodes; None: they are out of reach.
        topic: The topic that roles are about.
        group: The consumer group that roles are about.
    """

    platform: Platform
    nodes: Nodes
    admin: Admin
    machines: Machines | None
    topic: str
    group: str

    @cached_property
    def facts(self) -> roles.LiveFacts:
        """What roles are chosen by, as of when it is first needed."""
        return roles.LiveFacts(self.platform, self.admin, self.topic, self.group)

    def one(self, who: str, role: str, seed: int) -> Target:
        """The broker or consumer of a role.

        Raises:
            UsageError: Nobody has it.
            AssayError: Kafka or Kubernetes do not answer, or it does not run.
        """
        if who == "broker":
            return self.facts.broker(roles.choose_broker(role, self.facts, seed))
        return target.find(self.platform, roles.choose_consumer(role, self.facts, seed))

    def two_brokers(self, seed: int) -> list[Target]:
        """Two brokers without which a partition takes no write.

        Raises:
            UsageError: There are no such two.
            AssayError: Kafka or Kubernetes do not answer, or one does not run.
        """
        return [self.facts.broker(number) for number in roles.choose_two(self.facts, seed)]

    def others(self, than: Target) -> list[Target]:
        """The other brokers that run."""
        found = [self.facts.broker(number) for number in self.facts.brokers]
        return [one for one in found if one.uid != than.uid]

    def client(self) -> Target | None:
        """Any consumer that runs."""
        return target.find(self.platform, self.facts.consumers[0]) if self.facts.consumers else None

    def catalog(self) -> str | None:
        """The address of the consumers' catalog."""
        running = [one for one in self.platform.pods("catalog") if one.status.phase == "Running"]
        return str(running[0].status.pod_ip) if running else None


def killed(site: Site, *, who: str, signal: Literal["KILL", "TERM"], role: str, seed: int) -> Fault:
    """A broker or consumer whose processes get a signal."""
    return Killed(site.platform, site.nodes, site.one(who, role, seed), signal, _as(role, seed))


def paused(site: Site, *, who: str, role: str, seed: int) -> Fault:
    """A broker or consumer whose processes are stopped."""
    return Paused(site.nodes, site.one(who, role, seed), _as(role, seed))


def deleted(site: Site, *, who: str, role: str, seed: int, grace: str) -> Fault:
    """A broker's or consumer's pod that is deleted."""
    seconds = None if grace == "normal" else 0
    return Deleted(site.platform, site.nodes, site.one(who, role, seed), seconds, _as(role, seed))


def broker_dropped(
    site: Site, *, role: str, seed: int, peers: str, direction: str = "both", share: float = 1.0
) -> Fault:
    """A broker whose packets are dropped, all or a share."""
    return _cut_off(
        site, site.one("broker", role, seed), _as(role, seed), peers=peers, direction=direction, share=share
    )


def consumer_isolated(site: Site, *, role: str, seed: int, direction: str) -> Fault:
    """A consumer that is cut off from Kafka."""
    found = site.one("consumer", role, seed)
    broker = site.one("broker", "random", seed)
    return isolation.consumer(
        site.nodes, found, broker=broker, catalog=site.catalog(), direction=direction, chosen=_as(role, seed)
    )


def two_brokers(site: Site, *, how: str, seed: int) -> Fault:
    """The same to two brokers at once."""
    chosen = _as("two that a write needs", seed)
    return AtOnce([_harmed(site, one, how, chosen) for one in site.two_brokers(seed)])


def _harmed(site: Site, one: Target, how: str, chosen: str) -> Fault:
    match how:
        case "sigkill":
            return Killed(site.platform, site.nodes, one, "KILL", chosen)
        case "sigterm":
            return Killed(site.platform, site.nodes, one, "TERM", chosen)
        case "pause":
            return Paused(site.nodes, one, chosen)
        case "isolated":
            return _cut_off(site, one, chosen, peers="everyone")
        case _:
            raise UsageError(f"There is no way {how!r} to harm a broker: give one of {', '.join(HOW)}.")


def _cut_off(site: Site, one: Target, chosen: str, *, peers: str, direction: str = "both", share: float = 1.0) -> Fault:
    return isolation.broker(
        site.nodes,
        one,
        others=site.others(one),
        client=site.client(),
        peers=peers,
        direction=direction,
        loss=share,
        chosen=chosen,
    )


def _as(role: str, seed: int) -> str:
    return f"{role}, seed {seed}"
