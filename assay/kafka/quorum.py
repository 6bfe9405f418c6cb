"""Which node is the active controller, by the quorum's own word.

librdkafka can't ask for it: what DescribeCluster calls the controller is, under KRaft, just some broker. Kafka's
request for it is DescribeQuorum (API key 55, KIP-595), which any broker passes on to the active controller. Its version
0 is written and read here, field by field as Kafka's `DescribeQuorumRequest.json` and `…Response.json` have it.

Beside it there are two other ways, both slower and bound to a pod: Kafka's own tool (a JVM, seconds), and the file
`quorum-state` of each node, of which only the newest is true.
"""

from __future__ import annotations

import struct
from typing import Final

from assay.errors import AssayError
from assay.kafka import wire

_DESCRIBE_QUORUM: Final = 55
_TOPIC: Final = b"__cluster_metadata"
_NOBODY: Final = -1


def active_controller(bootstrap: str, seconds: float = wire.ANSWER_SECONDS) -> int:
    """The node id of the active controller.

    Args:
        bootstrap: Addresses of brokers, `host:port,...`; asked one after another until one answers.
        seconds: How long each may take.

    Raises:
        AssayError: None of them says.
    """
    return wire.ask(bootstrap, request(), leader, "asking which controller is active", seconds)


def request() -> bytes:
    """DescribeQuorum for the metadata topic's only partition (pure)."""
    # Arrays and strings of flexible versions carry their length plus one; each structure ends with its tagged fields.
    body = struct.pack(f">BBB{len(_TOPIC)}sBiBBB", 0, 2, len(_TOPIC) + 1, _TOPIC, 2, 0, 0, 0, 0)
    return wire.header(_DESCRIBE_QUORUM, 0) + body


def leader(answer: bytes) -> int:
    """The leader that an answer names (pure).

    Args:
        answer: The response without its length.

    Raises:
        AssayError: It is an error, names nobody, or can't be understood.
    """
    start = 5  # correlation id, no tagged fields
    try:
        (error,) = struct.unpack_from(">h", answer, start)
        if not error:
            # One topic of one partition: two lengths, the name, two more bytes of lengths and the partition's number.
            place = start + 2 + 1 + 1 + len(_TOPIC) + 1 + 4
            named = answer[start + 4 : start + 4 + len(_TOPIC)] == _TOPIC
            error, number = struct.unpack_from(">hi", answer, place)
            if not named:
                raise AssayError("the answer is about something else")
    except struct.error:
        raise AssayError("the answer can't be understood") from None
    if error:
        raise AssayError(f"the answer is Kafka's error {error}")
    if number == _NOBODY:
        raise AssayError("no controller is active now")
    return int(number)
