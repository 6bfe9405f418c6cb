"""Disruption budgets: what is read of them, and what a trial eviction must agree with."""

from __future__ import annotations

from typing import Any

import pytest

from assay.posture.eviction import BUDGETS, Seen, judge
from assay.posture.probe import Attempt, Finding, Result
from assay.verdict import Verdict

REFUSED = Attempt(Result.REFUSED, "Cannot evict pod as it would violate the pod's disruption budget.")
ACCEPTED = Attempt(Result.ALLOWED)
PODS = ("kafka-0", "kafka-1", "kafka-2")


@pytest.fixture
def budget(documents: list[dict[str, Any]]) -> dict[str, Any]:
    """Kafka's, as shipped, with three brokers that are all healthy."""
    (found,) = (one for one in documents if one["kind"] == "PodDisruptionBudget" and one["metadata"]["name"] == "kafka")
    found["metadata"]["generation"] = 1
    found["status"] = {
        "observedGeneration": 1,
        "expectedPods": 3,
        "desiredHealthy": 2,
        "currentHealthy": 3,
        "disruptionsAllowed": 1,
    }
    return found


def brokers(
    budgets: list[dict[str, Any]], documents: list[dict[str, Any]], attempt: Attempt | None = ACCEPTED
) -> Finding:
    """What three brokers' pods show, whose trial evictions all came to the same; None: none was tried."""
    (workload,) = (one for one in documents if one["kind"] == "StatefulSet" and one["metadata"]["name"] == "kafka")
    labels = workload["spec"]["template"]["metadata"]["labels"]
    attempts = {} if attempt is None else dict.fromkeys(PODS, attempt)
    return judge(BUDGETS["kafka"], Seen(dict.fromkeys(PODS, labels), attempts), budgets)


def test_a_budget_that_leaves_one_lets_one_go(budget: dict[str, Any], documents: list[dict[str, Any]]) -> None:
    """While all are healthy, each one's eviction is allowed; that two would not be, the budget's minimum says."""
    assert brokers([budget], documents).verdict is Verdict.PASS


def test_a_spent_budget_refuses(budget: dict[str, Any], documents: list[dict[str, Any]]) -> None:
    """At the minimum every eviction of a ready pod must be refused."""
    budget["status"] |= {"currentHealthy": 2, "disruptionsAllowed": 0}
    passed = brokers([budget], documents, REFUSED)
    assert passed.verdict is Verdict.PASS
    assert "3 evictions are refused" in passed.happened
    assert brokers([budget], documents, ACCEPTED).verdict is Verdict.FAIL


def test_an_eviction_that_disagrees_with_the_budget_is_red(
    budget: dict[str, Any], documents: list[dict[str, Any]]
) -> None:
    """Refused, though the budget has one left: something else refuses, and drains would hang."""
    assert brokers([budget], documents, REFUSED).verdict is Verdict.FAIL


def test_no_budget_is_red(documents: list[dict[str, Any]]) -> None:
    """Each pod that has none is named."""
    found = brokers([], documents)
    assert found.offenders == tuple(f"{pod} has no budget" for pod in PODS)


def test_a_budget_that_selects_others_is_none(budget: dict[str, Any], documents: list[dict[str, Any]]) -> None:
    """A selector that no longer fits is as good as no budget."""
    budget["spec"]["selector"]["matchLabels"]["app.kubernetes.io/name"] = "cafka"
    assert brokers([budget], documents).verdict is Verdict.FAIL


def test_two_budgets_are_none(budget: dict[str, Any], documents: list[dict[str, Any]]) -> None:
    """The Eviction API refuses pods with several budgets outright."""
    assert "several budgets" in brokers([budget, budget], documents).happened


def test_a_budget_that_keeps_too_few_is_red(budget: dict[str, Any], documents: list[dict[str, Any]]) -> None:
    """With one broker left nothing can be acknowledged."""
    budget["status"] |= {"desiredHealthy": 1, "disruptionsAllowed": 2}
    assert "keeps only 1 of 3" in brokers([budget], documents).happened


def test_a_budget_that_nobody_has_counted_is_unknown(budget: dict[str, Any], documents: list[dict[str, Any]]) -> None:
    """Its status is of an older spec, or not there."""
    budget["metadata"]["generation"] = 2
    assert brokers([budget], documents).verdict is Verdict.UNKNOWN
    budget["status"] = {}
    assert brokers([budget], documents).verdict is Verdict.UNKNOWN


def test_a_pod_that_is_not_ready_is_not_tried(budget: dict[str, Any], documents: list[dict[str, Any]]) -> None:
    """Its eviction may be allowed though the budget is spent, so that it shows nothing."""
    budget["status"] |= {"currentHealthy": 2, "disruptionsAllowed": 0}
    assert brokers([budget], documents, None).verdict is Verdict.PASS


def test_no_pods_show_nothing(budget: dict[str, Any]) -> None:
    """A budget without brokers is unknown."""
    assert judge(BUDGETS["kafka"], Seen({}, {}), [budget]).verdict is Verdict.UNKNOWN


def test_an_eviction_without_an_answer_is_unknown(budget: dict[str, Any], documents: list[dict[str, Any]]) -> None:
    """With its reason."""
    found = brokers([budget], documents, Attempt(Result.UNVERIFIABLE, "forbidden"))
    assert (found.verdict, "forbidden" in found.happened) == (Verdict.UNKNOWN, True)
