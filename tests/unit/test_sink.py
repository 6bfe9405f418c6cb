"""The sink's rows on their way back from the cluster."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from assay import ledger
from assay.errors import AssayError
from assay.sink import parse
from assay.sink_reader import wanted

if TYPE_CHECKING:
    from pathlib import Path

ROWS = pa.table(
    {
        "partition": pa.array([0, 1], pa.int32()),
        "offset": pa.array([5, 7], pa.int64()),
        "run_id": ["run", None],
        "producer": ["load-1", None],
        "seq": pa.array([3, None], pa.int64()),
        "payload_hash": ["00000000000000ff", "ffffffffffffffff"],
    }
)


def printed(rows: pa.Table, announced: int) -> str:
    """What the reader prints for these rows."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as stream:
        stream.write_table(rows)
    payload = base64.b64encode(sink.getvalue().to_pybytes()).decode()
    return f"{json.dumps({'rows': announced, 'snapshot': 1})}\n{payload}\n.\n"


def test_rows_come_back_in_the_ledgers_terms() -> None:
    """Hashes become unsigned numbers; a record without our headers keeps its nulls."""
    assert parse(printed(ROWS, 2)).to_pylist() == [
        {"partition": 0, "offset": 5, "run_id": "run", "producer": "load-1", "seq": 3, "payload_hash": 255},
        {"partition": 1, "offset": 7, "run_id": None, "producer": None, "seq": None, "payload_hash": 2**64 - 1},
    ]


def test_rows_fit_the_ledger(tmp_path: Path) -> None:
    """What came back can be written to a sink ledger and read again unchanged."""
    rows = parse(printed(ROWS, 2))
    with ledger.LedgerWriter(tmp_path / "sink.arrows", "sink") as writer:
        for batch in rows.to_batches():
            writer.append({name: batch.column(name) for name in batch.schema.names})
    assert ledger.read(tmp_path / "sink.arrows").table.to_pylist() == rows.to_pylist()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (printed(ROWS, 2)[:-2], "cut short"),
        (printed(ROWS, 3), "announced 3 rows and sent 2"),
        ("Traceback …", "something else than rows"),
        ("", "something else than rows"),
    ],
)
def test_a_broken_answer_is_never_taken_for_rows(text: str, words: str) -> None:
    """An answer that is cut, short of rows, or no answer at all is an error with its reason."""
    with pytest.raises(AssayError, match=words):
        parse(text)


def test_the_filter_is_one_range_a_partition() -> None:
    """Offsets are taken from start, up to but without end."""
    assert wanted(["0:5:9", "2:0:4"]) == (
        "(kafka_partition = 0 and kafka_offset >= 5 and kafka_offset < 9)"
        " or (kafka_partition = 2 and kafka_offset >= 0 and kafka_offset < 4)"
    )
