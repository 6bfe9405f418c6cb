"""The verifiable producer, against librdkafka's own mock brokers and against nobody."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import KafkaError

from assay import ledger
from assay.errors import AssayError
from assay.kafka.producer import ABANDONED, SETTINGS, Counts, VerifiableProducer, classify
from assay.ledger import Outcome, payload_hash

if TYPE_CHECKING:
    from pathlib import Path

MESSAGES = [(b"gold", b"%d" % number) for number in range(10)]


def _producer(folder: Path, **overrides: str | int) -> VerifiableProducer:
    settings = {name.replace("_", "."): value for name, value in overrides.items()}
    return VerifiableProducer(
        "127.0.0.1:1", "prices", run_id="run", producer="load-0", partitions=3, folder=folder, overrides=settings
    )


def _mocked(folder: Path) -> VerifiableProducer:
    """A producer with three brokers of its own, inside librdkafka."""
    return _producer(folder, **{"test.mock.num.brokers": 3})


@pytest.fixture
def nobody() -> str:
    """An address where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def _rows(folder: Path, kind: str) -> list[dict[str, object]]:
    recorded = ledger.read(folder / f"{kind}.load-0.arrows")
    assert recorded.complete
    assert recorded.producer == "load-0"
    rows: list[dict[str, object]] = recorded.table.to_pylist()
    return rows


def test_every_send_is_attempted_once_and_ends_once(tmp_path: Path) -> None:
    """Acknowledged sends: seq dense from 0, partitions in turn, offsets from the brokers, both ledgers closed."""
    producer = _mocked(tmp_path)
    producer.send_batch(MESSAGES[:4], intended_ns=11)
    producer.send_batch(MESSAGES[4:], intended_ns=22)
    assert producer.close(10) == Counts(attempted=10, ok=10, fail=0)
    attempts, outcomes = (
        _rows(tmp_path, "attempts"),
        sorted(_rows(tmp_path, "outcomes"), key=lambda row: str(row["seq"])),
    )
    assert [row["seq"] for row in attempts] == list(range(10))
    assert [row["partition"] for row in attempts] == [seq % 3 for seq in range(10)]
    assert [row["intended_ns"] for row in attempts] == [11] * 4 + [22] * 6
    assert [row["payload_hash"] for row in attempts] == [payload_hash(value) for _, value in MESSAGES]
    assert [(row["seq"], row["partition"], row["offset"]) for row in outcomes] == [
        (seq, seq % 3, seq // 3) for seq in range(10)
    ]
    assert {row["outcome"] for row in outcomes} == {Outcome.OK}
    assert {row["error"] for row in outcomes} == {None}


def test_an_acknowledgement_without_an_offset_has_none(tmp_path: Path) -> None:
    """With acks=0 librdkafka reports success though no broker said where the message stands: null, and never -1."""
    producer = _producer(tmp_path, **{"test.mock.num.brokers": 3, "acks": "0", "enable.idempotence": "false"})
    producer.send_batch(MESSAGES, intended_ns=0)
    assert producer.close(10) == Counts(attempted=10, ok=10, fail=0)
    assert {row["offset"] for row in _rows(tmp_path, "outcomes")} == {None}


def test_ends_wait_for_whoever_asks_and_for_the_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Appending to the ledger and handing on do not disturb each other, whichever comes first."""
    monkeypatch.setattr("assay.kafka.producer.APPEND_EVERY_NS", 0)
    producer = _mocked(tmp_path)
    told: list[int] = []
    for number in range(4):
        producer.send_batch(MESSAGES, intended_ns=0)
        producer.settle(10)
        if number % 2:
            told += producer.fresh().seq.tolist()
    producer.close(10)
    assert sorted(told + producer.fresh().seq.tolist()) == list(range(40))
    assert sorted(str(row["seq"]) for row in _rows(tmp_path, "outcomes")) == sorted(map(str, range(40)))


def test_ends_are_handed_on_once(tmp_path: Path) -> None:
    """`fresh` gives each ended send once, with the time from which its latency counts."""
    producer = _mocked(tmp_path)
    producer.send_batch(MESSAGES, intended_ns=7)
    producer.settle(10)
    fresh = producer.fresh()
    assert sorted(fresh.seq.tolist()) == list(range(10))
    assert set(fresh.intended_ns.tolist()) == {7}
    assert len(producer.fresh()) == 0
    producer.close(0)


def test_an_attempt_is_written_before_it_is_sent(tmp_path: Path) -> None:
    """With nobody to send to, the attempts are there; their ends are not, so they are unknown."""
    producer = _producer(tmp_path)
    producer.send_batch(MESSAGES, intended_ns=0)
    assert ledger.read(tmp_path / "attempts.load-0.arrows").table.num_rows == 10
    assert producer.outstanding == 10
    assert producer.close(0) == Counts(attempted=10, ok=0, fail=0)
    assert producer.counts.unknown == 10
    assert _rows(tmp_path, "outcomes") == []


def test_a_timed_out_send_is_unknown(tmp_path: Path, nobody: str) -> None:
    """A time-out proves nothing, even where nobody ever answered: the binding does not say so."""
    producer = VerifiableProducer(
        nobody,
        "prices",
        run_id="run",
        producer="load-0",
        partitions=1,
        folder=tmp_path,
        overrides={"message.timeout.ms": 200, "linger.ms": 0},
    )
    producer.send_batch(MESSAGES, intended_ns=0)
    counts = producer.close(10)
    assert (counts.ok, counts.fail, counts.unknown) == (0, 0, 10)
    assert producer.outstanding == 0
    assert {(row["outcome"], row["offset"], row["error"]) for row in _rows(tmp_path, "outcomes")} == {
        (Outcome.UNKNOWN, None, "_MSG_TIMED_OUT")
    }


def test_a_message_that_librdkafka_refuses_has_failed_and_the_next_one_goes(tmp_path: Path) -> None:
    """What never got into the queue is certainly not in the log."""
    producer = _mocked(tmp_path)
    producer.send_batch([(b"gold", b"x" * 2_000_000), (b"gold", b"small")], intended_ns=0)
    assert producer.close(10) == Counts(attempted=2, ok=1, fail=1)
    rows = {row["seq"]: (row["outcome"], row["error"]) for row in _rows(tmp_path, "outcomes")}
    assert rows == {0: (Outcome.FAIL, "MSG_SIZE_TOO_LARGE"), 1: (Outcome.OK, None)}


def test_a_full_queue_keeps_the_order(tmp_path: Path) -> None:
    """Back-pressure waits and tries the same message again: nothing is skipped, nothing overtakes."""
    producer = _producer(tmp_path, **{"test.mock.num.brokers": 1, "queue.buffering.max.messages": 2, "linger.ms": 0})
    producer.send_batch(MESSAGES, intended_ns=0)
    assert producer.close(10) == Counts(attempted=10, ok=10, fail=0)
    places = sorted((row["partition"], row["offset"], row["seq"]) for row in _rows(tmp_path, "outcomes"))  # type: ignore[type-var]
    assert [seq for _, _, seq in places] == [0, 3, 6, 9, 1, 4, 7, 2, 5, 8]


def test_an_abandoned_batch_fails_what_was_not_handed_over(tmp_path: Path) -> None:
    """Stopped from outside: what librdkafka never saw has certainly failed."""
    producer = _producer(tmp_path)
    producer.abandon()
    producer.send_batch(MESSAGES, intended_ns=0)
    assert producer.close(0) == Counts(attempted=10, ok=0, fail=10)
    assert {row["error"] for row in _rows(tmp_path, "outcomes")} == {ABANDONED}


def test_serving_lasts_until_the_time_or_until_abandoned(tmp_path: Path) -> None:
    """A paced sender waits by collecting delivery reports, and lets itself be stopped."""
    producer = _mocked(tmp_path)
    due = time.monotonic_ns() + 50_000_000
    producer.serve_until(due)
    assert time.monotonic_ns() >= due
    producer.abandon()
    began = time.monotonic()
    producer.serve_until(time.monotonic_ns() + 3_600_000_000_000)
    assert time.monotonic() - began < 60
    producer.close(0)


def test_a_second_producer_of_the_same_name_is_refused(tmp_path: Path) -> None:
    """Facts are never overwritten."""
    producer = _producer(tmp_path)
    with pytest.raises(AssayError, match="exists already"):
        _producer(tmp_path)
    producer.close(0)


def test_a_wrong_setting_is_one_sentence(tmp_path: Path) -> None:
    """A setting that librdkafka does not know is said, and no ledger is left behind."""
    with pytest.raises(AssayError, match=r"setting up a producer.*no\.such\.setting"):
        _producer(tmp_path, no_such_setting=1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "code",
    [
        KafkaError._MSG_TIMED_OUT,  # noqa: SLF001  # librdkafka's local error codes are named so
        KafkaError._PURGE_INFLIGHT,  # noqa: SLF001  # as above
        KafkaError._PURGE_QUEUE,  # noqa: SLF001  # as above
        KafkaError._TRANSPORT,  # noqa: SLF001  # as above
        KafkaError._FATAL,  # noqa: SLF001  # as above
        KafkaError._STATE,  # noqa: SLF001  # as above
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.NOT_ENOUGH_REPLICAS,
        KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
        KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.INVALID_PRODUCER_EPOCH,
    ],
)
def test_what_time_or_a_moved_leader_can_cause_is_unknown(code: int) -> None:
    """An earlier try of the same message may have been written."""
    assert classify(KafkaError(code)) is Outcome.UNKNOWN


@pytest.mark.parametrize(
    "code",
    [KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.INVALID_RECORD],
)
def test_what_a_broker_refuses_for_what_it_is_has_failed(code: int) -> None:
    """Such an answer excludes that the message is in the log."""
    assert classify(KafkaError(code)) is Outcome.FAIL


def test_the_settings_that_zero_loss_stands_on() -> None:
    """An acknowledged message is written once, in order, on all in-sync replicas."""
    assert SETTINGS["enable.idempotence"] == "true"
    assert SETTINGS["acks"] == "all"
