"""Verdicts: what a check found, what a run of checks amounts to, and the exit code that says so.

Three values, worst wins, as in Jepsen's checker: a check that could not be made is `unknown`, never `pass`, and a check
that crashed is `unknown` too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

EXIT_USAGE: Final = 254
EXIT_CRASH: Final = 255


class Verdict(StrEnum):
    """The outcome of one check, or of a whole run."""

    PASS = "pass"  # noqa: S105  # the word, not a password
    FAIL = "fail"
    UNKNOWN = "unknown"

    @property
    def exit_code(self) -> int:
        """The process exit code: 0 pass, 1 fail, 2 unknown."""
        return _EXIT_CODES[self]


_EXIT_CODES: Final[Mapping[Verdict, int]] = {Verdict.PASS: 0, Verdict.FAIL: 1, Verdict.UNKNOWN: 2}
# A proven fault outweighs a missing proof: it is the more useful thing to be told first.
_SEVERITY: Final[Mapping[Verdict, int]] = {Verdict.PASS: 0, Verdict.UNKNOWN: 1, Verdict.FAIL: 2}


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes:
        check: The check's name, in the words of the field (`lost`, `duplicate`, …).
        verdict: Its outcome.
        summary: One sentence for a person, with the figures that decided.
        measured: The figures themselves, by name; units are in the names (`_seconds`, `_ms`, `_per_second`).
        examples: Some offending records, capped by the check; each a flat mapping of plain values.
        total: How many offending records there are in all, capped or not.
        places: Offending records gathered by producer and partition, capped: how many, and from where to where.
        cause: What usually makes such a thing, and what here speaks for it; empty where nothing is wrong.
        listing: The offenders that only the conclusion has (an Arrow table), on their way into the full list.
    """

    check: str
    verdict: Verdict
    summary: str
    measured: Mapping[str, float | int | str] = field(default_factory=dict)
    examples: tuple[Mapping[str, float | int | str], ...] = ()
    total: int = 0
    places: tuple[Mapping[str, float | int | str], ...] = ()
    cause: str = ""
    listing: Any = field(default=None, repr=False, compare=False)


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Merge verdicts: `fail` beats `unknown` beats `pass`; nothing at all is `unknown`, since nothing was shown."""
    return max(verdicts, key=_SEVERITY.__getitem__, default=Verdict.UNKNOWN)
