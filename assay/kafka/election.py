"""Partitions led by the broker that Kafka prefers: the first of those that hold it.

Kafka looks every few minutes itself (`leader.imbalance.check.interval.seconds`). The request for it now is ElectLeaders
(API key 43, KIP-460), which any broker passes on to the controller; confluent-kafka 2.16's own `elect_leaders` can't be
called (its C code reads one argument more than it names). Version 1 is written and read here, field by field as Kafka's
`ElectLeadersRequest.json` and `…Response.json` have it.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from assay.errors import AssayError
from assay.kafka import wire

if TYPE_CHECKING:
    from collections.abc import Sequence

_ELECT_LEADERS: Final = 43
_PREFERRED: Final = 0
#: How long the brokers may take, in milliseconds; the answer is waited for longer.
_ELECTION_MS: Final = 2000


def elect_preferred(bootstrap: str, topic: str, partitions: Sequence[int]) -> None:
    """Have partitions of a topic led by their preferred brokers.

    One whose preferred broker is not in sync keeps its leader, and nothing is said of it: look again.

    Args:
        bootstrap: Addresses of brokers, `host:port,...`.
        topic: The topic.
        partitions: Numbers of partitions.

    Raises:
        AssayError: No broker answers, or it refuses the request as a whole.
    """
    wire.ask(bootstrap, request(topic, partitions), _accepted, f"electing the preferred leaders of {topic}")


def request(topic: str, partitions: Sequence[int]) -> bytes:
    """ElectLeaders for partitions of one topic (pure)."""
    name = topic.encode()
    told = struct.pack(f">bih{len(name)}s", _PREFERRED, 1, len(name), name)
    numbers = struct.pack(f">i{len(partitions)}i", len(partitions), *partitions)
    return wire.header(_ELECT_LEADERS, 1) + told + numbers + struct.pack(">i", _ELECTION_MS)


def _accepted(answer: bytes) -> None:
    """Nothing, if an answer takes the request as a whole.

    Raises:
        AssayError: It is an error, or can't be understood.
    """
    try:
        _, _, error = struct.unpack_from(">iih", answer)  # correlation id, milliseconds throttled
    except struct.error:
        raise AssayError("the answer can't be understood") from None
    if error:
        raise AssayError(f"the answer is Kafka's error {error}")
