"""The consumer's loop: a batch → rows and windows → at the next flush the sink, dead letters, then the offsets.

Nothing is committed to Kafka that the sink or the dead-letter topic has not acknowledged. When partitions are revoked
the loop flushes and commits first and gives them up after; when they were lost to another member, by Kafka's word or
by the sink's, what was buffered of them is dropped, since the other reads it again.

Of a partition each offset is taken once, and only while this member has the partition. What the client library hands
over besides (a batch may hold messages of a partition that was given up while it was filled; a log that was cut off
makes it step back) is told as polled, and is neither written nor committed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

import structlog
from confluent_kafka import OFFSET_INVALID, Consumer, KafkaError, KafkaException, TopicPartition

from workloads.analytics.decode import Header, PoisonError, Record, Row, decode
from workloads.analytics.events import Event, Range, Runs
from workloads.analytics.sink import SinkFencedError
from workloads.analytics.window import Windows

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from confluent_kafka import Message

    from workloads.analytics.deadletters import DeadLetters
    from workloads.analytics.health import Health
    from workloads.analytics.journal import Journal
    from workloads.analytics.metrics import Metrics
    from workloads.analytics.settings import AnalyticsSettings
    from workloads.analytics.sink import Appended, Resume, Sink
    from workloads.analytics.window import WindowRow

Rebalanced: TypeAlias = Callable[[Consumer, list[TopicPartition]], None]

_POLL_SECONDS: Final = 0.1
_COMMITTED_SECONDS: Final = 10.0


class ConsumerError(RuntimeError):
    """The consumer can't go on; the message says why."""


@dataclass
class _Place:
    """How far a partition has come: everything before each of these offsets; None where there is no such offset yet."""

    taken: int | None
    durable: int | None
    committed: int | None
    #: The offset after the last row in the sink, 0 where it has none: less than `durable` after a dead letter.
    rows: int


class Analytics:
    """One member of the group."""

    def __init__(
        self,
        settings: AnalyticsSettings,
        sink: Sink,
        letters: DeadLetters,
        journal: Journal,
        *,
        metrics: Metrics,
        health: Health,
    ) -> None:
        """Hold what it needs; it joins the group when it starts."""
        self._settings = settings
        self._sink = sink
        self._letters = letters
        self._journal = journal
        self._metrics = metrics
        self._health = health
        self._log = structlog.get_logger()
        self._windows = Windows(int(settings.window_seconds * 1e6), int(settings.lateness_seconds * 1e6))
        self._rows: list[Row] = []
        #: The partitions that it has.
        self._places: dict[int, _Place] = {}
        #: Partitions that Kafka gave it and the sink says are another's.
        self._fenced: set[int] = set()
        #: What was handed over and not told yet, and what of it was taken and is not durable yet.
        self._polled, self._taken = Runs(), Runs()
        self._flushed = time.monotonic()
        self._failure: Exception | None = None
        self._consumer: Consumer

    def run(self, stopping: Callable[[], bool]) -> None:
        """Consume until told to stop, then flush, commit and leave the group.

        Raises:
            SinkError, DeadLettersError, ConsumerError: It can't go on; nothing unwritten was committed.
        """
        self.start()
        try:
            while not stopping():
                self.turn()
            self._flush()
        except BaseException:
            self._drop(set(self._places))  # so that the revocation does not try to write again
            self._consumer.close()
            raise
        self._leave()
        self._journal.tell(Event.STOPPED)

    def start(self) -> None:
        """Join the group."""
        self._journal.tell(Event.STARTED)
        self._join()

    def turn(self) -> None:
        """One poll, and a flush when it is due.

        Raises:
            SinkError, DeadLettersError, ConsumerError: As for `run`.
        """
        self._health.beat()
        messages = self._consumer.consume(self._settings.batch_size, _POLL_SECONDS)
        for message in messages:
            partition, offset = message.partition(), message.offset()
            if message.error() is None and partition is not None and offset is not None:
                self._polled.add(partition, offset)
        self._check()
        start = time.monotonic()
        if messages:
            self._take(messages, start)
        due = start - self._flushed >= self._settings.flush_seconds or len(self._rows) >= self._settings.flush_rows
        if due:
            self._flush()
        if messages:
            self._metrics.batch.observe(time.monotonic() - start)
        if self._fenced:
            self._leave()
            self._join()

    def _join(self) -> None:
        self._consumer = Consumer(self._settings.consumer(), logger=logging.getLogger("librdkafka"))
        self._consumer.subscribe(
            [self._settings.topic],
            on_assign=self._guarded(self._on_assign),
            on_revoke=self._guarded(self._on_revoke),
            on_lost=self._guarded(self._on_lost),
        )

    def _leave(self) -> None:
        self._consumer.close()
        self._fenced.clear()
        self._check()

    def _check(self) -> None:
        """Raise what a callback could not."""
        if self._failure is not None:
            raise self._failure

    def _take(self, messages: list[Message], now: float) -> None:
        rows: list[Row] = []
        counts: dict[int, int] = {}
        again: dict[int, int] = {}
        ingested_at = time.time_ns() // 1000
        for message in messages:
            error = message.error()
            if error is not None:
                self._complain(error)
                continue
            partition, offset = message.partition(), message.offset()
            place = None if partition is None else self._places.get(partition)
            if partition is None or offset is None or place is None:
                continue
            if place.taken is not None and offset < place.taken:
                again[partition] = again.get(partition, 0) + 1
                continue
            counts[partition] = counts.get(partition, 0) + 1
            place.taken = offset + 1
            self._taken.add(partition, offset)
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
        for partition, count in again.items():
            self._log.warning("consumer.stepped_back", partition=partition, messages=count)

    def _flush(self) -> None:
        """Make everything buffered durable, then commit."""
        self._tell(Event.POLLED, self._polled.take())
        self._letters.settle()
        self._append_prices()
        self._tell(Event.WRITTEN, self._taken.take())
        for place in self._places.values():
            place.durable = place.taken
        self._append_windows()
        self._commit()
        self._measure()
        self._flushed = time.monotonic()

    def _append_prices(self) -> None:
        while self._rows:
            ends = {row.kafka_partition: row.kafka_offset + 1 for row in self._rows}
            states = {number: self._windows.state(number) for number in ends}
            try:
                with self._metrics.append.labels("prices").time():
                    done = self._sink.append_prices(self._rows, states)
            except SinkFencedError as error:
                self._fence(error)
                continue
            self._count("prices", done)
            self._rows = []
            for number, end in ends.items():
                self._places[number].rows = end

    def _append_windows(self) -> None:
        windows: list[WindowRow] = self._windows.closed(time.monotonic())
        while windows:
            ends = {row.kafka_partition: self._places[row.kafka_partition].rows for row in windows}
            try:
                with self._metrics.append.labels("windows").time():
                    done = self._sink.append_windows(windows, ends)
            except SinkFencedError as error:
                self._fence(error)
                windows = [row for row in windows if row.kafka_partition not in error.partitions]
                continue
            self._count("windows", done)
            self._metrics.windows(windows)
            return

    def _fence(self, error: SinkFencedError) -> None:
        """Others own these: they are lost, though Kafka has not said so (yet)."""
        self._log.warning("consumer.fenced", error=str(error))
        self._fenced |= error.partitions
        self._drop(error.partitions)
        self._moved(Event.LOST, error.partitions)

    def _count(self, table: str, done: Appended) -> None:
        self._metrics.rows.labels(table).inc(done.rows)
        self._metrics.skipped.labels(table).inc(done.skipped)
        self._metrics.conflicts.inc(done.conflicts)

    def _commit(self) -> None:
        """Commit what is durable; a failure is kept for the next time, since the sink knows what it has."""
        offsets = [
            TopicPartition(self._settings.topic, number, place.durable)
            for number, place in sorted(self._places.items())
            if place.durable is not None and place.durable != place.committed
        ]
        if not offsets:
            return
        start = time.monotonic()
        try:
            answers = self._consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as problem:
            self._metrics.commit_failures.inc()
            self._log.warning("consumer.commit_failed", error=problem.args[0].str())
            return
        self._metrics.commit.observe(time.monotonic() - start)
        done = []
        for one in answers:
            if one.error is None:
                place = self._places[one.partition]
                done.append(Range(one.partition, place.committed, one.offset, None))
                place.committed = one.offset
            else:
                self._metrics.commit_failures.inc()
                self._log.warning("consumer.commit_failed", error=one.error.str(), partition=one.partition)
        self._tell(Event.COMMITTED, done)

    def _measure(self) -> None:
        for partition, place in self._places.items():
            if place.taken is not None:
                where = TopicPartition(self._settings.topic, partition)
                _, end = self._consumer.get_watermark_offsets(where, cached=True)
                lag = max(0, end - place.taken)
                self._metrics.lag.labels(str(partition)).set(lag)
                self._health.progress(partition, place.taken, lag)

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
        """Claim each partition, and begin at its committed offset, or further on where the sink already has more."""
        numbers = {one.partition for one in partitions}
        if numbers:
            held = self._sink.claim(numbers)
            for one in consumer.committed(partitions, timeout=_COMMITTED_SECONDS):
                if one.error is not None:
                    raise KafkaException(one.error)
                self._begin(one.partition, one.offset if one.offset >= 0 else None, held.get(one.partition))
            self._commit()
            starts = {number: self._places[number].taken for number in numbers}
            consumer.incremental_assign(
                [
                    TopicPartition(self._settings.topic, number, OFFSET_INVALID if start is None else start)
                    for number, start in starts.items()
                ]
            )
            self._health.assign(numbers)
            self._moved(Event.ASSIGNED, numbers, starts)

    def _begin(self, number: int, committed: int | None, resume: Resume | None) -> None:
        """Have the partition, and take over the windows that its last owner had open."""
        rows = resume.offset if resume else 0
        start = None if committed is None and resume is None else max(committed or 0, rows)
        self._places[number] = _Place(taken=start, durable=start, committed=committed, rows=rows)
        if resume is None or resume.windows is None:
            return
        try:
            self._windows.restore(number, resume.windows, resume.written_until, time.monotonic())
        except ValueError:  # cut for its length
            self._log.warning("consumer.windows_lost", partition=number)

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Flush and commit, then give the partitions up."""
        numbers = {one.partition for one in partitions}
        if numbers & self._places.keys():
            self._flush()
        self._drop(numbers)
        consumer.incremental_unassign(partitions)
        self._moved(Event.REVOKED, numbers - self._fenced)
        self._fenced -= numbers

    def _on_lost(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Drop what is buffered of them: their new owner reads it again."""
        numbers = {one.partition for one in partitions}
        self._drop(numbers)
        self._moved(Event.LOST, numbers - self._fenced)
        self._fenced -= numbers

    def _drop(self, numbers: Iterable[int]) -> None:
        gone = set(numbers)
        self._tell(Event.POLLED, self._polled.take())
        self._taken.forget(gone)
        self._rows = [row for row in self._rows if row.kafka_partition not in gone]
        self._windows.give_up(gone)
        self._metrics.give_up(gone & self._places.keys())
        self._health.give_up(gone)
        for partition in gone:
            self._places.pop(partition, None)

    def _moved(self, event: Event, partitions: Iterable[int], starts: Mapping[int, int | None] | None = None) -> None:
        self._metrics.rebalances.labels(event.value.removeprefix("consumer.")).inc()
        self._metrics.assigned.set(len(self._places))
        self._tell(event, [Range(number, None, (starts or {}).get(number), None) for number in sorted(partitions)])

    def _tell(self, event: Event, ranges: list[Range]) -> None:
        """Say it, unless it is about nothing."""
        if ranges:
            self._journal.tell(event, ranges)


def _bytes(value: str | bytes | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value


def _headers(message: Message) -> list[Header]:
    found = message.headers() or []
    return list(found.items()) if isinstance(found, dict) else found
