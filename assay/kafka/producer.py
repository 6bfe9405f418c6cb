"""The verifiable producer: every send is written down before librdkafka sees it, and so is how it ended.

A send ends in one of three ways (`assay.ledger.Outcome`). `ok`: the brokers acknowledged it. `fail`: it is certainly
not in the log. Everything else is `unknown`, including a send whose end was never learnt: it then has an attempt and
no outcome.

librdkafka knows of each failed message whether it may have been persisted (`rd_kafka_message_status`), but its Python
binding does not hand that on. So `fail` is claimed only where the error itself proves it (`CERTAIN`): the message never
got into librdkafka's queue, or a broker refused it by a rule that has nothing to do with time. A message that timed out
is `unknown`, even if it perhaps was never transmitted.

A producer is used by one thread: librdkafka calls back from `poll`, and taking turns at Python's lock for every message
costs far more than the call itself.
"""

from __future__ import annotations

import time
from array import array
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from confluent_kafka import KafkaError, KafkaException, Producer

from assay.kafka import clients, headers
from assay.kafka.ends import NO_OFFSET, WIDTH, Ends
from assay.kafka.sends import SendLedgers
from assay.ledger import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from confluent_kafka import Message

SETTINGS: Final[Mapping[str, str | int]] = {
    # What zero loss stands on: written once, in order, on every in-sync replica.
    "enable.idempotence": "true",
    "acks": "all",
    # How long librdkafka tries before it gives a message up: twice the longest recovery that may be allowed (60 s), so
    # that a fault shows as a gap between acknowledgements and not as a heap of unknown sends.
    "message.timeout.ms": 120_000,
    "request.timeout.ms": 6000,
    "retry.backoff.ms": 100,
    # Also the longest pause between questions for a new leader (default 1,000).
    "retry.backoff.max.ms": 500,
    # Few full batches cost sender and brokers less than many small ones; beyond 20 ms little more is won, and the wait
    # is all latency. `benchmarks/kafka.py` measures both.
    "linger.ms": 20,
    "batch.size": 1_000_000,
    "compression.type": "lz4",
    "queue.buffering.max.messages": 100_000,
    "queue.buffering.max.kbytes": 256 * 1024,
}

#: Errors of a delivery report that prove that the message is not in the log: the broker refused it for what it is or
#: for who sends it. librdkafka marks exactly such answers NOT_PERSISTED.
CERTAIN: Final = frozenset(
    {
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.RECORD_LIST_TOO_LARGE,
        KafkaError.INVALID_RECORD,
        KafkaError.INVALID_TIMESTAMP,
        KafkaError.INVALID_REQUIRED_ACKS,
        KafkaError.UNSUPPORTED_FOR_MESSAGE_FORMAT,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    }
)

#: Ends reach the disk at least this often while the producer is served, in nanoseconds.
APPEND_EVERY_NS: Final = 400_000_000
#: Delivery reports are collected after this many sends, so that acknowledgements are timed while sending.
SERVE_EVERY: Final = 200
_FULL_WAIT_SECONDS: Final = 0.02
ABANDONED: Final = "abandoned before it was handed to librdkafka"


@dataclass(frozen=True)
class Counts:
    """How many sends there were, by outcome; `unknown` includes those whose end was not learnt."""

    attempted: int
    ok: int
    fail: int

    @property
    def unknown(self) -> int:
        """Sends of which nobody knows whether they are in the log."""
        return self.attempted - self.ok - self.fail


def classify(error: KafkaError) -> Outcome:
    """The outcome that a delivery report's error proves: `fail` only where the message can't be in the log."""
    return Outcome.FAIL if error.code() in CERTAIN else Outcome.UNKNOWN


class VerifiableProducer:
    """Sends messages to given partitions in turn and keeps the two ledgers of it.

    The partition of a send is `seq % partitions`: five commodity names as keys hash to two of three partitions, with
    both of the usual hash functions, and a partition that nobody writes to proves nothing.
    """

    def __init__(
        self,
        bootstrap: str,
        topic: str,
        *,
        run_id: str,
        producer: str,
        partitions: int,
        folder: Path,
        overrides: Mapping[str, str | int] | None = None,
        ledgers: Callable[[Path, str], SendLedgers] = SendLedgers,
    ) -> None:
        """Open the ledgers in `folder`, and connect.

        Args:
            bootstrap: Addresses of the brokers, `host:port,...`.
            topic: Where to send.
            run_id: The run's id, for the headers.
            producer: This producer's id, for the headers and the ledgers; one in the run.
            partitions: How many partitions the topic has.
            folder: The run's folder, which exists.
            overrides: Settings of librdkafka that win over `SETTINGS`: to show what an unsafe one does.
            ledgers: Opens the ledgers; another one only to measure what they cost (`benchmarks/ledger.py`).

        Raises:
            AssayError: A ledger exists already, or a setting is refused.
        """
        self._bootstrap = bootstrap
        self.topic = topic
        self.run_id = run_id
        self.name = producer
        self.partitions = partitions
        self._abandoned = False
        self._closed = False
        self._next = 0
        self._ok = 0
        self._fail = 0
        self._known = 0
        #: Ends as they come (`assay.kafka.ends`): this runs once a message, so it is numbers in a row.
        self._numbers = array("q")
        self._errors: dict[int, str] = {}
        #: Ends that the ledger does not have yet, and those that `fresh` has not handed on yet.
        self._unwritten: list[Ends] = []
        self._untold: list[Ends] = []
        self._appended_ns = _now()
        try:
            self._producer = Producer(clients.settings(bootstrap, SETTINGS, overrides or {}))
        except KafkaException as error:
            raise clients.fault(bootstrap, "setting up a producer", error) from None
        self._ledgers = ledgers(folder, producer)
        self._label = headers.labeller(run_id, producer)

    @property
    def counts(self) -> Counts:
        """How many sends there were so far, by outcome."""
        return Counts(self._next, self._ok, self._fail)

    @property
    def outstanding(self) -> int:
        """How many sends have no end yet."""
        return self._next - self._known - len(self._numbers) // WIDTH

    def connect(self) -> None:
        """Reach the brokers before the first send, so that setting connections up does not count as its latency.

        Raises:
            AssayError: Nobody answers.
        """
        try:
            self._producer.list_topics(self.topic, clients.ANSWER_SECONDS)
        except KafkaException as error:
            raise clients.fault(self._bootstrap, f"looking the topic {self.topic} up", error) from None

    def abandon(self) -> None:
        """Send nothing more: a batch under way stops at its next message. Safe from any thread and signal handler."""
        self._abandoned = True

    def send_batch(self, messages: Sequence[tuple[bytes, bytes]], intended_ns: int) -> None:
        """Write the attempts down, then hand the messages over, in order.

        Returns once librdkafka has them all; while its queue is full that waits for delivery reports, bounded by
        `message.timeout.ms`.

        Args:
            messages: Keys and values.
            intended_ns: When the schedule wanted them sent, by the monotonic clock: latency counts from there, so that
                a sender that was held up shows it.
        """
        first, count = self._next, len(messages)
        digests = [blake2b(value, digest_size=8).digest() for _, value in messages]
        self._ledgers.attempt(first, self.partitions, intended_ns, digests)
        self._next += count
        produce, ended, label, topic, partitions = (
            self._producer.produce,
            self._ended,
            self._label,
            self.topic,
            self.partitions,
        )
        seq = first
        for (key, value), digest in zip(messages, digests, strict=True):
            partition = seq % partitions
            while not self._abandoned:
                try:
                    produce(topic, value, key, partition, partial(ended, seq, intended_ns), None, 0, label(seq, digest))
                except BufferError:
                    self._producer.poll(_FULL_WAIT_SECONDS)
                    self._append_if_due()
                except KafkaException as error:
                    # It never got into librdkafka's queue, so it can't be in the log, whatever the reason.
                    self._failed(seq, error.args[0].name(), intended_ns)
                    break
                else:
                    break
            else:
                self._failed(seq, ABANDONED, intended_ns)
            seq += 1
            if seq % SERVE_EVERY == 0:
                self._producer.poll(0)
        self._producer.poll(0)
        self._append_if_due()

    def serve_until(self, at_ns: int) -> None:
        """Collect delivery reports until `at_ns` by the monotonic clock, or until abandoned."""
        while not self._abandoned and (left := at_ns - _now()) > 0:
            self._producer.poll(min(left / 1e9, 0.1))
            self._append_if_due()

    def fresh(self) -> Ends:
        """The sends that ended since this was last asked."""
        self._collect()
        fresh, self._untold = self._untold, []
        return Ends.joined(fresh)

    def settle(self, timeout_seconds: float) -> int:
        """Wait for outstanding delivery reports, at most so long; returns how many are still outstanding."""
        deadline = _now() + int(timeout_seconds * 1e9)
        while left := self._producer.flush(max(0.0, min(0.2, (deadline - _now()) / 1e9))):
            self._append_if_due()
            if _now() >= deadline:
                break
        return left

    def close(self, timeout_seconds: float) -> Counts:
        """Wait for outstanding delivery reports, then close the ledgers with their end marks.

        What is still outstanding after `timeout_seconds` gets no outcome: it is unknown. Closing twice is harmless.
        """
        if not self._closed:
            self._closed = True
            self.settle(timeout_seconds)
            self._append()
            self._ledgers.close()
            # Out with what is left, so that tearing the client down does not wait for it. Its reports are not taken.
            self._producer.purge()
        return self.counts

    def _ended(self, seq: int, intended_ns: int, error: KafkaError | None, message: Message) -> None:
        """A delivery report of one send."""
        partition = message.partition()
        if partition is None:  # it names the one that was asked for, by its contract
            partition = seq % self.partitions
        if error is None:
            self._ok += 1
            offset = message.offset()
            if offset is None or offset < 0:  # with acks=0 nobody tells where it stands
                offset = NO_OFFSET
            self._numbers.extend((seq, 0, partition, offset, _now(), intended_ns))
        else:
            outcome = classify(error)
            self._fail += outcome is Outcome.FAIL
            self._errors[seq] = error.name()
            self._numbers.extend((seq, outcome, partition, NO_OFFSET, _now(), intended_ns))

    def _failed(self, seq: int, reason: str, intended_ns: int) -> None:
        """A send that never got as far as librdkafka's queue."""
        self._fail += 1
        self._errors[seq] = reason
        self._numbers.extend((seq, Outcome.FAIL, seq % self.partitions, NO_OFFSET, _now(), intended_ns))

    def _append_if_due(self) -> None:
        if _now() - self._appended_ns >= APPEND_EVERY_NS:
            self._append()

    def _append(self) -> None:
        """Write the ends learnt so far to the ledger."""
        self._appended_ns = _now()
        self._collect()
        unwritten, self._unwritten = self._unwritten, []
        self._ledgers.end(Ends.joined(unwritten))

    def _collect(self) -> None:
        """Take the ends that came: for the ledger, and for `fresh`."""
        if self._numbers:
            ends = Ends.of(self._numbers, self._errors)
            self._numbers, self._errors = array("q"), {}
            self._known += len(ends)
            self._unwritten.append(ends)
            self._untold.append(ends)


_now = time.monotonic_ns
