"""The partitions of a topic as one broker knows them, and as each of them does.

librdkafka asks whichever broker it is connected to, and can't be told which. Who was cut off still says what it knew
before, until it has heard of what the controllers decided meanwhile: that nothing is amiss is said by all or by nobody.
Kafka's request is Metadata (API key 3), of which version 7 is written and read here, field by field as Kafka's
`MetadataRequest.json` and `…Response.json` have it.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from assay.errors import AssayError
from assay.kafka import wire
from assay.kafka.admin import PartitionFacts

if TYPE_CHECKING:
    from assay.kafka.admin import Admin

_METADATA: Final = 3
_VERSION: Final = 7
_NOBODY: Final = -1


def views(admin: Admin, topic: str, seconds: float = wire.ANSWER_SECONDS) -> dict[int, dict[int, PartitionFacts]]:
    """The partitions of a topic, by number, as each of the brokers knows them, by its id.

    Args:
        admin: Says which brokers there are.
        topic: Whose partitions.
        seconds: How long each broker may take.

    Raises:
        AssayError: There is no such topic, or a broker does not answer.
    """
    return {broker: known_by(address, topic, seconds) for broker, address in admin.brokers().items()}


def known_by(address: str, topic: str, seconds: float = wire.ANSWER_SECONDS) -> dict[int, PartitionFacts]:
    """The partitions of a topic, by number, as the broker at `address` (`host:port`) knows them.

    Raises:
        AssayError: It knows no such topic, or does not answer.
    """
    return wire.ask(address, request(topic), partitions, f"looking the topic {topic} up", seconds)


def request(topic: str) -> bytes:
    """Metadata of one topic, which is not made if it is not there (pure)."""
    name = topic.encode()
    return wire.header(_METADATA, _VERSION) + struct.pack(f">ih{len(name)}s?", 1, len(name), name, False)


def partitions(answer: bytes) -> dict[int, PartitionFacts]:
    """The partitions that an answer about one topic tells of (pure).

    Args:
        answer: The response without its length.

    Raises:
        AssayError: It is an error, or can't be understood.
    """
    try:
        return _partitions(_Fields(answer))
    except struct.error:
        raise AssayError("the answer can't be understood") from None


def _partitions(fields: _Fields) -> dict[int, PartitionFacts]:
    fields.take("ii")  # correlation id, throttle time
    for _ in range(fields.number()):  # brokers: id, host, port, rack
        fields.take("i")
        fields.skip_text()
        fields.take("i")
        fields.skip_text()
    fields.skip_text()  # cluster id
    fields.take("i")  # controller id
    if fields.number() != 1:
        raise AssayError("the answer is about something else")
    (error,) = fields.take("h")
    fields.skip_text()  # the topic's name
    fields.take("?")  # whether it is Kafka's own
    if error:
        raise AssayError(f"the answer is Kafka's error {error}")
    found = {}
    for _ in range(fields.number()):
        # Its own error says what the leader and the replicas in sync say as well.
        _, number, leader, _ = fields.take("hiii")
        replicas, in_sync, _ = fields.numbers(), fields.numbers(), fields.numbers()
        found[number] = PartitionFacts(None if leader == _NOBODY else leader, replicas, tuple(sorted(in_sync)))
    return found


class _Fields:
    """The fields of an answer, one after another; `struct.error` where there are no more."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self._at = 0

    def take(self, kinds: str) -> tuple[int, ...]:
        """The next ones, of these kinds (as `struct` has them)."""
        found = struct.unpack_from(f">{kinds}", self._answer, self._at)
        self._at += struct.calcsize(f">{kinds}")
        return found

    def number(self) -> int:
        """The next one, of 32 bits: mostly how many follow."""
        return self.take("i")[0]

    def numbers(self) -> tuple[int, ...]:
        """A list of numbers of 32 bits."""
        return self.take(f"{max(self.number(), 0)}i")

    def skip_text(self) -> None:
        """A text, or none."""
        (length,) = self.take("h")
        self.take(f"{max(length, 0)}x")
