"""Sealed ledgers: what was recorded as a stream, rewritten as a Parquet file once the recording is over.

A stream survives the death of its writer, and that is all it is good at. A sealed ledger is a third of its size, has
the least and the greatest value of each chunk in its footer, so that the judge finds what it looks for without reading
the rest, and can be opened by whoever wants to check the judge (DuckDB, Polars, Spark, pandas). Rows, their order and
what the stream said of itself stay the same; whether it had its end mark is kept as `assay.complete`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from assay import ledger
from assay.errors import AssayError
from assay.ledger import CHUNK_ROWS, Ledger

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

#: How ledgers' file names end: sealed, and while they are recorded.
SEALED: Final = ".parquet"
STREAM: Final = ".arrows"
_COMPLETE: Final = "assay.complete"


class Sealed(Ledger):
    """A ledger in a Parquet file, one row group a chunk.

    Attributes:
        path: The file.
    """

    def __init__(self, path: Path, kind: str, producer: str, rows: int, *, complete: bool) -> None:
        """Name the file; it is opened when it is first looked into, also in another process."""
        super().__init__(kind, producer, rows, complete=complete)
        self.path = path

    def chunk(self, index: int, columns: Sequence[str]) -> pa.Table:
        """The rows of one chunk, with these columns."""
        return _file(self.path).read_row_group(index, columns=list(columns), use_threads=False)

    def bounds(self, column: str) -> list[tuple[int, int] | None]:
        """The least and the greatest value of a column of numbers in each chunk, by the file's footer."""
        metadata = _file(self.path).metadata
        place = metadata.schema.to_arrow_schema().names.index(column)
        found: list[Any] = [metadata.row_group(index).column(place).statistics for index in range(self.chunks)]
        return [(one.min, one.max) if one is not None and one.has_min_max else None for one in found]


def read(path: Path) -> Sealed:
    """Open a sealed ledger.

    Raises:
        AssayError: The file is missing, is no ledger, or is of a schema version that this release does not know.
    """
    _file.cache_clear()
    try:
        file = _file(path)
        schema, metadata = file.schema_arrow, file.metadata
    except FileNotFoundError:
        raise AssayError(f"The ledger {path} is missing: the evidence folder is not whole.") from None
    except (pa.ArrowInvalid, OSError) as error:
        raise AssayError(f"The file {path} is not a readable ledger ({error}): the evidence is damaged.") from None
    kind, producer = ledger.identity(path, schema)
    complete = (metadata.metadata or {}).get(_COMPLETE.encode()) == b"true"
    sealed = Sealed(path, kind, producer, metadata.num_rows, complete=complete)
    full = [metadata.row_group(index).num_rows == CHUNK_ROWS for index in range(metadata.num_row_groups)]
    if len(full) != sealed.chunks or not all(full[:-1]):
        raise AssayError(f"The ledger {path} is not in the chunks of a sealed one: the evidence is damaged.")
    return sealed


def seal(stream: Path) -> Path:
    """Rewrite a ledger's stream as a sealed file beside it, and remove the stream; returns the new file.

    Memory is bounded by one chunk. An interrupted call leaves the stream, and can be made again.

    Raises:
        AssayError: The stream can't be read; it is left as it is.
    """
    recorded = ledger.Stream(stream)
    target = stream.with_suffix(SEALED)
    draft = target.with_suffix(".draft")
    with pq.ParquetWriter(draft, recorded.schema, **_layout(recorded.schema)) as writer:
        waiting: list[pa.RecordBatch] = []
        for batch in recorded:
            waiting.append(batch)
            while sum(len(one) for one in waiting) >= CHUNK_ROWS:
                table = pa.Table.from_batches(waiting).unify_dictionaries()
                writer.write_table(table.slice(0, CHUNK_ROWS), row_group_size=CHUNK_ROWS)
                waiting = table.slice(CHUNK_ROWS).to_batches()
        if any(len(batch) for batch in waiting):
            writer.write_table(pa.Table.from_batches(waiting).unify_dictionaries(), row_group_size=CHUNK_ROWS)
        writer.add_key_value_metadata({_COMPLETE: str(recorded.complete).lower()})
    draft.replace(target)
    stream.unlink()
    return target


def _layout(schema: pa.Schema) -> dict[str, Any]:
    """How columns are written. Offsets, seqs and times grow by small steps: delta-packed they are a tenth, and fast."""
    numbers = [field.name for field in schema if pa.types.is_signed_integer(field.type)]
    return {
        "use_dictionary": [field.name for field in schema if pa.types.is_dictionary(field.type)],
        "column_encoding": {name: "DELTA_BINARY_PACKED" for name in numbers if schema.field(name).type.bit_width > 8},  # noqa: PLR2004  # the encoding knows 32 and 64 bits
        "compression": {field.name: "zstd" for field in schema if not pa.types.is_integer(field.type)},
    }


@lru_cache(maxsize=256)
def _file(path: Path) -> pq.ParquetFile:
    """A file whose footer was read, kept open."""
    return pq.ParquetFile(path)
