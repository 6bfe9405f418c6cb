"""Produce: messages to Kafka, idempotently, each counted when the brokers acknowledge it and not before."""

from __future__ import annotations

import logging
import time
from collections import Counter
from typing import TYPE_CHECKING, Final, TypeAlias

from confluent_kafka import KafkaException, Producer

from workloads.etl.transform import message_headers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from confluent_kafka import KafkaError
    from confluent_kafka import Message as Delivered

    from workloads.etl.transform import Message

    Report: TypeAlias = Callable[[KafkaError | None, Delivered], None]

_SERVE_EVERY: Final = 500


class KafkaUnusableError(RuntimeError):
    """Kafka can't be used; the message says why and what to do."""


def settings(
    bootstrap_servers: str, delivery_seconds: float, client: Mapping[str, str | int]
) -> dict[str, str | int | bool]:
    """What librdkafka is told; each one named differs from its default for the reason given."""
    return {
        "bootstrap.servers": bootstrap_servers,
        "client.id": "commodity-price-pipeline",
        "enable.idempotence": True,  # a retry neither doubles nor reorders; implies acks=all
        "acks": "all",
        "compression.type": "lz4",  # JSON shrinks to a quarter and the brokers' disks are shared
        "linger.ms": 5,
        "partitioner": "murmur2_random",  # the same key lands where Java's clients would put it
        "delivery.timeout.ms": int(delivery_seconds * 1000),
        **client,
    }


def connect(
    bootstrap_servers: str,
    topics: Iterable[str],
    start_seconds: float,
    delivery_seconds: float,
    client: Mapping[str, str | int],
) -> Producer:
    """A producer whose brokers answered and have all these topics; `client` is what every client is told.

    Raises:
        KafkaUnusableError: No broker answers within `start_seconds`, or a topic is missing.
    """
    producer = Producer(settings(bootstrap_servers, delivery_seconds, client), logger=logging.getLogger("librdkafka"))
    try:
        present = producer.list_topics(timeout=start_seconds).topics
    except KafkaException as error:
        raise KafkaUnusableError(
            f"Kafka at {bootstrap_servers} can't be reached ({error.args[0].str()}): check addresses and brokers."
        ) from None
    missing = sorted(set(topics) - set(present))
    if missing:
        raise KafkaUnusableError(f"Kafka at {bootstrap_servers} has no topic {', '.join(missing)}: create it first.")
    return producer


class Outlet:
    """One topic, written by one named producer with sequence numbers dense from 0."""

    def __init__(self, producer: Producer, topic: str, run_id: str, name: str) -> None:
        """Nothing is sent yet.

        Args:
            producer: The Kafka client, shared by outlets.
            topic: Where messages go.
            run_id: Value of the header `run-id`.
            name: Value of the header `producer`.
        """
        self._producer = producer
        self._topic = topic
        self._run_id = run_id
        self._name = name
        self._seq = 0
        self.acknowledged: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self._reports: dict[str, Report] = {}

    @property
    def sent(self) -> int:
        """How many messages were handed over."""
        return self._seq

    def send(self, messages: Iterable[Message]) -> None:
        """Hand messages over, waiting where the client's queue is full."""
        for message in messages:
            report = self._reports.get(message.commodity) or self._reports.setdefault(
                message.commodity, self._reporting(message.commodity)
            )
            while True:
                try:
                    self._producer.produce(
                        self._topic,
                        key=message.row_id,
                        value=message.value,
                        headers=message_headers(message, self._run_id, self._name, self._seq),
                        on_delivery=report,
                    )
                    break
                except BufferError:
                    self._producer.poll(0.1)
            self._seq += 1
            if self._seq % _SERVE_EVERY == 0:
                self._producer.poll(0.0)

    def _reporting(self, commodity: str) -> Report:
        def report(error: KafkaError | None, _message: Delivered) -> None:
            if error is None:
                self.acknowledged[commodity] += 1
            else:
                self.errors[error.name()] += 1

        return report


def drain(producer: Producer, seconds: float) -> int:
    """Wait until every message has its outcome, at most this long; how many have none."""
    end = time.monotonic() + seconds
    left = producer.flush(0.5)
    while left and time.monotonic() < end:
        left = producer.flush(0.5)
    return left
