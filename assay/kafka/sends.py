"""The two ledgers of one producer: what was attempted, on disk before librdkafka sees it, and how it ended."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from assay.kafka.ends import NO_OFFSET
from assay.ledger import LedgerWriter

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from assay.kafka.ends import Ends


class SendLedgers:
    """Writes `attempts.<producer>.arrows` and `outcomes.<producer>.arrows`."""

    def __init__(self, folder: Path, producer: str) -> None:
        """Create both files in `folder`, which exists.

        Raises:
            AssayError: One exists already.
        """
        self._attempts = LedgerWriter(folder / f"attempts.{producer}.arrows", "attempts", producer)
        self._outcomes = LedgerWriter(folder / f"outcomes.{producer}.arrows", "outcomes", producer)

    def attempt(self, first: int, partitions: int, intended_ns: int, digests: Sequence[bytes]) -> None:
        """Write down that sends are about to be handed over; they are on disk when this returns.

        Args:
            first: The seq of the first one; the others follow.
            partitions: How many partitions they go to in turn: seq modulo this.
            intended_ns: When the schedule wanted them sent.
            digests: The payload hash of each, 8 bytes.
        """
        count = len(digests)
        seqs = np.arange(first, first + count, dtype=np.int64)
        self._attempts.append(
            {
                "seq": seqs,
                "partition": (seqs % partitions).astype(np.int32),
                "intended_ns": np.full(count, intended_ns, dtype=np.int64),
                "sent_ns": np.full(count, time.monotonic_ns(), dtype=np.int64),
                "payload_hash": np.frombuffer(b"".join(digests), dtype=">u8").astype(np.uint64),
            }
        )

    def end(self, ends: Ends) -> None:
        """Write down how sends ended; it is on disk when this returns."""
        if not len(ends):
            return
        errors = [ends.errors.get(seq) for seq in ends.seq.tolist()] if ends.errors else pa.nulls(len(ends))
        self._outcomes.append(
            {
                "seq": ends.seq,
                "outcome": ends.outcome.astype(np.int8),
                "partition": ends.partition.astype(np.int32),
                "offset": pa.array(ends.offset, mask=ends.offset == NO_OFFSET),
                "ended_ns": ends.ended_ns,
                "error": pc.dictionary_encode(pa.array(errors, pa.string())),
            }
        )

    def close(self) -> None:
        """Write the end marks."""
        self._attempts.close()
        self._outcomes.close()
