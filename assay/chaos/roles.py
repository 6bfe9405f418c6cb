"""Who is meant by a role, such as the leader of a partition: found out now, from Kafka and Kubernetes.

Brokers:

    leader                  one that leads a partition of the topic
    leader:<partition>      the broker that leads the partition
    follower:<partition>    one that holds the partition in sync and does not lead it
    follower                one that leads no partition of the topic
    coordinator             the coordinator of the topic's consumer group
    coordinator:<group>     the coordinator of another group
    controller              the active controller of the quorum
    leader-not-controller   one that leads a partition of the topic and is not the active controller
    random                  any one

Consumers:

    owner                   a member of the group that owns a partition
    owner:<partition>       the member that owns the partition
    random                  any one

Where several fit, a seed decides, and the same seed among the same ones decides the same; of followers one that is not
the active controller is preferred. Who is beside a part of the platform that is to be spared is no candidate. What is
asked for is `Facts`; choosing among these is pure. A node's role is that of a pod on it: `Target.node`.
"""

from __future__ import annotations

import random
from functools import cached_property
from itertools import combinations
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from assay.chaos import target
from assay.errors import UsageError
from assay.kafka import quorum
from assay.platform import GROUP, TOPIC

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from assay.chaos.target import Target
    from assay.kafka.admin import Admin, PartitionFacts
    from assay.platform import Platform

BROKERS: Final = (
    "leader",
    "leader:<partition>",
    "follower:<partition>",
    "follower",
    "coordinator",
    "coordinator:<group>",
    "controller",
    "leader-not-controller",
    "random",
)
CONSUMERS: Final = ("owner", "owner:<partition>", "random")
#: Nothing of the platform is to be spared.
NOBODY: Final = "none"
_MIN_IN_SYNC: Final = "min.insync.replicas"
T = TypeVar("T", int, str, tuple[int, int])
One = TypeVar("One", int, str)


class Facts(Protocol):
    """What roles are chosen by.

    Attributes:
        topic: The topic's name.
        group: The consumer group's name.
        brokers: The ids of the brokers whose pods run.
        partitions: The topic's partitions.
        min_in_sync: How many replicas of each must be in sync for a write.
        controller: The active controller.
        consumers: The consumers' pods that run.
        owners: The pod that owns each partition, as far as one does.
    """

    @property
    def topic(self) -> str:
        """See above."""

    @property
    def group(self) -> str:
        """See above."""

    @property
    def brokers(self) -> Collection[int]:
        """See above."""

    @property
    def partitions(self) -> Mapping[int, PartitionFacts]:
        """See above."""

    @property
    def min_in_sync(self) -> int:
        """See above."""

    def coordinator(self, group: str) -> int | None:
        """A group's coordinator; None: nobody knows the group."""

    @property
    def controller(self) -> int:
        """See above."""

    @property
    def consumers(self) -> Collection[str]:
        """See above."""

    @property
    def owners(self) -> Mapping[int, str]:
        """See above."""

    def beside(self, component: str) -> Collection[int | str]:
        """The brokers (ids) and consumers (pods) that run on the nodes of a component of the platform."""


def choose_broker(role: str, facts: Facts, seed: int, spare: str = NOBODY) -> int:
    """The id of the broker of a role (pure).

    Args:
        role: The role.
        facts: What it is chosen by.
        seed: Decides where several have it.
        spare: The component of the platform whose nodes are left alone.

    Raises:
        UsageError: There is no such role, or nobody has it, or nobody whose node is not to be spared.
    """
    kind, of = _split(role, BROKERS)
    leading = {one.leader for one in facts.partitions.values()}
    leaders = [one for one in facts.brokers if one in leading]
    found: list[int | None]
    match kind:
        case "leader" if of:
            found = [_partition(facts, of).leader]
        case "leader":
            found = [*leaders]
        case "follower" if of:
            holding = _partition(facts, of)
            found = [one for one in holding.in_sync if one != holding.leader and one in facts.brokers]
        case "follower":
            found = [one for one in facts.brokers if one not in leading]
        case "coordinator":
            found = [facts.coordinator(of or facts.group)]
        case "controller":
            found = [facts.controller]
        case "leader-not-controller":
            found = [one for one in leaders if one != facts.controller]
        case _:
            found = [*facts.brokers]
    having = [one for one in found if one is not None]
    if not having:
        raise UsageError(f"Nobody is {role} of {facts.topic} and {facts.group} now: {_lacking(kind, of)}.")
    left = _unspared(having, f"broker {role}", facts, spare)
    chosen = _calm(left, facts, seed) if kind == "follower" else _any(left, seed)
    if chosen not in facts.brokers:
        raise UsageError(f"The broker {chosen} is {role}, and no pod of it runs: no harm can be done to it.")
    return chosen


def choose_two(facts: Facts, seed: int) -> tuple[int, int]:
    """Two brokers without which a partition has too few replicas in sync for a write, and with which it has enough.

    Raises:
        UsageError: There are no such two.
    """
    deciding = [
        (one, other)
        for one, other in combinations(sorted(facts.brokers), 2)
        if any(
            len(set(part.in_sync) - {one, other}) < facts.min_in_sync <= len(part.in_sync)
            for part in facts.partitions.values()
        )
    ]
    if not deciding:
        raise UsageError(
            f"No two brokers of {facts.topic} decide whether {facts.min_in_sync} of its replicas are in sync."
        )
    return _any(deciding, seed)


def choose_consumer(role: str, facts: Facts, seed: int, spare: str = NOBODY) -> str:
    """The pod of the consumer of a role (pure); see `choose_broker`.

    Raises:
        UsageError: There is no such role, or nobody has it, or nobody whose node is not to be spared.
    """
    kind, of = _split(role, CONSUMERS)
    match kind:
        case "owner" if of:
            _partition(facts, of)
            having = [pod for number, pod in facts.owners.items() if number == int(of)]
        case "owner":
            having = [one for one in facts.consumers if one in facts.owners.values()]
        case _:
            having = [*facts.consumers]
    if not having:
        owned = "that partition" if of else "a partition"
        why = "no consumer runs" if kind == "random" else f"no pod of the group owns {owned}"
        raise UsageError(f"Nobody is {role} of {facts.topic} and {facts.group} now: {why}.")
    return _any(_unspared(having, f"consumer {role}", facts, spare), seed)


def held(broker: int, facts: Facts) -> tuple[str, ...]:
    """Every role that a broker has: what its loss costs depends on all of them, not on the one by which it was chosen.

    Such as `controller`, `coordinator`, `leader:0`, `leader:2`; empty: it has none (pure).
    """
    found = ["controller"] if broker == facts.controller else []
    found += ["coordinator"] if broker == facts.coordinator(facts.group) else []
    return (*found, *(f"leader:{number}" for number, one in sorted(facts.partitions.items()) if one.leader == broker))


class LiveFacts:
    """The facts as Kafka and Kubernetes tell them, each asked for when it is first needed, once."""

    def __init__(self, platform: Platform, admin: Admin, topic: str = TOPIC, group: str = GROUP) -> None:
        """Nothing is asked yet."""
        self.topic = topic
        self.group = group
        self._platform = platform
        self._admin = admin

    def broker(self, number: int) -> Target:
        """A broker by its id, one of `brokers`.

        Raises:
            AssayError: It does not run any more.
        """
        return target.find(self._platform, self._broker_pods[number])

    @property
    def brokers(self) -> tuple[int, ...]:
        """Ids of the brokers whose pods run."""
        return tuple(sorted(self._broker_pods))

    @cached_property
    def partitions(self) -> Mapping[int, PartitionFacts]:
        """The topic's partitions."""
        return self._admin.partitions(self.topic)

    @cached_property
    def min_in_sync(self) -> int:
        """The topic's `min.insync.replicas`."""
        return int(self._admin.topic(self.topic).settings[_MIN_IN_SYNC])

    def coordinator(self, group: str) -> int | None:
        """A group's coordinator."""
        return self._admin.coordinator(group)

    @cached_property
    def controller(self) -> int:
        """The active controller."""
        return quorum.active_controller(self._admin.bootstrap)

    def number(self, pod: str) -> int | None:
        """The id of the broker of a pod; None: it is none of `brokers`."""
        return next((number for number, name in self._broker_pods.items() if name == pod), None)

    @property
    def consumers(self) -> tuple[str, ...]:
        """The consumers' pods that run."""
        return tuple(sorted(self._consumer_pods.values()))

    @cached_property
    def owners(self) -> Mapping[int, str]:
        """The pod that owns each partition: members are known by the address that they come from."""
        return {
            number: self._consumer_pods[member.host]
            for member in self._admin.group(self.group).members
            for number in member.partitions.get(self.topic, ())
            if member.host in self._consumer_pods
        }

    def beside(self, component: str) -> set[int | str]:
        """The brokers and consumers that run on the nodes of a component."""
        nodes = {pod.spec.node_name for pod in self._platform.pods(component)}
        there = {
            str(pod.metadata.name)
            for ours in ("kafka", "analytics")
            for pod in self._platform.pods(ours)
            if pod.spec.node_name in nodes
        }
        return {number for number, pod in self._broker_pods.items() if pod in there} | there.intersection(
            self.consumers
        )

    @cached_property
    def _broker_pods(self) -> dict[int, str]:
        """Pods by broker id, which is their ordinal in the StatefulSet."""
        names = [str(pod.metadata.name) for pod in self._platform.pods("kafka") if pod.status.phase == "Running"]
        return {int(name.rpartition("-")[2]): name for name in names if name.rpartition("-")[2].isdigit()}

    @cached_property
    def _consumer_pods(self) -> dict[str, str]:
        """Pods by address."""
        running = [pod for pod in self._platform.pods("analytics") if pod.status.phase == "Running"]
        return {str(pod.status.pod_ip): str(pod.metadata.name) for pod in running}


def _split(role: str, known: Collection[str]) -> tuple[str, str]:
    """A role's kind, and of what it is one (empty: it does not say)."""
    kind, colon, of = role.partition(":")
    forms = [one.partition(":")[2] for one in known if one.partition(":")[0] == kind and (":" in one) == bool(colon)]
    is_number = of.isdecimal() and of.isascii()
    if not forms or (colon and (not of or (forms == ["<partition>"] and not is_number))):
        raise UsageError(f"There is no role {role!r}: give one of {', '.join(known)}.")
    return kind, of


def _partition(facts: Facts, number: str) -> PartitionFacts:
    if int(number) not in facts.partitions:
        there = ", ".join(map(str, sorted(facts.partitions)))
        raise UsageError(f"The topic {facts.topic} has no partition {number}: it has {there}.")
    return facts.partitions[int(number)]


def _unspared(having: Collection[One], who: str, facts: Facts, spare: str) -> list[One]:
    """Those who have a role and are not beside what is to be spared."""
    spared = () if spare == NOBODY else facts.beside(spare)
    left = [one for one in having if one not in spared]
    if not left:
        raise UsageError(f"Each node of {who} also runs the {spare}, which is to be spared: use another role.")
    return left


def _any(among: Collection[T], seed: int) -> T:
    """One of them, the same for the same seed."""
    return random.Random(seed).choice(sorted(among))  # noqa: S311  # it is to be repeatable


def _calm(among: Collection[int], facts: Facts, seed: int) -> int:
    """One of them that is not the active controller, if that can be."""
    return _any([one for one in among if one != facts.controller] or among, seed)


def _lacking(kind: str, of: str) -> str:
    """Why nobody has a broker's role."""
    match kind:
        case "leader":
            return "the partition has no leader" if of else "no broker that runs leads a partition"
        case "follower":
            return "no other broker is in sync" if of else "every broker leads a partition; name follower:<partition>"
        case "coordinator":
            return "no broker knows the group"
        case "leader-not-controller":
            return "no other broker than the active controller leads a partition"
        case _:
            return "no broker runs"
