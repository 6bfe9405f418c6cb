"""How a check says what it found: the verdict that its count allows, a sentence, and capped examples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from assay.checks.tally import EXAMPLES, Tally, listed
from assay.verdict import Finding, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa

_SIGNIFICANT: Final = 6
_RULE_OF_THREE: Final = 3


class UndecidedError(Exception):
    """A check could not be made; the message is the clause that says which evidence is missing or contradictory."""


def finding(
    check: str,
    verdict: Verdict,
    summary: str,
    measured: Mapping[str, Any] | None = None,
    offenders: Tally | None = None,
    *,
    late: Mapping[str, Sequence[Any]] | None = None,
) -> Finding:
    """A finding of plain Python values.

    Floats are rounded to six significant digits (`figure`), so that the last bit of an average, which depends on the
    processor's vector width, never makes two machines disagree about a verdict's text.

    Args:
        check: The check's name.
        verdict: Its verdict.
        summary: One sentence.
        measured: Figures by name.
        offenders: What was counted over the shards.
        late: Offenders that only the conclusion has, as columns of one length.
    """
    figures = {name: figure(value) for name, value in (measured or {}).items()}
    added = listed(late or {})
    tally = (offenders or Tally()) + added
    examples = tuple(tally.rows.to_pylist()) if tally.rows is not None else ()
    places = tuple(tally.spots.slice(0, EXAMPLES).to_pylist()) if tally.spots is not None else ()
    return Finding(check, verdict, summary, figures, examples, tally.total, places=places, listing=added.rows)


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


def at_most(trials: int, noun: str = "messages") -> str:
    """What a count of zero in `trials` allows to say of the rate: at most 3/trials at 95 % (the rule of three)."""
    if trials <= _RULE_OF_THREE:
        return "too few to bound the rate"
    return f"at 95 % confidence at most {100 * _RULE_OF_THREE / trials:.2g} % of such {noun}"


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


def figure(value: Any) -> float | int | str:
    """A measured value as plain Python, a float with six significant digits."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return float(f"{value:.{_SIGNIFICANT}g}")
    plain: int | str = value
    return plain


def spread(spots: pa.Table | None, cap: int = 3) -> str:
    """Where offenders are, in words: `load-0 in partition 1: 12 (seqs 3-21, offsets 101-112); and 2 more groups`."""
    if spots is None:
        return "nowhere in particular"
    parts = []
    for row in spots.slice(0, cap).to_pylist():
        details = [
            f"{name} {_span(row[f'{name}_from'], row[f'{name}_to'])}"
            for name in ("seqs", "offsets")
            if f"{name}_from" in row and row[f"{name}_from"] is not None and row[f"{name}_from"] >= 0
        ]
        inside = f" ({', '.join(details)})" if details else ""
        parts.append(f"{row['producer'] or 'no producer'} in partition {row['partition']}: {row['messages']:,}{inside}")
    more = spots.num_rows - cap
    return "; ".join(parts) + (f"; and {counted(more, 'more group')}" if more > 0 else "")


def _span(first: int, last: int) -> str:
    return f"{first}" if first == last else f"{first}-{last}"
