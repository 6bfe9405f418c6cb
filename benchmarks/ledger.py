"""What the ledger costs: unpaced throughput of the verifiable producer with it and without it, in turns, in one run.

    python benchmarks/ledger.py [--bootstrap HOST:PORT,... --topic SCRATCH] [--messages 200000] [--rounds 7]

Without --bootstrap the brokers are librdkafka's own mock cluster, in this very process: they take processor from the
sender, so the ratio flatters nobody. With it the topic fills up: give one that nobody minds.

`without` sends the same messages with the same headers and hashes, and keeps no ledger at all. `bare` is librdkafka
alone: the same values and keys, no headers, and a callback that counts. A ratio is of two neighbours in time, so that a
busy machine spoils few of them. What a busy machine can't spoil is the last line: the share of the sending thread's
processor time that goes into the ledger's own calls, out of the same run.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from confluent_kafka import Producer

from assay.kafka import clients
from assay.kafka.admin import Admin
from assay.kafka.producer import SETTINGS, VerifiableProducer
from assay.kafka.sends import SendLedgers
from assay.prices import PriceMessages

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from assay.kafka.ends import Ends

    Messages = Sequence[tuple[bytes, bytes]]

BATCH: Final = 1000
#: The ledger may cost this share of unpaced throughput.
GOAL: Final = 0.10


class TimedLedgers(SendLedgers):
    """Keeps everything, and how long the sending thread worked at it, in seconds of processor time."""

    def __init__(self, folder: Path, producer: str) -> None:
        """Nothing was spent yet."""
        super().__init__(folder, producer)
        self.spent = 0.0

    def attempt(self, first: int, partitions: int, intended_ns: int, digests: Sequence[bytes]) -> None:
        """Write it down."""
        began = time.thread_time()
        super().attempt(first, partitions, intended_ns, digests)
        self.spent += time.thread_time() - began

    def end(self, ends: Ends) -> None:
        """Write it down."""
        began = time.thread_time()
        super().end(ends)
        self.spent += time.thread_time() - began


class NoLedgers(TimedLedgers):
    """Keeps nothing."""

    def __init__(self, folder: Path, producer: str) -> None:  # noqa: ARG002  # opened like any ledgers
        """Make no file."""
        self.spent = 0.0

    def attempt(self, first: int, partitions: int, intended_ns: int, digests: Sequence[bytes]) -> None:
        """Forget it."""

    def end(self, ends: Ends) -> None:
        """Forget it."""

    def close(self) -> None:
        """There is nothing."""


class Figure(NamedTuple):
    """Acknowledged messages a second; the sending thread's time for each, in us; the ledger's share of that time."""

    rate: float
    cost: float
    share: float


class Brokers(NamedTuple):
    """Where to send, and librdkafka's settings for it."""

    bootstrap: str
    topic: str
    partitions: int
    settings: dict[str, str | int]


def verifiable(brokers: Brokers, messages: Messages, kind: type[TimedLedgers]) -> Figure:
    """Send all messages with the verifiable producer."""
    opened: list[TimedLedgers] = []

    def ledgers(folder: Path, producer: str) -> SendLedgers:
        opened.append(kind(folder, producer))
        return opened[0]

    with tempfile.TemporaryDirectory() as folder:
        producer = VerifiableProducer(
            brokers.bootstrap,
            brokers.topic,
            run_id="benchmark",
            producer="load-0",
            partitions=brokers.partitions,
            folder=Path(folder),
            overrides=brokers.settings,
            ledgers=ledgers,
        )
        producer.connect()
        began, busy = time.perf_counter(), time.thread_time()
        for first in range(0, len(messages), BATCH):
            producer.send_batch(messages[first : first + BATCH], time.monotonic_ns())
            producer.fresh()  # as the load does
        counts = producer.close(60)
        spent, used = time.perf_counter() - began, time.thread_time() - busy
    if counts.ok != len(messages):
        raise SystemExit(f"Only {counts.ok:,} of {len(messages):,} messages were acknowledged: this measures nothing.")
    return Figure(counts.ok / spent, used / len(messages) * 1e6, opened[0].spent / used)


def bare(brokers: Brokers, messages: Messages) -> Figure:
    """Send all messages with librdkafka alone."""
    producer = Producer(clients.settings(brokers.bootstrap, SETTINGS, brokers.settings))
    producer.list_topics(brokers.topic, clients.ANSWER_SECONDS)
    acknowledged = 0

    def count(error: Any, _: Any) -> None:
        nonlocal acknowledged
        acknowledged += error is None

    began, busy = time.perf_counter(), time.thread_time()
    for number, (key, value) in enumerate(messages):
        while True:
            try:
                producer.produce(brokers.topic, value, key, number % brokers.partitions, count)
            except BufferError:
                producer.poll(0.02)
            else:
                break
        if number % 200 == 0:
            producer.poll(0)
    producer.flush(60)
    spent, used = time.perf_counter() - began, time.thread_time() - busy
    return Figure(acknowledged / spent, used / len(messages) * 1e6, 0.0)


def spread(figures: Sequence[float], form: str) -> str:
    """Least, median and most."""
    return " / ".join(form.format(value) for value in (min(figures), statistics.median(figures), max(figures)))


def main() -> None:
    """Print what each way costs, and the ledger's share."""
    parser = argparse.ArgumentParser(description="What the ledger costs of unpaced throughput.")
    parser.add_argument("--bootstrap", help="real brokers; without it librdkafka's mock cluster")
    parser.add_argument("--topic", default="benchmark", help="a topic that nobody minds")
    parser.add_argument("--messages", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=7)
    asked = parser.parse_args()
    brokers = (
        Brokers(asked.bootstrap, asked.topic, len(Admin(asked.bootstrap).partitions(asked.topic)), {})
        if asked.bootstrap
        else Brokers("127.0.0.1:1", asked.topic, 3, {"test.mock.num.brokers": 3})
    )
    messages = PriceMessages(1, "load-0", datetime.now(UTC)).take(asked.messages)
    ways: dict[str, Callable[[], Figure]] = {
        "with": lambda: verifiable(brokers, messages, TimedLedgers),
        "without": lambda: verifiable(brokers, messages, NoLedgers),
        "bare": lambda: bare(brokers, messages),
    }
    ways["with"]()  # the first one warms up, and does not count
    figures: dict[str, list[Figure]] = {name: [] for name in ways}
    for turn in range(asked.rounds):
        for name in list(ways) if turn % 2 else reversed(ways):  # so that neither always comes first
            figures[name].append(ways[name]())
    write = sys.stdout.write
    write(f"{asked.messages:,} messages, {asked.rounds} rounds; least / median / most\n")
    for name, found in figures.items():
        rates = spread([one.rate for one in found], "{:,.0f}")
        write(f"{name:>8}: {rates} messages/s; {spread([one.cost for one in found], '{:.1f}')} us each\n")
    ratios = [kept.rate / left.rate for kept, left in zip(figures["with"], figures["without"], strict=True)]
    write(f"throughput with the ledger, of that without: {spread(ratios, '{:.3f}')}\n")
    lost = 1 - statistics.median(ratios)
    write(f"The ledger costs {lost:.1%} of unpaced throughput; the goal is at most {GOAL:.0%}.\n")
    write(
        f"the ledger's share of the sending thread's time: {spread([one.share for one in figures['with']], '{:.1%}')}\n"
    )


if __name__ == "__main__":
    main()
