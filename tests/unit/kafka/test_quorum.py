"""The active controller, asked for in Kafka's own protocol."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING

import pytest
from one_answer import serve

from assay.errors import AssayError
from assay.kafka.quorum import active_controller, leader, request

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = b"__cluster_metadata"


def answer(number: int, *, error: int = 0, of_partition: int = 0, name: bytes = NAME) -> bytes:
    """A response of version 0, voters left out: they stand behind what is read."""
    head = struct.pack(">iBh", 1, 0, error)
    topic = struct.pack(f">BB{len(name)}s", 2, len(name) + 1, name)
    return head + topic + struct.pack(">Bihiiq", 2, 0, of_partition, number, 7, 4711)


@pytest.fixture
def server() -> Iterator[socket.socket]:
    """A socket that listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def test_the_request_is_what_kafka_reads() -> None:
    """Byte for byte: DescribeQuorum (55) of version 0 for partition 0 of the metadata topic."""
    assert request().hex(" ") == (
        "00 37 00 00 00 00 00 01 00 05 61 73 73 61 79 00 "
        "02 13 5f 5f 63 6c 75 73 74 65 72 5f 6d 65 74 61 64 61 74 61 02 00 00 00 00 00 00 00"
    )


def test_the_leader_of_the_metadata_is_the_controller(server: socket.socket) -> None:
    """The first address that answers is believed; one that does not is passed over."""
    reply, asked = answer(2), list[bytes]()
    thread = serve(server, struct.pack(">i", len(reply)) + reply, asked)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        dead = silent.getsockname()[1]
    bootstrap = f"127.0.0.1:{dead},127.0.0.1:{server.getsockname()[1]}"
    assert active_controller(bootstrap, 5) == 2
    thread.join()
    assert asked == [struct.pack(">i", len(request())) + request()]


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (answer(-1), "no controller is active now"),
        (answer(2, error=41), "Kafka's error 41"),
        (answer(2, of_partition=6), "Kafka's error 6"),
        (answer(2, name=b"__another_metadata"), "about something else"),
        (answer(2)[:20], "can't be understood"),
        (b"", "can't be understood"),
    ],
)
def test_an_answer_that_names_nobody_is_a_sentence(said: bytes, sentence: str) -> None:
    """An error, no leader, or something else altogether."""
    with pytest.raises(AssayError, match=sentence):
        leader(said)


@pytest.mark.parametrize(
    ("reply", "sentence"),
    [(b"HTTP/1.1 400 Bad Request\r\n", "what answers is not Kafka"), (b"\0\0", "the connection was closed")],
)
def test_what_is_not_kafka_is_a_sentence(server: socket.socket, reply: bytes, sentence: str) -> None:
    """It names the address and what happened there."""
    thread = serve(server, reply, [])
    address = f"127.0.0.1:{server.getsockname()[1]}"
    with pytest.raises(AssayError, match=f"which controller is active failed .{address}: {sentence}"):
        active_controller(address, 5)
    thread.join()
