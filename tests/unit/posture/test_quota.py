"""Quota and limits: what a pod over them is made of, and what its refusal means."""

from __future__ import annotations

from typing import Any

import kubernetes_validate
import pytest

from assay.posture.probe import Result
from assay.posture.quota import INTENDED, LARGEST, answer, asking, hard, judge_default, over
from assay.verdict import Verdict


def named(documents: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    """The one document of a kind."""
    (found,) = (document for document in documents if document["kind"] == kind)
    return found


def test_what_is_meant_is_what_is_shipped(documents: list[dict[str, Any]]) -> None:
    """The limit range's maximum, and the quota."""
    assert named(documents, "LimitRange")["spec"]["limits"][0]["max"] == LARGEST
    quota = named(documents, "ResourceQuota")
    assert {resource: hard([quota], resource) for resource in INTENDED} == INTENDED


@pytest.mark.parametrize(("resource", "containers"), [("cpu", 26), ("memory", 26)])
def test_a_pod_over_the_quota_is_within_the_limit_range(resource: str, containers: int) -> None:
    """So many containers as it takes, each as large as one may be; nothing else is much."""
    pod = over(resource, INTENDED[resource])
    assert len(pod["spec"]["containers"]) == containers
    asked = {container["resources"]["limits"][resource] for container in pod["spec"]["containers"]}
    assert asked == {LARGEST[resource]}
    kubernetes_validate.validate(pod | {"metadata": {"name": "one"}}, "1.36", strict=True)


def test_the_smallest_of_several_quotas_counts() -> None:
    """Of requests or limits, as quantities and not as texts."""
    quotas = [{"spec": {"hard": {"limits.cpu": "20", "requests.cpu": "9"}}}, {"spec": {"hard": {"cpu": "12500m"}}}]
    assert hard(quotas, "cpu") == "9"
    assert hard(quotas, "memory") == INTENDED["memory"]


def test_a_refusal_for_something_else_shows_nothing() -> None:
    """A pod that Pod Security refuses says nothing about the quota."""
    said = 'pods "x" is forbidden: exceeded quota: production-quota, requested: limits.cpu=208, limited: limits.cpu=200'
    assert answer(403, said, "exceeded quota").result is Result.REFUSED
    assert answer(403, 'pods "x" is forbidden: violates PodSecurity', "exceeded quota").result is Result.UNVERIFIABLE
    assert answer(None, "", "exceeded quota").result is Result.ALLOWED


def test_a_container_that_names_nothing_gets_all_four() -> None:
    """Each that it does not get is named; and a pod that is refused for lack of them got none."""
    both = {"cpu": "50m", "memory": "64Mi"}
    assert judge_default([{"resources": {"requests": both, "limits": both}}]).verdict is Verdict.PASS
    lacking = judge_default([{"resources": {"requests": both, "limits": {"cpu": "1"}}}])
    assert lacking.offenders == ("no limits.memory was given",)
    assert judge_default([{}]).verdict is Verdict.FAIL
    assert judge_default("must specify limits.cpu").verdict is Verdict.FAIL


def test_a_pod_can_ask_for_nothing() -> None:
    """The pod whose defaults are looked at names no resources."""
    assert [container.get("resources") for container in asking(None)["spec"]["containers"]] == [None]
