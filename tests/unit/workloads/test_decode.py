"""Decoding: which messages become rows, which are poison and why."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workloads.analytics.decode import COMMODITIES, PoisonError, Reason, Record, Row, decode

GOOD: dict[str, Any] = {
    "commodity": "gold",
    "series": "live",
    "observed_at": "2024-01-01T00:00:00.5Z",
    "price": 1.5,
    "currency": "USD",
    "volume": 2,
    "synthetic": True,
}
HEADERS = [("run-id", b"r"), ("producer", b"p"), ("seq", b"7"), ("payload-hash", b"0" * 16), ("x", None)]


def record(value: bytes | None, headers: Any = ()) -> Record:
    """A message at partition 2, offset 9."""
    return Record(2, 9, 1_700_000_000_123, value, headers)


def row(value: object, headers: Any = ()) -> Row:
    """The row of a message with this JSON value."""
    return decode(record(json.dumps(value).encode(), headers), 5, 65_536)


def test_a_good_message_becomes_a_row_field_for_field() -> None:
    """Times are microseconds; the hash is computed from the value, not believed from the header."""
    value = json.dumps(GOOD).encode()
    assert decode(record(value, HEADERS), 5, 65_536) == Row(
        run_id="r",
        producer="p",
        seq=7,
        kafka_partition=2,
        kafka_offset=9,
        kafka_timestamp=1_700_000_000_123_000,
        payload_hash="0c2ee1c7d7ef4269",
        commodity="gold",
        series="live",
        observed_at=1_704_067_200_500_000,
        price=1.5,
        volume=2.0,
        synthetic=True,
        ingested_at=5,
    )


def test_a_message_without_our_headers_is_a_good_message() -> None:
    """A platform's own traffic has none: nulls."""
    found = row(GOOD)
    assert (found.run_id, found.producer, found.seq) == (None, None, None)


@pytest.mark.parametrize("seq", [b"", b"-1", b"1.5", b"x", b"9" * 30, b"9223372036854775808", None])
def test_a_sequence_number_that_is_none_is_null(seq: bytes | None) -> None:
    """A header can't poison a message, nor overflow its column."""
    assert row(GOOD, [("seq", seq)]).seq is None


def test_volume_and_synthetic_may_be_absent() -> None:
    """Then volume is null and the price counts as real."""
    found = row({key: value for key, value in GOOD.items() if key not in {"volume", "synthetic"}})
    assert (found.volume, found.synthetic) == (None, False)


@pytest.mark.parametrize(
    ("text", "microseconds"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1969-12-31T23:59:59.999999Z", -1),
        ("1977-12-30T00:00:00Z", 252_288_000_000_000),
    ],
)
def test_times_are_exact(text: str, microseconds: int) -> None:
    """Any offset, before 1970 too, to the microsecond."""
    assert row(GOOD | {"observed_at": text}).observed_at == microseconds


POISON: list[tuple[bytes | None, Reason]] = [
    (None, Reason.EMPTY),
    (b"", Reason.EMPTY),
    (b"x" * 65_537, Reason.OVERSIZE),
    (b"not json", Reason.NOT_JSON),
    (b'{"price": NaN}', Reason.NOT_JSON),
    (b"\xff\xfe", Reason.NOT_JSON),
    (b"[]", Reason.NOT_AN_OBJECT),
    (b"1", Reason.NOT_AN_OBJECT),
    (b"{}", Reason.MISSING_FIELD),
    *(
        (json.dumps({key: value for key, value in GOOD.items() if key != name}).encode(), Reason.MISSING_FIELD)
        for name in ("commodity", "series", "observed_at", "price")
    ),
    *(
        (json.dumps(GOOD | change).encode(), reason)
        for change, reason in (
            ({"price": "1.5"}, Reason.WRONG_TYPE),
            ({"price": None}, Reason.WRONG_TYPE),
            ({"price": True}, Reason.WRONG_TYPE),
            ({"price": 0}, Reason.OUT_OF_RANGE),
            ({"price": -1}, Reason.OUT_OF_RANGE),
            ({"volume": -1}, Reason.OUT_OF_RANGE),
            ({"volume": "2"}, Reason.WRONG_TYPE),
            ({"synthetic": "yes"}, Reason.WRONG_TYPE),
            ({"series": 1}, Reason.WRONG_TYPE),
            ({"commodity": "tin"}, Reason.UNKNOWN_COMMODITY),
            ({"observed_at": "yesterday"}, Reason.BAD_TIME),
            ({"observed_at": "2024-01-01T00:00:00"}, Reason.BAD_TIME),
            ({"observed_at": "2024-13-01T00:00:00Z"}, Reason.BAD_TIME),
        )
    ),
]


@pytest.mark.parametrize(("value", "reason"), POISON)
def test_poison_says_why(value: bytes | None, reason: Reason) -> None:
    """One reason a message, from a closed list."""
    with pytest.raises(PoisonError) as caught:
        decode(record(value), 5, 65_536)
    assert caught.value.reason is reason


@given(st.binary(max_size=200) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.dictionaries(st.sampled_from(list(GOOD)), inner, max_size=7),
).map(lambda value: json.dumps(value).encode()))  # fmt: skip
def test_whatever_comes_is_a_row_or_poison(value: bytes) -> None:
    """No message can stop the consumer."""
    try:
        found = decode(record(value), 5, 65_536)
    except PoisonError:
        return
    assert found.price > 0
    assert found.commodity in COMMODITIES
