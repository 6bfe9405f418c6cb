"""What one broker knows of a topic's partitions, asked for in Kafka's own protocol."""

from __future__ import annotations

import socket
import struct
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from one_answer import serve

from assay.errors import AssayError
from assay.kafka.admin import PartitionFacts
from assay.kafka.metadata import lacking, partitions, request, under_replicated, views

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assay.kafka.admin import Admin


def text(value: str | None) -> bytes:
    """A text as versions that are not flexible have it."""
    return struct.pack(">h", -1) if value is None else struct.pack(">h", len(value)) + value.encode()


def numbers(*values: int) -> bytes:
    """A list of numbers."""
    return struct.pack(f">i{len(values)}i", len(values), *values)


def topic(name: str, *of_partitions: bytes, error: int = 0) -> bytes:
    """What is told of a topic."""
    return (
        struct.pack(">h", error) + text(name) + b"\0" + struct.pack(">i", len(of_partitions)) + b"".join(of_partitions)
    )


def answer(*topics: bytes) -> bytes:
    """A response of version 7: two brokers, one with a rack, and some topics."""
    brokers = struct.pack(">ii", 2, 0) + text("kafka-0") + struct.pack(">i", 9094) + text("a")
    brokers += struct.pack(">i", 1) + text("kafka-1") + struct.pack(">i", 9094) + text(None)
    head = struct.pack(">ii", 1, 0) + brokers + text("cluster") + struct.pack(">i", 1)
    return head + struct.pack(">i", len(topics)) + b"".join(topics)


LED = struct.pack(">hiii", 0, 0, 1, 7) + numbers(0, 1, 2) + numbers(2, 1) + numbers(0)
WHOLE = struct.pack(">hiii", 0, 0, 0, 7) + numbers(0, 1, 2) + numbers(2, 0, 1) + numbers()
LOST = struct.pack(">hiii", 5, 1, -1, 7) + numbers(0, 1, 2) + numbers(0) + numbers(0, 1, 2)


def test_the_request_is_what_kafka_reads() -> None:
    """Byte for byte: Metadata (3) of version 7 for one topic, which is not made."""
    assert request("prices").hex(" ") == (
        "00 03 00 07 00 00 00 01 00 05 61 73 73 61 79 00 00 00 01 00 06 70 72 69 63 65 73 00"
    )


def test_all_topics_are_asked_for_by_none() -> None:
    """A list of no length, and none is made."""
    assert request(None).hex(" ") == "00 03 00 07 00 00 00 01 00 05 61 73 73 61 79 ff ff ff ff 00"


def test_partitions_are_told_with_who_leads_them_and_who_is_in_sync() -> None:
    """Nobody leads one whose only replica in sync is gone."""
    assert partitions(answer(topic("prices", LED, LOST)), "prices") == {
        ("prices", 0): PartitionFacts(1, (0, 1, 2), (1, 2)),
        ("prices", 1): PartitionFacts(None, (0, 1, 2), (0,)),
    }


def test_all_topics_are_told_apart() -> None:
    """Partition 0 of one is not that of another."""
    said = answer(topic("prices", LED), topic("__consumer_offsets", WHOLE))
    assert partitions(said, None) == {
        ("prices", 0): PartitionFacts(1, (0, 1, 2), (1, 2)),
        ("__consumer_offsets", 0): PartitionFacts(0, (0, 1, 2), (0, 1, 2)),
    }


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (answer(topic("prices", error=3)), "the answer about prices is Kafka's error 3"),
        (answer(), "the answer is about something else"),
        (answer(topic("trades", LED)), "the answer is about something else"),
        (answer(topic("prices", LED))[:-2], "the answer can't be understood"),
        (answer(topic("prices"))[:-6], "the answer can't be understood"),
        (answer(topic("prices", LED)).replace(b"prices", b"price\xff"), "the answer can't be understood"),
        (b"", "the answer can't be understood"),
    ],
)
def test_what_is_no_answer_says_so(said: bytes, sentence: str) -> None:
    """An error of Kafka's, another question's answer, or one that ends too soon."""
    with pytest.raises(AssayError, match=sentence):
        partitions(said, "prices")


def test_a_partition_is_whole_if_somebody_leads_it_and_all_who_hold_it_are_in_sync() -> None:
    """Out of sync and without a leader are told by topic and number."""
    known = partitions(answer(topic("prices", LED, LOST), topic("trades", WHOLE)), None)
    assert lacking([known]) == [("prices", 0), ("prices", 1)]
    assert lacking([{("prices", 0): PartitionFacts(None, (0,), (0,))}]) == [("prices", 0)]


def test_whoever_was_cut_off_has_no_say_in_whether_all_is_whole() -> None:
    """It knows what was so before; what any of the others knows is believed, once."""
    everyone = (0, 1, 2)
    before = {("prices", number): PartitionFacts(number, everyone, everyone) for number in everyone}
    now = before | {("prices", 0): PartitionFacts(1, everyone, (1, 2))}
    assert lacking([before, now, now]) == [("prices", 0)]
    assert lacking([before, before]) == []


@contextmanager
def two_brokers(first: bytes, second: bytes) -> Iterator[tuple[Admin, list[bytes]]]:
    """Whoever knows two brokers that answer so once, and what they are asked."""
    asked: list[bytes] = []
    with ExitStack() as stack:
        brokers = {}
        for number, reply in enumerate((first, second)):
            listening = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            stack.callback(serve(listening, struct.pack(">i", len(reply)) + reply, asked).join)
            brokers[number] = f"127.0.0.1:{listening.getsockname()[1]}"
        yield SimpleNamespace(brokers=lambda: brokers), asked  # type: ignore[misc]  # it only says which there are


def test_each_broker_is_asked_for_itself() -> None:
    """None of them speaks for another."""
    with two_brokers(answer(topic("prices", LED)), answer(topic("prices", WHOLE))) as (admin, asked):
        found = views(admin, "prices", 5)
    assert {broker: known["prices", 0].whole for broker, known in found.items()} == {0: False, 1: True}
    assert len(asked) == 2


def test_what_only_one_broker_knows_counts() -> None:
    """Of all topics, if none is named."""
    with two_brokers(answer(topic("prices", WHOLE)), answer(topic("prices", WHOLE, LOST))) as (admin, asked):
        assert under_replicated(admin, seconds=5) == [("prices", 1)]
    assert [one[-5:] for one in asked] == [b"\xff\xff\xff\xff\0"] * 2


def test_a_broker_that_does_not_answer_is_no_view() -> None:
    """Which one is said, lest its silence passes for consent."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        address = f"127.0.0.1:{closed.getsockname()[1]}"
    admin = SimpleNamespace(brokers=lambda: {0: address})
    with pytest.raises(AssayError, match=f"Kafka at {address}: looking the topic prices up failed"):
        views(admin, "prices", 1)  # type: ignore[arg-type]  # as above
