"""Cutting a broker or a consumer off: from whom, in which direction, and by which connections that is seen.

    everyone    all packets of the pod, those of its node's kubelet too: after a minute its liveness probe restarts it
    brokers     all packets to and from the other brokers: replication and the controllers' quorum
    clients     the ports that clients use, whoever they are: producers outside and consumers inside

One way alone is dropped too where asked for: `in` drops what arrives at the pod, `out` what leaves it. A TCP connection
does not come about either way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from assay.chaos import packets
from assay.chaos.faults import Dropped, Probe
from assay.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from assay.chaos.node import Nodes
    from assay.chaos.packets import Direction, Flow
    from assay.chaos.target import Target

#: The brokers' ports; see the Kafka image's contract.
REPLICATION: Final = 9091
INTERNAL: Final = 9092
EXTERNAL: Final = 9094
#: The port of the consumers' catalog, to which a consumer that is cut off from Kafka still has its way.
CATALOG: Final = 5432
DNS: Final = 53
PEERS: Final = ("everyone", "brokers", "clients")
DIRECTIONS: Final[Mapping[str, tuple[Direction, ...]]] = {"both": packets.BOTH, "in": ("in",), "out": ("out",)}
LOOPBACK: Final = "127.0.0.1"


def broker_flows(peers: str, direction: str, brokers: Collection[str]) -> frozenset[Flow]:
    """What is dropped at a broker (pure).

    Args:
        peers: One of `PEERS`: whom it is cut off from.
        direction: One of `DIRECTIONS`.
        brokers: The other brokers' addresses.

    Raises:
        UsageError: There are no such peers.
    """
    ways = DIRECTIONS[direction]
    match peers:
        case "everyone":
            return packets.flows(directions=ways)
        case "clients":
            return packets.flows(here=[INTERNAL, EXTERNAL], directions=ways)
        case _:
            if not brokers:
                raise UsageError("No other broker runs: there is nobody to cut the broker off from.")
            return packets.flows(brokers, directions=ways)


def broker(
    nodes: Nodes,
    target: Target,
    *,
    others: Sequence[Target],
    client: Target | None,
    peers: str = "everyone",
    direction: str = "both",
    loss: float = 1.0,
    chosen: str = "",
) -> Dropped:
    """A broker that is cut off, or that loses a share of its packets.

    Args:
        nodes: The cluster's nodes.
        target: The broker.
        others: The other brokers.
        client: A pod that may connect to brokers as a client; None: none runs.
        peers: From whom.
        direction: Which packets are dropped.
        loss: The share of them.
        chosen: How the broker was chosen.

    Raises:
        UsageError: There is nobody whose connection could show it.
    """
    flows = broker_flows(peers, direction, [one.address for one in others])
    itself = Probe(target, LOOPBACK, INTERNAL)
    of_client = Probe(client, target.address, INTERNAL) if client else None
    of_broker = Probe(others[0], target.address, REPLICATION) if others else None
    if peers == "clients":
        through, beside = of_client, of_broker or itself
    elif peers == "brokers":
        through, beside = of_broker, of_client or itself
    else:
        through, beside = of_broker or of_client, itself
    if through is None:
        raise UsageError(f"No pod runs whose connection could show that {target.pod} is cut off from {peers}.")
    some = "" if (peers, direction) == ("everyone", "both") else f"{peers}, {direction}"
    return Dropped(nodes, target, flows, through, beside, loss, chosen, some)


def consumer(
    nodes: Nodes,
    target: Target,
    *,
    broker: Target,
    catalog: str | None,
    direction: str = "both",
    chosen: str = "",
) -> Dropped:
    """A consumer that is cut off from all of Kafka, and from nothing else.

    Args:
        nodes: The cluster's nodes.
        target: The consumer.
        broker: Any broker.
        catalog: The address of the consumers' catalog; None: it has none.
        direction: Which packets are dropped.
        chosen: How the consumer was chosen.
    """
    # By port and not by address: a Service's address is still in the packet here, and brokers come back with new ones.
    flows = packets.flows(there=[INTERNAL], directions=DIRECTIONS[direction])
    beside = Probe(target, catalog, CATALOG) if catalog else Probe(target, LOOPBACK, CATALOG)
    some = "" if direction == "both" else f"Kafka, {direction}"
    return Dropped(nodes, target, flows, Probe(target, broker.address, INTERNAL), beside, chosen=chosen, some=some)


def from_dns(nodes: Nodes, target: Target, *, server: str, beside: Probe, chosen: str = "") -> Dropped:
    """A pod whose questions for names get no answer.

    Only answers are dropped: a question that is dropped on its way out would fail at once instead of timing out.

    Args:
        nodes: The cluster's nodes.
        target: The pod.
        server: The address that it asks.
        beside: A connection of the pod that has nothing to do with names.
        chosen: How the pod was chosen.
    """
    flows = packets.flows(there=[DNS], directions=DIRECTIONS["in"])
    return Dropped(nodes, target, flows, Probe(target, server, DNS), beside, chosen=chosen)


def dns_server(nodes: Nodes, target: Target, *, client: Target, api: Probe) -> Dropped:
    """A server of cluster DNS that hears no question.

    Args:
        nodes: The cluster's nodes.
        target: The server.
        client: A pod that may ask it.
        api: The server's own connection to the API server.
    """
    flows = packets.flows(here=[DNS], directions=DIRECTIONS["in"])
    return Dropped(nodes, target, flows, Probe(client, target.address, DNS), api)
