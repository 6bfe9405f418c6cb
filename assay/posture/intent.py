"""What the network is meant to allow: who may ask for what at all, and who may come in where.

It is written down here once more and on purpose, and never read from the policies that it judges. A path is open where
both ends allow it: the source's egress and the destination's ingress.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

Direction = Literal["ingress", "egress"]

#: The platform's components, as their pods are labelled.
KAFKA, TOPICS, CATALOG, FEED, ETL, ANALYTICS = "kafka", "topics", "catalog", "feed", "etl", "analytics"
#: Pods that come and go: the reader of the sink, and whoever collects metrics.
SINK_READER, MONITORING = "sink-reader", "monitoring"
COMPONENTS: Final = (KAFKA, TOPICS, CATALOG, FEED, ETL, ANALYTICS, SINK_READER, MONITORING)
#: A pod of the namespace that no policy knows.
STRANGER: Final = "stranger"
#: Peers that are no pods of the namespace.
DNS: Final = "the cluster's DNS"
PRIVATE: Final = "private addresses"
ANY_ADDRESS: Final = "any address"


@dataclass(frozen=True)
class Rule:
    """What one policy is for.

    Attributes:
        policy: The policy that carries it.
        direction: Which end it is about.
        subjects: The pods that it is about, by component.
        peers: Whom they may ask, or who may come in.
        ports: On which ports: protocol and number.
        optional: Whether it may be missing: the inventory decides.
    """

    policy: str
    direction: Direction
    subjects: tuple[str, ...]
    peers: tuple[str, ...]
    ports: tuple[str, ...]
    optional: bool = False


RULES: Final = (
    Rule("production-egress-dns", "egress", (*COMPONENTS, STRANGER), (DNS,), ("UDP 53", "TCP 53")),
    Rule("production-egress-dns", "egress", (*COMPONENTS, STRANGER), (PRIVATE,), ("UDP 53", "TCP 53"), optional=True),
    Rule("production-egress", "egress", (ETL, ANALYTICS, TOPICS, SINK_READER), (KAFKA,), ("TCP 9092",)),
    Rule("production-egress", "egress", (ETL, ANALYTICS, TOPICS, SINK_READER), (FEED,), ("TCP 8080",)),
    Rule("production-egress", "egress", (ETL, ANALYTICS, TOPICS, SINK_READER), (CATALOG,), ("TCP 5432",)),
    Rule("production-egress-kafka", "egress", (KAFKA,), (KAFKA,), ("TCP 9091", "TCP 9093")),
    Rule("production-egress-api", "egress", (ETL,), (ANY_ADDRESS, PRIVATE), ("TCP 443",), optional=True),
    Rule("kafka-from-brokers", "ingress", (KAFKA,), (KAFKA,), ("TCP 9091", "TCP 9093")),
    Rule("kafka-from-clients", "ingress", (KAFKA,), (ETL, ANALYTICS, TOPICS), ("TCP 9092",)),
    Rule("kafka-from-outside", "ingress", (KAFKA,), (PRIVATE,), ("TCP 9094",)),
    Rule("feed-from-etl", "ingress", (FEED,), (ETL,), ("TCP 8080",)),
    Rule("catalog-from-readers", "ingress", (CATALOG,), (ANALYTICS, SINK_READER), ("TCP 5432",)),
    Rule("analytics-from-monitoring", "ingress", (ANALYTICS,), (MONITORING,), ("TCP 8081",)),
    Rule("feed-from-monitoring", "ingress", (FEED,), (MONITORING,), ("TCP 8080",)),
)
#: The TCP ports that each component's pods listen on.
LISTENS: Final[Mapping[str, tuple[int, ...]]] = {
    KAFKA: (9091, 9092, 9093, 9094),
    TOPICS: (8080,),
    CATALOG: (5432,),
    FEED: (8080,),
    ANALYTICS: (8081,),
}


def is_open(source: str, destination: str, port: int) -> bool:
    """Whether a pod of one component is meant to reach one of another on a TCP port."""
    return _allows("egress", source, destination, port) and _allows("ingress", destination, source, port)


def _allows(direction: Direction, subject: str, peer: str, port: int) -> bool:
    return any(
        rule.direction == direction and subject in rule.subjects and peer in rule.peers and f"TCP {port}" in rule.ports
        for rule in RULES
    )
