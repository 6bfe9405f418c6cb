"""How a record says which send it is: four headers of ASCII text, the only thing judge and judged share.

`run-id`, `producer`, `seq` (decimal, dense from 0 per producer) and `payload-hash` (BLAKE2b of the value, 8-byte
digest, 16 hexadecimal digits). A record without them, or with nonsense in them, is still a record: what cannot be
read is None, and the judge decides what that means.
"""

from __future__ import annotations

from binascii import hexlify, unhexlify
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    Header = tuple[str, str | bytes | None]

    #: Headers as the client hands them over, in either of its forms.
    Headers = Mapping[str, bytes | str | None] | Iterable[tuple[str, bytes | str | None]] | None

RUN_ID: Final = "run-id"
PRODUCER: Final = "producer"
SEQ: Final = "seq"
PAYLOAD_HASH: Final = "payload-hash"
ROW_ID: Final = "row-id"
DLQ_REASON: Final = "dlq-reason"
DLQ_TOPIC: Final = "dlq-topic"
DLQ_PARTITION: Final = "dlq-partition"
DLQ_OFFSET: Final = "dlq-offset"

MAX_PARTITION: Final = 2**31 - 1
_MAX_NUMBER: Final = 2**63 - 1
_HASH_DIGITS: Final = 16


class Claim(NamedTuple):
    """What a record's headers say of it; None where they say nothing that can be read."""

    run_id: str | None = None
    producer: str | None = None
    seq: int | None = None
    payload_hash: int | None = None
    row_id: str | None = None


def labeller(run_id: str, producer: str) -> Callable[[int, bytes], list[Header]]:
    """What makes the headers of one producer's sends, of a send's seq and its payload hash (8 bytes)."""
    run, name = (RUN_ID, run_id.encode()), (PRODUCER, producer.encode())

    def label(seq: int, digest: bytes) -> list[Header]:
        return [run, name, (SEQ, b"%d" % seq), (PAYLOAD_HASH, hexlify(digest))]

    return label


def decode(headers: Headers) -> Claim:
    """Read a record's headers."""
    if not headers:
        return Claim()
    found = as_mapping(headers)
    get = found.get
    return Claim(
        _name(get(RUN_ID)),
        _name(get(PRODUCER)),
        number(get(SEQ)),
        _hash(get(PAYLOAD_HASH)),
        text(get(ROW_ID)) if ROW_ID in found else None,
    )


def as_mapping(headers: Headers) -> Mapping[str, bytes | str | None]:
    """Headers by name; where one is repeated, the last one counts, as Kafka's own clients have it."""
    return dict(headers or ())


def text(value: bytes | str | None) -> str | None:
    """A header's value as ASCII text; None if it is none."""
    if isinstance(value, str):
        return value
    if value is None:
        return None
    try:
        return value.decode("ascii")
    except UnicodeDecodeError:
        return None


#: Names of runs and producers repeat for every record.
_name = lru_cache(maxsize=1024)(text)


def number(value: bytes | str | None, most: int = _MAX_NUMBER) -> int | None:
    """A header's value as a plain decimal number of at most `most`; None if it is none."""
    # int() would take signs, spaces and underscores too, which no producer of ours writes.
    if value is None or not value.isdigit():
        return None
    try:
        found = int(value)
    except ValueError:  # digits of another script than ASCII's
        return None
    return found if found <= most else None


def _hash(value: bytes | str | None) -> int | None:
    if value is None or len(value) != _HASH_DIGITS:
        return None
    try:
        return int.from_bytes(unhexlify(value), "big")
    except ValueError:
        return None
