"""Faults that the feed can show on demand: errors, slow answers and malformed rows.

Malformed rows are a function of the seed and the row's id, not of chance: the same settings spoil the same rows at
every request, so that whoever reads them can be held to the exact count.
"""

from __future__ import annotations

import random
from collections import Counter
from hashlib import blake2b
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from collections.abc import Callable

    from workloads.feed.series import Row

Ratio = Annotated[float, Field(ge=0.0, le=1.0)]


class Faults(BaseModel):
    """Which faults are on; every ratio is a share of requests (errors, slowness) or of rows (malformed), 0 is off."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    error_ratio: Ratio = 0.0
    slow_ratio: Ratio = 0.0
    slow_seconds: Annotated[float, Field(ge=0.0, le=300.0)] = 30.0
    malformed_ratio: Ratio = 0.0


#: How a row can be malformed. `duplicate_id` leaves the row as it is and adds a second one with the same id.
MALFORMATIONS: Final[dict[str, Callable[[Row], list[Row]]]] = {
    "wrong_type": lambda row: [{**row, "price": f"{row['price']} (estimate)"}],
    "missing_price": lambda row: [{name: value for name, value in row.items() if name != "price"}],
    "negative_price": lambda row: [{**row, "price": -1.0}],
    "bad_date": lambda row: [{**row, "date": f"{str(row['date'])[:4]}-02-31"}],
    "duplicate_id": lambda row: [row, {**row, "price": 1.0}],
}
_KINDS: Final = tuple(MALFORMATIONS)


def spoil(rows: list[Row], ratio: float, seed: int) -> tuple[list[Row], Counter[str]]:
    """The rows with this share of them malformed, and how many of each kind."""
    counts: Counter[str] = Counter()
    if ratio == 0.0:
        return rows, counts
    spoilt: list[Row] = []
    for row in rows:
        kind = malformation(f"{seed}/{row['id']}", ratio)
        if kind is None:
            spoilt.append(row)
        else:
            counts[kind] += 1
            spoilt.extend(MALFORMATIONS[kind](row))
    return spoilt, counts


def malformation(name: str, ratio: float) -> str | None:
    """The kind of malformation that falls on this name, or None: uniform over names, the same at every call."""
    number = int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big")
    share, kind = divmod(number, len(_KINDS))
    return _KINDS[kind] if share < ratio * (2**64 // len(_KINDS)) else None


class Dice:
    """Which requests fail or are slow: a seeded sequence, so that a run of requests can be repeated."""

    def __init__(self, seed: int) -> None:
        """Start the sequence."""
        self._random = random.Random(seed)  # noqa: S311  # a repeatable fault, not a secret

    def strikes(self, ratio: float) -> bool:
        """Whether the next request is one of this share."""
        return ratio > 0.0 and self._random.random() < ratio
