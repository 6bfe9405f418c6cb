"""The ETL run as its log tells it."""

from __future__ import annotations

from assay.etl import summary_line


def test_the_last_summary_of_a_log_counts() -> None:
    """Among other lines, JSON or not, the last `etl.summary` event is the run's summary."""
    log = '{"event": "etl.summary", "extracted": 1}\nplain words\n{"event": "etl.summary", "extracted": 2}\n[1]\n'
    summary = summary_line(log)
    assert summary is not None
    assert summary["extracted"] == 2


def test_a_log_without_a_summary_has_none() -> None:
    """A run that was killed leaves no summary, and none is made up."""
    assert summary_line('{"event": "etl.extract"}\nTraceback …') is None
