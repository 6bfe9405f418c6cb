"""One sender of a load, against librdkafka's own mock brokers: what it does when it is to end early."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from assay.sender import Orders, Sender

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def sender(tmp_path: Path) -> Sender:
    """One that is to send 100,000 messages in 100 s."""
    settings: Any = {"test.mock.num.brokers": 3}
    orders = Orders(
        bootstrap="127.0.0.1:1",
        topic="prices",
        partitions=3,
        run_id="run",
        producer="load-0",
        messages=100_000,
        rate_per_second=1000,
        batch_size=10,
        seed=1,
        observed_from=datetime(2026, 1, 1, tzinfo=UTC),
        folder=tmp_path,
        producer_settings=settings,
    )
    return Sender(orders)


def test_a_sender_that_finishes_early_knows_how_every_send_ended(sender: Sender) -> None:
    """It begins no further batch, and all that it had attempted is acknowledged."""
    while sender.counts.attempted < 50:
        sender.turn()
    sender.finish_early()
    attempted = sender.counts.attempted
    assert sender.sent
    sender.turn()
    sender.settle(20)
    sender.finish()
    assert attempted < 100_000
    assert (sender.counts.attempted, sender.counts.ok, sender.counts.fail) == (attempted, attempted, 0)
