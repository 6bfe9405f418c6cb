"""Validate: a row of the feed becomes an accepted price or a reject with its reason; nothing else can happen to it.

Plain typed checks rather than a model per row: they give one reason code each and cost about a microsecond.
"""

from __future__ import annotations

import math
from datetime import date
from enum import StrEnum
from hashlib import blake2b
from typing import Any, Final, NamedTuple, TypeAlias

import orjson

COMMODITIES: Final = frozenset({"gold", "silver", "copper", "oil", "natural-gas"})


class Reason(StrEnum):
    """Why a row was rejected; the values are what stands in the rejects topic."""

    NOT_AN_OBJECT = "not_an_object"
    MISSING_FIELD = "missing_field"
    WRONG_TYPE = "wrong_type"
    UNKNOWN_COMMODITY = "unknown_commodity"
    BAD_DATE = "bad_date"
    PRICE_NOT_POSITIVE = "price_not_positive"
    DUPLICATE = "duplicate"


Problem: TypeAlias = tuple[Reason, str]


class Accepted(NamedTuple):
    """A valid price; `date` is an ISO 8601 day."""

    row_id: str
    commodity: str
    series: str
    date: str
    price: float
    unit: str
    synthetic: bool


class Rejected(NamedTuple):
    """A row that failed, as it came, with a code for machines and a sentence for people."""

    row_id: str
    row: object
    reason: Reason
    detail: str


_FIELDS: Final[dict[str, tuple[type, ...]]] = {
    "commodity": (str,),
    "series": (str,),
    "date": (str,),
    "price": (int, float),
    "unit": (str,),
    "synthetic": (bool,),
}


def validate(row: object, seen: set[str]) -> Accepted | Rejected:
    """Judge one row.

    Args:
        row: What the feed gave.
        seen: Ids of the rows accepted so far in this run; an accepted row's id is added.
    """
    identity = row_id(row)
    problem = _structure(row) or _content(row)  # type: ignore[arg-type]  # no structural problem: it is an object
    if problem is None and identity in seen:
        problem = (Reason.DUPLICATE, f"A row {identity} was already accepted in this run.")
    if problem is not None:
        return Rejected(identity, row, *problem)
    seen.add(identity)
    right: dict[str, Any] = row  # type: ignore[assignment]  # as above
    return Accepted(
        identity,
        right["commodity"],
        right["series"],
        right["date"],
        float(right["price"]),
        right["unit"],
        right["synthetic"],
    )


def _structure(row: object) -> Problem | None:
    if not isinstance(row, dict):
        return Reason.NOT_AN_OBJECT, f"The row is {_named(row)}, not an object."
    for name, kinds in _FIELDS.items():
        value = row.get(name)
        if value is None:
            return Reason.MISSING_FIELD, f"The row has no {name}."
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            return Reason.WRONG_TYPE, f"Its {name} is {_named(value)}."
    return None


def _content(row: dict[str, Any]) -> Problem | None:
    if row["commodity"] not in COMMODITIES:
        return Reason.UNKNOWN_COMMODITY, f"There is no commodity {row['commodity']!r} here."
    if not _is_day(row["date"]):
        return Reason.BAD_DATE, f"{row['date']!r} is no day as YYYY-MM-DD."
    if not math.isfinite(row["price"]) or row["price"] <= 0:
        return Reason.PRICE_NOT_POSITIVE, f"Its price is {row['price']}, not above zero."
    return None


def row_id(row: object) -> str:
    """`<commodity>/<series>/<date>`; a row without these is `unidentified/<hash of the row>`, the same every time."""
    if isinstance(row, dict):
        parts = (row.get("commodity"), row.get("series"), row.get("date"))
        if all(isinstance(part, str) for part in parts):
            return "/".join(parts)  # type: ignore[arg-type]
    content = orjson.dumps(row, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)
    return f"unidentified/{blake2b(content, digest_size=8).hexdigest()}"


def _is_day(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _named(value: object) -> str:
    names = {str: "text", bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "an object"}
    return names.get(type(value), "null")
