"""The checks: pure functions of a run's history, each with its rule and its source in its docstring.

| from | checks |
| --- | --- |
| producers → log | `assay.checks.delivery` |
| whether ledgers and log add up | `assay.checks.books` |
| log → sink | `assay.checks.sink` |
| extract → topic, rejects | `assay.checks.etl` |
| how fast, how far behind | `assay.checks.objectives` |
| whether anything was shown | `assay.checks.vacuity` |

A check raises `UndecidedError` where the evidence does not allow it; the judge makes that `unknown`.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Final

from assay.checks import books, delivery, etl, objectives, sink, vacuity
from assay.checks.finding import UndecidedError
from assay.checks.history import History

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from assay.verdict import Finding

__all__ = ["CHECKS", "History", "UndecidedError", "rule"]

#: Every check by its name, in the order of the report.
CHECKS: Final[Mapping[str, Callable[[History], Finding]]] = {
    "lost": delivery.lost,
    "lost downstream": sink.lost_downstream,
    "duplicate": delivery.duplicate,
    "corrupt": delivery.corrupt,
    "corrupt in sink": sink.corrupt_in_sink,
    "reordered": delivery.reordered,
    "phantom": delivery.phantom,
    "phantom in sink": sink.phantom_in_sink,
    "aborted read": delivery.aborted_read,
    "inconsistent offset": delivery.inconsistent_offset,
    "unknown resolved": delivery.unknown_resolved,
    "unseen": sink.unseen,
    "redelivered": sink.redelivered,
    "truncated": books.truncated,
    "conservation": books.conservation,
    "etl conservation": etl.etl_conservation,
    "etl throughput": etl.etl_throughput,
    "throughput": objectives.throughput,
    "success": objectives.success,
    "latency": objectives.latency,
    "lag": objectives.lag,
    "vacuous": vacuity.vacuous,
    "incomplete": vacuity.incomplete,
}


def rule(check: str) -> str:
    """The rule of a check in one line: the first of its docstring. Empty for a name that is no check's."""
    function = vacuity.preflight if check.startswith("preflight") else CHECKS.get(check)
    return (inspect.getdoc(function) or "").split("\n\n")[0].replace("\n", " ") if function else ""
