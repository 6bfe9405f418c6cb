"""How a check says what it found: the verdict that its count allows, a sentence, and capped examples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from assay.verdict import Finding, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: So many offenders are shown with a finding; the full list goes into a file beside the verdict.
EXAMPLES: Final = 10
_SIGNIFICANT: Final = 6
_RULE_OF_THREE: Final = 3


class UndecidedError(Exception):
    """A check could not be made; the message is the clause that says which evidence is missing or contradictory."""


def finding(
    check: str,
    verdict: Verdict,
    summary: str,
    measured: Mapping[str, Any] | None = None,
    listing: Mapping[str, Sequence[Any] | np.ndarray[Any, Any]] | None = None,
) -> Finding:
    """A finding of plain Python values, its examples cut from the head of `listing` (columns of one length).

    Floats are rounded to six significant digits, so that the last bit of an average, which depends on the
    processor's vector width, never makes two machines disagree about a verdict's text.
    """
    columns = {name: _plain(values) for name, values in (listing or {}).items()}
    total = len(next(iter(columns.values()), []))
    examples = tuple({name: values[index] for name, values in columns.items()} for index in range(min(total, EXAMPLES)))
    figures = {name: _rounded(value) for name, value in (measured or {}).items()}
    return Finding(check, verdict, summary, figures, examples, total, columns)


def seen(offenders: int, *, whole: bool) -> Verdict:
    """The verdict on what must not be there: one sighting proves it; none proves its absence only in whole evidence."""
    if offenders:
        return Verdict.FAIL
    return Verdict.PASS if whole else Verdict.UNKNOWN


def missing(offenders: int, *, whole: bool) -> Verdict:
    """The verdict on what must be there: all found is proof; something not found is proof only in whole evidence."""
    if not offenders:
        return Verdict.PASS
    return Verdict.FAIL if whole else Verdict.UNKNOWN


def at_most(trials: int) -> str:
    """What a count of zero in `trials` allows to say of the rate: at most 3/trials at 95 % (the rule of three)."""
    if trials <= _RULE_OF_THREE:
        return "too few to bound the rate"
    return f"at 95 % confidence at most {100 * _RULE_OF_THREE / trials:.2g} % of such messages"


def counted(number: int, noun: str, plural: str = "") -> str:
    """`1 message`, `2,000 messages`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def ranges(numbers: np.ndarray[Any, Any], cap: int = 5) -> str:
    """Sorted numbers as ranges: `3-5, 9, 20-40 and 7 more ranges`."""
    if not len(numbers):
        return ""
    breaks = np.flatnonzero(np.diff(numbers) > 1) + 1
    firsts, lasts = numbers[np.r_[0, breaks]], numbers[np.r_[breaks - 1, len(numbers) - 1]]
    parts = [
        f"{first}-{last}" if first != last else f"{first}"
        for first, last in zip(firsts[:cap].tolist(), lasts[:cap].tolist(), strict=True)
    ]
    more = len(firsts) - cap
    return ", ".join(parts) + (f" and {counted(more, 'more range')}" if more > 0 else "")


def _plain(values: Sequence[Any] | np.ndarray[Any, Any]) -> list[float | int | str]:
    return values.tolist() if isinstance(values, np.ndarray) else list(values)


def _rounded(value: Any) -> float | int | str:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return float(f"{value:.{_SIGNIFICANT}g}")
    plain: int | str = value
    return plain
