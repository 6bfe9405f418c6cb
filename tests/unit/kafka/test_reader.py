"""Which records belong to a range, when a partition is complete, and what a record of the ETL says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from assay.errors import AssayError
from assay.kafka.headers import Claim
from assay.kafka.reader import Remaining, etl_row, read_log

if TYPE_CHECKING:
    from pathlib import Path


def test_a_partition_is_complete_at_its_end_offset() -> None:
    """Records up to the end belong, the end itself does not, and each partition completes by itself."""
    remaining = Remaining({0: (5, 8), 1: (0, 1)})
    assert [remaining.wants(0, offset) for offset in (5, 7, 8, 9)] == [True, True, False, False]
    assert not remaining.passed(0, 7)
    assert remaining.passed(0, 8)
    assert not remaining.wants(0, 7)
    assert remaining
    assert remaining.passed(1, 1)
    assert not remaining


def test_holes_in_the_offsets_do_not_keep_a_partition_open() -> None:
    """Compaction and transaction markers leave holes: the position decides, not the number of records."""
    remaining = Remaining({0: (0, 10)})
    assert not remaining.passed(0, 3)
    assert remaining.passed(0, 12)


def test_the_end_of_the_partition_completes_it_without_a_last_record() -> None:
    """A range that ends in markers completes when the broker says that there is nothing more."""
    remaining = Remaining({0: (0, 10)})
    assert not remaining.passed(0, 9)
    assert remaining.passed(0, 10)


def test_nothing_to_read_is_complete_at_once() -> None:
    """Empty ranges are not waited for, and neither is a partition that nobody asked for."""
    remaining = Remaining({0: (4, 4), 1: (9, 9)})
    assert not remaining
    assert not remaining.passed(7, 100)


def test_what_is_left_is_said_in_words() -> None:
    """The sentence of a reader that gives up names the partition and how far it came."""
    remaining = Remaining({0: (5, 8), 2: (0, 3)})
    remaining.passed(0, 6)
    assert str(remaining) == "partition 0 at offset 6 of 8, partition 2 at offset 0 of 3"


def test_a_log_of_nothing_is_an_empty_ledger_that_is_closed(tmp_path: Path) -> None:
    """No broker is asked where no offset is."""
    assert read_log("127.0.0.1:1", "prices", {0: (3, 3)}, tmp_path / "log.arrows") == 0
    assert (tmp_path / "log.arrows").exists()


def test_a_reader_that_gets_nothing_gives_up_with_a_sentence(tmp_path: Path) -> None:
    """No progress for the time given: the sentence says what is missing and where."""
    with pytest.raises(
        AssayError, match=r"127\.0\.0\.1:1 gave nothing more of the topic prices for 0\.2 s: partition 1"
    ):
        read_log("127.0.0.1:1", "prices", {1: (0, 3)}, tmp_path / "log.arrows", no_progress_seconds=0.2)


def test_an_accepted_row_is_known_by_its_row_id() -> None:
    """In the topic, commodity and mark come from the value."""
    row = etl_row(
        "topic",
        Claim("etl-1", "etl", 0, None, "gold/spot-index/1977-12-30"),
        b"k",
        b'{"commodity":"gold","synthetic":false}',
    )
    assert row == {
        "run_id": "etl-1",
        "row_id": "gold/spot-index/1977-12-30",
        "fate": "topic",
        "reason": None,
        "commodity": "gold",
        "synthetic": False,
    }


def test_a_rejected_row_has_its_reason() -> None:
    """In the rejects, they come from the original row, and the reason beside it."""
    value = (
        b'{"row":{"commodity":"oil","synthetic":true},"row_id":"oil/x/1","reason":"price-not-positive","detail":"-1"}'
    )
    row = etl_row("rejects", Claim("etl-1", "etl", 0, None, "oil/x/1"), None, value)
    assert (row["reason"], row["commodity"], row["synthetic"]) == ("price-not-positive", "oil", True)


@pytest.mark.parametrize("value", [None, b"", b"{", b"[1]", b'{"row": 3, "commodity": 1, "synthetic": "yes"}', b"\xff"])
def test_a_row_that_makes_no_sense_is_still_a_row(value: bytes | None) -> None:
    """Where it is is a fact; what it fails to say is null, for the judge to see. Its key stands in for the header."""
    for fate in ("topic", "rejects"):
        row = etl_row(fate, Claim("etl-1", "etl", 0), b"gold/x/1", value)
        assert (row["row_id"], row["commodity"], row["synthetic"], row["reason"]) == ("gold/x/1", None, None, None)
