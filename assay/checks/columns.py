"""Arrow columns as arrays: nulls as -1, names as codes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Sequence

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


def coded(column: Any) -> tuple[Array, list[str]]:
    """A dictionary column as codes (-1 for null and for the empty name) and names."""
    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], type=column.type)
    names = [name or "" for name in array.dictionary.to_pylist()]
    codes = pc.fill_null(array.indices, len(names)).to_numpy(zero_copy_only=False)
    places = np.array([code if name else -1 for code, name in enumerate(names)] + [-1], dtype=np.int32)
    return places[codes], names


def named(codes: Array, names: Sequence[str]) -> list[str]:
    """Codes as names, empty for -1."""
    return [names[code] if code >= 0 else "" for code in codes.tolist()]
