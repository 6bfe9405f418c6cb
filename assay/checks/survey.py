"""A first look over the ledgers: who sent, which offsets of which partitions stand where, and how to cut it all up.

The cut is by seq for what is asked of sends, and by offset for what is asked of places in the log, through all
producers and all partitions at once. It depends on nothing but the ledgers, so neither does anything that follows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from assay.ledger import Ledger

    Array = np.ndarray[Any, Any]

#: About so many sends, or places, are looked at together.
SHARD_ROWS: Final = 1 << 20
#: No array is made for a partition number beyond this: it is damage, not data.
MOST_PARTITIONS: Final = 1_000_000
#: A chunk that has far fewer rows of a partition than offsets between them is looked into before it is trusted.
_LOOSEST: Final = 4


@dataclass(frozen=True, eq=False)
class Places:
    """Which offsets stand in a ledger of the log or the sink: an entry for each partition of each chunk.

    Attributes:
        chunk: The chunk's number.
        partition: The partition.
        low: Its least offset there.
        high: Its greatest offset there.
        rows: How many rows it has there.
    """

    chunk: Array
    partition: Array
    low: Array
    high: Array
    rows: Array

    @property
    def possible(self) -> bool:
        """Whether every partition's number can be one."""
        return not len(self.partition) or bool(self.partition.min() >= 0 and self.partition.max() <= MOST_PARTITIONS)

    def spans(self) -> dict[int, tuple[int, int, int]]:
        """For each partition its least and greatest offset and how many rows it has."""
        return {
            number: (int(self.low[mine].min()), int(self.high[mine].max()), int(self.rows[mine].sum()))
            for number in np.unique(self.partition).tolist()
            for mine in [self.partition == number]
        }


def places_of(ledger: Ledger) -> Places:
    """Look a ledger of the log or the sink over."""
    entries: list[tuple[int, Array, Array, Array, Array]] = []
    for index in range(ledger.chunks):
        table = ledger.chunk(index, ("partition", "offset"))
        partition, offset = table["partition"].to_numpy(), table["offset"].to_numpy()
        order = np.argsort(partition, kind="stable")
        partition, offset = partition[order], offset[order]
        starts = np.flatnonzero(np.r_[True, np.diff(partition) != 0])
        low, high = np.minimum.reduceat(offset, starts), np.maximum.reduceat(offset, starts)
        entries.append((index, partition[starts], low, high, np.diff(np.r_[starts, len(offset)])))
    columns = [np.concatenate(parts) for parts in zip(*(entry[1:] for entry in entries), strict=True)]
    if not columns:
        columns = [np.empty(0, dtype=np.int64)] * 4
    chunk = np.repeat([entry[0] for entry in entries], [len(entry[1]) for entry in entries]).astype(np.int64)
    return Places(chunk, *columns)


@dataclass(frozen=True, eq=False)
class Windows:
    """The cut by offset: window `k` has, of each partition, `width` offsets from `base + k * width` on.

    Attributes:
        bases: The first offset of each partition.
        width: Offsets of one partition in one window.
        occupied: The windows that hold anything.
    """

    bases: Mapping[int, int]
    width: int
    occupied: Sequence[int]

    def of(self, window: int) -> dict[int, tuple[int, int]]:
        """The offsets of each partition in a window: the first, and the one after the last."""
        return {
            number: (base + window * self.width, base + (window + 1) * self.width)
            for number, base in self.bases.items()
        }

    def mask(self, window: int, partition: Array, offset: Array) -> Array:
        """Which of some places are in a window."""
        table = np.zeros(max(self.bases, default=-1) + 2, dtype=np.int64)
        for number, base in self.bases.items():
            table[number] = base + window * self.width
        low = table[partition]
        inside: Array = (offset >= low) & (offset - low < self.width)
        return inside


def windows_of(
    ledgers: Sequence[tuple[Ledger, Places]], ranges: Mapping[int, tuple[int, int]], rows: int = SHARD_ROWS
) -> Windows:
    """Cut the places of some ledgers up.

    Args:
        ledgers: Ledgers of the log and the sink.
        ranges: By partition, the offsets [start, end) that ought to be there.
        rows: About how many offsets a window has, over all partitions.
    """
    bases = {number: start for number, (start, _) in ranges.items()}
    for _, places in ledgers:
        for number, (low, _, _) in places.spans().items():
            bases[number] = min(bases.get(number, low), low)
    width = max(rows // max(len(bases), 1), 1)
    occupied: set[int] = set()
    total = sum(int(places.rows.sum()) for _, places in ledgers)
    for number, (start, end) in ranges.items():
        if start < end < start + _LOOSEST * (total + width):  # else that many records can't have been
            occupied.update(range((start - bases[number]) // width, (end - 1 - bases[number]) // width + 1))
    for ledger, places in ledgers:
        for index, number, low, high, count in zip(
            *(column.tolist() for column in (places.chunk, places.partition, places.low, places.high, places.rows)),
            strict=True,
        ):
            if high - low < _LOOSEST * (count + width):
                occupied.update(range((low - bases[number]) // width, (high - bases[number]) // width + 1))
            else:
                occupied.update(_exactly(ledger, index, number, bases[number], width))
    return Windows(bases, width, sorted(occupied))


def _exactly(ledger: Ledger, chunk: int, number: int, base: int, width: int) -> Iterator[int]:
    table = ledger.chunk(chunk, ("partition", "offset"))
    offsets = table["offset"].to_numpy()[table["partition"].to_numpy() == number]
    yield from np.unique((offsets - base) // width).tolist()
