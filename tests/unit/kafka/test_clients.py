"""Errors of Kafka's client as sentences, and settings that decide recovery."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError, KafkaException

from assay.kafka import clients


@pytest.mark.parametrize(
    ("certificate", "more"),
    [("/some/tls.crt", ""), ("", ", and whether they want a certificate (ASSAY_KAFKA_CERT; `assay deploy` prints it)")],
)
def test_silence_is_told_with_address_and_time(monkeypatch: pytest.MonkeyPatch, certificate: str, more: str) -> None:
    """Nobody answers: where, for how long, while doing what, and what to look at."""
    monkeypatch.setenv("ASSAY_KAFKA_CERT", certificate)
    silence = KafkaException(KafkaError(KafkaError._TIMED_OUT))  # noqa: SLF001  # librdkafka's local codes are named so
    assert str(clients.fault("broker:9092", "looking the topic prices up", silence)) == (
        "Kafka at broker:9092 does not answer within 8 s: looking the topic prices up failed (_TIMED_OUT); "
        f"check the address and that the brokers are up{more}."
    )


def test_a_refusal_is_told_in_the_brokers_words() -> None:
    """An answer that says no is no silence."""
    refusal = KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)
    sentence = str(clients.fault("broker:9092", "reading the topic prices", refusal))
    assert sentence.startswith("Kafka at broker:9092 refused reading the topic prices: ")
    assert "TOPIC_AUTHORIZATION_FAILED" in sentence


def test_later_tables_win_over_earlier_ones() -> None:
    """A caller's setting overrides the table's, and a silent broker is noticed in seconds by default."""
    assert clients.settings("b:1")["socket.timeout.ms"] == 3000
    assert clients.settings("b:1", {"acks": "all"}, {"acks": "0"})["acks"] == "0"
