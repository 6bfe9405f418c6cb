"""One sender of a load: its share of the messages, made, paced and sent by one thread.

It knows nothing of Locust: whoever drives it calls `turn` until nothing is left, then `finish`, always from one thread
at a time (librdkafka's callbacks run there).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from assay.errors import AssayError
from assay.kafka.producer import Counts, VerifiableProducer
from assay.pacing import Schedule
from assay.prices import PriceMessages

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from assay.kafka.ends import Ends

#: How long one turn lasts, so that whoever drives the sender can show progress and stop it, in nanoseconds.
TURN_NS: Final = 50_000_000


@dataclass(frozen=True)
class Orders:
    """What one sender is to do. `rate_per_second` 0: as fast as it goes. `folder` exists."""

    bootstrap: str
    topic: str
    partitions: int
    run_id: str
    producer: str
    messages: int
    rate_per_second: float
    batch_size: int
    seed: int
    observed_from: datetime
    folder: Path
    producer_settings: dict[str, str]


class Sender:
    """Carries out its orders."""

    def __init__(self, orders: Orders) -> None:
        """Open the ledgers and connect; the schedule starts with the first turn.

        Raises:
            AssayError: The ledgers exist already, or Kafka does not answer.
        """
        self.orders = orders
        self._producer = VerifiableProducer(
            orders.bootstrap,
            orders.topic,
            run_id=orders.run_id,
            producer=orders.producer,
            partitions=orders.partitions,
            folder=orders.folder,
            overrides=orders.producer_settings,
        )
        try:
            self._producer.connect()
        except AssayError:
            self._producer.close(0)
            raise
        self._prices = PriceMessages(orders.seed, orders.producer, orders.observed_from)
        self._schedule = Schedule(orders.messages, orders.rate_per_second, orders.batch_size)
        self._slots: Any = None
        self._abandoned = False
        self._finished = False

    @property
    def counts(self) -> Counts:
        """How many sends there were so far, by outcome."""
        return self._producer.counts

    @property
    def outstanding(self) -> int:
        """How many sends have no end yet."""
        return self._producer.outstanding

    @property
    def sent(self) -> bool:
        """Whether nothing is left to send, because all was sent or the rest was given up."""
        return self._finished or self._abandoned or self.counts.attempted == self.orders.messages

    def finish_early(self) -> None:
        """Begin no further batch: everything that was attempted is also handed over. Safe from any thread."""
        self._finished = True

    def abandon(self) -> None:
        """Send nothing more; safe from any thread."""
        self._abandoned = True
        self._producer.abandon()

    def turn(self) -> Ends:
        """Send for about `TURN_NS`; returns the sends whose ends were learnt meanwhile."""
        now = time.monotonic_ns()
        if self._slots is None:
            self._slots = self._schedule.slots(now)
        until = now + TURN_NS
        while not self.sent and time.monotonic_ns() < until:
            slot = next(self._slots, None)
            if slot is None:
                break
            messages = self._prices.take(slot.count)
            if slot.due_ns is not None:
                self._producer.serve_until(slot.due_ns)
            if self._finished or self._abandoned:
                break
            self._producer.send_batch(messages, slot.due_ns or time.monotonic_ns())
        return self._producer.fresh()

    def settle(self, seconds: float) -> Ends:
        """Wait for outstanding ends, for at most `seconds`; returns those that were learnt meanwhile."""
        self._producer.settle(seconds)
        return self._producer.fresh()

    def finish(self) -> Ends:
        """Close the ledgers; sends without an end are unknown from now on. Returns the last ends that were learnt."""
        self._producer.close(0)
        return self._producer.fresh()
