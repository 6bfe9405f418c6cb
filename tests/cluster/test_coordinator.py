"""A group's coordinator moves while every broker lives: who asked before finds the new one."""

from __future__ import annotations

import struct
from contextlib import suppress
from functools import reduce
from typing import TYPE_CHECKING, Final

from assay.errors import AssayError
from assay.kafka import wire
from assay.kafka.admin import Admin
from assay.kafka.election import elect_preferred
from assay.platform import GROUP

from .conftest import until

if TYPE_CHECKING:
    from collections.abc import Sequence

    from assay.platform import Platform

OFFSETS: Final = "__consumer_offsets"
ALTER_PARTITION_REASSIGNMENTS: Final = 45


def test_it_is_found_where_it_moved_to(platform: Platform) -> None:
    """The very client that knows the old one, which still answers, is told of the new one, and of the group as well."""
    bootstrap = platform.bootstrap()
    kept, other = Admin(bootstrap), Admin(bootstrap)
    before = kept.coordinator(GROUP)
    assert before == other.coordinator(GROUP)
    assert before is not None
    partitions = kept.partitions(OFFSETS)
    number = partition_of(GROUP, len(partitions))
    replicas = partitions[number].replicas
    assert partitions[number].leader == before
    try:
        lead(bootstrap, number, [*(one for one in replicas if one != before), before])
        # Asked only now: who asks while a coordinator is about to move may be told anything
        until(lambda: coordinator(bootstrap) not in {None, before}, "another one coordinates", 30)
        assert kept.coordinator(GROUP) == coordinator(bootstrap)
        assert other.group(GROUP).name == GROUP
    finally:
        lead(bootstrap, number, replicas)


def coordinator(bootstrap: str) -> int | None:
    """The group's coordinator, asked for by a new client; None: there is none now."""
    with suppress(AssayError):
        return Admin(bootstrap).coordinator(GROUP)
    return None


def lead(bootstrap: str, number: int, replicas: Sequence[int]) -> None:
    """Have a partition of the offsets' topic led by the first of these replicas."""
    wire.ask(bootstrap, reassignment(number, replicas), accepted, "reassigning the offsets' partition")
    until(lambda: Admin(bootstrap).partitions(OFFSETS)[number].replicas == tuple(replicas), "it is reassigned", 30)

    def leads() -> bool:
        elect_preferred(bootstrap, OFFSETS, [number])
        return Admin(bootstrap).partitions(OFFSETS)[number].leader == replicas[0]

    until(leads, f"broker {replicas[0]} leads", 30)


def partition_of(group: str, partitions: int) -> int:
    """The partition of the offsets' topic that a group is kept in: Java's hash of its name, without the sign."""
    hashed = reduce(lambda code, letter: (31 * code + ord(letter)) & 0xFFFFFFFF, group, 0)
    return min(hashed, (1 << 32) - hashed) % partitions


def reassignment(number: int, replicas: Sequence[int]) -> bytes:
    """AlterPartitionReassignments (KIP-455) of one partition; compact lengths are one more than they are (KIP-482)."""
    topic = OFFSETS.encode()
    partition = struct.pack(f">iB{len(replicas)}iB", number, len(replicas) + 1, *replicas, 0)
    told = struct.pack(f">B{len(topic)}sB", len(topic) + 1, topic, 2) + partition + b"\0"
    return wire.header(ALTER_PARTITION_REASSIGNMENTS, 0) + b"\0" + struct.pack(">iB", 5000, 2) + told + b"\0"


def accepted(answer: bytes) -> None:
    """Nothing, if the request as a whole is taken; which broker takes it is tried."""
    _, _, _, error = struct.unpack_from(">iBih", answer)  # correlation id, tagged fields, milliseconds throttled
    if error:
        raise AssayError(f"error {error}")
