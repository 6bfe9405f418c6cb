"""Kafka's principals: what a refusal, an answer in plain text and a list of rights mean."""

from __future__ import annotations

import pytest

from assay.kafka.authorization import Denied
from assay.platform import DEAD_LETTERS, GROUP, REJECTS, TOPIC
from assay.posture.principals import INTENDED, LISTENERS, PRINCIPALS, judge_plain, judge_rights, refused
from assay.posture.probe import Result
from assay.verdict import Verdict

#: The beginning of an answer: its length, and the request's correlation.
ANSWERED = "0000014200000001"
#: No answer.
SILENT = Denied(unauthorized=False, said="timed out")
#: TLS's alert: fatal, unexpected message.
ALERT = "15030300020246"


def rights(**changed: frozenset[str] | Denied) -> dict[tuple[str, str], frozenset[str] | Denied]:
    """What each may do with each thing as it is meant, but for one: `principal__what`, with underscores for dashes."""
    things = (TOPIC, DEAD_LETTERS, REJECTS, GROUP)
    found: dict[tuple[str, str], frozenset[str] | Denied] = {
        (who, what): INTENDED.get((who, what), frozenset()) for who in PRINCIPALS for what in things
    }
    for name, operations in changed.items():
        who, _, what = name.partition("__")
        found[who, what.replace("_", "-")] = operations
    return found


def test_rights_as_they_are_meant() -> None:
    """Every pair was looked at, those that have none too."""
    found = judge_rights(rights())
    assert (found.verdict, found.happened.partition(" ")[0]) == (Verdict.PASS, "12")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"consumer__commodity_prices": frozenset({"READ", "DESCRIBE", "WRITE"})}, "consumer may WRITE"),
        ({"producer__commodity_analytics": frozenset({"DESCRIBE"})}, "producer may DESCRIBE"),
        ({"etl__commodity_prices": frozenset({"DESCRIBE"})}, "etl may not WRITE"),
        ({"producer__commodity_prices": frozenset()}, "producer may not WRITE"),
    ],
)
def test_a_right_too_many_or_too_few(changed: dict[str, frozenset[str]], said: str) -> None:
    """Each is named."""
    found = judge_rights(rights(**changed))
    assert found.verdict is Verdict.FAIL
    assert said in " ".join(found.offenders)


def test_rights_that_are_not_told() -> None:
    """Unknown, with what the brokers said; and a right too many elsewhere still fails."""
    assert judge_rights(rights(etl__commodity_prices=SILENT)).verdict is Verdict.UNKNOWN
    both = rights(
        etl__commodity_prices=SILENT,
        consumer__commodity_prices=frozenset({"ALTER"}),
    )
    assert judge_rights(both).verdict is Verdict.FAIL


def test_nothing_told_at_all() -> None:
    """Unknown."""
    assert judge_rights({}).verdict is Verdict.UNKNOWN


@pytest.mark.parametrize("answer", ["", ALERT])
def test_plain_text_is_refused(answer: str) -> None:
    """A connection that ends, or an alert of TLS, by every listener."""
    assert judge_plain(dict.fromkeys(LISTENERS, answer), None).result is Result.REFUSED


def test_one_listener_that_answers() -> None:
    """It is named."""
    found = judge_plain({**dict.fromkeys(LISTENERS, ""), 9093: ANSWERED}, None)
    assert (found.result, found.offenders) == (Result.ALLOWED, ("port 9093: it answered",))


def test_a_listener_that_is_not_there() -> None:
    """It refused nothing."""
    assert judge_plain({**dict.fromkeys(LISTENERS, ""), 9091: None}, None).result is Result.UNVERIFIABLE


def test_brokers_that_may_not_work_at_all() -> None:
    """That they answer nobody shows nothing."""
    found = judge_plain(dict.fromkeys(LISTENERS, ""), "2 partitions are not in sync")
    assert found.result is Result.UNVERIFIABLE
    assert "2 partitions" in found.happened


@pytest.mark.parametrize(
    ("why", "result"),
    [
        (None, Result.ALLOWED),
        (Denied(unauthorized=True, said="Topic authorization failed"), Result.REFUSED),
        (SILENT, Result.UNVERIFIABLE),
    ],
)
def test_what_a_dry_run_shows(why: Denied | None, result: Result) -> None:
    """A refusal for want of a right is one; any other shows nothing."""
    assert refused(why).result is result
