"""Posture on the deployed platform: everything passes, and whatever is taken away or allowed turns its own probes red.

Each mutation is made through the API, seen, and taken back; the probes of the families that it could concern are run in
between, and exactly those that are named must fail.
"""

from __future__ import annotations

import copy
import json
import secrets
import subprocess
import sys
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import pytest
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)
from kubernetes import client

from assay import pods
from assay.audit import read_events
from assay.kafka import clients
from assay.platform import TOPIC
from assay.posture import access, admission, containers, eviction, network, policies, principals, quota, secrecy
from assay.posture.scene import Scene
from assay.posture.survey import findings_of, survey
from assay.secret_values import values
from assay.verdict import Verdict

from .conftest import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from assay.clusters.embedded import EmbeddedCluster
    from assay.platform import Platform
    from assay.posture.probe import Family

ACCOUNT: Final = "production-etl"
#: Removed policies, and what is seen by connecting besides the rule that is missing: some ways nobody of the platform
#: uses now, and some another policy denies as well.
REMOVED: Final[dict[str, set[str]]] = {
    "default-deny": set(),
    "production-egress-dns": {"network/dns"},
    "production-egress": {"network/open"},
    "production-egress-kafka": {"network/open"},
    "kafka-from-brokers": {"network/open"},
    "kafka-from-clients": {"network/open"},
    "kafka-from-outside": set(),
    "feed-from-etl": {"network/open"},
    "catalog-from-readers": {"network/open"},
    "analytics-from-monitoring": set(),
    "feed-from-monitoring": set(),
}
#: Those that are tried with every build, one of each way in which it is seen; each takes 20 s.
EACH_BUILD: Final = ("default-deny", "production-egress-dns", "catalog-from-readers")
#: What `baseline` lets through and `restricted` does not; `proc-mount` only for a pod with users of its own.
RESTRICTED_ONLY: Final = {
    *("pods/capabilities-kept", "pods/privilege-escalation", "pods/non-root-missing", "pods/run-as-root"),
    *("pods/seccomp-missing", "pods/volume-type", "pods/proc-mount"),
}
LABEL: Final = "pod-security.kubernetes.io/enforce"
WAIT: Final = ["python3", "-c", "import time; time.sleep(300)"]


@pytest.fixture
def scene(platform: Platform, deployed: EmbeddedCluster) -> Scene:
    """The platform, and its cluster's etcd and audit log."""
    assert deployed.audit_log is not None
    return Scene(platform, etcd=deployed.etcd, audit=partial(read_events, deployed.audit_log))


def red(scene: Scene, *families: Family) -> set[str]:
    """The probes of these families that fail now."""
    return {one.probe.name for family in families for one in findings_of(family, scene) if one.verdict is Verdict.FAIL}


def bare(scene: Scene, found: Any) -> dict[str, Any]:
    """An object as it can be made again."""
    plain: dict[str, Any] = copy.deepcopy(scene.plain(found))
    plain.pop("status", None)
    plain["metadata"] = {name: plain["metadata"][name] for name in ("name", "namespace", "labels")}
    return plain


def test_the_deployed_platform_passes(scene: Scene) -> None:
    """Every probe."""
    findings = survey(scene, print)
    assert {one.probe.name: one.happened for one in findings if one.verdict is not Verdict.PASS} == {}


def test_the_command_says_so(deployed: EmbeddedCluster, clusters_root: Path, tmp_path: Path) -> None:
    """A table, a file for machines, and the verdict's exit code."""
    written = tmp_path / "posture.json"
    words = ["posture", "--name", deployed.name, "--json", str(written)]
    ran = subprocess.run(
        ["env", f"ASSAY_STATE={clusters_root}", sys.executable, "-m", "assay.cli", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    document = json.loads(written.read_text())
    assert ran.returncode == Verdict(document["verdict"]).exit_code != 1, ran.stdout + ran.stderr
    assert "pods/privileged" in ran.stdout


@contextmanager
def without_policy(scene: Scene, name: str) -> Iterator[None]:
    """One policy is gone while the block runs."""
    api = scene.api(client.NetworkingV1Api)
    kept = bare(scene, api.read_namespaced_network_policy(name, scene.namespace))
    api.delete_namespaced_network_policy(name, scene.namespace)
    try:
        yield
    finally:
        api.create_namespaced_network_policy(scene.namespace, kept)


@pytest.mark.parametrize(
    "name", [pytest.param(one, marks=[] if one in EACH_BUILD else [pytest.mark.endurance]) for one in REMOVED]
)
def test_each_policy_that_is_removed_is_seen(scene: Scene, name: str) -> None:
    """By its rule that is missing, and by connecting where anybody uses it."""
    with without_policy(scene, name):
        assert red(scene, policies, network) == {f"policies/{name}"} | REMOVED[name]
    assert red(scene, policies) == set()


def test_a_way_that_is_opened_is_seen(scene: Scene) -> None:
    """The feed is let out to Kafka, and in there: the rule is one too many, and the connection comes about."""
    api = scene.api(client.NetworkingV1Api)
    feed, kafka = (
        {"podSelector": {"matchLabels": {"app.kubernetes.io/component": name}}} for name in ("feed", "kafka")
    )
    ports = [{"protocol": "TCP", "port": 9092}]
    specs = {
        "posture-out": {**feed, "policyTypes": ["Egress"], "egress": [{"to": [kafka], "ports": ports}]},
        "posture-in": {**kafka, "policyTypes": ["Ingress"], "ingress": [{"from": [feed], "ports": ports}]},
    }
    try:
        for name, spec in specs.items():
            api.create_namespaced_network_policy(scene.namespace, {"metadata": {"name": name}, "spec": spec})
        assert red(scene, policies, network) == {"policies/nothing-else", "network/shut"}
    finally:
        for name in specs:
            api.delete_namespaced_network_policy(name, scene.namespace)


@pytest.mark.parametrize(
    ("name", "action"), [pytest.param(one.probe.name, one.actions[0], id=one.probe.name) for one in access.FORBIDDEN]
)
def test_each_forbidden_right_that_is_granted_is_seen(scene: Scene, name: str, action: access.Action) -> None:
    """By its own probe, and by the difference from the allow-list; a wildcard by all of them."""
    api = scene.api(client.RbacAuthorizationV1Api)
    made = f"posture-{secrets.token_hex(4)}"
    rule = {"verbs": [action.verb], "apiGroups": [action.group], "resources": [action.resource]}
    subject = {"kind": "ServiceAccount", "name": ACCOUNT, "namespace": scene.namespace}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": made}
    everything = {one.name for one in access.PROBES}
    expected = everything if action.verb == "*" else {"access/rules", name}
    api.create_cluster_role({"metadata": {"name": made}, "rules": [rule]})
    try:
        api.create_cluster_role_binding({"metadata": {"name": made}, "roleRef": reference, "subjects": [subject]})
        until(lambda: red(scene, access) == expected, f"{expected} are red", 30)
    finally:
        api.delete_cluster_role_binding(made)
        api.delete_cluster_role(made)
    until(lambda: red(scene, access) == set(), "nothing is red", 30)


@pytest.mark.parametrize(
    ("kind", "name", "operation", "expected"),
    [
        (ResourceType.TOPIC, TOPIC, AclOperation.WRITE, {"kafka/rights"}),
        (ResourceType.TOPIC, TOPIC, AclOperation.ALTER_CONFIGS, {"kafka/rights", "kafka/administration"}),
        (ResourceType.BROKER, "kafka-cluster", AclOperation.CREATE, {"kafka/administration"}),
    ],
    ids=["write", "configure", "create"],
)
def test_a_right_of_kafkas_that_is_granted_is_seen(
    scene: Scene, kind: ResourceType, name: str, operation: AclOperation, expected: set[str]
) -> None:
    """To the consumer, before the program that keeps the rights takes it away again."""
    admin = AdminClient(clients.settings(scene.platform.bootstrap()))
    literal, allowed = ResourcePatternType.LITERAL, AclPermissionType.ALLOW
    right = (kind, name, literal, "User:consumer", "*", operation, allowed)

    def seen() -> bool:
        for future in admin.create_acls([AclBinding(*right)]).values():
            future.result(20)
        return red(scene, principals) == expected

    try:
        until(seen, f"{expected} are red", 60)
    finally:
        for gone in admin.delete_acls([AclBindingFilter(*right)]).values():
            gone.result(20)
    until(lambda: red(scene, principals) == set(), "nothing is red", 60)


@pytest.mark.parametrize(
    ("level", "expected"),
    [("baseline", RESTRICTED_ONLY), (None, {probe.name for probe in admission.PROBES})],
    ids=["baseline", "unlabelled"],
)
def test_a_namespace_that_enforces_less_is_seen(scene: Scene, level: str | None, expected: set[str]) -> None:
    """By the pods that come in, and by no others."""
    scene.core.patch_namespace(scene.namespace, {"metadata": {"labels": {LABEL: level}}})
    try:
        assert red(scene, admission) == expected
    finally:
        scene.core.patch_namespace(scene.namespace, {"metadata": {"labels": {LABEL: "restricted"}}})
    assert red(scene, admission) == set()


def test_a_quota_that_is_gone_is_seen(scene: Scene) -> None:
    """Both of its resources."""
    (found,) = scene.core.list_namespaced_resource_quota(scene.namespace).items
    scene.core.delete_namespaced_resource_quota(found.metadata.name, scene.namespace)
    try:
        until(lambda: red(scene, quota) == {"quota/cpu", "quota/memory"}, "the quota's probes are red", 30)
    finally:
        scene.core.create_namespaced_resource_quota(scene.namespace, bare(scene, found))
    until(lambda: red(scene, quota) == set(), "nothing is red", 60)


def test_a_limit_range_that_is_gone_is_seen(scene: Scene) -> None:
    """Its maximum and its defaults."""
    (found,) = scene.core.list_namespaced_limit_range(scene.namespace).items
    expected = {"quota/largest-container", "quota/defaults"}
    scene.core.delete_namespaced_limit_range(found.metadata.name, scene.namespace)
    try:
        until(lambda: red(scene, quota) == expected, "the limit range's probes are red", 60)
    finally:
        scene.core.create_namespaced_limit_range(scene.namespace, bare(scene, found))
    until(lambda: red(scene, quota) == set(), "nothing is red", 60)


@pytest.mark.parametrize(
    ("name", "expected"), [("kafka", "eviction/brokers"), ("commodity-analytics-consumer", "eviction/consumers")]
)
def test_a_budget_that_is_gone_is_seen(scene: Scene, name: str, expected: str) -> None:
    """Of brokers, and of consumers."""
    api = scene.api(client.PolicyV1Api)
    kept = bare(scene, api.read_namespaced_pod_disruption_budget(name, scene.namespace))
    api.delete_namespaced_pod_disruption_budget(name, scene.namespace)
    try:
        assert red(scene, eviction) == {expected}
    finally:
        api.create_namespaced_pod_disruption_budget(scene.namespace, kept)
    until(lambda: all(one.verdict is Verdict.PASS for one in findings_of(eviction, scene)), "all pass", 60)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param({"readOnlyRootFilesystem": False}, {"containers/read-only-root"}, id="writable"),
        pytest.param({}, {"containers/no-token"}, id="token"),
    ],
)
def test_a_container_that_may_more_is_seen(scene: Scene, change: dict[str, Any], expected: set[str]) -> None:
    """What `restricted` lets through: a root that can be written to, and a token."""
    template = scene.platform.template("Deployment", "commodity-feed")
    template["spec"]["automountServiceAccountToken"] = not change
    template["spec"]["containers"][0]["securityContext"] |= change
    labels = {"app.kubernetes.io/name": "posture-test", "app.kubernetes.io/component": "posture"}
    with pods.temporary_pod(scene.platform, template, WAIT, labels):
        assert red(scene, containers) == expected


def test_a_credential_in_a_setting_is_seen(scene: Scene) -> None:
    """In a ConfigMap."""
    stored = scene.core.read_namespaced_secret("production-credentials", scene.namespace)
    (value, *_) = values([scene.plain(stored)])
    scene.core.create_namespaced_config_map(
        scene.namespace, {"metadata": {"name": "posture-test"}, "data": {"password": value.decode()}}
    )
    try:
        assert red(scene, secrecy) == {"secrets/not-in-settings"}
    finally:
        scene.core.delete_namespaced_config_map("posture-test", scene.namespace)


def test_a_credential_in_a_log_is_seen(scene: Scene) -> None:
    """A pod prints what it mounts."""
    template = scene.platform.template("Deployment", "commodity-feed")
    labels = {"app.kubernetes.io/name": "posture-test", "app.kubernetes.io/component": "posture"}
    command = ["cat", "/run/secrets/production/feed-token"]
    with pods.temporary_pod(scene.platform, template, command, labels) as pod:
        pods.output(scene.platform, pod)
        assert red(scene, secrecy) == {"secrets/not-in-logs"}


def test_a_credential_in_an_environment_is_seen(scene: Scene) -> None:
    """As it is asked for, and as the process has it."""
    template = scene.platform.template("Deployment", "commodity-feed")
    source = {"secretKeyRef": {"name": "production-credentials", "key": "feed-token"}}
    template["spec"]["containers"][0]["env"] = [{"name": "TOKEN", "valueFrom": source}]
    labels = {"app.kubernetes.io/name": "posture-test", "app.kubernetes.io/component": "posture"}
    with pods.temporary_pod(scene.platform, template, WAIT, labels):
        assert red(scene, secrecy) == {"secrets/not-in-env", "secrets/not-in-processes"}
