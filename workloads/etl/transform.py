"""Transform: an accepted price or a reject becomes a Kafka message whose key and value depend on the row alone.

So a second run of the same rows writes the same keyed values: compaction or a reader's last-by-key sees no difference.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import orjson

from workloads import headers

if TYPE_CHECKING:
    from workloads.etl.validate import Accepted, Rejected


class Message(NamedTuple):
    """A message but for its run, producer and sequence number; `commodity` is whose page the row came from."""

    commodity: str
    row_id: str
    value: bytes


def price(row: Accepted) -> Message:
    """The message for the price topic; a day's price is observed at its midnight, UTC."""
    value = {
        "commodity": row.commodity,
        "series": row.series,
        "observed_at": f"{row.date}T00:00:00Z",
        "price": row.price,
        "unit": row.unit,
        "synthetic": row.synthetic,
    }
    return Message(row.commodity, row.row_id, orjson.dumps(value))


def reject(row: Rejected, commodity: str) -> Message:
    """The message for the rejects topic: the original row, found among this commodity's, and why it was rejected."""
    value = {"row": row.row, "row_id": row.row_id, "reason": row.reason, "detail": row.detail}
    return Message(commodity, row.row_id, orjson.dumps(value))


def message_headers(message: Message, run_id: str, producer: str, seq: int) -> list[tuple[str, str | bytes | None]]:
    """The platform's headers for this message as number `seq` of this producer."""
    return [
        (headers.RUN_ID, run_id.encode()),
        (headers.PRODUCER, producer.encode()),
        (headers.SEQ, b"%d" % seq),
        (headers.PAYLOAD_HASH, headers.payload_hash(message.value).encode()),
        (headers.ROW_ID, message.row_id.encode()),
    ]
