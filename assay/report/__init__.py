"""The report: a judgement for people (terminal, HTML), for machines (JSON) and for CI (JUnit).

Everything here is derived from a run's evidence and can be written again at any time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from assay.report.junit import write_junit
from assay.report.page import write_page
from assay.report.terminal import summary
from assay.report.verdict_file import write_verdict

if TYPE_CHECKING:
    from pathlib import Path

    from assay.judge import Judgement

__all__ = ["summary", "write", "write_verdict"]


def write(folder: Path, judgement: Judgement) -> list[Path]:
    """Write `verdict.json`, the findings' listings, `junit.xml` and `report.html` into a run's folder; returns them.

    Raises:
        UsageError: Nothing can be written there.
    """
    return [*write_verdict(folder, judgement), write_junit(folder, judgement), write_page(folder, judgement)]
