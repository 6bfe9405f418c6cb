"""The price rows that the feed serves: real gold, silver and natural gas, seeded synthetic copper and oil.

Gold and silver are daily index values (gold on 1977-12-30 is 100), natural gas is a yearly price by US state. Where
there is no real series a seeded random walk over the same trading days stands in, and each of its rows says so.
"""

from __future__ import annotations

import csv
import random
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

Row: TypeAlias = dict[str, object]

DATA: Final = Path(__file__).parent / "data"
DAILY: Final = "gold_silver_daily.csv"
YEARLY: Final = "natural_gas_yearly.csv"
INDEX_UNIT: Final = "index (gold on 1977-12-30 = 100)"


class Walk(NamedTuple):
    """How a synthetic series moves: its first price, the standard deviation of a day's log return, its unit."""

    start: float
    daily_sigma: float
    unit: str


SYNTHETIC: Final = {"copper": Walk(1.2, 0.016, "USD/lb"), "oil": Walk(14.0, 0.022, "USD/bbl")}


def row(commodity: str, series: str, date: str, price: float, unit: str, *, synthetic: bool) -> Row:
    """One row as the API serves it; `date` is ISO 8601, a yearly price has the first day of its year."""
    return {
        "id": f"{commodity}/{series}/{date}",
        "commodity": commodity,
        "series": series,
        "date": date,
        "price": price,
        "unit": unit,
        "synthetic": synthetic,
    }


def catalogue(seed: int, folder: Path = DATA) -> dict[str, list[Row]]:
    """All rows by commodity, in the order in which they are served.

    Args:
        seed: Seed of the synthetic series; the same seed gives the same rows.
        folder: Where the two files of real prices are.
    """
    daily = _read(folder / DAILY)
    rows: dict[str, list[Row]] = {
        metal: [
            row(metal, "spot-index", line["date"], float(line[metal]), INDEX_UNIT, synthetic=False) for line in daily
        ]
        for metal in ("gold", "silver")
    }
    days = [line["date"] for line in daily]
    for commodity, walk in SYNTHETIC.items():
        rows[commodity] = [
            row(commodity, "synthetic-spot", day, price, walk.unit, synthetic=True)
            for day, price in zip(days, prices(walk, len(days), f"{seed}/{commodity}"), strict=True)
        ]
    rows["natural-gas"] = [
        row(
            "natural-gas",
            f"us-{line['state'].lower()}-yearly",
            f"{line['year']}-01-01",
            float(line["price"]),
            "as published",
            synthetic=False,
        )
        for line in _read(folder / YEARLY)
    ]
    return rows


def prices(walk: Walk, days: int, seed: str) -> list[float]:
    """A geometric random walk of this many days, rounded to 4 decimals and never below 0.01."""
    dice = random.Random(seed)  # noqa: S311  # a reproducible series, not a secret
    found = [walk.start]
    while len(found) < days:
        found.append(max(0.01, found[-1] * (1.0 + dice.gauss(0.0, walk.daily_sigma))))
    return [round(price, 4) for price in found[:days]]


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
