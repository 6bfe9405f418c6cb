"""The report: a judgement for people (terminal, HTML), for machines (JSON) and for CI (JUnit).

Everything here is derived from a run's evidence and can be written again at any time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from assay.judge import judge
from assay.report.junit import write_junit
from assay.report.page import write_page
from assay.report.terminal import summary
from assay.report.verdict_file import Listings, write_verdict

if TYPE_CHECKING:
    from pathlib import Path

    from assay.engine import Engine
    from assay.judge import Judgement

__all__ = ["judged", "summary", "write"]


def judged(folder: Path, engine: Engine | None = None) -> tuple[Judgement, list[Path]]:
    """Judge a run's folder, and write `verdict.json` and the findings' full lists into it; returns what was written.

    Raises:
        UsageError: There is no such folder, or nothing can be written there.
    """
    listings = Listings(folder)
    judgement = judge(folder, engine, listings.add)
    return judgement, [write_verdict(folder, judgement), *listings.settle(judgement.findings)]


def write(folder: Path, judgement: Judgement) -> list[Path]:
    """Write a judgement's `junit.xml` and `report.html` into a run's folder; returns them.

    Raises:
        UsageError: Nothing can be written there.
    """
    return [write_junit(folder, judgement), write_page(folder, judgement)]
