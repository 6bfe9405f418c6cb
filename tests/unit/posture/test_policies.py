"""Network policies as written, held against what the network is meant to allow."""

from __future__ import annotations

from typing import Any

import pytest

from assay.posture import intent, policies
from assay.posture.policies import PROBES, Grant, granted, judge, selects, unisolated
from assay.verdict import Verdict

NAMES = (
    "default-deny",
    "production-egress-dns",
    "production-egress",
    "production-egress-kafka",
    "kafka-from-brokers",
    "kafka-from-clients",
    "kafka-from-outside",
    "feed-from-etl",
    "catalog-from-readers",
    "analytics-from-monitoring",
    "feed-from-monitoring",
)
KAFKA = {"podSelector": {"matchLabels": {"app.kubernetes.io/component": "kafka"}}}
EVERY_POD: dict[str, Any] = {"podSelector": {}}


def of(documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The policies among documents."""
    return [document for document in documents if document["kind"] == "NetworkPolicy"]


def named(documents: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """One of them."""
    (found,) = (policy for policy in of(documents) if policy["metadata"]["name"] == name)
    return found


def red(documents: list[dict[str, Any]]) -> set[str]:
    """The probes that fail."""
    return {one.probe.name for one in judge(of(documents), "production") if one.verdict is Verdict.FAIL}


def policy(spec: dict[str, Any]) -> dict[str, Any]:
    """A policy of this spec."""
    return {"kind": "NetworkPolicy", "metadata": {"name": "made-up"}, "spec": spec}


def test_the_policies_as_shipped_are_what_is_meant(documents: list[dict[str, Any]]) -> None:
    """All of them pass, and each is known by its name."""
    findings = list(judge(of(documents), "production"))
    assert {one.verdict for one in findings} == {Verdict.PASS}
    assert [one.probe for one in findings] == list(PROBES)
    assert {one["metadata"]["name"] for one in of(documents)} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_each_policy_that_is_removed_turns_its_probe_red_and_no_other(
    documents: list[dict[str, Any]], name: str
) -> None:
    """Also those that nobody of the platform uses now."""
    assert red([one for one in documents if one != named(documents, name)]) == {f"policies/{name}"}


@pytest.mark.parametrize(
    ("name", "direction"),
    [(name, direction) for name in NAMES[1:] for direction in (["egress"] if "egress" in name else ["ingress"])],
)
@pytest.mark.parametrize("widened", ["peers", "ports", "every pod"])
def test_each_rule_that_is_widened_is_seen(
    documents: list[dict[str, Any]], name: str, direction: str, widened: str
) -> None:
    """To any peer, to any port, to every pod of every namespace: what is allowed beyond the intent is red."""
    rule = named(documents, name)["spec"][direction][0]
    side = "to" if direction == "egress" else "from"
    if widened == "ports":
        rule["ports"] = None
    elif widened == "peers":
        rule[side] = []
    else:
        rule[side].append({"namespaceSelector": {}})
    assert "policies/nothing-else" in red(documents)
    assert red(documents) - {"policies/nothing-else"} <= {f"policies/{name}"}


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({**EVERY_POD, "ingress": [{}]}, id="all ingress"),
        pytest.param({**EVERY_POD, "policyTypes": ["Egress"], "egress": [{}]}, id="all egress"),
        pytest.param({**KAFKA, "ingress": [{"from": [EVERY_POD], "ports": [{"port": 9092}]}]}, id="every pod to Kafka"),
        pytest.param(
            {**KAFKA, "ingress": [{"from": [{"ipBlock": {"cidr": "0.0.0.0/0"}}], "ports": [{"port": 9094}]}]},
            id="the internet to Kafka",
        ),
        pytest.param(
            {
                **EVERY_POD,
                "policyTypes": ["Egress"],
                "egress": [{"to": [{"namespaceSelector": {}}], "ports": [{"port": 53}]}],
            },
            id="port 53 anywhere",
        ),
    ],
)
def test_a_policy_that_allows_more_is_seen(documents: list[dict[str, Any]], spec: dict[str, Any]) -> None:
    """And it alone."""
    assert red([*documents, policy(spec)]) == {"policies/nothing-else"}


@pytest.mark.parametrize("direction", ["Ingress", "Egress"])
def test_default_deny_is_of_both_directions(documents: list[dict[str, Any]], direction: str) -> None:
    """One of them is not enough."""
    named(documents, "default-deny")["spec"]["policyTypes"] = [direction]
    assert red(documents) == {"policies/default-deny"}


def test_no_policies_at_all() -> None:
    """Everything is allowed everybody: no default deny, and nothing that was meant is written down."""
    assert red([]) == {f"policies/{name}" for name in NAMES}
    assert len(unisolated([])) == 2 * (len(intent.COMPONENTS) + 1)


def test_a_port_range_and_a_named_port_are_no_port_of_the_intent() -> None:
    """They are told as they are written."""
    rule = {"from": [KAFKA], "ports": [{"port": 9091, "endPort": 9093}, {"port": "web", "protocol": "UDP"}]}
    assert granted([policy({**KAFKA, "ingress": [rule]})], "production") == {
        Grant("ingress", "kafka", "kafka", "TCP 9091-9093"),
        Grant("ingress", "kafka", "kafka", "UDP web"),
    }


@pytest.mark.parametrize(
    ("expression", "fits"),
    [
        ({"key": "app", "operator": "In", "values": ["one", "two"]}, True),
        ({"key": "app", "operator": "NotIn", "values": ["one"]}, False),
        ({"key": "app", "operator": "Exists"}, True),
        ({"key": "app", "operator": "DoesNotExist"}, False),
        ({"key": "other", "operator": "NotIn", "values": ["one"]}, True),
        ({"key": "other", "operator": "In", "values": ["one"]}, False),
    ],
)
def test_label_selectors(expression: dict[str, Any], fits: bool) -> None:
    """As Kubernetes' documentation of labels and selectors has them; all conditions must fit."""
    assert selects({"matchExpressions": [expression]}, {"app": "one"}) is fits
    assert not selects({"matchExpressions": [expression], "matchLabels": {"app": "two"}}, {"app": "one"})
    assert selects({}, {"app": "one"})


def test_the_intent_names_each_policy() -> None:
    """A rule of the intent without a probe would be nobody's."""
    assert {one.policy for one in intent.RULES if not one.optional} == policies.RULES.keys()
