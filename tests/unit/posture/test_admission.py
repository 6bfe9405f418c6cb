"""Pods that violate `restricted`: each differs from a conforming one in one field, and is judged by its refusal."""

from __future__ import annotations

import re
from typing import Any

import kubernetes_validate
import pytest

from assay.posture import admission
from assay.posture.admission import GONE, VIOLATIONS, Violation, answer, changed, conforming, judge, remedy
from assay.posture.probe import Attempt, Result
from assay.verdict import Verdict

ACCEPTED = Attempt(Result.ALLOWED)
BY_NAME = {violation.probe.name: violation for violation in VIOLATIONS}


def leaves(value: Any, path: str = "") -> dict[str, Any]:
    """Every plain value of a document, by its path."""
    if isinstance(value, dict):
        return {name: leaf for key, one in value.items() for name, leaf in leaves(one, f"{path}/{key}").items()}
    if isinstance(value, list):
        return {name: leaf for key, one in enumerate(value) for name, leaf in leaves(one, f"{path}/{key}").items()}
    return {path: value}


@pytest.mark.parametrize("violation", VIOLATIONS, ids=lambda one: one.probe.name)
def test_a_violating_pod_differs_in_its_field_alone(violation: Violation) -> None:
    """All other lines are the conforming pod's, and the pod is valid for Kubernetes."""
    pod = changed(conforming(), violation.changes)
    kubernetes_validate.validate(pod | {"metadata": {"name": "one"}}, "1.36", strict=True)
    before, after = leaves(conforming()), leaves(pod)
    touched = {
        re.sub(r"/\d+", "", path)
        for path in before.keys() ^ after.keys() | {p for p in after if after[p] != before.get(p)}
    }
    roots = {"pod": "", "container": "/spec/containers"}
    fields = tuple(f"{roots[root]}/{'/'.join(path)}" for (root, *path) in violation.changes)
    assert touched
    assert [path for path in touched if not path.startswith(fields)] == []


def test_every_control_of_the_standard_is_tried() -> None:
    """Of Linux: HostProcess is of Windows alone."""
    asked = {one for violation in VIOLATIONS for one in violation.probe.authorities if one.startswith("Pod Security")}
    assert {one.partition(": ")[2] for one in asked} == {
        "Host Namespaces",
        "Privileged Containers",
        "Capabilities",
        "HostPath Volumes",
        "Host Ports",
        "Host Probes / Lifecycle Hooks (v1.34+)",
        "AppArmor",
        "SELinux",
        "/proc Mount Type",
        "Seccomp",
        "Sysctls",
        "Volume Types",
        "Privilege Escalation (v1.8+)",
        "Running as Non-root",
        "Running as Non-root user (v1.23+)",
        "Seccomp (v1.19+)",
        "Capabilities (v1.22+)",
    }


def test_a_line_can_be_taken_away() -> None:
    """And the pod that it is taken from stays as it was."""
    pod = conforming()
    made = changed(pod, {("container", "securityContext", "capabilities"): GONE})
    assert "capabilities" not in made["spec"]["containers"][0]["securityContext"]
    assert pod == conforming()


def test_a_refusal_by_pod_security_must_be_about_the_field() -> None:
    """The same words of another field show nothing about this one."""
    said = 'violates PodSecurity "restricted:latest": hostPort (container "main" uses hostPort 8080)'
    message = f'pods "x" is forbidden: {said}'
    assert answer(403, message, "hostPort").result is Result.REFUSED
    assert answer(403, message, "privileged").result is Result.UNVERIFIABLE


def test_an_invalid_pod_was_not_refused_by_a_policy() -> None:
    """HTTP 422 is the API's own, and shows nothing."""
    assert answer(422, 'Pod "x" is invalid: spec.hostPID', "host namespaces").result is Result.UNVERIFIABLE


def test_another_policy_engine_may_refuse() -> None:
    """Its words are its own: the control tells that it was about the field."""
    refused = answer(403, 'admission webhook "validate.kyverno.svc" denied the request', "privileged")
    assert judge(BY_NAME["pods/privileged"], refused, ACCEPTED, 36, "").verdict is Verdict.PASS


def test_an_older_cluster_is_not_asked_for_what_it_does_not_know() -> None:
    """A control that came with 1.34 is unverifiable before it."""
    found = judge(BY_NAME["pods/probe-host"], ACCEPTED, ACCEPTED, 33, "")
    assert found.verdict is Verdict.UNKNOWN
    assert judge(BY_NAME["pods/probe-host"], ACCEPTED, ACCEPTED, 34, "").verdict is Verdict.FAIL


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ({}, "no label pod-security.kubernetes.io/enforce"),
        ({"pod-security.kubernetes.io/enforce": "baseline"}, "enforce=baseline"),
        ({"pod-security.kubernetes.io/enforce": "restricted"}, "admission plugin"),
    ],
)
def test_a_cluster_without_pod_security_is_told_what_to_do(labels: dict[str, str], words: str) -> None:
    """One sentence, by what is missing: the label, its level, or the plugin."""
    found = judge(BY_NAME["pods/host-pid"], ACCEPTED, ACCEPTED, 36, remedy(labels))
    assert found.verdict is Verdict.FAIL
    assert words in found.remedy


def test_a_family_has_a_finding_a_probe() -> None:
    """None is forgotten."""
    assert tuple(violation.probe for violation in VIOLATIONS) == admission.PROBES
