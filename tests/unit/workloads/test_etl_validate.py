"""Validation and transformation of rows: every row is accepted or rejected with its reason."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workloads import headers
from workloads.etl import transform
from workloads.etl.validate import Accepted, Reason, Rejected, row_id, validate

GOOD: dict[str, Any] = {
    "id": "gold/spot-index/1977-12-30",
    "commodity": "gold",
    "series": "spot-index",
    "date": "1977-12-30",
    "price": 100.0,
    "unit": "index",
    "synthetic": False,
}


def without(name: str) -> dict[str, Any]:
    """The good row lacking a field."""
    return {key: value for key, value in GOOD.items() if key != name}


def test_a_good_row_is_accepted_under_its_own_id() -> None:
    """Commodity, series and day make the id; a whole number is a price too."""
    assert validate(GOOD | {"price": 100}, set()) == Accepted(
        "gold/spot-index/1977-12-30", "gold", "spot-index", "1977-12-30", 100.0, "index", False
    )


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (None, Reason.NOT_AN_OBJECT),
        ([GOOD], Reason.NOT_AN_OBJECT),
        ("gold", Reason.NOT_AN_OBJECT),
        ({}, Reason.MISSING_FIELD),
        *((without(name), Reason.MISSING_FIELD) for name in GOOD if name != "id"),
        (GOOD | {"price": None}, Reason.MISSING_FIELD),
        (GOOD | {"price": "100.0"}, Reason.WRONG_TYPE),
        (GOOD | {"price": True}, Reason.WRONG_TYPE),
        (GOOD | {"synthetic": 0}, Reason.WRONG_TYPE),
        (GOOD | {"date": 1977}, Reason.WRONG_TYPE),
        (GOOD | {"commodity": "tin"}, Reason.UNKNOWN_COMMODITY),
        (GOOD | {"date": "1977-02-31"}, Reason.BAD_DATE),
        (GOOD | {"date": "19771230"}, Reason.BAD_DATE),
        (GOOD | {"date": "1977-12-30T00:00:00Z"}, Reason.BAD_DATE),
        (GOOD | {"price": 0}, Reason.PRICE_NOT_POSITIVE),
        (GOOD | {"price": -1.0}, Reason.PRICE_NOT_POSITIVE),
        (GOOD | {"price": float("nan")}, Reason.PRICE_NOT_POSITIVE),
        (GOOD | {"price": float("inf")}, Reason.PRICE_NOT_POSITIVE),
    ],
)
def test_a_bad_row_is_rejected_with_its_reason(row: object, reason: Reason) -> None:
    """The reject keeps the row as it came, and its detail is a sentence."""
    judged = validate(row, set())
    assert isinstance(judged, Rejected)
    assert (judged.reason, judged.row, judged.detail[-1]) == (reason, row, ".")


def test_a_second_row_of_the_same_id_is_a_duplicate() -> None:
    """The first one stands, whatever the second one says."""
    seen: set[str] = set()
    assert isinstance(validate(GOOD, seen), Accepted)
    again = validate(GOOD | {"price": 1.0}, seen)
    assert isinstance(again, Rejected)
    assert again.reason is Reason.DUPLICATE


def test_a_rejected_row_does_not_make_the_good_one_a_duplicate() -> None:
    """Only accepted rows count as seen."""
    seen: set[str] = set()
    assert isinstance(validate(GOOD | {"price": -1}, seen), Rejected)
    assert isinstance(validate(GOOD, seen), Accepted)


def test_a_row_without_identity_has_the_same_key_at_every_run() -> None:
    """Its id is a hash of its content, whatever the order of its fields; other content, other id."""
    row = without("date")
    assert row_id(row) == row_id(dict(reversed(row.items())))
    assert row_id(row).startswith("unidentified/")
    assert row_id(row) != row_id(row | {"price": 1})


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.one_of(json_values, st.dictionaries(st.sampled_from(list(GOOD)), json_values)))
def test_whatever_the_feed_gives_ends_as_a_message(row: object) -> None:
    """No row can stop the run: each becomes a message for one of the topics."""
    judged = validate(row, set())
    message = transform.price(judged) if isinstance(judged, Accepted) else transform.reject(judged, "gold")
    assert message.row_id == row_id(row)
    assert isinstance(json.loads(message.value), dict)


def test_the_price_message_depends_on_the_row_alone() -> None:
    """Twice the same row, twice the same key and value, in the agreed form."""
    judged = validate(GOOD, set())
    assert isinstance(judged, Accepted)
    assert transform.price(judged) == transform.price(judged)
    assert json.loads(transform.price(judged).value) == {
        "commodity": "gold",
        "series": "spot-index",
        "observed_at": "1977-12-30T00:00:00Z",
        "price": 100.0,
        "unit": "index",
        "synthetic": False,
    }


def test_a_reject_carries_the_row_and_why() -> None:
    """The rejects topic can be read without the feed."""
    row = GOOD | {"price": -1.0}
    judged = validate(row, set())
    assert isinstance(judged, Rejected)
    assert json.loads(transform.reject(judged, "gold").value) == {
        "row": row,
        "row_id": "gold/spot-index/1977-12-30",
        "reason": "price_not_positive",
        "detail": "Its price is -1.0, not above zero.",
    }


def test_headers_are_text_and_the_hash_is_of_the_value() -> None:
    """The hash can be recomputed by any reader: BLAKE2b, 8 bytes, hexadecimal."""
    message = transform.Message("gold", "gold/x/2000-01-01", b"{}")
    assert transform.message_headers(message, "run-1", "etl", 41) == [
        ("run-id", b"run-1"),
        ("producer", b"etl"),
        ("seq", b"41"),
        ("payload-hash", b"01e7b720ff566d53"),
        ("row-id", b"gold/x/2000-01-01"),
    ]
    assert headers.payload_hash(b"{}") == "01e7b720ff566d53"
