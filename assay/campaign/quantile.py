"""Quantiles of few values, and how sure one can be of them without assuming anything of their distribution.

Source: nearest rank for the quantile (Hyndman and Fan 1996, type 1); order statistics for the interval (David and
Nagaraja, Order Statistics, 7.1): how many of n values lie below the true q-quantile is binomial in n and q.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

CONFIDENCE: Final = 0.95


@dataclass(frozen=True)
class Quantile:
    """A quantile of a sample, and an interval that holds the true one with `CONFIDENCE`.

    Attributes:
        value: The sample's, by nearest rank.
        low: The interval's lower end; None: so few values do not bound it.
        high: Its upper end; likewise.
    """

    value: float
    low: float | None
    high: float | None


def quantile(values: Sequence[float], share: float) -> Quantile:
    """The quantile of at least one value; `share` is between 0 and 1, both excluded.

    Each end of the interval leaves out at most half of what `CONFIDENCE` leaves.

    Raises:
        ValueError: There is no value, or no such quantile.
    """
    if not values or not 0 < share < 1:
        raise ValueError(f"There is no {share:g}-quantile of {len(values)} values.")
    ordered, count = sorted(values), len(values)
    below = _cumulated(count, share)
    left_out = (1 - CONFIDENCE) / 2
    # The k-th value is above the true quantile with P(fewer than k lie below it).
    low = max((place for place in range(1, count + 1) if below[place - 1] <= left_out), default=0)
    high = min((place for place in range(1, count + 1) if below[place - 1] >= 1 - left_out), default=0)
    return Quantile(
        ordered[max(math.ceil(count * share), 1) - 1],
        ordered[low - 1] if low else None,
        ordered[high - 1] if high else None,
    )


def _cumulated(count: int, share: float) -> list[float]:
    """P(at most k of `count` lie below), for k = 0…count."""
    chances = [math.comb(count, k) * share**k * (1 - share) ** (count - k) for k in range(count + 1)]
    return [math.fsum(chances[: k + 1]) for k in range(count + 1)]
