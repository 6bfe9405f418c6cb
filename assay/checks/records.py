"""Rows of the log or of the sink, sorted by partition and offset, and whose they are."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from assay.checks.columns import Names, by_place, filled, filled_from

if TYPE_CHECKING:
    from collections.abc import Mapping

    Array = np.ndarray[Any, Any]

#: The columns of a ledger that make records.
LOG_COLUMNS: Final = (
    *("partition", "offset", "leader_epoch", "run_id", "producer", "seq"),
    *("payload_hash", "claimed_hash"),
)
SINK_COLUMNS: Final = ("partition", "offset", "run_id", "producer", "seq", "payload_hash")


class Origin(IntEnum):
    """Whose a record is: of no run (the platform's own), of this run, of one named in the manifest, of a stranger."""

    NONE = 0
    OWN = 1
    OTHER = 2
    STRANGER = 3


@dataclass(frozen=True, eq=False)
class RecordNames:
    """The names of runs and producers that records bear; shared by log and sink, so that codes can be compared."""

    runs: Names = field(default_factory=Names)
    producers: Names = field(default_factory=Names)


@dataclass(frozen=True, eq=False)
class Records:
    """Rows of the log or of the sink, sorted by partition and offset.

    Attributes:
        partition: Kafka's partition.
        offset: Kafka's offset.
        origin: An `Origin`.
        sender: Index into `History.senders`; -1 where no attempt ledger has that producer's name, or it isn't this
            run's.
        seq: The seq header; -1 where there is none.
        payload_hash: Hash of the value that was read.
        claimed_hash: The hash header; equal to `payload_hash` where there is none.
        leader_epoch: -1 where unknown.
        run: Code into `names_of.runs`, -1 for none.
        producer: Code into `names_of.producers`, -1 for none.
        names_of: The names behind the codes.
        repeats: How often the reader saw one record (same partition, offset, producer and seq) again; left out above.
        conflicts: Row numbers that stand at the same partition and offset as the row before, with other contents.
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
    names_of: RecordNames
    repeats: int
    conflicts: Array

    def __len__(self) -> int:
        """How many rows."""
        return len(self.offset)

    @cached_property
    def slices(self) -> Mapping[int, slice]:
        """Where each partition's rows stand."""
        edges = np.flatnonzero(np.diff(self.partition)) + 1
        bounds = [0, *edges.tolist(), len(self)] if len(self) else []
        return {int(self.partition[first]): slice(first, last) for first, last in itertools.pairwise(bounds)}

    @cached_property
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

    def names(self, rows: Array) -> dict[str, Any]:
        """The columns that identify rows to a person."""
        return {
            "run": self.names_of.runs.column(self.run[rows]),
            "producer": self.names_of.producers.column(self.producer[rows]),
            "seq": self.seq[rows],
            "partition": self.partition[rows],
            "offset": self.offset[rows],
        }


def rows_of(table: Any, names: RecordNames) -> dict[str, Array]:
    """A table of the log or the sink as arrays; nulls are -1, a missing hash header is the value's own hash."""
    payload = table["payload_hash"].to_numpy()
    rows = {
        "partition": table["partition"].to_numpy(),
        "offset": table["offset"].to_numpy(),
        "run": names.runs.code(table["run_id"]),
        "producer": names.producers.code(table["producer"]),
        "seq": filled(table["seq"]),
        "payload_hash": payload,
    }
    if "claimed_hash" in table.column_names:
        rows["claimed_hash"] = filled_from(table["claimed_hash"], payload)
    if "leader_epoch" in table.column_names:
        rows["leader_epoch"] = filled(table["leader_epoch"])
    return rows


def records_of(
    rows: dict[str, Array], names: RecordNames, *, run_id: str, others: set[str], senders: Mapping[str, int]
) -> Records:
    """Rows of the log or the sink; `senders` gives the index of each producer with a ledger.

    The log's reader may see one record twice (same partition, offset, producer, seq and hash): that is its own affair,
    and the second sight is left out. Two different records at one offset are kept and named as a conflict. In the sink
    every row counts.
    """
    order = by_place(rows["partition"], rows["offset"])
    if order is not None:
        rows = {name: values[order] for name, values in rows.items()}
    is_log = "claimed_hash" in rows
    size = len(rows["offset"])
    rows.setdefault("claimed_hash", rows["payload_hash"])
    rows.setdefault("leader_epoch", np.full(size, -1, dtype=np.int32))
    repeats, conflicts = 0, np.empty(0, dtype=np.int64)
    if is_log:
        same = np.flatnonzero((np.diff(rows["partition"]) == 0) & (np.diff(rows["offset"]) == 0)) + 1
        alike = np.ones(len(same), dtype=bool)
        for name in ("run", "producer", "seq", "payload_hash"):
            alike &= rows[name][same] == rows[name][same - 1]
        repeats = int(np.count_nonzero(alike))
        if len(same):
            keep = np.ones(size, dtype=bool)
            keep[same[alike]] = False
            conflicts = np.cumsum(keep)[same[~alike]] - 1
            rows = {name: values[keep] for name, values in rows.items()} if repeats else rows
    kinds = {name: _origin(name, run_id, others) for name in names.runs.known}
    origin = names.runs.table(kinds, Origin.NONE).astype(np.int8)[rows["run"]]
    sender = names.producers.table(senders, -1)[rows["producer"]]
    sender[origin != Origin.OWN] = -1
    return Records(**rows, origin=origin, sender=sender, names_of=names, repeats=repeats, conflicts=conflicts)


def _origin(name: str, own: str, others: set[str]) -> Origin:
    if not name:
        return Origin.NONE
    if name == own:
        return Origin.OWN
    return Origin.OTHER if name in others else Origin.STRANGER
