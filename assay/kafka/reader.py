"""A fresh, group-less reader of exactly the offsets asked for: what is in the log, seen by nobody who took part.

It reads *uncommitted*: the judge asks what the log holds, and a message of an aborted transaction, or one that was
acknowledged but never marked committed, is exactly what it must not be blind to. Checksums are verified. Offsets that
are gone (retention, truncation) are an error and never skipped.
"""

from __future__ import annotations

import json
import time
import uuid
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from assay.errors import AssayError
from assay.kafka import clients, headers
from assay.ledger import LedgerWriter, payload_hash

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from assay.kafka.headers import Claim

SETTINGS: Final[Mapping[str, str | int]] = {
    "enable.auto.commit": "false",
    "enable.auto.offset.store": "false",
    "auto.offset.reset": "error",
    "isolation.level": "read_uncommitted",
    "check.crcs": "true",
    "enable.partition.eof": "true",
    "fetch.wait.max.ms": 100,
    "fetch.message.max.bytes": 8 * 1024 * 1024,
    "queued.max.messages.kbytes": 128 * 1024,
}

#: A reader that gets nothing new for so long gives up, in seconds.
NO_PROGRESS_SECONDS: Final = 30.0
_AT_ONCE: Final = 2_000
_WAIT_SECONDS: Final = 0.5


class Remaining:
    """Which partitions are still to be read to their end. Offsets may have holes, so records are not counted (pure)."""

    def __init__(self, ranges: Mapping[int, tuple[int, int]]) -> None:
        """Start with every partition whose range is not empty."""
        self._ends = {partition: end for partition, (start, end) in ranges.items() if end > start}
        self._next = {partition: ranges[partition][0] for partition in self._ends}

    def __bool__(self) -> bool:
        """Whether anything is left."""
        return bool(self._ends)

    def wants(self, partition: int, offset: int) -> bool:
        """Whether a record at this place belongs to what is asked for."""
        end = self._ends.get(partition)
        return end is not None and offset < end

    def passed(self, partition: int, offset: int) -> bool:
        """Note that all below `offset` has been read; True when that completes the partition."""
        end = self._ends.get(partition)
        if end is None:
            return False
        self._next[partition] = offset
        if offset < end:
            return False
        del self._ends[partition]
        return True

    def __str__(self) -> str:
        """What is left, in words."""
        return ", ".join(
            f"partition {partition} at offset {self._next[partition]} of {end}"
            for partition, end in sorted(self._ends.items())
        )


def read(
    bootstrap: str,
    topic: str,
    ranges: Mapping[int, tuple[int, int]],
    *,
    no_progress_seconds: float = NO_PROGRESS_SECONDS,
) -> Iterator[list[Message]]:
    """Batches of all records of `topic` within `ranges` (first offset, end offset), each partition in order.

    Raises:
        AssayError: An offset does not exist any more, a record is damaged, or nothing new came for
            `no_progress_seconds`.
    """
    remaining = Remaining(ranges)
    if not remaining:
        return
    doing = f"reading the topic {topic}"
    identity = {"group.id": f"assay-reader-{uuid.uuid4()}"}  # a name librdkafka wants; the group never comes to be
    try:
        consumer = Consumer(clients.settings(bootstrap, SETTINGS, identity))
    except KafkaException as error:
        raise clients.fault(bootstrap, doing, error) from None
    try:
        consumer.assign(
            [TopicPartition(topic, partition, start) for partition, (start, end) in ranges.items() if end > start]
        )
        progress = time.monotonic()
        while remaining:
            taken, done = _pick(bootstrap, doing, consumer.consume(_AT_ONCE, _WAIT_SECONDS), remaining)
            if done:
                consumer.incremental_unassign([TopicPartition(topic, partition) for partition in done])
            if taken or done:
                yield taken
                progress = time.monotonic()
            elif time.monotonic() - progress > no_progress_seconds:
                raise AssayError(
                    f"Kafka at {bootstrap} gave nothing more of the topic {topic} for {no_progress_seconds:g} s: "
                    f"{remaining}; check that the brokers are up and each partition has a leader."
                )
    except KafkaException as error:
        raise clients.fault(bootstrap, doing, error) from None
    finally:
        consumer.close()


def _pick(bootstrap: str, doing: str, messages: list[Message], remaining: Remaining) -> tuple[list[Message], list[int]]:
    """The records that are asked for, and the partitions that are complete with them."""
    taken: list[Message] = []
    done: list[int] = []
    for message in messages:
        problem = message.error()
        partition, offset = _place(message)
        if problem is None:
            if remaining.wants(partition, offset):
                taken.append(message)
            offset += 1
        elif problem.code() in clients.SILENCE or problem.retriable():
            continue  # the client goes on by itself; without any progress the reader gives up
        elif problem.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001  # librdkafka's local codes are named so
            raise clients.fault(bootstrap, f"{doing}, partition {partition}", problem)
        if remaining.passed(partition, offset):
            done.append(partition)
    return taken, done


def read_log(
    bootstrap: str,
    topic: str,
    ranges: Mapping[int, tuple[int, int]],
    path: Path,
    *,
    no_progress_seconds: float = NO_PROGRESS_SECONDS,
) -> int:
    """Write the log ledger of `ranges` to the new file `path`; returns how many records there are.

    Raises:
        AssayError: As `read` does, or the file exists. The ledger then has no end mark.
    """
    total = 0
    with LedgerWriter(path, "log") as ledger:
        for messages in read(bootstrap, topic, ranges, no_progress_seconds=no_progress_seconds):
            if messages:
                ledger.append(_log_columns(messages))
                total += len(messages)
    return total


def _log_columns(messages: list[Message]) -> dict[str, Sequence[Any]]:
    decode = headers.decode
    run_ids, producers, seqs, claimed, _ = zip(*map(decode, map(Message.headers, messages)), strict=True)
    return {
        "partition": list(map(Message.partition, messages)),
        "offset": list(map(Message.offset, messages)),
        "timestamp_ms": [milliseconds for _, milliseconds in map(Message.timestamp, messages)],
        "leader_epoch": list(map(Message.leader_epoch, messages)),
        "run_id": run_ids,
        "producer": producers,
        "seq": seqs,
        "payload_hash": [payload_hash(value or b"") for value in map(Message.value, messages)],
        "claimed_hash": claimed,
    }


def read_etl(
    bootstrap: str,
    topics: Mapping[str, tuple[str, Mapping[int, tuple[int, int]]]],
    runs: Collection[str],
    path: Path,
    *,
    no_progress_seconds: float = NO_PROGRESS_SECONDS,
) -> dict[str, int]:
    """Write the ETL ledger: every record of the ETL runs `runs`, wherever it ended up.

    Args:
        bootstrap: Addresses of the brokers.
        topics: By fate (`topic`, `rejects`): the topic's name and the offsets to read of each partition.
        runs: Run ids of the ETL runs that are asked for.
        path: The new ledger file.
        no_progress_seconds: As for `read`.

    Returns:
        How many records of these runs were found, by fate.

    Raises:
        AssayError: As `read` does, or the file exists.
    """
    found = dict.fromkeys(topics, 0)
    wanted = frozenset(runs)
    with LedgerWriter(path, "etl") as ledger:
        for fate, (topic, ranges) in topics.items():
            for messages in read(bootstrap, topic, ranges, no_progress_seconds=no_progress_seconds):
                claimed = ((headers.decode(message.headers()), message) for message in messages)
                rows = [
                    etl_row(fate, claim, message.key(), message.value()) | _where(message)
                    for claim, message in claimed
                    if claim.run_id is not None and claim.run_id in wanted
                ]
                if rows:
                    ledger.append({name: [row[name] for row in rows] for name in rows[0]})
                    found[fate] += len(rows)
    return found


def etl_row(fate: str, claim: Claim, key: bytes | None, value: bytes | None) -> dict[str, Any]:
    """What one record of the ETL says, without its place (pure).

    The row id is the header's; a record without it is known by its key. A value that is no JSON object of the agreed
    form gives nulls: that is a finding for the judge, not an error of reading.
    """
    try:
        document = json.loads(value or b"")
    except ValueError:
        document = None
    body = document if isinstance(document, dict) else {}
    reason = body.get("reason") if fate == "rejects" else None
    original = body.get("row") if fate == "rejects" else body
    original = original if isinstance(original, dict) else {}
    commodity, synthetic = original.get("commodity"), original.get("synthetic")
    return {
        "run_id": claim.run_id,
        "row_id": claim.row_id if claim.row_id is not None else (key or b"").decode("utf-8", "replace"),
        "fate": fate,
        "reason": reason if isinstance(reason, str) else None,
        "commodity": commodity if isinstance(commodity, str) else None,
        "synthetic": synthetic if isinstance(synthetic, bool) else None,
    }


def _where(message: Message) -> dict[str, int]:
    partition, offset = _place(message)
    return {"partition": partition, "offset": offset}


def _place(message: Message) -> tuple[int, int]:
    """Partition and offset of a message that was consumed, which always has both."""
    partition, offset = message.partition(), message.offset()
    return (-1 if partition is None else partition), (-1 if offset is None else offset)
