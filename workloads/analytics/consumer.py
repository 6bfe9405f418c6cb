"""The consumer's loop: a batch → rows and windows → at the next flush the sink, dead letters, then the offsets.

Nothing is committed to Kafka that the sink or the dead-letter topic has not acknowledged. When partitions are revoked
the loop flushes and commits first and gives them up after; when they were lost to another member, what was buffered of
them is dropped, since the other reads it again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeAlias

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from workloads.analytics.decode import Header, PoisonError, Record, Row, decode
from workloads.analytics.window import Windows

if TYPE_CHECKING:
    from confluent_kafka import Message

    from workloads.analytics.deadletters import DeadLetters
    from workloads.analytics.health import Health
    from workloads.analytics.metrics import Metrics
    from workloads.analytics.settings import AnalyticsSettings
    from workloads.analytics.sink import Appended, Resume, Sink

Rebalanced: TypeAlias = Callable[[Consumer, list[TopicPartition]], None]

_POLL_SECONDS: Final = 0.1
_COMMITTED_SECONDS: Final = 10.0


class ConsumerError(RuntimeError):
    """The consumer can't go on; the message says why."""


class Analytics:
    """One member of the group."""

    def __init__(
        self, settings: AnalyticsSettings, sink: Sink, letters: DeadLetters, metrics: Metrics, health: Health
    ) -> None:
        """Make the consumer; it joins the group when `run` starts."""
        self._settings = settings
        self._sink = sink
        self._letters = letters
        self._metrics = metrics
        self._health = health
        self._log = structlog.get_logger()
        self._windows = Windows(int(settings.window_seconds * 1e6), int(settings.lateness_seconds * 1e6))
        self._rows: list[Row] = []
        #: Next offset to read, of every assigned partition that was read from.
        self._positions: dict[int, int] = {}
        #: First offset that the last commit does not cover, likewise.
        self._firsts: dict[int, int] = {}
        #: Offset after the last row that the sink has, of every assigned partition that it has rows of.
        self._held: dict[int, int] = {}
        self._assigned: set[int] = set()
        self._flushed = time.monotonic()
        self._failure: Exception | None = None
        self._consumer = Consumer(settings.consumer(), logger=logging.getLogger("librdkafka"))

    def run(self, stopping: Callable[[], bool]) -> None:
        """Consume until told to stop, then flush, commit and leave the group.

        Raises:
            SinkError, DeadLettersError, ConsumerError: It can't go on; nothing unwritten was committed.
        """
        self._consumer.subscribe(
            [self._settings.topic],
            on_assign=self._guarded(self._on_assign),
            on_revoke=self._guarded(self._on_revoke),
            on_lost=self._guarded(self._on_lost),
        )
        sound = False
        try:
            while not stopping():
                self._turn()
            self._log.info("consumer.stopping")
            self._flush()
            sound = True
        finally:
            if not sound:  # on the way out after an error, the revocation must not try to write again
                self._drop(set(self._assigned))
            self._consumer.close()
            if sound and self._failure is not None:
                raise self._failure
            self._log.info("consumer.left", group=self._settings.group)

    def _turn(self) -> None:
        self._health.beat()
        messages = self._consumer.consume(self._settings.batch_size, _POLL_SECONDS)
        if self._failure is not None:
            raise self._failure
        start = time.monotonic()
        if messages:
            self._take(messages, start)
        due = start - self._flushed >= self._settings.flush_seconds or len(self._rows) >= self._settings.flush_rows
        if due:
            self._flush()
        if messages:
            self._metrics.batch.observe(time.monotonic() - start)

    def _take(self, messages: list[Message], now: float) -> None:
        rows: list[Row] = []
        counts: dict[int, int] = {}
        ingested_at = time.time_ns() // 1000
        for message in messages:
            error = message.error()
            if error is not None:
                self._complain(error)
                continue
            partition, offset = message.partition(), message.offset()
            if partition is None or offset is None or partition not in self._assigned:
                continue
            counts[partition] = counts.get(partition, 0) + 1
            self._firsts.setdefault(partition, offset)
            self._positions[partition] = offset + 1
            record = Record(partition, offset, message.timestamp()[1], _bytes(message.value()), _headers(message))
            try:
                rows.append(decode(record, ingested_at, self._settings.max_value_bytes))
            except PoisonError as poison:
                self._letters.send(message, poison.reason)
                self._metrics.poison.labels(poison.reason.value).inc()
                self._log.warning("consumer.poison", reason=poison.reason.value, partition=partition, offset=offset)
        self._windows.add(rows, now)
        self._rows += rows
        for partition, count in counts.items():
            self._metrics.consumed.labels(str(partition)).inc(count)

    def _flush(self) -> None:
        """Make everything buffered durable, then commit."""
        self._letters.settle()
        if self._rows:
            ends = {row.kafka_partition: row.kafka_offset + 1 for row in self._rows}
            with self._metrics.append.labels("prices").time():
                done = self._sink.append_prices(self._rows, {number: self._windows.state(number) for number in ends})
            self._count("prices", done)
            self._held |= ends
            self._rows = []
        windows = self._windows.closed(time.monotonic())
        if windows:
            offsets = {number: self._held[number] for number in {row.kafka_partition for row in windows}}
            with self._metrics.append.labels("windows").time():
                done = self._sink.append_windows(windows, offsets)
            self._count("windows", done)
            self._metrics.windows(windows)
        self._commit()
        self._measure()
        self._flushed = time.monotonic()

    def _count(self, table: str, done: Appended) -> None:
        self._metrics.rows.labels(table).inc(done.rows)
        self._metrics.skipped.labels(table).inc(done.skipped)
        self._metrics.conflicts.inc(done.conflicts)

    def _commit(self) -> None:
        """Commit what was flushed; a failure is kept for the next time, since the sink knows what it has."""
        if not self._firsts:
            return
        offsets = [TopicPartition(self._settings.topic, p, self._positions[p]) for p in sorted(self._firsts)]
        start = time.monotonic()
        try:
            self._consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as problem:
            self._metrics.commit_failures.inc()
            self._log.warning("consumer.commit_failed", error=problem.args[0].str())
            return
        self._metrics.commit.observe(time.monotonic() - start)
        self._log.info(
            "consumer.committed",
            ranges={str(p): [first, self._positions[p]] for p, first in sorted(self._firsts.items())},
            monotonic_ns=time.monotonic_ns(),
        )
        self._firsts = {}

    def _measure(self) -> None:
        for partition, position in self._positions.items():
            _, end = self._consumer.get_watermark_offsets(TopicPartition(self._settings.topic, partition), cached=True)
            lag = max(0, end - position)
            self._metrics.lag.labels(str(partition)).set(lag)
            self._health.progress(partition, position, lag)

    def _complain(self, error: KafkaError) -> None:
        if error.fatal():
            raise ConsumerError(f"Kafka ended this member of {self._settings.group}: {error.str()}.")
        self._log.warning("consumer.error", error=error.str())

    def _guarded(self, callback: Rebalanced) -> Rebalanced:
        """The callback, whose error is raised by the loop: the client library does not carry one through."""

        def guarded(consumer: Consumer, partitions: list[TopicPartition]) -> None:
            try:
                callback(consumer, partitions)
            except Exception as error:  # noqa: BLE001  # raised again by the loop
                self._failure = error

        return guarded

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Begin each partition at its committed offset, or further on where the sink already has more."""
        numbers = {one.partition for one in partitions}
        starts: dict[int, int] = {}
        if numbers:
            held = self._sink.resume()
            committed = consumer.committed(partitions, timeout=_COMMITTED_SECONDS)
            ahead = [
                TopicPartition(one.topic, one.partition, held[one.partition].offset)
                for one in committed
                if one.partition in held and held[one.partition].offset > one.offset
            ]
            if ahead:
                consumer.commit(offsets=ahead, asynchronous=False)
            starts = {one.partition: one.offset for one in committed} | {one.partition: one.offset for one in ahead}
            consumer.incremental_assign(
                [TopicPartition(one.topic, one.partition, starts[one.partition]) for one in committed]
            )
            for number in numbers & held.keys():
                self._held[number] = held[number].offset
                self._restore(number, held[number])
        self._assigned |= numbers
        self._health.assign(numbers)
        self._moved("assigned", numbers, starts=starts)

    def _restore(self, number: int, resume: Resume) -> None:
        """Take over the windows that the partition's last owner had open."""
        if resume.windows is None:
            return
        try:
            self._windows.restore(number, resume.windows, resume.written_until, time.monotonic())
        except ValueError:  # cut for its length
            self._log.warning("consumer.windows_lost", partition=number)

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Flush and commit, then give the partitions up."""
        numbers = {one.partition for one in partitions}
        if numbers & self._assigned:
            self._flush()
        self._drop(numbers)
        consumer.incremental_unassign(partitions)
        self._moved("revoked", numbers)

    def _on_lost(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Drop what is buffered of them: their new owner reads it again."""
        numbers = {one.partition for one in partitions}
        self._drop(numbers)
        self._moved("lost", numbers)

    def _drop(self, numbers: set[int]) -> None:
        self._rows = [row for row in self._rows if row.kafka_partition not in numbers]
        self._windows.give_up(numbers)
        for partition in numbers:
            self._positions.pop(partition, None)
            self._firsts.pop(partition, None)
            self._held.pop(partition, None)
        self._metrics.give_up(numbers & self._assigned)
        self._health.give_up(numbers)
        self._assigned -= numbers

    def _moved(self, kind: str, partitions: set[int], **details: object) -> None:
        self._metrics.rebalances.labels(kind).inc()
        self._metrics.assigned.set(len(self._assigned))
        self._log.info(
            f"consumer.{kind}",
            partitions=sorted(partitions),
            now_assigned=sorted(self._assigned),
            monotonic_ns=time.monotonic_ns(),
            **details,
        )


def _bytes(value: str | bytes | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value


def _headers(message: Message) -> list[Header]:
    found = message.headers() or []
    return list(found.items()) if isinstance(found, dict) else found
