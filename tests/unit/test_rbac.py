"""Rights: what an account was seen to use, and what a role grants beyond or lacks."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from assay.audit import Event
from assay.rbac import Right, Rule, allow_list, compare, rules_for, rules_of

ETL = "system:serviceaccount:production:production-etl"
CONFIG = {"resource": "configmaps", "namespace": "production", "name": "commodity-price-pipeline-config"}
ROLE = yaml.safe_load("""
metadata: {name: production-etl-role, namespace: production}
rules:
  - apiGroups: [""]
    resources: [configmaps]
    resourceNames: [commodity-price-pipeline-config]
    verbs: [get]
""")


def used(verb: str, asked: dict[str, str] | None, **changes: Any) -> Event:
    """A request of the ETL's account that was allowed, with changes."""
    usual: dict[str, Any] = {
        "level": "Metadata",
        "auditID": "a",
        "stage": "ResponseComplete",
        "verb": verb,
        "user": {"username": ETL},
        "objectRef": asked,
        "requestReceivedTimestamp": "2026-03-01T12:00:00.000000Z",
        "annotations": {
            "authorization.k8s.io/decision": "allow",
            "authorization.k8s.io/reason": 'RBAC: allowed by RoleBinding "b/p" of Role "r" to ServiceAccount "e/p"',
        },
    }
    return Event.model_validate(usual | changes)


def pods(verb: str, name: str = "", subresource: str = "") -> Event:
    """A request for pods of production."""
    return used(verb, {"resource": "pods", "namespace": "production", "name": name, "subresource": subresource})


def test_what_was_done_is_what_is_allowed() -> None:
    """One rule for what differs in the verb alone; the names of objects that come and go are no part of it."""
    events = [pods("list"), pods("get", "etl-1"), pods("get", "etl-2"), pods("get", "etl-1", "log"), pods("list")]
    assert allow_list(events, ETL) == (
        Rule("production", ("",), ("pods",), ("get", "list")),
        Rule("production", ("",), ("pods/log",), ("get",)),
    )


def test_what_differs_in_the_resource_alone_is_one_rule_too() -> None:
    """Groups and namespaces are kept apart."""
    events = [
        used("list", {"resource": resource, "apiGroup": group, "namespace": namespace})
        for resource, group, namespace in (
            ("jobs", "batch", "production"),
            ("cronjobs", "batch", "production"),
            ("jobs", "batch", "other"),
            ("deployments", "apps", "production"),
        )
    ]
    assert allow_list(events, ETL) == (
        Rule("other", ("batch",), ("jobs",), ("list",)),
        Rule("production", ("apps",), ("deployments",), ("list",)),
        Rule("production", ("batch",), ("cronjobs", "jobs"), ("list",)),
    )


def test_secrets_and_config_maps_are_allowed_by_name() -> None:
    """But for what names none when it is authorized: a list of all, and a create."""
    keys = {"resource": "secrets", "namespace": "production"}
    events = [used("get", CONFIG), used("get", keys | {"name": "keys"}), used("create", CONFIG), used("list", keys)]
    assert allow_list(events, ETL) == (
        Rule("production", ("",), ("configmaps",), ("create",)),
        Rule("production", ("",), ("configmaps",), ("get",), ("commodity-price-pipeline-config",)),
        Rule("production", ("",), ("secrets",), ("get",), ("keys",)),
        Rule("production", ("",), ("secrets",), ("list",)),
    )


def test_an_exec_by_web_socket_needs_two_verbs() -> None:
    """It is logged as a `get`; since Kubernetes 1.35 `create` is asked for too (KEP-4006)."""
    assert allow_list([pods("get", "kafka-0", "exec")], ETL) == (
        Rule("production", ("",), ("pods/exec",), ("create", "get")),
    )


@pytest.mark.parametrize(
    "event",
    [
        used("list", CONFIG, user={"username": "assay-admin"}),
        used("list", CONFIG, impersonatedUser={"username": "jane"}),
        used("list", CONFIG, annotations={"authorization.k8s.io/decision": "forbid"}),
        used("list", CONFIG, annotations={}),
        used("get", None, requestURI="/metrics"),
        used(
            "create",
            {"resource": "selfsubjectaccessreviews", "apiGroup": "authorization.k8s.io"},
            annotations={
                "authorization.k8s.io/decision": "allow",
                "authorization.k8s.io/reason": 'RBAC: allowed by ClusterRoleBinding "system:basic-user" of ClusterRole '
                '"system:basic-user" to Group "system:authenticated"',
            },
        ),
    ],
    ids=["another's", "as another", "refused", "undecided", "no resource", "everybody's"],
)
def test_what_gives_no_right(event: Event) -> None:
    """Others' requests, refused ones, and what needs no role."""
    assert allow_list([event], ETL) == ()


def test_who_is_impersonated_uses_the_rights() -> None:
    """As when somebody looks into a failed run as the ETL."""
    event = used("get", CONFIG, user={"username": "assay-admin"}, impersonatedUser={"username": ETL})
    assert compare(rules_of(ROLE), allow_list([event], ETL)) == ((), ())


def test_what_was_refused_is_missing_where_it_is_asked_for() -> None:
    """A role that is too narrow shows in what was asked in vain."""
    events = [used("get", CONFIG), used("list", CONFIG, annotations={"authorization.k8s.io/decision": "forbid"})]
    assert compare(rules_of(ROLE), allow_list(events, ETL)) == ((), ())
    missing, surplus = compare(rules_of(ROLE), allow_list(events, ETL, refused=True))
    assert [(one.verb, one.resource) for one in missing] == [("list", "configmaps")]
    assert surplus == ()


@pytest.mark.parametrize(
    ("widened", "surplus"),
    [
        ({"verbs": ["get", "delete"]}, {("configmaps", "delete", CONFIG["name"])}),
        ({"verbs": ["*"]}, {("configmaps", "*", CONFIG["name"])}),
        ({"resources": ["configmaps", "secrets"]}, {("secrets", "get", CONFIG["name"])}),
        ({"resources": ["*"]}, {("*", "get", CONFIG["name"])}),
        ({"resourceNames": []}, {("configmaps", "get", "")}),
        ({"resourceNames": [CONFIG["name"], "x"]}, {("configmaps", "get", "x")}),
    ],
)
def test_whatever_widens_a_rule_is_surplus(widened: dict[str, Any], surplus: set[tuple[str, str, str]]) -> None:
    """And nothing is missing then: a wildcard, and a rule without names, cover what is needed."""
    role = ROLE | {"rules": [ROLE["rules"][0] | widened]}
    missing, found = compare(rules_of(role), allow_list([used("get", CONFIG)], ETL))
    assert missing == ()
    assert {(one.resource, one.verb, one.name) for one in found} == surplus


def test_a_right_everywhere_covers_a_namespace_and_is_surplus() -> None:
    """A ClusterRole that a ClusterRoleBinding binds; where a RoleBinding binds it, its namespace counts."""
    role = ROLE | {"metadata": {"name": "wide"}}
    needed = allow_list([used("get", CONFIG)], ETL)
    missing, surplus = compare(rules_of(role), needed)
    assert (missing, [one.namespace for one in surplus]) == ((), [""])
    assert compare(rules_of(role, "production"), needed) == ((), ())
    assert compare(rules_of(role, "other"), needed)[0] == (
        Right("production", "", "configmaps", "get", CONFIG["name"]),
    )


@pytest.mark.parametrize(
    ("resource", "covered"),
    [("*", True), ("pods/exec", True), ("*/exec", True), ("pods", False), ("pods/*", False), ("*/log", False)],
)
def test_a_subresource_is_a_resource_of_its_own(resource: str, covered: bool) -> None:
    """As Kubernetes matches it: `pods` does not grant `pods/exec`, and `pods/*` is no pattern of RBAC's."""
    needed = rules_for([Right("production", "", "pods/exec", "create")])
    missing, _ = compare([Rule("production", ("",), (resource,), ("create",))], needed)
    assert (missing == ()) is covered


def test_rules_on_paths_and_roles_without_rules() -> None:
    """Neither grants a right on a resource."""
    assert rules_of({"metadata": {"name": "x"}, "rules": [{"nonResourceURLs": ["/metrics"], "verbs": ["get"]}]}) == ()
    assert rules_of({"metadata": {"name": "x"}, "rules": None}) == ()


@pytest.mark.parametrize(
    ("right", "said"),
    [
        (Right("production", "", "configmaps", "get", "settings"), "get configmaps/settings"),
        (Right("", "authorization.k8s.io", "reviews", "create"), "create reviews.authorization.k8s.io"),
        (Right("", "apps", "deployments/scale", "*"), "* deployments.apps/scale"),
    ],
)
def test_a_right_is_said_as_kubectl_says_it(right: Right, said: str) -> None:
    """The group after the resource, before the subresource."""
    assert str(right) == said


def test_rules_are_rights_and_rights_are_rules() -> None:
    """Nothing is gained or lost on the way, however the rights are spread."""
    rights = {
        Right(namespace, group, resource, verb, name)
        for namespace in ("a", "b")
        for group, resource in (("", "secrets"), ("", "pods"), ("apps", "deployments"))
        for verb, name in (("get", "x"), ("get", "y"), ("list", ""), ("delete", "x"))
        if (namespace, verb) != ("b", "delete")
    }
    assert {right for rule in rules_for(rights) for right in rule.rights()} == rights
