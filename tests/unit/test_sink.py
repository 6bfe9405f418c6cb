"""The sink's rows on their way back from the cluster."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from assay import ledger
from assay.errors import AssayError
from assay.sink import parse, write
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
    write(rows, tmp_path / "sink.arrows")
    recorded = ledger.read(tmp_path / "sink.arrows")
    assert recorded.table.to_pylist() == rows.to_pylist()
    assert recorded.complete


def test_rows_stand_in_the_ledger_by_place_and_in_small_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table has them in the order of its files; a ledger of millions can be read piece by piece."""
    monkeypatch.setattr("assay.sink.BATCH_ROWS", 3)
    places = [(1, 9), (0, 4), (1, 8), (0, 5), (0, 4), (2, 0), (1, 7)]
    rows = pa.table(
        {
            "partition": pa.array([partition for partition, _ in places], pa.int32()),
            "offset": pa.array([offset for _, offset in places], pa.int64()),
            "run_id": ["run"] * 7,
            "producer": [f"load-{number % 2}" for number in range(7)],
            "seq": pa.array(range(7), pa.int64()),
            "payload_hash": ["00000000000000ff"] * 7,
        }
    )
    write(parse(printed(rows, 7)), tmp_path / "sink.arrows")
    with pa.ipc.open_stream(str(tmp_path / "sink.arrows")) as stream:
        assert [batch.num_rows for batch in stream if batch.num_rows] == [3, 3, 1]
    found = ledger.read(tmp_path / "sink.arrows").table.to_pylist()
    assert [(row["partition"], row["offset"]) for row in found] == sorted(places)
    assert {(row["seq"], row["producer"]) for row in found} == {(seq, f"load-{seq % 2}") for seq in range(7)}


def test_a_sink_without_rows_is_a_whole_ledger_without_rows(tmp_path: Path) -> None:
    """Nothing was written, which is a fact too."""
    write(parse(printed(ROWS.slice(0, 0), 0)), tmp_path / "sink.arrows")
    recorded = ledger.read(tmp_path / "sink.arrows")
    assert (recorded.table.num_rows, recorded.complete) == (0, True)


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
