"""The names of the Kafka headers that every message of the platform carries, and its payload hash.

All header values are ASCII text: run id and producer name, a sequence number in decimal that is dense from 0 for every
producer, and the payload hash. They are the one thing that the platform and whoever judges it agree on.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

RUN_ID: Final = "run-id"
PRODUCER: Final = "producer"
SEQ: Final = "seq"
PAYLOAD_HASH: Final = "payload-hash"
#: Only on messages of the ETL: `<commodity>/<series>/<date>`, also the message's key.
ROW_ID: Final = "row-id"

DLQ_REASON: Final = "dlq-reason"
DLQ_TOPIC: Final = "dlq-topic"
DLQ_PARTITION: Final = "dlq-partition"
DLQ_OFFSET: Final = "dlq-offset"


def payload_hash(value: bytes) -> str:
    """The hash of a message's value: BLAKE2b with an 8-byte digest, as 16 lower-case hexadecimal digits."""
    return blake2b(value, digest_size=8).hexdigest()
