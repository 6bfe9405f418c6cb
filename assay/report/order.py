"""The order in which findings are shown: what failed, what could not be decided, what passed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from assay.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable


class Judged(Protocol):
    """Whatever has a verdict."""

    @property
    def verdict(self) -> Verdict:
        """It."""


T = TypeVar("T", bound=Judged)

_PLACES: Final = {Verdict.FAIL: 0, Verdict.UNKNOWN: 1, Verdict.PASS: 2}


def by_severity(findings: Iterable[T]) -> list[T]:
    """Findings, the worst first, otherwise in their own order."""
    return sorted(findings, key=lambda found: _PLACES[found.verdict])
