"""The platform is provisioned, changed, checked and removed on a real cluster, by the real playbooks.

Create, modify and delete, each in check mode, for real and again: check mode changes nothing and tells what a run would
do, a run does it, and a second run changes nothing.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from kubernetes import client, config, dynamic

from assay.deploy import deploy, teardown
from assay.errors import UsageError
from assay.platform import Platform

from .conftest import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assay.clusters.cluster import Cluster
    from assay.clusters.embedded import EmbeddedCluster

ROOT = Path(__file__).parents[2]
NAMESPACE = "production"
OURS = "app.kubernetes.io/managed-by=assay,app.kubernetes.io/instance=production"
PDB = "commodity-analytics-consumer"


@pytest.fixture(scope="module")
def api(cluster: Cluster) -> client.ApiClient:
    """A client of the cluster."""
    return config.new_client_from_config(str(cluster.kubeconfig), cluster.context)


@pytest.fixture(scope="module")
def provisioned(cluster: Cluster) -> Iterator[int]:
    """The platform; yields how many tasks changed something when it was made."""
    yield deploy(cluster.kubeconfig, cluster.context).changed
    teardown(cluster.kubeconfig, cluster.context)


def namespaces(api: client.ApiClient) -> set[str]:
    """The names of the cluster's namespaces."""
    return {found.metadata.name for found in client.CoreV1Api(api).list_namespace().items}


def budgets(api: client.ApiClient) -> set[str]:
    """The names of the disruption budgets."""
    return {
        found.metadata.name for found in client.PolicyV1Api(api).list_namespaced_pod_disruption_budget(NAMESPACE).items
    }


def test_check_mode_on_a_fresh_cluster_tells_and_touches_nothing(cluster: Cluster, api: client.ApiClient) -> None:
    """Also what goes into a namespace that is itself still to be made."""
    assert deploy(cluster.kubeconfig, cluster.context, check=True).changed > 0
    assert NAMESPACE not in namespaces(api)


def test_everything_is_there_and_ready(provisioned: int, api: client.ApiClient) -> None:
    """Thirty objects and more with our labels; three brokers and three consumers, each on a node of its own."""
    assert provisioned > 0
    kinds: list[tuple[str, str]] = [
        ("v1", "Namespace"), ("v1", "ResourceQuota"), ("v1", "LimitRange"), ("v1", "ServiceAccount"), ("v1", "Secret"),
        ("v1", "ConfigMap"), ("v1", "Service"), ("v1", "PersistentVolumeClaim"), ("apps/v1", "StatefulSet"),
        ("apps/v1", "Deployment"), ("batch/v1", "CronJob"), ("policy/v1", "PodDisruptionBudget"),
        ("networking.k8s.io/v1", "NetworkPolicy"), ("rbac.authorization.k8s.io/v1", "Role"),
        ("rbac.authorization.k8s.io/v1", "RoleBinding"), ("scheduling.k8s.io/v1", "PriorityClass"),
    ]  # fmt: skip
    resources = dynamic.DynamicClient(api).resources
    counts = {
        kind: len(resources.get(api_version=version, kind=kind).get(label_selector=OURS).items)
        for version, kind in kinds
    }
    assert all(counts.values()), counts
    assert sum(counts.values()) >= 30
    for component in ("kafka", "analytics"):
        pods = client.CoreV1Api(api).list_namespaced_pod(
            NAMESPACE, label_selector=f"app.kubernetes.io/component={component}"
        )
        assert len({pod.spec.node_name for pod in pods.items}) == 3
        assert all(status.ready for pod in pods.items for status in pod.status.container_statuses)


@pytest.mark.usefixtures("provisioned")
def test_a_second_run_changes_nothing(cluster: Cluster) -> None:
    """And check mode knows."""
    assert deploy(cluster.kubeconfig, cluster.context, check=True).changed == 0
    assert deploy(cluster.kubeconfig, cluster.context).changed == 0


@pytest.mark.usefixtures("provisioned")
def test_what_somebody_took_away_is_told_then_put_back(cluster: Cluster, api: client.ApiClient) -> None:
    """Check mode tells and leaves it; a run puts it back."""
    client.PolicyV1Api(api).delete_namespaced_pod_disruption_budget(PDB, NAMESPACE)
    assert deploy(cluster.kubeconfig, cluster.context, check=True).changed == 1
    assert PDB not in budgets(api)
    assert deploy(cluster.kubeconfig, cluster.context).changed == 1
    assert PDB in budgets(api)


@pytest.mark.usefixtures("provisioned")
def test_a_changed_variable_is_told_then_applied(cluster: Cluster, api: client.ApiClient) -> None:
    """Check mode, a run and a run again: told, done, nothing more to do."""
    quota: dict[str, Any] = {"platform_namespace_quota_pods": 150}

    def pods() -> str:
        return str(
            client.CoreV1Api(api).read_namespaced_resource_quota("production-quota", NAMESPACE).spec.hard["pods"]
        )

    assert deploy(cluster.kubeconfig, cluster.context, quota, check=True).changed == 1
    assert pods() == "200"
    assert deploy(cluster.kubeconfig, cluster.context, quota).changed == 1
    assert pods() == "150"
    assert deploy(cluster.kubeconfig, cluster.context, quota).changed == 0


@pytest.mark.usefixtures("provisioned")
def test_a_pod_that_violates_restricted_is_refused(api: client.ApiClient) -> None:
    """Beside one that complies and is accepted, so that the refusal is for this reason."""
    core = client.CoreV1Api(api)
    (broker, *_) = core.list_namespaced_pod(NAMESPACE, label_selector="app.kubernetes.io/component=kafka").items
    container = {
        "name": "probe",
        "image": broker.spec.containers[0].image,
        "securityContext": api.sanitize_for_serialization(broker.spec.containers[0].security_context),
    }
    security = api.sanitize_for_serialization(broker.spec.security_context)
    pod: dict[str, Any] = {
        "metadata": {"name": "probe"},
        "spec": {"containers": [container], "securityContext": security},
    }
    core.create_namespaced_pod(NAMESPACE, pod, dry_run="All")
    container["securityContext"] = {
        **container["securityContext"],
        "privileged": True,
        "allowPrivilegeEscalation": True,
    }
    with pytest.raises(client.ApiException, match="violates PodSecurity"):
        core.create_namespaced_pod(NAMESPACE, pod, dry_run="All")


def enforced(cluster: Cluster) -> str:
    """What the playbook says of the network policies; empty where they are enforced."""
    ran = subprocess.run(
        [
            Path(sys.executable).with_name("ansible-playbook"),
            "tests/cluster/enforced.yml",
            *("-e", f"platform_kubeconfig={cluster.kubeconfig}", "-e", f"platform_context={cluster.context}"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    said = " ".join((ran.stdout + ran.stderr).split())
    if ran.returncode:
        return said
    return said if "network policies is not known" in said else ""


@pytest.mark.usefixtures("provisioned")
def test_a_cluster_that_obeys_no_policy_is_refused(cluster: Cluster, api: client.ApiClient) -> None:
    """Without any policy a broker reaches what it must not, as where there is no engine; with them it does not."""
    assert enforced(cluster) == ""
    client.NetworkingV1Api(api).delete_collection_namespaced_network_policy(NAMESPACE)
    told = "The cluster enforces no network policies: a broker reaches commodity-feed"
    until(lambda: told in enforced(cluster), "it is told")
    deploy(cluster.kubeconfig, cluster.context, parts=["network"])
    assert enforced(cluster) == ""


@pytest.mark.usefixtures("provisioned")
def test_the_brokers_are_reached_from_this_machine_alone(cluster: EmbeddedCluster) -> None:
    """By the one address that the cluster says it sees us with; with any other address in its place, not at all."""
    bootstrap = Platform(cluster.kubeconfig, cluster.context).bootstrap().split(",")

    def reached() -> list[bool]:
        return [_connects(*one.rsplit(":", 1)) for one in bootstrap]

    (ours,) = cluster.clients
    for cidr, reaches in (("192.0.2.1/32", False), (ours, True)):
        deploy(cluster.kubeconfig, cluster.context, {"platform_external_cidrs": [cidr]}, parts=["network"])
        until(lambda reaches=reaches: reached() == [reaches] * 3, f"{cidr}: {reaches}", 30)  # type: ignore[misc]  # a default binds it
    deploy(cluster.kubeconfig, cluster.context, parts=["network"])


def _connects(host: str, port: str) -> bool:
    try:
        socket.create_connection((host, int(port)), 2).close()
    except OSError:
        return False
    return True


@pytest.mark.usefixtures("provisioned")
def test_teardown_takes_what_is_ours_and_nothing_else(cluster: Cluster, api: client.ApiClient) -> None:
    """A foreign object stays and keeps its namespace; once it is gone, so is everything."""
    core = client.CoreV1Api(api)
    core.create_namespaced_config_map(NAMESPACE, {"metadata": {"name": "foreign"}})
    assert teardown(cluster.kubeconfig, cluster.context, check=True).changed > 0
    assert budgets(api)
    assert teardown(cluster.kubeconfig, cluster.context).changed > 0
    left = {found.metadata.name for found in core.list_namespaced_config_map(NAMESPACE).items}
    assert left == {"foreign", "kube-root-ca.crt"}
    assert core.list_namespaced_pod(NAMESPACE).items == []
    assert teardown(cluster.kubeconfig, cluster.context).changed == 0
    core.delete_namespaced_config_map("foreign", NAMESPACE)
    assert teardown(cluster.kubeconfig, cluster.context).changed > 0
    assert NAMESPACE not in namespaces(api)
    assert client.SchedulingV1Api(api).list_priority_class(label_selector=OURS).items == []
    assert teardown(cluster.kubeconfig, cluster.context).changed == 0


def test_a_namespace_of_somebody_else_is_refused(cluster: Cluster, api: client.ApiClient) -> None:
    """It keeps its labels and gets nothing of ours."""
    core = client.CoreV1Api(api)
    core.create_namespace({"metadata": {"name": "theirs"}})
    try:
        with pytest.raises(UsageError, match="theirs is there and not ours"):
            deploy(cluster.kubeconfig, cluster.context, {"platform_namespace": "theirs"})
        assert set(core.read_namespace("theirs").metadata.labels) == {"kubernetes.io/metadata.name"}
    finally:
        core.delete_namespace("theirs")


def test_a_cluster_that_does_not_answer_is_refused(cluster: Cluster) -> None:
    """One sentence, without a retry that takes minutes."""
    with pytest.raises(UsageError, match=r"The cluster nowhere of .* can't be used"):
        deploy(cluster.kubeconfig, "nowhere")
