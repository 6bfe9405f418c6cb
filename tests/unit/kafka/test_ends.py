"""Ends of sends: as they come, as columns, and in the ledger."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from assay import ledger
from assay.kafka.ends import NO_OFFSET, Ends
from assay.kafka.sends import SendLedgers
from assay.ledger import Outcome

if TYPE_CHECKING:
    from pathlib import Path

ACKNOWLEDGED = Ends.of(array("q", [3, Outcome.OK, 0, 70, 900, 100, 1, Outcome.OK, 1, 71, 901, 101]), {})
OTHERS = Ends.of(
    array("q", [2, Outcome.UNKNOWN, 2, NO_OFFSET, 902, 102, 0, Outcome.OK, 0, NO_OFFSET, 903, 103]),
    {2: "_MSG_TIMED_OUT"},
)


def test_ends_are_columns_in_the_order_in_which_they_came() -> None:
    """Not in that of the sends."""
    assert ACKNOWLEDGED.seq.tolist() == [3, 1]
    assert ACKNOWLEDGED.partition.tolist() == [0, 1]
    assert (ACKNOWLEDGED.ended_ns - ACKNOWLEDGED.intended_ns).tolist() == [800, 800]


def test_several_are_joined_in_order_with_their_errors() -> None:
    """None are none."""
    joined = Ends.joined([ACKNOWLEDGED, OTHERS])
    assert joined.seq.tolist() == [3, 1, 2, 0]
    assert joined.errors == {2: "_MSG_TIMED_OUT"}
    assert len(Ends.joined([])) == 0


def test_the_ledger_has_an_error_where_there_is_one_and_an_offset_where_one_was_told(tmp_path: Path) -> None:
    """Null otherwise; batches with and without errors stand in one ledger."""
    ledgers = SendLedgers(tmp_path, "load-0")
    for ends in (ACKNOWLEDGED, Ends(), OTHERS):
        ledgers.end(ends)
    ledgers.close()
    recorded = ledger.read(tmp_path / "outcomes.load-0.arrows")
    assert recorded.complete
    assert [(row["seq"], row["outcome"], row["offset"], row["error"]) for row in recorded.table.to_pylist()] == [
        (3, Outcome.OK, 70, None),
        (1, Outcome.OK, 71, None),
        (2, Outcome.UNKNOWN, None, "_MSG_TIMED_OUT"),
        (0, Outcome.OK, None, None),
    ]
