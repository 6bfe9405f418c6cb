"""Rows of the log or of the sink, sorted by partition and offset, and whose they are."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from assay.checks.columns import coded, filled, filled_from, named
from assay.checks.finding import UndecidedError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Array = np.ndarray[Any, Any]

#: No array is made for a partition number beyond this: it is damage, not data.
MOST_PARTITIONS: Final = 1_000_000


class Origin(IntEnum):
    """Whose a record is: of no run (the platform's own), of this run, of one named in the manifest, of a stranger."""

    NONE = 0
    OWN = 1
    OTHER = 2
    STRANGER = 3


@dataclass(frozen=True, eq=False)
class Records:
    """Rows of the log or of the sink, sorted by partition and offset.

    Attributes:
        partition: Kafka's partition.
        offset: Kafka's offset.
        origin: An `Origin`.
        sender: Index into `History.sends`; -1 where no attempt ledger has that producer's name, or it isn't this run's.
        seq: The seq header; -1 where there is none.
        payload_hash: Hash of the value that was read.
        claimed_hash: The hash header; equal to `payload_hash` where there is none.
        leader_epoch: -1 where unknown.
        run: Code into `runs`, -1 for none.
        producer: Code into `producers`, -1 for none.
        runs: Names of runs.
        producers: Names of producers.
        repeats: How often the reader saw one record (same partition, offset, producer and seq) again; left out above.
        conflicts: Row numbers that stand at the same partition and offset as the row before, with other contents.
        whole: Whether the ledger was closed properly.
    """

    partition: Array
    offset: Array
    origin: Array
    sender: Array
    seq: Array
    payload_hash: Array
    claimed_hash: Array
    leader_epoch: Array
    run: Array
    producer: Array
    runs: Sequence[str]
    producers: Sequence[str]
    repeats: int
    conflicts: Array
    whole: bool

    def __len__(self) -> int:
        """How many rows."""
        return len(self.offset)

    @cached_property
    def slices(self) -> Mapping[int, slice]:
        """Where each partition's rows stand."""
        edges = np.flatnonzero(np.diff(self.partition)) + 1
        bounds = [0, *edges.tolist(), len(self)] if len(self) else []
        return {int(self.partition[first]): slice(first, last) for first, last in itertools.pairwise(bounds)}

    @property
    def known(self) -> Array:
        """A mask of this run's records and those of the runs named in the manifest."""
        mask: Array = (self.origin == Origin.OWN) | (self.origin == Origin.OTHER)
        return mask

    def find(self, partition: Array, offset: Array) -> Array:
        """The first row that stands at each (partition, offset); -1 where none does."""
        found = np.full(len(offset), -1, dtype=np.int64)
        for number, where in self.slices.items():
            asked = np.flatnonzero(partition == number)
            offsets = self.offset[where]
            if offsets[-1] - offsets[0] + 1 == len(offsets):  # the usual case: no hole, so the place is computed
                place = offset[asked] - offsets[0]
                hit = (place >= 0) & (place < len(offsets))
            else:
                place = np.searchsorted(offsets, offset[asked])
                hit = place < len(offsets)
                hit[hit] = offsets[place[hit]] == offset[asked][hit]
            found[asked[hit]] = place[hit] + where.start
        return found

    def names(self, rows: Array) -> dict[str, list[Any]]:
        """The columns that identify rows to a person."""
        return {
            "run": named(self.run[rows], self.runs),
            "producer": named(self.producer[rows], self.producers),
            "seq": self.seq[rows].tolist(),
            "partition": self.partition[rows].tolist(),
            "offset": self.offset[rows].tolist(),
        }


def records_of(table: Any, *, whole: bool, run_id: str, others: set[str], senders: Mapping[str, int]) -> Records:
    """The rows of a ledger of the log or the sink; `senders` gives the index of each producer with a ledger.

    The log's reader may see one record twice (same partition, offset, producer, seq and hash): that is its own affair,
    and the second sight is left out. Two different records at one offset are kept and named as a conflict. In the sink
    every row counts.

    Raises:
        UndecidedError: A row names an impossible partition.
    """
    partition, offset = table["partition"].to_numpy(), table["offset"].to_numpy()
    if len(partition) and (partition.min() < 0 or partition.max() > MOST_PARTITIONS):
        raise UndecidedError("a ledger names impossible partitions")
    step = np.diff(partition)
    if not np.all((step > 0) | ((step == 0) & (np.diff(offset) >= 0))):
        order = np.lexsort((offset, partition))
        table = table.take(pa.array(order)).combine_chunks()
        partition, offset = partition[order], offset[order]
    run, runs = coded(table["run_id"])
    producer, producers = coded(table["producer"])
    origin = np.array([*(_origin(name, run_id, others) for name in runs), Origin.NONE], dtype=np.int8)[run]
    sender = np.array([*(senders.get(name, -1) for name in producers), -1], dtype=np.int32)[producer]
    payload_hash = filled_from(table["payload_hash"], np.zeros(len(offset), dtype=np.uint64))
    is_log = "claimed_hash" in table.column_names
    columns = {
        "partition": partition,
        "offset": offset,
        "origin": origin,
        "sender": np.where(origin == Origin.OWN, sender, -1),
        "seq": filled(table["seq"]),
        "payload_hash": payload_hash,
        "claimed_hash": filled_from(table["claimed_hash"], payload_hash) if is_log else payload_hash,
        "leader_epoch": filled(table["leader_epoch"]) if is_log else np.full(len(offset), -1, dtype=np.int32),
        "run": run,
        "producer": producer,
    }
    same = np.flatnonzero((np.diff(partition) == 0) & (np.diff(offset) == 0)) + 1 if is_log else partition[:0]
    alike = np.ones(len(same), dtype=bool)
    for name in ("run", "producer", "seq", "payload_hash"):
        alike &= columns[name][same] == columns[name][same - 1]
    keep = np.ones(len(offset), dtype=bool)
    keep[same[alike]] = False
    if alike.any():
        columns = {name: values[keep] for name, values in columns.items()}
    return Records(
        **columns,
        runs=runs,
        producers=producers,
        repeats=int(np.count_nonzero(alike)),
        conflicts=np.cumsum(keep)[same[~alike]] - 1,
        whole=whole,
    )


def _origin(name: str, own: str, others: set[str]) -> Origin:
    if not name:
        return Origin.NONE
    if name == own:
        return Origin.OWN
    return Origin.OTHER if name in others else Origin.STRANGER
