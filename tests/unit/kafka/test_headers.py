"""How a record says which send it is."""

from __future__ import annotations

import pytest

from assay.kafka import headers
from assay.ledger import payload_hash


def test_what_a_producer_writes_is_what_the_judge_reads() -> None:
    """Encoding and decoding are inverse, and the hash is the ledger's."""
    value = b'{"price": 1}'
    written = headers.labeller("load-1", "load-0")(42, payload_hash(value).to_bytes(8, "big"))
    assert headers.decode(written) == headers.Claim("load-1", "load-0", 42, payload_hash(value), None)


def test_a_foreign_record_claims_nothing() -> None:
    """A record without our headers is read as a record that says nothing."""
    assert headers.decode(None) == headers.Claim()
    assert headers.decode([]) == headers.Claim()
    assert headers.decode([("trace-id", b"7")]) == headers.Claim()


@pytest.mark.parametrize("seq", [b"", b"-1", b"+1", b" 1", b"1_0", b"x", b"1.0", b"\xb2", b"9223372036854775808", None])
def test_a_seq_that_is_no_plain_number_is_no_seq(seq: bytes | None) -> None:
    """Signs, blanks, underscores and what does not fit 64 bits are refused: nobody of ours writes them."""
    assert headers.decode([(headers.SEQ, seq)]).seq is None


@pytest.mark.parametrize("claimed", [b"", b"00", b"g" * 16, b"0x00000000000001"[:16], b"-000000000000001", b"0" * 17])
def test_a_hash_that_is_not_sixteen_digits_is_no_hash(claimed: bytes) -> None:
    """Only 16 hexadecimal digits are a payload hash."""
    assert headers.decode([(headers.PAYLOAD_HASH, claimed)]).payload_hash is None


def test_names_that_are_not_ascii_are_none() -> None:
    """Bytes that are no ASCII text never stop the reader."""
    assert headers.decode([(headers.RUN_ID, b"\xff\xfe"), (headers.PRODUCER, b"etl")]) == headers.Claim(producer="etl")


def test_the_last_of_repeated_headers_counts() -> None:
    """As in Kafka's own clients (`lastHeader`)."""
    assert headers.decode([(headers.SEQ, b"1"), (headers.SEQ, b"2")]).seq == 2


def test_a_row_id_is_read_where_there_is_one() -> None:
    """The ETL's messages carry their row."""
    claim = headers.decode([(headers.RUN_ID, b"etl-1"), (headers.ROW_ID, b"gold/spot-index/1977-12-30")])
    assert claim.row_id == "gold/spot-index/1977-12-30"
