"""The partitions of topics as one broker knows them, and as each of them does.

librdkafka asks whichever broker it is connected to, and can't be told which. Who was cut off still says what it knew
before, until it has heard of what the controllers decided meanwhile: that nothing is amiss is said by all or by nobody.
Kafka's request is Metadata (API key 3), of which version 7 is written and read here, field by field as Kafka's
`MetadataRequest.json` and `…Response.json` have it.
"""

from __future__ import annotations

import struct
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from assay.errors import AssayError
from assay.kafka import wire
from assay.kafka.admin import PartitionFacts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from assay.kafka.admin import Admin

#: Partitions by topic and number.
Known = dict[tuple[str, int], PartitionFacts]

_METADATA: Final = 3
_VERSION: Final = 7
_NOBODY: Final = -1
_EVERY_TOPIC: Final = -1


def under_replicated(
    admin: Admin, topic: str | None = None, seconds: float = wire.ANSWER_SECONDS
) -> list[tuple[str, int]]:
    """The partitions that are not whole by what any of the brokers knows: topic and number.

    Args:
        admin: Says which brokers there are.
        topic: Whose partitions; None: those of all topics, Kafka's own included.
        seconds: How long each broker may take.

    Raises:
        AssayError: There is no such topic, or a broker does not answer.
    """
    return lacking(views(admin, topic, seconds).values())


def views(admin: Admin, topic: str | None = None, seconds: float = wire.ANSWER_SECONDS) -> dict[int, Known]:
    """What each of the brokers knows, by its id.

    Args:
        admin: Says which brokers there are.
        topic: Whose partitions; None: those of all topics.
        seconds: How long each broker may take.

    Raises:
        AssayError: There is no such topic, or a broker does not answer.
    """
    doing = "looking all topics up" if topic is None else f"looking the topic {topic} up"
    asked, read = request(topic), partial(partitions, topic=topic)
    return {broker: wire.ask(address, asked, read, doing, seconds) for broker, address in admin.brokers().items()}


def lacking(known: Iterable[Known]) -> list[tuple[str, int]]:
    """The partitions that are not whole by any of what is known: topic and number (pure)."""
    return sorted({place for one in known for place, partition in one.items() if not partition.whole})


def request(topic: str | None) -> bytes:
    """Metadata of one topic, which is not made if it is not there; None: of all topics (pure)."""
    if topic is None:
        asked = struct.pack(">i", _EVERY_TOPIC)
    else:
        name = topic.encode()
        asked = struct.pack(f">ih{len(name)}s", 1, len(name), name)
    return wire.header(_METADATA, _VERSION) + asked + struct.pack(">?", False)


def partitions(answer: bytes, topic: str | None) -> Known:
    """The partitions that an answer tells of (pure).

    Args:
        answer: The response without its length.
        topic: Which was asked about; None: all of them.

    Raises:
        AssayError: It is an error, does not tell of that topic, or can't be understood.
    """
    try:
        found = _partitions(_Fields(answer))
    except (struct.error, UnicodeDecodeError):
        raise AssayError("the answer can't be understood") from None
    if topic is not None and all(name != topic for name, _ in found):
        raise AssayError("the answer is about something else")
    return found


def _partitions(fields: _Fields) -> Known:
    fields.take("ii")  # correlation id, throttle time
    for _ in range(fields.number()):  # brokers: id, host, port, rack
        fields.take("i")
        fields.text()
        fields.take("i")
        fields.text()
    fields.text()  # cluster id
    fields.take("i")  # controller id
    found = {}
    for _ in range(fields.number()):
        (error,) = fields.take("h")
        topic = fields.text()
        fields.take("?")  # whether it is Kafka's own
        if error:
            raise AssayError(f"the answer about {topic} is Kafka's error {error}")
        for _ in range(fields.number()):
            # Its own error says what the leader and the replicas in sync say as well.
            _, number, leader, _ = fields.take("hiii")
            replicas, in_sync, _ = fields.numbers(), fields.numbers(), fields.numbers()
            facts = PartitionFacts(None if leader == _NOBODY else leader, replicas, tuple(sorted(in_sync)))
            found[topic, number] = facts
    return found


class _Fields:
    """The fields of an answer, one after another; `struct.error` where there are no more."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self._at = 0

    def take(self, kinds: str) -> tuple[Any, ...]:
        """The next ones, of these kinds (as `struct` has them)."""
        found = struct.unpack_from(f">{kinds}", self._answer, self._at)
        self._at += struct.calcsize(f">{kinds}")
        return found

    def number(self) -> int:
        """The next one, of 32 bits: mostly how many follow."""
        (found,) = self.take("i")
        return int(found)

    def numbers(self) -> tuple[int, ...]:
        """A list of numbers of 32 bits."""
        return self.take(f"{max(self.number(), 0)}i")

    def text(self) -> str:
        """A text; that there is none is an empty one."""
        (length,) = self.take("h")
        (read,) = self.take(f"{max(length, 0)}s")
        return bytes(read).decode()
