"""Partitions are given back to the brokers that Kafka prefers, in Kafka's own protocol."""

from __future__ import annotations

import socket
import struct

import pytest
from one_answer import serve

from assay.errors import AssayError
from assay.kafka.election import elect_preferred, request


def answered(answer: bytes) -> str:
    """Why a broker that gives this answer is not believed; empty: it is."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = serve(listening, struct.pack(">i", len(answer)) + answer, [])
        try:
            elect_preferred(f"127.0.0.1:{listening.getsockname()[1]}", "prices", [0])
        except AssayError as error:
            return str(error)
        finally:
            thread.join()
    return ""


def test_the_request_is_what_kafka_reads() -> None:
    """Byte for byte: ElectLeaders (43) of version 1, the preferred, for two partitions of a topic, within 2 s."""
    assert request("ab", [0, 2]).hex(" ") == (
        "00 2b 00 01 00 00 00 01 00 05 61 73 73 61 79 00 00 00 00 01 00 02 61 62 "
        "00 00 00 02 00 00 00 00 00 00 00 02 00 00 07 d0"
    )


def test_a_partition_that_keeps_its_leader_is_no_error() -> None:
    """Its own error is its own affair: whoever waits looks again; here 80, the preferred leader is not available."""
    of_partition = struct.pack(">i6sih", 1, b"\0\x02ab\0\0", 80, -1)
    assert answered(struct.pack(">iih", 1, 0, 0) + of_partition) == ""


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (struct.pack(">iihi", 1, 0, 31, 0), "Kafka's error 31"),
        (b"\0\0", "can't be understood"),
    ],
)
def test_a_refusal_is_a_sentence(answer: bytes, sentence: str) -> None:
    """Of the request as a whole, such as 31, which is for want of the right; or what is no answer to it."""
    said = answered(answer)
    assert "electing the preferred leaders of prices failed" in said
    assert sentence in said
