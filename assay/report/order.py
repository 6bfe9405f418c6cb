"""The order in which findings are shown: what failed, what could not be decided, what passed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from assay.verdict import Finding, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable

_PLACES: Final = {Verdict.FAIL: 0, Verdict.UNKNOWN: 1, Verdict.PASS: 2}


def by_severity(findings: Iterable[Finding]) -> list[Finding]:
    """Findings, the worst first, otherwise in their own order."""
    return sorted(findings, key=lambda found: _PLACES[found.verdict])
