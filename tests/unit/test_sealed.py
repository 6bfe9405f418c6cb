"""Sealed ledgers: the same facts, in a form that can be searched."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq
import pytest

from assay import ledger, sealed
from assay.errors import AssayError
from assay.ledger import CHUNK_ROWS, LedgerWriter

if TYPE_CHECKING:
    from pathlib import Path


def write(path: Path, *counts: int) -> ledger.Recorded:
    """A stream of attempts in batches of these sizes; returns what can be read back of it."""
    first = 0
    with LedgerWriter(path, "attempts", "load-7") as writer:
        for count in counts:
            seq = np.arange(first, first + count)
            writer.append(
                {
                    "seq": seq,
                    "partition": seq % 3,
                    "intended_ns": seq * 10,
                    "sent_ns": seq * 10 + 1,
                    "payload_hash": seq.astype(np.uint64) + 2**63,
                }
            )
            first += count
    return ledger.read(path)


@pytest.mark.parametrize("counts", [(), (3,), (1, 2, 3), (CHUNK_ROWS,), (CHUNK_ROWS + 5, 10, CHUNK_ROWS)])
def test_sealing_keeps_every_row_in_its_order(tmp_path: Path, counts: tuple[int, ...]) -> None:
    """What the stream had, the sealed file has; kind, producer and completeness too; the stream is gone."""
    before = write(tmp_path / "attempts.load-7.arrows", *counts)
    after = sealed.read(sealed.seal(tmp_path / "attempts.load-7.arrows"))
    assert after.whole().equals(before.table.combine_chunks())
    assert (after.kind, after.producer, after.complete, after.rows) == ("attempts", "load-7", True, sum(counts))
    assert [path.name for path in tmp_path.iterdir()] == ["attempts.load-7.parquet"]


def test_bounds_are_known_without_reading(tmp_path: Path) -> None:
    """The least and the greatest value of each chunk, the same as of the ledger in memory."""
    before = write(tmp_path / "a.arrows", CHUNK_ROWS + 7)
    after = sealed.read(sealed.seal(tmp_path / "a.arrows"))
    assert after.bounds("seq") == before.bounds("seq") == [(0, CHUNK_ROWS - 1), (CHUNK_ROWS, CHUNK_ROWS + 6)]


def test_a_torn_stream_is_sealed_as_torn(tmp_path: Path) -> None:
    """The readable prefix is kept, and so is the fact that there was more."""
    path = tmp_path / "a.arrows"
    write(path, 100, 100)
    path.write_bytes(path.read_bytes()[:-500])
    after = sealed.read(sealed.seal(path))
    assert (after.rows, after.complete) == (100, False)


def test_a_stream_that_can_not_be_read_is_left_alone(tmp_path: Path) -> None:
    """Rubbish is evidence too."""
    path = tmp_path / "a.arrows"
    path.write_bytes(b"not a ledger")
    with pytest.raises(AssayError, match="not a readable ledger"):
        sealed.seal(path)
    assert [one.name for one in tmp_path.iterdir()] == ["a.arrows"]


def test_a_file_in_other_chunks_is_damaged(tmp_path: Path) -> None:
    """A rewritten file can't be trusted to be found one's way in."""
    table = write(tmp_path / "a.arrows", 10).table
    pq.write_table(table, tmp_path / "b.parquet", row_group_size=3)
    with pytest.raises(AssayError, match="not in the chunks"):
        sealed.read(tmp_path / "b.parquet")


def test_any_tool_can_read_it(tmp_path: Path) -> None:
    """It is an ordinary Parquet file."""
    write(tmp_path / "a.arrows", 5)
    assert pq.read_table(sealed.seal(tmp_path / "a.arrows"))["seq"].to_pylist() == [0, 1, 2, 3, 4]
