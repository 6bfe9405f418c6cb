"""Specifications of the ETL's checks."""

from __future__ import annotations

from typing import Any

import pytest
from runs import Run


@pytest.fixture
def run() -> Run:
    """A clean run, whose ETL extracted three real rows."""
    return Run()


def reject(run: Run, number: int) -> None:
    """Send one row to the rejects instead of the topic, in the ledger."""
    run.etl[number] |= {"fate": "rejects", "reason": "price-not-positive"}


def test_a_rejected_row_is_accounted_for(run: Run) -> None:
    """Two in the topic and one in the rejects make three."""
    reject(run, 1)
    run.manifest["etl"] |= {"accepted": 2, "produced": 2, "rejected": 1}
    assert run.complaints() == {}


def test_a_row_that_is_nowhere(run: Run) -> None:
    """A silent drop, with a summary that claims all is well."""
    run.etl.pop()
    assert run.complaints() == {"etl conservation": "fail"}
    assert "3 rows were extracted, 2 are in" in run.finding("etl conservation").summary


def test_a_row_with_two_fates(run: Run) -> None:
    """The sum may be right, yet one row is in both places and another in none."""
    run.etl[2] |= {"row_id": run.etl[0]["row_id"]}
    reject(run, 2)
    run.manifest["etl"] |= {"accepted": 2, "produced": 2, "rejected": 1}
    assert run.complaints() == {"etl conservation": "fail"}


def test_a_repeated_row_without_a_retry(run: Run) -> None:
    """One pod produces each row once."""
    run.etl.append(run.etl[0] | {"offset": 90})
    assert run.complaints() == {"etl conservation": "fail"}


def test_a_repeated_row_after_a_retry(run: Run) -> None:
    """A second pod starts again: deterministic keys make that harmless."""
    run.etl.append(run.etl[0] | {"offset": 90})
    run.manifest["etl"]["attempts"] = 2
    assert run.complaints() == {}


@pytest.mark.parametrize(
    "claim",
    [{"produced": 2}, {"rejected": 1}, {"unaccounted": 1}, {"exit_code": 1}, {"feed_rows": 4}, {"real_rows": 2}],
)
def test_a_summary_that_does_not_agree(run: Run, claim: dict[str, Any]) -> None:
    """Each figure of the summary line is held against the feed and the topics."""
    run.manifest["etl"] |= claim
    assert run.complaints() == {"etl conservation": "fail"}


def test_a_feed_that_was_not_counted_is_not_compared(run: Run) -> None:
    """Without the feed's own figures there is nothing to compare with."""
    run.manifest["etl"] |= {"feed_rows": None, "real_rows": None}
    assert run.complaints() == {}


def test_another_etl_runs_rows_do_not_count(run: Run) -> None:
    """Only the summarised run is judged."""
    run.etl.append(run.etl[0] | {"run_id": "etl-0", "row_id": "gold/index/99"})
    assert run.complaints() == {}


def test_a_slow_etl(run: Run) -> None:
    """Below the objective, whatever else is right."""
    run.manifest["etl"]["produce_records_per_second"] = 7152.0
    assert run.complaints() == {"etl throughput": "fail"}


def test_no_etl_at_all(run: Run) -> None:
    """Nothing is proved of an ETL that did not run."""
    run.manifest["etl"] = None
    assert run.complaints() == {"etl conservation": "unknown", "etl throughput": "unknown", "vacuous": "unknown"}


def test_a_commodity_that_was_rejected_whole(run: Run) -> None:
    """Accounted for, but nothing of copper was shown to get through."""
    reject(run, 1)
    run.etl[1]["commodity"] = "copper"
    run.manifest["etl"] |= {"accepted": 2, "produced": 2, "rejected": 1}
    assert run.complaints() == {"vacuous": "unknown"}
