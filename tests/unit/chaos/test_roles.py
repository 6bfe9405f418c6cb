"""Who is meant by a role: choosing is repeatable, and nobody is a sentence."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest

from assay.chaos.roles import BROKERS, CONSUMERS, LiveFacts, choose_broker, choose_consumer, choose_two, held
from assay.errors import UsageError
from assay.kafka.admin import PartitionFacts


@dataclass(frozen=True)
class Told:
    """Facts as a test tells them: three brokers, three partitions, each led by another broker."""

    topic: str = "prices"
    group: str = "readers"
    brokers: tuple[int, ...] = (0, 1, 2)
    partitions: dict[int, PartitionFacts] = field(
        default_factory=lambda: {
            0: PartitionFacts(1, (1, 2, 0), (0, 1, 2)),
            1: PartitionFacts(2, (2, 0, 1), (0, 1, 2)),
            2: PartitionFacts(0, (0, 1, 2), (0, 2)),
        }
    )
    min_in_sync: int = 2
    coordinators: dict[str, int] = field(default_factory=lambda: {"readers": 1, "others": 0})
    controller: int = 2
    consumers: tuple[str, ...] = ("a", "b", "c")
    owners: dict[int, str] = field(default_factory=lambda: {0: "b", 1: "c"})
    beside_catalog: tuple[int | str, ...] = ()

    def beside(self, component: str) -> tuple[int | str, ...]:
        """As told; nobody is asked for what is not to be spared."""
        assert component == "catalog"
        return self.beside_catalog

    def coordinator(self, group: str) -> int | None:
        """As told."""
        return self.coordinators.get(group)


@pytest.mark.parametrize(
    ("role", "broker"),
    [
        ("leader:0", 1),
        ("leader:2", 0),
        ("coordinator", 1),
        ("coordinator:others", 0),
        ("controller", 2),
        ("follower:0", 0),
    ],
)
def test_a_role_is_whoever_has_it_now(role: str, broker: int) -> None:
    """Of two followers, the one that is not the active controller; one out of sync is none."""
    assert {choose_broker(role, Told(), seed) for seed in range(20)} == {broker}


def test_a_follower_may_be_the_controller_if_there_is_no_other() -> None:
    """Partition 2 has only broker 2 in sync beside its leader."""
    assert choose_broker("follower:2", Told(), 1) == 2


def test_a_follower_of_everything_leads_nothing() -> None:
    """Where every broker leads something there is none, and the sentence says what to ask for instead."""
    idle = Told(partitions={0: PartitionFacts(0, (0, 1, 2), (0, 1, 2)), 1: PartitionFacts(0, (0, 1, 2), (0, 1, 2))})
    assert {choose_broker("follower", idle, seed) for seed in range(20)} == {1}
    with pytest.raises(UsageError, match=r"every broker leads a partition; name follower:<partition>"):
        choose_broker("follower", Told(), 1)


def test_a_leader_that_is_not_the_controller() -> None:
    """Its death costs one election and no second one."""
    assert {choose_broker("leader-not-controller", Told(), seed) for seed in range(20)} == {0, 1}


def test_a_leader_is_any_broker_that_leads() -> None:
    """Over seeds, everybody's turn comes; not theirs who lead nothing, or have no pod that runs."""
    assert {choose_broker("leader", Told(), seed) for seed in range(50)} == {0, 1, 2}
    idle = Told(partitions={0: PartitionFacts(1, (1, 2), (1, 2)), 1: PartitionFacts(3, (3, 2), (3, 2))})
    assert {choose_broker("leader", idle, seed) for seed in range(50)} == {1}


def test_an_owner_is_any_consumer_that_owns_a_partition() -> None:
    """One without a partition is none: nobody would miss it."""
    assert {choose_consumer("owner", Told(), seed) for seed in range(50)} == {"b", "c"}


def test_a_broker_has_several_roles() -> None:
    """All are told: the leader of a partition that is also the group's coordinator costs more than a leader alone."""
    assert held(1, Told()) == ("coordinator", "leader:0")
    assert held(2, Told()) == ("controller", "leader:1")
    assert held(2, replace(Told(), controller=0, partitions={})) == ()


def test_a_seed_decides_and_decides_the_same_again() -> None:
    """In whatever order the facts come; over seeds, everybody's turn comes."""
    shuffled = replace(Told(), brokers=(2, 0, 1))
    drawn = [(choose_broker("random", Told(), seed), choose_two(Told(), seed)) for seed in range(50)]
    assert drawn == [(choose_broker("random", shuffled, seed), choose_two(shuffled, seed)) for seed in range(50)]
    assert {one for one, _ in drawn} == {0, 1, 2}
    assert {two for _, two in drawn} == {(0, 1), (0, 2), (1, 2)}


def test_two_brokers_are_two_that_matter() -> None:
    """With four brokers, only pairs that leave some partition with too few in sync, which has enough now."""
    spread = Told(
        brokers=(0, 1, 2, 3),
        partitions={
            0: PartitionFacts(0, (0, 1, 2), (0, 1, 2)),
            1: PartitionFacts(3, (3, 1, 2), (3,)),
        },
    )
    assert {choose_two(spread, seed) for seed in range(50)} == {(0, 1), (0, 2), (1, 2)}
    lax = replace(Told(), min_in_sync=1, partitions={0: PartitionFacts(0, (0, 1, 2), (0, 1, 2))})
    with pytest.raises(UsageError, match="No two brokers of prices decide whether 1 of its replicas are in sync"):
        choose_two(lax, 1)


def test_a_consumer_is_the_owner_of_its_partition() -> None:
    """Or any one, by seed."""
    assert choose_consumer("owner:1", Told(), 7) == "c"
    assert {choose_consumer("random", Told(), seed) for seed in range(50)} == {"a", "b", "c"}


@pytest.mark.parametrize(
    ("role", "beside", "left"),
    [
        ("random", (0,), {1, 2}),
        ("random", (0, 2, "a"), {1}),
        ("leader:0", (0, 2), {1}),
        ("leader-not-controller", (1,), {0}),
        ("follower:0", (0,), {2}),
    ],
)
def test_a_broker_beside_what_is_spared_is_no_candidate(role: str, beside: tuple[int, ...], left: set[int]) -> None:
    """Whatever the seed; a follower that is the active controller then, if no other is left."""
    facts = Told(beside_catalog=beside)
    assert {choose_broker(role, facts, seed, "catalog") for seed in range(50)} == left


def test_a_consumer_beside_what_is_spared_is_no_candidate() -> None:
    """Nor is a broker's number a consumer's."""
    facts = Told(beside_catalog=("a", "c", 1))
    assert {choose_consumer("random", facts, seed, "catalog") for seed in range(50)} == {"b"}
    assert choose_consumer("owner:0", facts, 1, "catalog") == "b"


class Placed:
    """A platform as far as facts ask it: its pods by component, each with its node."""

    def __init__(self, **components: dict[str, str]) -> None:
        """By component, nodes by the pods on them."""
        self._components = components

    def pods(self, component: str) -> list[Any]:
        """Pods that run."""
        return [
            SimpleNamespace(
                metadata=SimpleNamespace(name=name),
                spec=SimpleNamespace(node_name=node),
                status=SimpleNamespace(phase="Running", pod_ip=name),
            )
            for name, node in self._components.get(component, {}).items()
        ]


def test_who_is_beside_a_component_is_by_nodes() -> None:
    """All its pods' nodes count, and brokers and consumers on them."""
    platform: Any = Placed(
        kafka={"production-kafka-0": "n0", "production-kafka-1": "n1", "production-kafka-2": "n2"},
        analytics={"a": "n1", "b": "n2"},
        catalog={"catalog-x": "n1"},
        feed={"feed-x": "n0", "feed-y": "n2"},
    )
    nobody: Any = None
    facts = LiveFacts(platform, nobody)
    assert facts.beside("catalog") == {1, "a"}
    assert facts.beside("feed") == {0, 2, "b"}
    assert facts.beside("topics") == set()


def test_that_all_are_beside_what_is_spared_is_a_sentence() -> None:
    """Which names who was asked for and what is spared; who has no such role is still told so."""
    facts = Told(beside_catalog=(1, 2, "a", "b", "c"))
    with pytest.raises(UsageError, match="Each node of broker leader:0 also runs the catalog, which is to be spared"):
        choose_broker("leader:0", facts, 1, "catalog")
    with pytest.raises(UsageError, match="Each node of consumer random also runs the catalog"):
        choose_consumer("random", facts, 1, "catalog")
    with pytest.raises(UsageError, match="Nobody is owner:2"):
        choose_consumer("owner:2", facts, 1, "catalog")
    with pytest.raises(UsageError, match="no pod of it runs"):
        choose_broker("controller", replace(facts, brokers=(0,), beside_catalog=(0,)), 1, "catalog")


@pytest.mark.parametrize(
    ("facts", "role", "sentence"),
    [
        (Told(partitions={0: PartitionFacts(None, (0, 1), ())}), "leader:0", "the partition has no leader"),
        (Told(partitions={0: PartitionFacts(1, (1,), (1,))}), "follower:0", "no other broker is in sync"),
        (Told(coordinators={}), "coordinator", "no broker knows the group"),
        (Told(brokers=()), "random", "no broker runs"),
        (Told(brokers=(0, 1)), "controller", "The broker 2 is controller, and no pod of it runs"),
        (Told(), "leader:3", "has no partition 3: it has 0, 1, 2"),
        (Told(partitions={}), "leader", "no broker that runs leads a partition"),
        (Told(), "leader:", "There is no role 'leader:'"),
        (Told(), "leader:one", "There is no role 'leader:one'"),
        (Told(controller=0, brokers=(0,)), "leader-not-controller", "no other broker than the active controller leads"),
        (Told(), "coordinator:", "There is no role 'coordinator:'"),
        (Told(), "random:1", "There is no role 'random:1'"),
        (Told(), "boss", f"give one of {', '.join(BROKERS)}"),
    ],
)
def test_nobody_is_a_sentence(facts: Told, role: str, sentence: str) -> None:
    """Never a silent nothing."""
    with pytest.raises(UsageError, match=sentence):
        choose_broker(role, facts, 1)


@pytest.mark.parametrize(
    ("facts", "role", "sentence"),
    [
        (Told(), "owner:2", "no pod of the group owns that partition"),
        (Told(owners={}), "owner", "no pod of the group owns a partition"),
        (Told(), "owner:9", "has no partition 9"),
        (Told(consumers=()), "random", "no consumer runs"),
        (Told(), "leader:0", f"give one of {', '.join(CONSUMERS)}"),
    ],
)
def test_no_consumer_is_a_sentence(facts: Told, role: str, sentence: str) -> None:
    """As with brokers."""
    with pytest.raises(UsageError, match=sentence):
        choose_consumer(role, facts, 1)
