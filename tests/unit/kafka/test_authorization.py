"""What brokers say to somebody who may not: for want of a right, or for something else."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError

from assay.kafka.authorization import Asker, denied


@pytest.mark.parametrize(
    ("code", "unauthorized"),
    [
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, True),
        (KafkaError.CLUSTER_AUTHORIZATION_FAILED, True),
        (KafkaError.GROUP_AUTHORIZATION_FAILED, True),
        (KafkaError.POLICY_VIOLATION, False),
        (KafkaError._TIMED_OUT, False),  # noqa: SLF001  # librdkafka's local error codes are named so
    ],
)
def test_only_a_missing_right_is_one(code: int, unauthorized: bool) -> None:
    """A policy's refusal and silence say nothing of rights."""
    found = denied(KafkaError(code))
    assert found.unauthorized is unauthorized
    assert found.said


def test_where_nobody_listens_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """No answer is no refusal, whatever is asked."""
    monkeypatch.setattr("assay.kafka.authorization.ANSWER_SECONDS", 0.2)
    asker = Asker("127.0.0.1:1", None)
    answers = (asker.served(), asker.make_topic("one"), asker.set_retention("one"))
    assert [one is not None and not one.unauthorized for one in answers] == [True, True, True]
    assert [isinstance(one, frozenset) for one in asker.operations(["one"], "two").values()] == [False, False]
