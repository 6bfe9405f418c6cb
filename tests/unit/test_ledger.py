"""Specifications of ledgers: what was appended can be read back, whatever became of the writer."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay import ledger
from assay.errors import AssayError
from assay.ledger import LedgerWriter, Outcome, payload_hash

if TYPE_CHECKING:
    from pathlib import Path


def outcomes(first: int, count: int) -> dict[str, list[int | str | None]]:
    """Some rows of a ledger of outcomes."""
    return {
        "seq": list(range(first, first + count)),
        "outcome": [Outcome.OK] * count,
        "partition": [0] * count,
        "offset": [None if seq % 2 else seq for seq in range(count)],
        "ended_ns": [7] * count,
        "error": [f"error {first}"] * count,
    }


def test_what_was_appended_is_read_back(tmp_path: Path) -> None:
    """Batches with different names in their dictionaries, nulls, the producer's name, and the end mark."""
    with LedgerWriter(tmp_path / "a", "outcomes", "load-0") as writer:
        writer.append(outcomes(0, 3))
        writer.append(outcomes(3, 2))
    recorded = ledger.read(tmp_path / "a")
    assert (recorded.kind, recorded.producer, recorded.complete) == ("outcomes", "load-0", True)
    assert recorded.table["seq"].to_pylist() == [0, 1, 2, 3, 4]
    assert recorded.table["offset"].to_pylist() == [0, None, 2, 0, None]
    assert recorded.table["error"].to_pylist() == ["error 0"] * 3 + ["error 3"] * 2


def test_facts_are_never_overwritten(tmp_path: Path) -> None:
    """A ledger that exists stays."""
    LedgerWriter(tmp_path / "a", "lag").close()
    with pytest.raises(AssayError, match="exists already"):
        LedgerWriter(tmp_path / "a", "lag")


def test_an_empty_ledger_is_a_ledger(tmp_path: Path) -> None:
    """No row, but closed."""
    LedgerWriter(tmp_path / "a", "lag").close()
    recorded = ledger.read(tmp_path / "a")
    assert recorded.complete
    assert recorded.table.num_rows == 0


def test_a_failure_while_writing_leaves_no_end_mark(tmp_path: Path) -> None:
    """What was appended before is there; that something is missing is known."""

    def fail() -> None:
        with LedgerWriter(tmp_path / "a", "outcomes", "p") as writer:
            writer.append(outcomes(0, 3))
            raise RuntimeError("the broker went away")

    with pytest.raises(RuntimeError):
        fail()
    recorded = ledger.read(tmp_path / "a")
    assert not recorded.complete
    assert recorded.table.num_rows == 3


def test_a_killed_writer_loses_nothing_that_it_had_appended(tmp_path: Path) -> None:
    """SIGKILL between two appends: all rows so far are there, and the ledger is incomplete."""
    program = (
        "import sys, pathlib; from assay.ledger import LedgerWriter\n"
        "writer = LedgerWriter(pathlib.Path(sys.argv[1]), 'lag')\n"
        "for at in range(5):\n"
        "    writer.append({'at_ns': [at], 'partition': [0], 'end_offset': [1], 'committed_offset': [None]})\n"
        "print('appended', flush=True); sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "a")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"appended\n"
        os.kill(process.pid, signal.SIGKILL)
    recorded = ledger.read(tmp_path / "a")
    assert recorded.table["at_ns"].to_pylist() == [0, 1, 2, 3, 4]
    assert not recorded.complete


@settings(max_examples=200, deadline=None)
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_ledger_cut_anywhere_gives_a_prefix_or_a_reason(
    tmp_path_factory: pytest.TempPathFactory, share: float
) -> None:
    """Never a wrong row, never another error than ours, never called complete."""
    folder = tmp_path_factory.mktemp("cut")
    with LedgerWriter(folder / "a", "outcomes", "p") as writer:
        for first in range(0, 50, 10):
            writer.append(outcomes(first, 10))
    content = (folder / "a").read_bytes()
    (folder / "a").write_bytes(content[: int(len(content) * share)])
    try:
        recorded = ledger.read(folder / "a")
    except AssayError as error:
        assert "not a readable ledger" in str(error)  # noqa: PT017  # either answer is right, so nothing is raised for sure
        return
    assert not recorded.complete
    assert recorded.table["seq"].to_pylist() == list(range(recorded.table.num_rows))
    assert recorded.table.num_rows % 10 == 0


@pytest.mark.parametrize("content", [b"", b"hello", b"\xff\xff\xff\xff\x00\x00\x00\x00", b"\x00" * 4096])
def test_what_is_no_ledger(tmp_path: Path, content: bytes) -> None:
    """One sentence that says so."""
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(AssayError, match="not a readable ledger"):
        ledger.read(tmp_path / "a")


def test_a_missing_ledger(tmp_path: Path) -> None:
    """One sentence that says so."""
    with pytest.raises(AssayError, match="is missing"):
        ledger.read(tmp_path / "a")


@pytest.mark.parametrize(
    ("metadata", "schema", "reason"),
    [
        ({"assay.kind": "lag", "assay.schema_version": "1"}, ledger.LAG, "schema version 1"),
        ({"assay.kind": "gossip", "assay.schema_version": "2"}, ledger.LAG, "gossip"),
        ({}, ledger.LAG, "schema version none"),
        ({"assay.kind": "log", "assay.schema_version": "2"}, ledger.LAG, "columns of a ledger of log"),
    ],
)
def test_ledgers_that_this_release_does_not_know(
    tmp_path: Path, metadata: dict[str, str], schema: pa.Schema, reason: str
) -> None:
    """Another version, another kind, other columns: refused with the reason, nothing guessed."""
    with pa.OSFile(str(tmp_path / "a"), "wb") as sink:
        pa.ipc.new_stream(sink, schema.with_metadata(metadata)).close()
    with pytest.raises(AssayError, match=reason):
        ledger.read(tmp_path / "a")


def test_the_hash_is_the_one_of_the_message_headers() -> None:
    """BLAKE2b with eight bytes, as `b2sum -l 64` computes it."""
    assert f"{payload_hash(b'gold'):016x}" == "96656c9aef9c4a98"
