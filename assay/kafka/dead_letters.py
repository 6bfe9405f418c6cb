"""The dead letters that consumers wrote, read back: which message of the topic each one is about."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from assay.kafka import headers, reader
from assay.ledger import LedgerWriter

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from assay.kafka.headers import Headers


class DeadLetter(NamedTuple):
    """The place of the message that a dead letter is about, and why it is dead."""

    partition: int
    offset: int
    reason: str | None


def letter(found: Headers, topic: str) -> DeadLetter | None:
    """What a record's headers say as a dead letter about `topic` (pure).

    None if it is about another topic, or names no place: then nobody can say which message it stands for, and that
    message counts as missing.
    """
    claims = headers.as_mapping(found)
    if headers.text(claims.get(headers.DLQ_TOPIC)) != topic:
        return None
    partition = headers.number(claims.get(headers.DLQ_PARTITION), headers.MAX_PARTITION)
    offset = headers.number(claims.get(headers.DLQ_OFFSET))
    if partition is None or offset is None:
        return None
    return DeadLetter(partition, offset, headers.text(claims.get(headers.DLQ_REASON)))


def read(bootstrap: str, source: str, ranges: Mapping[int, tuple[int, int]], topic: str, path: Path) -> int:
    """Write the ledger of dead letters to the new file `path`; returns how many there are.

    Args:
        bootstrap: Addresses of the brokers.
        source: The topic of dead letters.
        ranges: The offsets [start, end) of it to read, by partition.
        topic: The topic that the letters are about; others are left out.
        path: The ledger.

    Raises:
        AssayError: As `reader.read` does, or the file exists.
    """
    total = 0
    with LedgerWriter(path, "deadletters") as ledger:
        for messages in reader.read(bootstrap, source, ranges):
            letters = [one for message in messages if (one := letter(message.headers(), topic)) is not None]
            if letters:
                ledger.append(dict(zip(DeadLetter._fields, zip(*letters, strict=True), strict=True)))
                total += len(letters)
    return total
