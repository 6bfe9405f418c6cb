"""What one broker knows of a topic's partitions, asked for in Kafka's own protocol."""

from __future__ import annotations

import socket
import struct
from types import SimpleNamespace

import pytest
from one_answer import serve

from assay.errors import AssayError
from assay.kafka.admin import PartitionFacts
from assay.kafka.metadata import partitions, request, views


def text(value: str | None) -> bytes:
    """A text as versions that are not flexible have it."""
    return struct.pack(">h", -1) if value is None else struct.pack(">h", len(value)) + value.encode()


def numbers(*values: int) -> bytes:
    """A list of numbers."""
    return struct.pack(f">i{len(values)}i", len(values), *values)


def answer(*of_partitions: bytes, error: int = 0, topics: int = 1) -> bytes:
    """A response of version 7: two brokers, one with a rack, and one topic."""
    brokers = struct.pack(">ii", 2, 0) + text("kafka-0") + struct.pack(">i", 9094) + text("a")
    brokers += struct.pack(">i", 1) + text("kafka-1") + struct.pack(">i", 9094) + text(None)
    topic = struct.pack(">ih", topics, error) + text("prices") + b"\0" + struct.pack(">i", len(of_partitions))
    return struct.pack(">ii", 1, 0) + brokers + text("cluster") + struct.pack(">i", 1) + topic + b"".join(of_partitions)


LED = struct.pack(">hiii", 0, 0, 1, 7) + numbers(0, 1, 2) + numbers(2, 1) + numbers(0)
LOST = struct.pack(">hiii", 5, 1, -1, 7) + numbers(0, 1, 2) + numbers(0) + numbers(0, 1, 2)


def test_the_request_is_what_kafka_reads() -> None:
    """Byte for byte: Metadata (3) of version 7 for one topic, which is not made."""
    assert request("prices").hex(" ") == (
        "00 03 00 07 00 00 00 01 00 05 61 73 73 61 79 00 00 00 01 00 06 70 72 69 63 65 73 00"
    )


def test_partitions_are_told_with_who_leads_them_and_who_is_in_sync() -> None:
    """Nobody leads one whose only replica in sync is gone."""
    assert partitions(answer(LED, LOST)) == {
        0: PartitionFacts(1, (0, 1, 2), (1, 2)),
        1: PartitionFacts(None, (0, 1, 2), (0,)),
    }


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (answer(error=3), "the answer is Kafka's error 3"),
        (answer(topics=0), "the answer is about something else"),
        (answer(LED)[:-2], "the answer can't be understood"),
        (b"", "the answer can't be understood"),
    ],
)
def test_what_is_no_answer_says_so(said: bytes, sentence: str) -> None:
    """An error of Kafka's, another question's answer, or one that ends too soon."""
    with pytest.raises(AssayError, match=sentence):
        partitions(said)


def test_each_broker_is_asked_for_itself() -> None:
    """None of them speaks for another."""
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as first, socket.create_server(("127.0.0.1", 0)) as second:
        replies = {0: (first, answer(LED)), 1: (second, answer(LOST))}
        threads = [
            serve(listening, struct.pack(">i", len(reply)) + reply, asked) for listening, reply in replies.values()
        ]
        brokers = {number: f"127.0.0.1:{one.getsockname()[1]}" for number, (one, _) in replies.items()}
        admin = SimpleNamespace(brokers=lambda: brokers)
        found = views(admin, "prices", 5)  # type: ignore[arg-type]  # it only says which brokers there are
        for thread in threads:
            thread.join()
    assert {broker: list(known) for broker, known in found.items()} == {0: [0], 1: [1]}
    assert len(asked) == 2


def test_a_broker_that_does_not_answer_is_no_view() -> None:
    """Which one is said, lest its silence passes for consent."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        address = f"127.0.0.1:{closed.getsockname()[1]}"
    admin = SimpleNamespace(brokers=lambda: {0: address})
    with pytest.raises(AssayError, match=f"Kafka at {address}: looking the topic prices up failed"):
        views(admin, "prices", 1)  # type: ignore[arg-type]  # as above
