"""What a send and a read cost, with the full ledger on, against a real cluster's topic.

    python benchmarks/kafka.py 127.0.0.1:9092 scratch-topic [messages]

The topic fills up: give one that nobody minds. Figures are of processor time where they can be (a busy machine spoils
wall time), and each setting is a ratio to the first line, so that machines compare.
"""

from __future__ import annotations

import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from assay.kafka.admin import Admin
from assay.kafka.producer import VerifiableProducer
from assay.kafka.reader import read_log
from assay.prices import PriceMessages

#: Overrides of the producer's settings, and the batch size.
CASES: Final[tuple[tuple[dict[str, str | int], int], ...]] = (
    ({}, 1000),
    ({}, 100),
    ({"linger.ms": 5}, 1000),
    ({"linger.ms": 50}, 1000),
    ({"compression.type": "none"}, 1000),
)


def send(
    bootstrap: str, topic: str, *, partitions: int, messages: int, size: int, overrides: dict[str, str | int]
) -> tuple[float, float]:
    """Send `messages` in batches of `size`; returns acknowledged ones a second, and microseconds of processor each."""
    with tempfile.TemporaryDirectory() as folder:
        producer = VerifiableProducer(
            bootstrap,
            topic,
            run_id="benchmark",
            producer="load-0",
            partitions=partitions,
            folder=Path(folder),
            overrides=overrides,
        )
        producer.connect()
        prices = PriceMessages(1, "load-0", datetime.now(UTC))
        began, busy = time.perf_counter(), time.process_time()
        for first in range(0, messages, size):
            producer.send_batch(prices.take(min(size, messages - first)), time.monotonic_ns())
        counts = producer.close(60)
        return counts.ok / (time.perf_counter() - began), (time.process_time() - busy) / messages * 1e6


def main() -> None:
    """Print one line a case."""
    bootstrap, topic, *rest = sys.argv[1:]
    messages = int(rest[0]) if rest else 200_000
    admin = Admin(bootstrap)
    before = admin.watermarks(topic)
    base = None
    for overrides, size in CASES:
        rate, cost = send(bootstrap, topic, partitions=len(before), messages=messages, size=size, overrides=overrides)
        base = base or cost
        what = ", ".join(f"{name}={value}" for name, value in overrides.items()) or "as shipped"
        sys.stdout.write(f"send {what}, batches of {size}: {rate:,.0f}/s, {cost:.1f} us each, x{cost / base:.2f}\n")
    ranges = {number: (before[number][1], end) for number, (_, end) in admin.watermarks(topic).items()}
    with tempfile.TemporaryDirectory() as folder:
        began, busy = time.perf_counter(), time.process_time()
        count = read_log(bootstrap, topic, ranges, Path(folder) / "log.arrows")
        spent, used = time.perf_counter() - began, time.process_time() - busy
    sys.stdout.write(f"read: {count / spent:,.0f}/s, {used / count * 1e6:.1f} us each\n")


if __name__ == "__main__":
    main()
