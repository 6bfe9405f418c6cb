"""Whom a cut broker or consumer can still talk to, told by connections, and by which ones a cut is shown."""

from __future__ import annotations

from typing import Any

import pytest

from assay.chaos import isolation
from assay.chaos.isolation import DIRECTIONS, INTERNAL, LOOPBACK, REPLICATION, broker_flows
from assay.chaos.packets import Connection, cut
from assay.chaos.target import Target
from assay.errors import UsageError

OTHERS = ("10.1.1.2", "10.1.2.2")
CLIENT, KUBELET = "10.1.1.9", "10.1.0.1"
NODES: Any = None
#: A broker's connections, by name.
CONNECTIONS = {
    "replication, asked": Connection(OTHERS[0], here=9091),
    "replication, asking": Connection(OTHERS[1], there=9091),
    "quorum": Connection(OTHERS[0], there=9093),
    "a consumer": Connection(CLIENT, here=9092),
    "a producer outside": Connection("192.0.2.1", here=9094),
    "the kubelet's probe": Connection(KUBELET, here=9092),
    "names": Connection("10.1.255.10", there=53),
    "itself": Connection(LOOPBACK, there=9092),
}


def target(name: str, address: str) -> Target:
    """A pod that runs."""
    return Target(name, f"uid-{name}", "node", address, "main", "id", ready=True, own_network=True)


BROKER = target("kafka-0", "10.1.0.2")
BROKERS = [target("kafka-1", OTHERS[0]), target("kafka-2", OTHERS[1])]
CONSUMER = target("consumer", CLIENT)


@pytest.mark.parametrize(
    ("peers", "kept"),
    [
        ("everyone", {"itself"}),
        ("brokers", {"a consumer", "a producer outside", "the kubelet's probe", "names", "itself"}),
        ("clients", {"replication, asked", "replication, asking", "quorum", "names", "itself"}),
    ],
)
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_broker_is_cut_off_from_whom_it_says(peers: str, kept: set[str], direction: str) -> None:
    """One way or both: a connection does not come about either way. The kubelet's probe uses a port of clients."""
    flows = broker_flows(peers, direction, OTHERS)
    assert {name for name, one in CONNECTIONS.items() if not cut(flows, one)} == kept
    assert {flow.direction for flow in flows} == set(DIRECTIONS[direction])


def test_no_other_broker_does_not_mean_everybody() -> None:
    """No address at all would be any address."""
    with pytest.raises(UsageError, match="No other broker runs"):
        broker_flows("brokers", "both", [])


@pytest.mark.parametrize("peers", isolation.PEERS)
@pytest.mark.parametrize(("others", "client"), [(BROKERS, CONSUMER), (BROKERS, None), ([], CONSUMER)])
def test_a_cut_is_shown_by_what_goes_through_it_and_what_goes_beside(
    peers: str, others: list[Target], client: Target | None
) -> None:
    """With what runs: a broker or a client asks through it, and another, or the pod itself, beside it."""
    if (peers == "brokers" and not others) or (peers == "clients" and client is None):
        with pytest.raises(UsageError):
            isolation.broker(NODES, BROKER, others=others, client=client, peers=peers)
        return
    made = isolation.broker(NODES, BROKER, others=others, client=client, peers=peers)
    assert cut(made.flows, seen_by(made.target, made.through))
    assert not cut(made.flows, seen_by(made.target, made.beside))


@pytest.mark.parametrize(
    ("peers", "direction", "kind"),
    [
        ("everyone", "both", "packet-drop"),
        ("everyone", "in", "packet-drop (everyone, in)"),
        ("brokers", "both", "packet-drop (brokers, both)"),
    ],
)
def test_the_ledger_says_whom_a_broker_is_cut_off_from(peers: str, direction: str, kind: str) -> None:
    """Unless it is everyone, both ways."""
    made = isolation.broker(NODES, BROKER, others=BROKERS, client=CONSUMER, peers=peers, direction=direction)
    assert made.kind == kind


@pytest.mark.parametrize(("direction", "kind"), [("both", "packet-drop"), ("in", "packet-drop (Kafka, in)")])
def test_the_ledger_says_which_way_a_consumer_is_cut_off(direction: str, kind: str) -> None:
    """Unless it is both."""
    assert isolation.consumer(NODES, CONSUMER, broker=BROKER, catalog=None, direction=direction).kind == kind


def test_a_consumer_is_cut_off_from_kafka_alone() -> None:
    """By Kafka's port, under whatever address; its catalog stays."""
    made = isolation.consumer(NODES, CONSUMER, broker=BROKER, catalog="10.1.2.7")
    assert cut(made.flows, Connection("10.1.255.77", there=INTERNAL))
    assert cut(made.flows, seen_by(CONSUMER, made.through))
    assert not cut(made.flows, seen_by(CONSUMER, made.beside))
    assert made.beside.address == "10.1.2.7"


def test_names_are_lost_on_their_way_back() -> None:
    """A question goes out, so that it times out instead of failing at once."""
    beside = isolation.Probe(BROKER, OTHERS[0], REPLICATION)
    made = isolation.from_dns(NODES, BROKER, server="10.1.255.10", beside=beside)
    assert {flow.direction for flow in made.flows} == {"in"}
    assert cut(made.flows, seen_by(BROKER, made.through))
    assert not cut(made.flows, seen_by(BROKER, made.beside))


def seen_by(of: Target, probe: isolation.Probe) -> Connection:
    """A probe's connection as the pod sees it."""
    if probe.source == of:
        return Connection(probe.address, there=probe.port)
    assert probe.address == of.address
    return Connection(probe.source.address, here=probe.port)
