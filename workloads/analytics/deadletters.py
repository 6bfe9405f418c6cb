"""Dead letters: poison messages go to a topic of their own, unchanged, with why and where they were found.

A letter counts as sent when the brokers acknowledged it; `settle` waits for that, and offsets are committed only after.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Final

import structlog
from confluent_kafka import KafkaError, KafkaException, Producer

from workloads import headers

if TYPE_CHECKING:
    from confluent_kafka import Message

    from workloads.analytics.decode import Header, Reason
    from workloads.analytics.settings import ClientSettings

#: Only where the broker refuses the whole message for its size: how long the value was that had to be left out.
VALUE_OMITTED: Final = "dlq-value-omitted"
_SETTLE_SECONDS: Final = 35.0


class DeadLettersError(RuntimeError):
    """Dead letters could not be delivered; the message says why."""


class DeadLetters:
    """The dead-letter topic's writer."""

    def __init__(self, settings: ClientSettings, topic: str) -> None:
        """Make the producer; nothing is sent yet."""
        self._producer = Producer(settings, logger=logging.getLogger("librdkafka"))
        self._topic = topic
        self._failed: KafkaError | None = None

    def send(self, message: Message, reason: Reason) -> None:
        """Hand a poison message over."""
        found = message.headers() or []
        kept: list[Header] = list(found.items()) if isinstance(found, dict) else list(found)
        kept += [
            (headers.DLQ_REASON, reason.value.encode()),
            (headers.DLQ_TOPIC, str(message.topic()).encode()),
            (headers.DLQ_PARTITION, b"%d" % (message.partition() or 0)),
            (headers.DLQ_OFFSET, b"%d" % (message.offset() or 0)),
        ]
        self._produce(message.key(), message.value(), kept)

    def settle(self) -> None:
        """Wait until every letter is acknowledged.

        Raises:
            DeadLettersError: One is not, for good or for too long.
        """
        end = time.monotonic() + _SETTLE_SECONDS
        while self._producer.flush(0.5):
            if time.monotonic() > end:
                raise DeadLettersError(f"Dead letters are not acknowledged by {self._topic}: check Kafka's brokers.")
        if self._failed is not None:
            raise DeadLettersError(f"A dead letter can't be written to {self._topic}: {self._failed.str()}.")

    def _produce(self, key: bytes | str | None, value: bytes | str | None, kept: list[Header]) -> None:
        def report(error: KafkaError | None, _: Message) -> None:
            if error is None:
                return
            if error.code() == KafkaError.MSG_SIZE_TOO_LARGE and value is not None:
                self._omit_value(key, value, kept)
            else:
                self._failed = error

        while True:
            try:
                self._producer.produce(self._topic, key=key, value=value, headers=kept, on_delivery=report)
            except BufferError:
                self._producer.poll(0.1)
            except KafkaException as problem:
                if problem.args[0].code() != KafkaError.MSG_SIZE_TOO_LARGE or value is None:
                    raise
                self._omit_value(key, value, kept)
                return
            else:
                self._producer.poll(0.0)
                return

    def _omit_value(self, key: bytes | str | None, value: bytes | str, kept: list[Header]) -> None:
        structlog.get_logger().error("deadletter.value_omitted", topic=self._topic, bytes=len(value))
        self._produce(key, None, [*kept, (VALUE_OMITTED, b"%d" % len(value))])
