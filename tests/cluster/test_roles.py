"""Twelve checks of every role on a real cluster: create, modify, delete, each in check mode and for real, each again.

Check mode tells what would change, and changes nothing; a run changes exactly that; a second run, and check mode before
it, has nothing to do. What is told is `DeployResult.objects`; what changed is the API server's own record of what we
wrote (`metadata.managedFields`), and which pods there are.

Each role has a namespace of its own, with the roles that it needs already applied. To delete is to remove all of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import pytest
from kubernetes import client, config, dynamic

from assay.deploy import deploy, teardown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from assay.clusters.cluster import Cluster
    from assay.deploy import DeployResult

pytestmark = [pytest.mark.endurance, pytest.mark.timeout(1200)]

NOTHING: Final[frozenset[str]] = frozenset()
KINDS: Final = {
    "v1": (
        "Namespace", "ResourceQuota", "LimitRange", "ServiceAccount", "Secret", "ConfigMap", "Service",
        "PersistentVolumeClaim",
    ),
    "apps/v1": ("StatefulSet", "Deployment"),
    "batch/v1": ("CronJob",),
    "policy/v1": ("PodDisruptionBudget",),
    "networking.k8s.io/v1": ("NetworkPolicy",),
    "rbac.authorization.k8s.io/v1": ("Role", "RoleBinding"),
    "scheduling.k8s.io/v1": ("PriorityClass",),
}  # fmt: skip


@dataclass(frozen=True)
class Role:
    """What the checks need to know of a role. Names begin with `*` where the platform's instance stands.

    Attributes:
        creates: Every object that it makes.
        modify: One harmless variable, changed.
        modifies: The objects that this changes.
        given: Variables from the beginning: as small a platform as the role can be seen in.
        base: The parts of the platform that must be there before it.
        tag: Its tag, if not its name.
    """

    creates: tuple[str, ...]
    modify: Mapping[str, Any]
    modifies: tuple[str, ...]
    given: Mapping[str, Any] = field(default_factory=dict)
    base: tuple[str, ...] = ("namespace", "access")
    tag: str = ""


#: One broker, ready as soon as it answers, beside the ports of a platform that may be there.
_ONE_BROKER: Final = {
    "platform_kafka_replicas": 1,
    "platform_kafka_min_insync_replicas": 1,
    "platform_kafka_external_port_base": 30190,
    "platform_recovery_broker_min_ready_seconds": 1,
    "platform_topics_declared": [
        {"name": "commodity-prices", "partitions": 1, "replication_factor": 1, "settings": {}}
    ],
}
_NAMESPACE: Final = ("Namespace *", "ResourceQuota *-quota", "LimitRange *-limits", "PriorityClass *-storage", "PriorityClass *-workflow")  # fmt: skip  # noqa: E501
#: What is in use is kept (playbooks/rotate.yml changes it): beside it, one more.
_KEYS: Final = ("feed-token", "feed-admin-token", "iceberg-catalog-password")
_CREDENTIALS: Final = {
    "platform_credentials": dict.fromkeys((*_KEYS, "another"), "its-value"),
    "platform_access_credentials_keys": [*_KEYS, "another"],
}

#: The roles that make something. The preflight, the roll-out and the teardown have nothing of their own: every check
#: goes through the first two, and every deletion is the third. The certificates' tag is every run's, with mtls.
ROLES: Final[Mapping[str, Role]] = {
    "namespace": Role(
        creates=_NAMESPACE,
        modify={"platform_namespace_quota_pods": 150},
        modifies=("ResourceQuota *-quota",),
        given={"platform_kafka_security": "plaintext"},
        base=(),
    ),
    "access": Role(
        creates=(
            "ServiceAccount *-kafka", "ServiceAccount *-topics", "ServiceAccount *-catalog", "ServiceAccount *-feed",
            "ServiceAccount *-etl", "ServiceAccount *-analytics", "Role *-etl-role", "RoleBinding *-etl-binding",
            "Secret *-credentials",
        ),
        modify=_CREDENTIALS,
        modifies=("Secret *-credentials",),
        given={"platform_credentials": dict.fromkeys(_KEYS, "its-value")},
        base=("namespace",),
    ),
    "certificates": Role(
        creates=(
            *_NAMESPACE, "Secret *-kafka-authority", "Secret *-kafka-broker", "Secret *-kafka-admin",
            "Secret *-kafka-producer", "Secret *-kafka-consumer", "Secret *-kafka-etl",
        ),
        modify={"platform_certificates_external_addresses": ["192.0.2.1", "192.0.2.2"]},
        modifies=("Secret *-kafka-broker",),
        given={"platform_certificates_external_addresses": ["192.0.2.1"]},
        base=(),
        tag="namespace",
    ),
    "network": Role(
        creates=(
            "NetworkPolicy default-deny", "NetworkPolicy *-egress-dns", "NetworkPolicy *-egress",
            "NetworkPolicy *-egress-kafka", "NetworkPolicy kafka-from-brokers", "NetworkPolicy kafka-from-clients",
            "NetworkPolicy kafka-from-outside", "NetworkPolicy feed-from-etl", "NetworkPolicy catalog-from-readers",
            "NetworkPolicy analytics-from-monitoring", "NetworkPolicy feed-from-monitoring",
        ),
        modify={"platform_external_cidrs": ["192.0.2.0/24"]},
        modifies=("NetworkPolicy kafka-from-outside",),
        base=("namespace",),
    ),
    "kafka": Role(
        creates=(
            "ConfigMap kafka-config", "Service kafka", "Service kafka-bootstrap", "Service kafka-external-0",
            "PodDisruptionBudget kafka", "StatefulSet kafka",
        ),
        modify={"platform_recovery_broker_min_ready_seconds": 2},
        modifies=("StatefulSet kafka",),
        given=_ONE_BROKER,
    ),
    "catalog": Role(
        creates=("PersistentVolumeClaim iceberg-warehouse", "Service iceberg-catalog", "StatefulSet iceberg-catalog"),
        modify={"platform_recovery_probe_period_seconds": 3},
        modifies=("StatefulSet iceberg-catalog",),
    ),
    "feed": Role(
        creates=("ConfigMap commodity-feed-config", "Service commodity-feed", "Deployment commodity-feed"),
        modify={"platform_feed_rate_burst": 300},
        modifies=("ConfigMap commodity-feed-config", "Deployment commodity-feed"),
    ),
    "etl": Role(
        creates=("ConfigMap commodity-price-pipeline-config", "CronJob commodity-price-pipeline"),
        modify={"platform_etl_page_size": 500},
        modifies=("ConfigMap commodity-price-pipeline-config",),
    ),
    "topics": Role(
        creates=("ConfigMap kafka-topics", "Deployment kafka-topics"),
        modify={"platform_topics_interval_seconds": 20},
        modifies=("Deployment kafka-topics",),
        given=_ONE_BROKER,
        base=("namespace", "access", "kafka"),
    ),
    "analytics": Role(
        creates=(
            "ConfigMap commodity-analytics-config", "Service commodity-analytics-metrics",
            "PodDisruptionBudget commodity-analytics-consumer", "Deployment commodity-analytics-consumer",
        ),
        modify={"platform_analytics_flush_rows": 10_000},
        modifies=("ConfigMap commodity-analytics-config", "Deployment commodity-analytics-consumer"),
        # Consumers would wait for Kafka and the catalog
        given={"platform_analytics_replicas": 0},
    ),
}  # fmt: skip


class Scene:
    """A platform of one role: its namespace and instance bear one name."""

    def __init__(self, cluster: Cluster, name: str, given: Mapping[str, Any]) -> None:
        """Describe it; nothing is made."""
        self.cluster = cluster
        self.name = name
        self.names = {"platform_namespace": name, "platform_instance": name}
        self.given = {**given, **self.names}
        self.api = config.new_client_from_config(str(cluster.kubeconfig), cluster.context)
        self.selector = f"app.kubernetes.io/managed-by=assay,app.kubernetes.io/instance={name}"

    def apply(self, parts: Iterable[str], more: Mapping[str, Any], *, check: bool = False) -> DeployResult:
        """Apply these parts, with these variables above the given ones."""
        given = {**self.given, **more}
        return deploy(self.cluster.kubeconfig, self.cluster.context, given, check=check, parts=parts)

    def remove(self, *, check: bool = False) -> DeployResult:
        """Remove all of it."""
        return teardown(self.cluster.kubeconfig, self.cluster.context, self.names, check=check)

    def objects(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Every object with our labels, by `Kind name`, whoever made it."""
        resources = dynamic.DynamicClient(self.api).resources
        for version, kinds in KINDS.items():
            for kind in kinds:
                found = resources.get(api_version=version, kind=kind).get(label_selector=self.selector)
                yield from ((f"{kind} {one['metadata']['name']}", one) for one in found.to_dict()["items"])

    def written(self) -> dict[str, tuple[str, str]]:
        """What we wrote: of each object that we apply its identity and when its content last changed by us."""
        return {
            name: (one["metadata"]["uid"], entry["time"])
            for name, one in self.objects()
            for entry in one["metadata"].get("managedFields", ())
            if (entry["manager"], entry["operation"]) == ("assay", "Apply")
        }

    def pods(self) -> set[str]:
        """The pods, by identity."""
        found = client.CoreV1Api(self.api).list_namespaced_pod(self.name, label_selector=self.selector)
        return {pod.metadata.uid for pod in found.items}


def four(
    run: Callable[[bool], DeployResult],
    scene: Scene,
    expected: frozenset[str],
    look: Callable[[DeployResult], set[str]],
) -> None:
    """Check mode, a run, check mode, a run: told, done, nothing left to do.

    Args:
        run: Goes through the playbook, in check mode or not.
        scene: Where.
        expected: What must change, as `Kind name`.
        look: What of a result's objects is held against it.
    """
    for nth, check, left in ((1, True, expected), (2, False, expected), (3, True, NOTHING), (4, False, NOTHING)):
        before, pods = scene.written(), scene.pods()
        result = run(check)
        after = scene.written()
        changed = {name for name in before | after if before.get(name) != after.get(name)}
        where = f"run {nth}{' in check mode' if check else ''}"
        assert look(result) == left, where
        assert bool(result.changed) is bool(left), where
        assert changed == (NOTHING if check else left & (before.keys() | after.keys())), where
        if check or not left:
            assert scene.pods() == pods, where
        if left and not check:
            assert changed, where


@pytest.mark.parametrize("name", ROLES)
def test_check_mode_tells_the_truth_and_a_second_run_has_nothing_to_do(cluster: Cluster, name: str) -> None:
    """Twelve checks: create, modify, delete."""
    role = ROLES[name]
    scene = Scene(cluster, f"role-{name}", role.given)
    parts = (role.tag or name,)

    def named(names: tuple[str, ...]) -> frozenset[str]:
        return frozenset(one.replace("*", scene.name) for one in names)

    try:
        if role.base:
            scene.apply(role.base, {})
        four(
            lambda check: scene.apply(parts, {}, check=check),
            scene,
            named(role.creates),
            lambda result: set(result.objects),
        )
        assert named(role.creates) <= scene.written().keys()
        four(
            lambda check: scene.apply(parts, role.modify, check=check),
            scene,
            named(role.modifies),
            lambda result: set(result.objects),
        )
        # Also what others made of ours, such as the volumes of a StatefulSet
        whole = frozenset(name for name, _ in scene.objects())
        assert named(role.creates) <= whole
        kinds = {kind for some in KINDS.values() for kind in some}
        four(
            lambda check: scene.remove(check=check),
            scene,
            whole,
            lambda result: {one for one in result.objects if one.partition(" ")[0] in kinds},
        )
        assert dict(scene.objects()) == {}
    finally:
        scene.remove()
