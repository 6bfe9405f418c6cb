"""Ledgers: facts about a run, recorded as they happen and never interpreted while they are recorded.

A ledger is an Arrow IPC *stream* on disk, appended one record batch at a time: whatever was appended before its writer
was killed can be read back, and a torn tail is noticed and said (`Recorded.complete`). The kind, the schema version
and, for a producer's ledgers, the producer's name are in the schema's metadata, so that a file explains itself.

All times are nanoseconds of one observer's monotonic clock (`CLOCK_MONOTONIC`, shared by the processes of one machine),
except `timestamp_ms`, which is the broker's own wall clock. Payload hashes are BLAKE2b with an 8-byte digest, as an
unsigned 64-bit number. Offsets and times that do not exist are null.

A send is two facts: that it was attempted (written before librdkafka sees the message) and how it ended. An attempt
with no outcome is an `unknown` send: neither loss nor proof (Jepsen's `info`).
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final, Self

import pyarrow as pa
import pyarrow.compute as pc

from assay.errors import AssayError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

SCHEMA_VERSION: Final = 2
_NAME = pa.dictionary(pa.int32(), pa.string())


class Outcome(IntEnum):
    """How a send ended: acknowledged; certainly not written; or nobody can know (librdkafka's POSSIBLY_PERSISTED)."""

    OK = 0
    FAIL = 1
    UNKNOWN = 2


#: One row a send attempt, in seq order. `seq` is dense from 0; `partition` is the one asked for.
ATTEMPTS: Final = pa.schema(
    [
        pa.field("seq", pa.int64(), nullable=False),
        pa.field("partition", pa.int32(), nullable=False),
        pa.field("intended_ns", pa.int64(), nullable=False),
        pa.field("sent_ns", pa.int64(), nullable=False),
        pa.field("payload_hash", pa.uint64(), nullable=False),
    ]
)
#: One row an ended send, in the order in which the ends were learnt.
OUTCOMES: Final = pa.schema(
    [
        pa.field("seq", pa.int64(), nullable=False),
        pa.field("outcome", pa.int8(), nullable=False),
        pa.field("partition", pa.int32(), nullable=False),
        pa.field("offset", pa.int64()),
        pa.field("ended_ns", pa.int64(), nullable=False),
        pa.field("error", _NAME),
    ]
)
#: One row a record of the topic, as a fresh group-less reader saw it, by partition and offset.
#: `payload_hash` is computed by the reader from the value; `claimed_hash` is what the record's header says.
LOG: Final = pa.schema(
    [
        pa.field("partition", pa.int32(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("timestamp_ms", pa.int64(), nullable=False),
        pa.field("leader_epoch", pa.int32()),
        pa.field("run_id", _NAME),
        pa.field("producer", _NAME),
        pa.field("seq", pa.int64()),
        pa.field("payload_hash", pa.uint64(), nullable=False),
        pa.field("claimed_hash", pa.uint64()),
    ]
)
#: One row a row of the sink, read back from the sink itself.
SINK: Final = pa.schema(
    [
        pa.field("partition", pa.int32(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("run_id", _NAME),
        pa.field("producer", _NAME),
        pa.field("seq", pa.int64()),
        pa.field("payload_hash", pa.uint64(), nullable=False),
    ]
)
#: One row a partition a sample: the broker's end offset and the group's committed offset (null: none yet).
LAG: Final = pa.schema(
    [
        pa.field("at_ns", pa.int64(), nullable=False),
        pa.field("partition", pa.int32(), nullable=False),
        pa.field("end_offset", pa.int64(), nullable=False),
        pa.field("committed_offset", pa.int64()),
    ]
)
#: One row a row that the ETL extracted: where it was found afterwards.
ETL: Final = pa.schema(
    [
        pa.field("run_id", _NAME, nullable=False),
        pa.field("row_id", pa.string(), nullable=False),
        pa.field("fate", _NAME, nullable=False),  # topic | rejects
        pa.field("reason", _NAME),
        pa.field("commodity", _NAME),
        pa.field("synthetic", pa.bool_()),
        pa.field("partition", pa.int32(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
    ]
)
#: One row a partition of an event that a consumer logged of itself, in the order of its log.
#: `n` numbers the events of one instance (one process) densely from 0, so that a missing line is noticed; `at_ns` is
#: the instance's own monotonic clock, `seen_ns` the observer's when the line arrived (null: read afterwards).
#: Offsets are half-open ranges [first, next): what was polled, written (to the sink or the dead letters) or committed;
#: of an assignment, `next` is the offset it starts at. An event that names no partition has one row, with nulls.
EVENTS: Final = pa.schema(
    [
        pa.field("instance", _NAME, nullable=False),
        pa.field("n", pa.int64(), nullable=False),
        # started | assigned | revoked | lost | polled | written | committed | stopped
        pa.field("kind", _NAME, nullable=False),
        pa.field("partition", pa.int32()),
        pa.field("first", pa.int64()),
        pa.field("next", pa.int64()),
        pa.field("records", pa.int64()),
        pa.field("at_ns", pa.int64(), nullable=False),
        pa.field("seen_ns", pa.int64()),
    ]
)
#: One row a step of a fault, from one observer's clock: asked for, seen to bite, heal asked for, seen healed, failed.
FAULTS: Final = pa.schema(
    [
        pa.field("at_ns", pa.int64(), nullable=False),
        pa.field("fault", _NAME, nullable=False),  # one injection's own name, such as broker-sigkill-1
        pa.field("kind", _NAME, nullable=False),  # what is done, such as broker-sigkill
        pa.field("target", _NAME, nullable=False),  # to whom, such as pod/kafka-1
        pa.field("step", _NAME, nullable=False),  # inject-asked | bites | heal-asked | healed | failed
        pa.field("detail", pa.string()),
    ]
)
#: One row a change of a partition's leader or of its in-sync replicas, as the brokers tell it; the first is the start.
LEADERS: Final = pa.schema(
    [
        pa.field("at_ns", pa.int64(), nullable=False),
        pa.field("partition", pa.int32(), nullable=False),
        pa.field("leader", pa.int32()),  # null: nobody leads
        pa.field("in_sync", pa.list_(pa.int32()), nullable=False),
    ]
)
#: One row a dead letter: the place in the topic of the message that it is about.
DEADLETTERS: Final = pa.schema(
    [
        pa.field("partition", pa.int32(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("reason", _NAME),
    ]
)
SCHEMAS: Final[Mapping[str, pa.Schema]] = {
    "attempts": ATTEMPTS,
    "outcomes": OUTCOMES,
    "log": LOG,
    "sink": SINK,
    "lag": LAG,
    "etl": ETL,
    "events": EVENTS,
    "faults": FAULTS,
    "leaders": LEADERS,
    "deadletters": DEADLETTERS,
}


def payload_hash(value: bytes) -> int:
    """The hash of a record's value: BLAKE2b, 8-byte digest, as an unsigned 64-bit number."""
    return int.from_bytes(hashlib.blake2b(value, digest_size=8).digest(), "big")


#: Rows that are read at once. A ledger of any length is looked at in chunks of so many, so memory is bounded.
CHUNK_ROWS: Final = 131_072


class Ledger(ABC):
    """A ledger that is looked at chunk by chunk, whether it is in memory (`Recorded`) or in a sealed file.

    Attributes:
        kind: One of `SCHEMAS`.
        producer: The producer whose ledger it is; empty for ledgers of other kinds.
        complete: False when the file had no end mark: its writer did not close it, and the tail may be missing.
        rows: How many rows there are.
    """

    def __init__(self, kind: str, producer: str, rows: int, *, complete: bool) -> None:
        """Say what it is."""
        self.kind = kind
        self.producer = producer
        self.rows = rows
        self.complete = complete

    @property
    def chunks(self) -> int:
        """How many chunks there are; each has `CHUNK_ROWS` rows, the last one at least one."""
        return -(-self.rows // CHUNK_ROWS)

    @abstractmethod
    def chunk(self, index: int, columns: Sequence[str]) -> pa.Table:
        """The rows of one chunk, with these columns."""

    @abstractmethod
    def bounds(self, column: str) -> list[tuple[int, int] | None]:
        """The least and the greatest value of a column of numbers in each chunk; None where all are null."""

    def whole(self) -> pa.Table:
        """All rows: for the kinds that stay small."""
        columns = SCHEMAS[self.kind].names
        parts = [self.chunk(index, columns) for index in range(self.chunks)]
        return pa.concat_tables(parts) if parts else SCHEMAS[self.kind].empty_table()


class Recorded(Ledger):
    """A ledger in memory.

    Attributes:
        table: Its rows, as the schema of its kind has them.
    """

    def __init__(self, table: pa.Table, kind: str, producer: str, *, complete: bool) -> None:
        """Hold a table."""
        super().__init__(kind, producer, table.num_rows, complete=complete)
        self.table = table

    def chunk(self, index: int, columns: Sequence[str]) -> pa.Table:
        """The rows of one chunk, with these columns."""
        return self.table.select(list(columns)).slice(index * CHUNK_ROWS, CHUNK_ROWS)

    def bounds(self, column: str) -> list[tuple[int, int] | None]:
        """The least and the greatest value of a column of numbers in each chunk."""
        found = (pc.min_max(self.chunk(index, [column])[column]) for index in range(self.chunks))
        return [(one["min"].as_py(), one["max"].as_py()) if one["min"].is_valid else None for one in found]


class LedgerWriter:
    """Appends record batches to one ledger file; each `append` is in the operating system's hands when it returns.

    Killing the writing process therefore loses nothing that was appended. It does not survive a power cut: a ledger is
    evidence about Kafka, not a database.
    """

    def __init__(self, path: Path, kind: str, producer: str = "") -> None:
        """Create the file, which must not exist.

        Raises:
            AssayError: The file exists already: facts are never overwritten.
            KeyError: There is no such kind of ledger.
        """
        metadata = {"assay.kind": kind, "assay.schema_version": str(SCHEMA_VERSION), "assay.producer": producer}
        self.schema = SCHEMAS[kind].with_metadata(metadata)
        try:
            self._file = path.open("xb")
        except FileExistsError:
            raise AssayError(f"The ledger {path} exists already: use a new folder for a new run.") from None
        self._stream = pa.ipc.new_stream(pa.PythonFile(self._file, mode="w"), self.schema)
        # So that a ledger to which nothing came yet says what it is
        self._write(pa.RecordBatch.from_pylist([], schema=self.schema))

    def append(self, columns: Mapping[str, Any]) -> None:
        """Append rows, given as one sequence or array a column, all of one length.

        Raises:
            pyarrow.ArrowInvalid: A value does not fit its column.
            KeyError: A column is missing.
        """
        arrays = [pa.array(columns[field.name], type=field.type) for field in self.schema]
        self._write(pa.record_batch(arrays, schema=self.schema))

    def _write(self, batch: pa.RecordBatch) -> None:
        self._stream.write_batch(batch)
        self._file.flush()  # Arrow writes a batch in many pieces: they go to the system together

    def close(self) -> None:
        """Write the end mark; without it the ledger counts as incomplete."""
        self._stream.close()
        self._file.close()

    def __enter__(self) -> Self:
        """The writer itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file, with its end mark only if nothing went wrong."""
        if error is None:
            self.close()
        else:
            self._file.close()


class Stream:
    """A ledger's file as it was written, read batch by batch as far as it goes.

    Attributes:
        kind: One of `SCHEMAS`.
        producer: The producer whose ledger it is, or nothing.
        schema: The file's schema.
        complete: Whether the end mark was seen; known once all batches have been taken.
    """

    def __init__(self, path: Path) -> None:
        """Open the file and read what it says of itself.

        Raises:
            AssayError: The file is missing, is no ledger, or is of a schema version that this release does not know.
        """
        try:
            self._source = pa.memory_map(str(path))
            self._reader = pa.ipc.open_stream(self._source)
        except FileNotFoundError:
            raise AssayError(f"The ledger {path} is missing: the evidence folder is not whole.") from None
        except (pa.ArrowInvalid, OSError) as error:
            raise AssayError(f"The file {path} is not a readable ledger ({error}): the evidence is damaged.") from None
        self.schema = self._reader.schema
        self.kind, self.producer = identity(path, self.schema)
        self.complete = False

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """The batches, up to the end mark or to where the file is torn."""
        try:
            while True:
                batch = self._reader.read_next_batch()
                batch.validate(full=True)
                yield batch
        except StopIteration:
            self.complete = self._has_end_mark()
        except (pa.ArrowInvalid, OSError):
            self.complete = False

    def _has_end_mark(self) -> bool:
        """Whether the file ends with an Arrow stream's end-of-stream marker (0xFFFFFFFF 0x00000000)."""
        self._source.seek(max(0, self._source.size() - 8))
        return bytes(self._source.read(8)) == b"\xff\xff\xff\xff\x00\x00\x00\x00"


def read(path: Path) -> Recorded:
    """Read a ledger's stream back, as far as it can be read.

    Raises:
        AssayError: As `Stream` does.
    """
    stream = Stream(path)
    batches = list(stream)
    table = pa.Table.from_batches(batches, schema=stream.schema).unify_dictionaries()
    return Recorded(table, stream.kind, stream.producer, complete=stream.complete)


def identity(path: Path, schema: pa.Schema) -> tuple[str, str]:
    """The kind and the producer that a ledger's schema names.

    Raises:
        AssayError: It is of another version, of no known kind, or has other columns than its kind.
    """
    metadata = {key.decode(): value.decode() for key, value in (schema.metadata or {}).items()}
    kind, version = metadata.get("assay.kind", ""), metadata.get("assay.schema_version", "none")
    if version != str(SCHEMA_VERSION):
        raise AssayError(
            f"The ledger {path} has schema version {version}, and this release reads version {SCHEMA_VERSION}: "
            "judge it with the release that recorded it."
        )
    if kind not in SCHEMAS:
        raise AssayError(f"The ledger {path} is of the kind {kind or 'none'}, which this release does not know.")
    if not schema.equals(SCHEMAS[kind], check_metadata=False):
        raise AssayError(f"The ledger {path} does not have the columns of a ledger of {kind}: the evidence is damaged.")
    return kind, metadata.get("assay.producer", "")
