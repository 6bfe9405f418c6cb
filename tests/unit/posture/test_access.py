"""What service accounts may do, held against the allow-list and the forbidden."""

from __future__ import annotations

from typing import Any

import pytest

from assay.posture.access import (
    ALLOWED,
    CONTROL,
    EVERYBODY,
    FORBIDDEN,
    Action,
    Grants,
    grants,
    judge_forbidden,
    judge_rules,
)
from assay.posture.probe import Attempt, Result
from assay.rbac import PathRight, Right
from assay.verdict import Verdict

REFUSED = Attempt(Result.REFUSED)
ACCEPTED = Attempt(Result.ALLOWED)


def seen(documents: list[dict[str, Any]]) -> dict[str, Grants | str]:
    """What every account of rendered manifests may do, its roles' rules and everybody's."""
    accounts = [one["metadata"]["name"] for one in documents if one["kind"] == "ServiceAccount"]
    roles = {one["metadata"]["name"]: one["rules"] for one in documents if one["kind"] == "Role"}
    rules: dict[str, list[Any]] = {account: [] for account in accounts}
    for binding in (one for one in documents if one["kind"] == "RoleBinding"):
        for subject in binding["subjects"]:
            rules[subject["name"]] += roles[binding["roleRef"]["name"]]
    return {account: grants(found) | EVERYBODY for account, found in rules.items()}


def role(documents: list[dict[str, Any]]) -> dict[str, Any]:
    """The one rule of the one role."""
    (found,) = (rule for one in documents if one["kind"] == "Role" for rule in one["rules"])
    return dict(found)


def test_the_accounts_as_shipped_may_do_what_the_list_says(documents: list[dict[str, Any]]) -> None:
    """No more and no less."""
    assert judge_rules(seen(documents)).verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"verbs": ["get", "list"]}, "production-etl may list configmaps/commodity-price-pipeline-config"),
        ({"resourceNames": []}, "production-etl may get configmaps"),
        ({"resources": ["configmaps", "pods"], "resourceNames": []}, "production-etl may get pods"),
        ({"apiGroups": ["*"], "resourceNames": []}, "production-etl may get configmaps.*"),
        ({"verbs": ["*"]}, "production-etl may * configmaps/commodity-price-pipeline-config"),
    ],
)
def test_each_way_to_widen_a_rule_is_seen(documents: list[dict[str, Any]], change: dict[str, Any], said: str) -> None:
    """Another verb, no name, another resource, another group, a wildcard: the finding says who may what."""
    for one in documents:
        if one["kind"] == "Role":
            one["rules"] = [role(documents) | change]
    found = judge_rules(seen(documents))
    assert found.verdict is Verdict.FAIL
    assert said in found.offenders


def test_a_rule_that_is_missing_is_seen_too(documents: list[dict[str, Any]]) -> None:
    """The list is what the workflows need: less breaks them."""
    bound = [one for one in documents if one["kind"] != "RoleBinding"]
    assert judge_rules(seen(bound)).offenders == (
        "production-etl may not get configmaps/commodity-price-pipeline-config",
    )


def test_an_account_that_nobody_expects_may_do_nothing() -> None:
    """And one that is expected must be there."""
    expected = {account: allowed | EVERYBODY for account, allowed in ALLOWED.items()}
    found = judge_rules(
        {**expected, "stranger": frozenset({Right("", "", "pods", "get"), PathRight("get", "/metrics")})}
    )
    assert found.offenders == ("stranger may get /metrics", "stranger may get pods")
    del expected["production-feed"]
    assert judge_rules(expected).offenders == ("there is no account production-feed",)


def test_what_is_not_known_of_an_account_is_unknown() -> None:
    """Who may not impersonate it can't say what it may."""
    expected: dict[str, Any] = dict(ALLOWED)
    assert judge_rules({**expected, "default": "forbidden"}).verdict is Verdict.UNKNOWN


def test_rules_are_counted_out() -> None:
    """By verb, resource, group and name; paths too."""
    rule = {"verbs": ["get"], "apiGroups": ["", "apps"], "resources": ["pods/exec"], "resourceNames": None}
    path = {"verbs": ["get"], "nonResourceURLs": ["/metrics"]}
    assert grants([rule], [path]) == {
        Right("", "", "pods/exec", "get"),
        Right("", "apps", "pods/exec", "get"),
        PathRight("get", "/metrics"),
    }
    assert {str(one) for one in grants([rule], [path])} == {"get pods/exec", "get pods.apps/exec", "get /metrics"}


def verdicts(allowed: Action | None, control: Attempt = ACCEPTED) -> dict[str, Verdict]:
    """The verdict of every probe, where one account is allowed this action, and everything else is refused."""
    found = {}
    for forbidden in FORBIDDEN:
        attempts = {
            account: {
                action: ACCEPTED if (account, action) == ("production-etl", allowed) else REFUSED
                for action in forbidden.actions
            }
            for account in ALLOWED
        }
        finding = judge_forbidden(forbidden, attempts, dict.fromkeys(ALLOWED, control))
        found[finding.probe.name] = finding.verdict
    return found


@pytest.mark.parametrize(
    ("name", "action"),
    [pytest.param(one.probe.name, action, id=str(action)) for one in FORBIDDEN for action in one.actions],
)
def test_each_forbidden_action_turns_its_probe_red_and_no_other(name: str, action: Action) -> None:
    """Whichever account it is allowed to."""
    assert {probe for probe, verdict in verdicts(action).items() if verdict is not Verdict.PASS} == {name}
    assert verdicts(action)[name] is Verdict.FAIL


def test_an_authorizer_that_refuses_everything_shows_nothing() -> None:
    """What every account may do must be allowed, or the refusals are unknown."""
    assert set(verdicts(None, control=REFUSED).values()) == {Verdict.UNKNOWN}
    assert CONTROL.right in EVERYBODY
