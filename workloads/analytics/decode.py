"""Decode: a Kafka message becomes a row of the sink, or is poison with a reason. Pure, and about five microseconds.

The value is a JSON object with `commodity`, `series`, `observed_at` (ISO 8601 with an offset), `price` (> 0) and, where
there are, `volume` (≥ 0) and `synthetic`. The headers are a courtesy: a message without them is a good message.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import orjson

from workloads import headers

if TYPE_CHECKING:
    from collections.abc import Sequence

Header: TypeAlias = tuple[str, str | bytes | None]

COMMODITIES: Final = frozenset({"gold", "silver", "copper", "oil", "natural-gas"})
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_OFFSETS: Final = 2**63


class Reason(StrEnum):
    """Why a message is poison; the values are what stands in the header `dlq-reason`."""

    EMPTY = "empty"
    OVERSIZE = "oversize"
    NOT_JSON = "not_json"
    NOT_AN_OBJECT = "not_an_object"
    MISSING_FIELD = "missing_field"
    WRONG_TYPE = "wrong_type"
    UNKNOWN_COMMODITY = "unknown_commodity"
    BAD_TIME = "bad_time"
    OUT_OF_RANGE = "out_of_range"


class PoisonError(ValueError):
    """A message that can't become a row; `reason` says why."""

    def __init__(self, reason: Reason) -> None:
        """Keep the reason."""
        super().__init__(reason.value)
        self.reason = reason


class Record(NamedTuple):
    """What Kafka delivered; the timestamp in milliseconds since 1970, -1 where there is none."""

    partition: int
    offset: int
    timestamp_ms: int
    value: bytes | None
    headers: Sequence[Header]


class Row(NamedTuple):
    """A row of `commodity.prices`, field for field; times in microseconds since 1970, UTC."""

    run_id: str | None
    producer: str | None
    seq: int | None
    kafka_partition: int
    kafka_offset: int
    kafka_timestamp: int | None
    payload_hash: str
    commodity: str
    series: str
    observed_at: int
    price: float
    volume: float | None
    synthetic: bool
    ingested_at: int


def decode(record: Record, ingested_at: int, max_bytes: int) -> Row:
    """The row for this message.

    Args:
        record: What Kafka delivered.
        ingested_at: Now, in microseconds since 1970.
        max_bytes: The longest value that is taken.

    Raises:
        PoisonError: The message is no price.
    """
    value = record.value
    if not value:
        raise PoisonError(Reason.EMPTY)
    if len(value) > max_bytes:
        raise PoisonError(Reason.OVERSIZE)
    content = _object(value)
    price, volume = content["price"], content.get("volume")
    run_id = producer = seq = None
    for name, text in record.headers:
        if name == headers.RUN_ID:
            run_id = _text(text)
        elif name == headers.PRODUCER:
            producer = _text(text)
        elif name == headers.SEQ:
            seq = _number(text)
    return Row(
        run_id,
        producer,
        seq,
        record.partition,
        record.offset,
        record.timestamp_ms * 1000 if record.timestamp_ms >= 0 else None,
        headers.payload_hash(value),
        content["commodity"],
        content["series"],
        _microseconds(content["observed_at"]),
        float(price),
        None if volume is None else float(volume),
        content.get("synthetic", False),
        ingested_at,
    )


def _object(value: bytes) -> dict[str, Any]:
    try:
        content = orjson.loads(value)
    except orjson.JSONDecodeError:
        raise PoisonError(Reason.NOT_JSON) from None
    if not isinstance(content, dict):
        raise PoisonError(Reason.NOT_AN_OBJECT)
    for name in ("commodity", "series", "observed_at"):
        if type(content.get(name)) is not str:
            raise PoisonError(Reason.WRONG_TYPE if name in content else Reason.MISSING_FIELD)
    if "price" not in content:
        raise PoisonError(Reason.MISSING_FIELD)
    _check_number(content["price"], above=0.0, or_equal=False)
    if content.get("volume") is not None:
        _check_number(content["volume"], above=0.0, or_equal=True)
    if type(content.get("synthetic", False)) is not bool:
        raise PoisonError(Reason.WRONG_TYPE)
    if content["commodity"] not in COMMODITIES:
        raise PoisonError(Reason.UNKNOWN_COMMODITY)
    return content


def _check_number(number: object, *, above: float, or_equal: bool) -> None:
    if type(number) is not float and type(number) is not int:
        raise PoisonError(Reason.WRONG_TYPE)
    if not (math.isfinite(number) and (number > above or (or_equal and number == above))):
        raise PoisonError(Reason.OUT_OF_RANGE)


def _microseconds(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
        since = moment - _EPOCH
    except (ValueError, TypeError, OverflowError):  # no ISO 8601, no offset, or beyond the calendar
        raise PoisonError(Reason.BAD_TIME) from None
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _text(value: str | bytes | None) -> str | None:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _number(value: str | bytes | None) -> int | None:
    text = _text(value)
    if text is None or not (text.isascii() and text.isdecimal()) or len(text) > 19:  # noqa: PLR2004  # digits of 2**63
        return None
    number = int(text)
    return number if number < _OFFSETS else None
