"""Shards: pieces of a run that can be counted alone, so that a run of any length needs the memory of one piece.

There are two ways to cut. What is asked of *sends* (were they kept, once, whole, in order?) needs a range of seqs: the
attempts, their outcomes, and every record of the log that claims to be one of them, wherever it stands. What is asked
of *places* (does the sink have what the log has?) needs a range of offsets: log and sink there, whoever wrote it.
Either way each fact is in exactly one shard.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from assay.checks.columns import by_place, filled, joined
from assay.checks.finding import UndecidedError
from assay.checks.records import LOG_COLUMNS, SINK_COLUMNS, RecordNames, Records, records_of, rows_of
from assay.checks.sends import Sends, between, sends_of
from assay.ledger import SCHEMAS, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from assay.checks.history import History

    Array = np.ndarray[Any, Any]

_STOOD: Final = ("run_id", "producer", "seq", "partition", "offset", "payload_hash", "claimed_hash")
_ROWS: Final = ("index", "partition", "offset", "payload_hash", "claimed_hash")
_NOTHING: Final = np.empty(0, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Stood:
    """Where one producer's attempted sends of a shard stand in the log, by partition and offset.

    Attributes:
        index: The send's index into the arrays of its `Sends`.
        partition: Where the record stands.
        offset: Likewise.
        payload_hash: Hash of the value that was read.
        claimed_hash: The hash header; equal to `payload_hash` where there is none.
        copies: At how many places each send stands, one entry a send.
        row: The row above at which a send stands first, one entry a send; -1 where it stands nowhere.
    """

    index: Array
    partition: Array
    offset: Array
    payload_hash: Array
    claimed_hash: Array
    copies: Array
    row: Array

    @cached_property
    def once(self) -> Array:
        """A mask of the sends that stand in the log exactly once."""
        mask: Array = self.copies == 1
        return mask


class SendsShard:
    """The sends of all producers with seqs in one range, and the records of the log that claim to be them.

    Attributes:
        history: The run it is a part of.
        first: The first seq.
        last: The seq after the last one.
    """

    def __init__(self, history: History, first: int, last: int) -> None:
        """Name a part; it is read when it is first asked for."""
        self.history = history
        self.first = first
        self.last = last

    @cached_property
    def sends(self) -> tuple[Sends, ...]:
        """The sends, a producer each, in the order of `History.senders`."""
        return tuple(sends_of(sender, self.first, self.last) for sender in self.history.senders)

    @cached_property
    def stood(self) -> tuple[Stood, ...]:
        """Where they stand in the log, in the same order.

        Raises:
            UndecidedError: The log was not recorded.
        """
        history, names = self.history, RecordNames()
        parts = []
        for ledger in history.of("log"):
            # Rows without a seq are nobody's send: the bounds leave them out.
            for table in between(ledger, history.seq_bounds(ledger), self.first, self.last, _STOOD):
                rows = rows_of(table, names)
                own = names.runs.table({history.manifest.run_id: 1}, 0)[rows.pop("run")] == 1
                parts.append(rows if own.all() else {name: values[own] for name, values in rows.items()})
        if not parts:
            return tuple(_stood(sends, dict.fromkeys(_ROWS, _NOTHING)) for sends in self.sends)
        rows = joined(parts)
        rows["index"] = rows.pop("seq") - self.first
        senders = {sender.name: index for index, sender in enumerate(history.senders)}
        sender = names.producers.table(senders, -1)[rows.pop("producer")]
        return tuple(
            _stood(sends, {name: values[mine] for name, values in rows.items()})
            for index, sends in enumerate(self.sends)
            for mine in [np.flatnonzero(sender == index)]
        )

    def pairs(self) -> Iterator[tuple[Sends, Stood]]:
        """Each producer's sends, and where they stand."""
        return zip(self.sends, self.stood, strict=True)


def _stood(sends: Sends, rows: dict[str, Array]) -> Stood:
    inside = rows["index"] < len(sends.attempted)
    inside[inside] = sends.attempted[rows["index"][inside]]
    if not inside.all():
        rows = {name: values[inside] for name, values in rows.items()}
    order = by_place(rows["partition"], rows["offset"])
    if order is not None:
        rows = {name: values[order] for name, values in rows.items()}
    # One place counts once, even if two readings of it differ in their payload.
    again = np.zeros(len(rows["index"]), dtype=bool)
    again[1:] = (np.diff(rows["offset"]) == 0) & (np.diff(rows["partition"]) == 0) & (np.diff(rows["index"]) == 0)
    if again.any():
        seen = again.copy()
        seen[1:] &= rows["payload_hash"][1:] == rows["payload_hash"][:-1]  # a record that was merely read twice
        rows = {name: values[~seen] for name, values in rows.items()}
        again = again[~seen]
    index, size = rows["index"], len(sends.attempted)
    row = np.full(size, -1, dtype=np.int64)
    row[index[::-1]] = np.arange(len(index))[::-1]
    copies = np.bincount(index[~again] if again.any() else index, minlength=size)
    return Stood(**rows, copies=copies, row=row)


@dataclass(frozen=True, eq=False)
class Acks:
    """Acknowledged places: which send of which producer (index into `History.senders`) was acknowledged where."""

    partition: Array
    offset: Array
    sender: Array
    seq: Array


class LogShard:
    """The records of the log and the rows of the sink at one window of offsets of every partition.

    Attributes:
        history: The run it is a part of.
        window: The window's number.
    """

    def __init__(self, history: History, window: int) -> None:
        """Name a part; it is read when it is first asked for."""
        self.history = history
        self.window = window

    @cached_property
    def log(self) -> Records:
        """The records of the log.

        Raises:
            UndecidedError: The log was not recorded.
        """
        return self._records("log", LOG_COLUMNS)

    @cached_property
    def sink(self) -> Records:
        """The rows of the sink.

        Raises:
            UndecidedError: The sink was not recorded.
        """
        return self._records("sink", SINK_COLUMNS)

    @cached_property
    def sink_rows(self) -> Array:
        """For each row of the sink, the log row of its partition and offset; -1 where the log has none."""
        return self.log.find(self.sink.partition, self.sink.offset)

    @cached_property
    def delivered(self) -> Array:
        """For each row of the log, how often the sink, or the dead letters, have its partition and offset."""
        rows = self.sink_rows
        arrived = np.bincount(rows[rows >= 0], minlength=len(self.log))
        for number, offsets in self.history.dead_letters.items():
            found = self.log.find(np.full(len(offsets), number), offsets)
            arrived[found[found >= 0]] += 1
        return arrived

    @cached_property
    def acks(self) -> Acks:
        """The acknowledgements for places in this window. Read only where something is wrong: most shards need none."""
        windows = self.history.windows
        parts: list[tuple[Array, ...]] = []
        try:
            senders = self.history.senders
        except UndecidedError:
            senders = ()
        ranges = windows.of(self.window).values()
        least, most = min((low for low, _ in ranges), default=0), max((high for _, high in ranges), default=0)
        for index, sender in enumerate(senders):
            if sender.outcomes is None:
                continue
            for number, bounds in enumerate(sender.outcomes.bounds("offset")):
                if bounds is None or bounds[1] < least or bounds[0] >= most:
                    continue
                table = sender.outcomes.chunk(number, ("seq", "outcome", "partition", "offset"))
                partition, offset = table["partition"].to_numpy(), filled(table["offset"])
                mine = (table["outcome"].to_numpy() == Outcome.OK) & (offset >= 0)
                mine &= np.isin(partition, list(windows.bases))
                mine[mine] = windows.mask(self.window, partition[mine], offset[mine])
                seq = table["seq"].to_numpy()[mine]
                parts.append((partition[mine], offset[mine], np.full(len(seq), index), seq))
        if not parts:
            return Acks(*(np.empty(0, dtype=np.int64) for _ in range(4)))
        return Acks(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))

    def _records(self, kind: str, columns: Sequence[str]) -> Records:
        history = self.history
        windows = history.windows
        ranges = windows.of(self.window)
        parts = []
        for ledger, places in history.placed(kind):
            low, high = _ranges(places.partition, ranges)
            wanted = np.unique(places.chunk[(places.high >= low) & (places.low < high)])
            mixed = set(places.chunk[(places.low < low) | (places.high >= high)].tolist())
            for chunk in wanted.tolist():
                rows = rows_of(ledger.chunk(chunk, columns), self._names)
                if chunk in mixed:
                    mask = windows.mask(self.window, rows["partition"], rows["offset"])
                    rows = {name: values[mask] for name, values in rows.items()}
                parts.append(rows)
        if not parts:
            parts = [rows_of(SCHEMAS[kind].empty_table().select(list(columns)), self._names)]
        try:
            senders = {sender.name: index for index, sender in enumerate(history.senders)}
        except UndecidedError:
            senders = {}
        others = set(history.manifest.other_runs)
        return records_of(joined(parts), self._names, run_id=history.manifest.run_id, others=others, senders=senders)

    @cached_property
    def _names(self) -> RecordNames:
        return RecordNames()


def _ranges(partition: Array, ranges: dict[int, tuple[int, int]]) -> tuple[Array, Array]:
    """The window's offsets for each given partition."""
    table = np.zeros((max(ranges, default=-1) + 1, 2), dtype=np.int64)
    for number, bounds in ranges.items():
        table[number] = bounds
    found = table[partition]
    return found[:, 0], found[:, 1]


def sends_shards(history: History) -> list[tuple[int, int]]:
    """The ranges of seqs, each the first and the one after the last, that cover all sends.

    Raises:
        UndecidedError: Nothing was recorded of any.
    """
    size = max((sender.size for sender in history.senders), default=0)
    width = max(history.shard_rows // max(len(history.senders), 1), 1)
    return [(first, min(first + width, size)) for first in range(0, size, width)]
