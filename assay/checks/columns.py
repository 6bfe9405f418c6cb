"""Arrow columns as arrays: nulls as -1, names as codes; and rows in the order of their places."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Array = np.ndarray[Any, Any]


def filled(column: Any) -> Array:
    """A column of numbers, -1 for null."""
    values: Array = (pc.fill_null(column, -1) if column.null_count else column).to_numpy()
    return values


def filled_from(column: Any, fallback: Array) -> Array:
    """A column of numbers, with the fallback's own where it is null."""
    if not column.null_count:
        values: Array = column.to_numpy()
        return values
    valid = pc.is_valid(column).to_numpy()
    return np.where(valid, pc.fill_null(column, 0).to_numpy(), fallback)


class Names:
    """Names that stand for small numbers, which are the same in every table that they were used for.

    Attributes:
        known: The names, by their codes.
    """

    def __init__(self) -> None:
        """Know none."""
        self.known: list[str] = []
        self._codes: dict[str, int] = {}

    def code(self, column: Any) -> Array:
        """A dictionary column as codes; -1 for null and for the empty name."""
        parts = []
        for chunk in column.chunks:
            indices = chunk.indices
            table = np.array([self._of(name) for name in chunk.dictionary.to_pylist()] + [-1], dtype=np.int32)
            if indices.null_count:
                indices = pc.fill_null(indices, len(table) - 1)
            parts.append(table[indices.to_numpy(zero_copy_only=False)])
        return np.concatenate(parts) if parts else np.empty(0, dtype=np.int32)

    def column(self, codes: Array) -> Any:
        """Codes as a column of names, empty for -1."""
        table: Any = pa.array([*self.known, ""], pa.string())
        return table.take(pa.array(np.where(codes >= 0, codes, len(self.known))))

    def table(self, values: Mapping[str, int], stranger: int) -> Array:
        """A value for each code, by name; `stranger` for a name that has none, and for -1."""
        return np.array([*(values.get(name, stranger) for name in self.known), stranger], dtype=np.int32)

    def _of(self, name: str | None) -> int:
        if not name:
            return -1
        code = self._codes.get(name)
        if code is None:
            code = self._codes[name] = len(self.known)
            self.known.append(name)
        return code


def joined(parts: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    """Columns of several tables, one table below the other; at least one."""
    if len(parts) == 1:
        return dict(parts[0])
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def by_place(partition: Array, offset: Array) -> Array | None:
    """The order of rows by partition and offset; None where they are in it already. Equal places keep their order."""
    if _ordered(partition, offset):
        return None
    # Readers go through each partition in order: mostly it is enough to take the partitions apart.
    few = partition.astype(np.int16) if len(partition) and partition.max() < np.iinfo(np.int16).max else partition
    order = np.argsort(few, kind="stable")
    return order if _ordered(partition[order], offset[order]) else np.lexsort((offset, partition))


def _ordered(partition: Array, offset: Array) -> bool:
    step = np.diff(partition)
    return bool(np.all((step > 0) | ((step == 0) & (np.diff(offset) >= 0))))
