"""What a check has counted so far: something that can be added up, so that a run of any size is counted in pieces.

A check looks at one shard at a time and gives a tally; the sum over all shards, in their order, is all that its
conclusion sees. Adding is associative, so it does not matter who counted what where: one process, several, or a
cluster of machines come to the same sum, and so to the same verdict, byte for byte.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Array = np.ndarray[Any, Any]

#: So many offenders are shown with a finding; the full list goes into a file beside the verdict.
EXAMPLES: Final = 10

#: What is gathered by producer and partition: the least of one column, the greatest of another.
_SPOTS: Final = {
    "seqs": ("seq", "seq"),
    "offsets": ("offset", "offset"),
    "seconds": ("sent_seconds", "until"),
}


@dataclass(frozen=True)
class Tally:
    """Counts of one check over some shards.

    Attributes:
        counts: Sums, by name.
        least: Minima, by name.
        most: Maxima, by name.
        bins: Histograms, by name: arrays of one length each, added up.
        edges: What has to be compared across the border between two shards, in the order of the shards.
        rows: The offenders, as columns; of a sum only the first `EXAMPLES`.
        total: How many offenders there are.
        spots: Offenders gathered by producer and partition (see `gathered`).
    """

    counts: Counter[str] = field(default_factory=Counter)
    least: Mapping[str, int] = field(default_factory=dict)
    most: Mapping[str, int] = field(default_factory=dict)
    bins: Mapping[str, Array] = field(default_factory=dict)
    edges: tuple[tuple[Any, ...], ...] = ()
    rows: pa.Table | None = None
    total: int = 0
    spots: pa.Table | None = None

    def __add__(self, other: Tally) -> Tally:
        """Both, this one's shards before the other's."""
        return Tally(
            counts=Counter({name: self.counts[name] + other.counts[name] for name in {**self.counts, **other.counts}}),
            least=_merged(self.least, other.least, min),
            most=_merged(self.most, other.most, max),
            bins={**self.bins, **{name: values + self.bins.get(name, 0) for name, values in other.bins.items()}},
            edges=self.edges + other.edges,
            rows=_stacked(self.rows, other.rows, EXAMPLES),
            total=self.total + other.total,
            spots=_regathered(_stacked(self.spots, other.spots)),
        )


def listed(columns: Mapping[str, Any], **counts: int) -> Tally:
    """A tally of offenders, given as columns of one length, and of counts."""
    rows = pa.table(dict(columns))
    if not rows.num_rows:
        return Tally(counts=Counter(counts))
    return Tally(counts=Counter(counts), rows=rows, total=rows.num_rows, spots=gathered(rows))


def gathered(rows: pa.Table) -> pa.Table | None:
    """Offenders by producer and partition: how many, and the least and greatest seq, offset and time of each group.

    Returns:
        Columns producer, partition, messages, and for each of `seqs`, `offsets` and `seconds` that the rows tell,
        `<name>_from` and `<name>_to`; None where rows have no producer and partition.
    """
    if not {"producer", "partition"} <= set(rows.column_names):
        return None
    if "ended_seconds" in rows.column_names:  # a send lasts until its end, where that was learnt
        rows = rows.append_column("until", pc.max_element_wise(rows["sent_seconds"], rows["ended_seconds"]))
    present = [(*column, name) for name, column in _SPOTS.items() if column[0] in rows.column_names]
    asked: list[Any] = [("producer", "count")]
    asked += [(column, how) for first, last, _ in present for column, how in ((first, "min"), (last, "max"))]
    found = rows.group_by(["producer", "partition"], use_threads=False).aggregate(asked)
    columns = {"producer": found["producer"], "partition": found["partition"], "messages": found["producer_count"]}
    for first, last, name in present:
        columns |= {f"{name}_from": found[f"{first}_min"], f"{name}_to": found[f"{last}_max"]}
    return pa.table(columns).sort_by([("producer", "ascending"), ("partition", "ascending")])


def _regathered(spots: pa.Table | None) -> pa.Table | None:
    """Groups that stand in several shards, as one each."""
    if spots is None:
        return None
    names = [name for name in spots.column_names if name not in {"producer", "partition", "messages"}]
    asked: list[Any] = [("messages", "sum"), *((name, "min" if name.endswith("_from") else "max") for name in names)]
    found = spots.group_by(["producer", "partition"], use_threads=False).aggregate(asked)
    columns = {"producer": found["producer"], "partition": found["partition"], "messages": found["messages_sum"]}
    columns |= {name: found[f"{name}_{'min' if name.endswith('_from') else 'max'}"] for name in names}
    return pa.table(columns).sort_by([("producer", "ascending"), ("partition", "ascending")])


def _stacked(first: pa.Table | None, second: pa.Table | None, most: int | None = None) -> pa.Table | None:
    tables = [table for table in (first, second) if table is not None]
    if not tables:
        return None
    stacked = pa.concat_tables(tables, promote_options="permissive") if len(tables) > 1 else tables[0]
    return stacked if most is None else stacked.slice(0, most)


def _merged(first: Mapping[str, int], second: Mapping[str, int], how: Any) -> dict[str, int]:
    return {**first, **{name: how(value, first.get(name, value)) for name, value in second.items()}}


def stacked(columns: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Columns of several groups of offenders, one group below the other."""
    names = columns[0].keys() if columns else ()
    return {name: np.concatenate([np.asarray(one[name]) for one in columns]) for name in names}
