"""Who leads each partition, and which replicas are in sync, over time: a row when either changes.

The question goes to one broker, and to the next one when that does not answer. While brokers disagree (one of them cut
off from the others), answers may go back and forth: what is written is what was said.
"""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING, Final

from assay.errors import AssayError
from assay.kafka.admin import Admin
from assay.kafka.clients import SAMPLE_ANSWER_SECONDS
from assay.ledger import LedgerWriter
from assay.sampling import Sampling

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from assay.kafka.admin import PartitionFacts

SAMPLE_SECONDS: Final = 0.5


def changes(
    before: Mapping[int, PartitionFacts], now: Mapping[int, PartitionFacts]
) -> list[tuple[int, int | None, tuple[int, ...]]]:
    """The partitions whose leader or in-sync replicas differ, with both as they are now (pure).

    A partition that nobody knew before has changed; one that nobody knows any more has not.
    """
    return [
        (number, facts.leader, facts.in_sync)
        for number, facts in sorted(now.items())
        if number not in before or (facts.leader, facts.in_sync) != (before[number].leader, before[number].in_sync)
    ]


def sampler(bootstrap: str, topic: str, path: Path) -> Sampling:
    """A sampler that writes the ledger of leaders `path` while its context lasts; the first rows are the start.

    Raises:
        AssayError: There is no such topic, Kafka does not answer, or the file exists.
    """
    Admin(bootstrap).partitions(topic)
    addresses = itertools.cycle(bootstrap.split(","))
    admin = Admin(next(addresses), answer_seconds=SAMPLE_ANSWER_SECONDS)
    ledger = LedgerWriter(path, "leaders")
    known: dict[int, PartitionFacts] = {}

    def sample() -> None:
        nonlocal admin
        try:
            now = admin.partitions(topic)
        except AssayError:
            # A client goes on to ask the one broker that it is connected to, cut off or not, until it gives that up
            admin = Admin(next(addresses), answer_seconds=SAMPLE_ANSWER_SECONDS)
            raise
        changed = changes(known, now)
        if changed:
            numbers, led_by, in_sync = zip(*changed, strict=True)
            ledger.append(
                {
                    "at_ns": [time.monotonic_ns()] * len(changed),
                    "partition": numbers,
                    "leader": led_by,
                    "in_sync": in_sync,
                }
            )
            known.update(now)

    return Sampling("leader-sampler", sample, SAMPLE_SECONDS, ledger)
