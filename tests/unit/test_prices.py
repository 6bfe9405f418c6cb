"""Made-up prices: the same again from the same seed, in the agreed form, and plausible."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from assay.prices import COMMODITIES, MARKETS, PriceMessages

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_a_producers_messages_follow_from_seed_and_name() -> None:
    """The same whatever the batches they are taken in; others for another seed or name."""
    whole = PriceMessages(1, "load-0", START).take(12_345)
    again = PriceMessages(1, "load-0", START)
    assert [message for size in (1, 4999, 7000, 345) for message in again.take(size)] == whole
    assert PriceMessages(2, "load-0", START).take(5) != whole[:5]
    assert PriceMessages(1, "load-1", START).take(5) != whole[:5]


def test_a_message_has_the_agreed_form() -> None:
    """Key and value as the platform's consumers expect them, and marked as made up."""
    key, value = PriceMessages(1, "load-0", START).take(2)[1]
    document = json.loads(value)
    assert key == b"silver"
    assert document.pop("price") > 0
    assert document.pop("volume") >= 0
    assert document == {
        "commodity": "silver",
        "series": "load",
        "observed_at": "2026-01-02T03:04:05.001Z",
        "currency": "USD",
        "unit": "troy-ounce",
        "synthetic": True,
    }


def test_all_five_commodities_come_in_turn() -> None:
    """No commodity is left out of any five messages."""
    keys = [key.decode() for key, _ in PriceMessages(3, "load-0", START).take(100)]
    assert tuple(keys[:5]) == COMMODITIES
    assert keys == list(COMMODITIES) * 20


def test_prices_move_and_stay_of_their_size() -> None:
    """A walk that neither stands still nor runs away over 50,000 messages."""
    messages = [json.loads(value) for _, value in PriceMessages(1, "load-0", START).take(50_000)]
    for name, market in MARKETS.items():
        prices = [message["price"] for message in messages if message["commodity"] == name]
        assert len(set(prices)) > 10
        assert min(prices) > market.price / 2
        assert max(prices) < market.price * 2
