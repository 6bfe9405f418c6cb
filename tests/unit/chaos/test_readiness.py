"""Who is missing after a fault, and whom a drain evicts, told by pods as the Kubernetes client has them."""

from __future__ import annotations

import pytest
from kubernetes import client

from assay.chaos import readiness
from assay.chaos.drain import is_evicted


def pod(
    uid: str,
    owner: str | None = "ReplicaSet/consumers",
    *,
    ready: bool = True,
    leaving: bool = False,
    node: str = "a",
    phase: str = "Running",
    mirror: bool = False,
) -> client.V1Pod:
    """A pod."""
    kind, _, name = (owner or "").partition("/")
    owners = [client.V1OwnerReference(api_version="v1", kind=kind, name=name, uid="o", controller=True)]
    return client.V1Pod(
        metadata=client.V1ObjectMeta(
            uid=uid,
            owner_references=owners if owner else None,
            deletion_timestamp="2026-01-01T00:00:00Z" if leaving else None,
            annotations={"kubernetes.io/config.mirror": "x"} if mirror else None,
        ),
        spec=client.V1PodSpec(containers=[], node_name=node),
        status=client.V1PodStatus(
            phase=phase, conditions=[client.V1PodCondition(type="Ready", status="True" if ready else "False")]
        ),
    )


def test_as_many_as_before_are_enough() -> None:
    """Others may stand in for them; one that leaves, is not ready or has no owner does not count."""
    before = readiness.of([pod("1"), pod("2"), pod("3", owner=None)])
    assert readiness.of([pod("4"), pod("5")]).lacking(before) == []
    assert readiness.of([pod("1"), pod("2", ready=False)]).lacking(before) == ["ReplicaSet/consumers"]
    assert readiness.of([pod("1"), pod("2", leaving=True)]).lacking(before) == ["ReplicaSet/consumers"]
    assert readiness.of([]).lacking(before) == ["ReplicaSet/consumers"]
    assert readiness.of([pod("1"), pod("9")]).new(before, "ReplicaSet/consumers") == {"9"}


@pytest.mark.parametrize(
    ("found", "evicted"),
    [
        (pod("1"), True),
        (pod("1", owner=None), True),
        (pod("1", ready=False), True),
        (pod("1", node="b"), False),
        (pod("1", owner="DaemonSet/agents"), False),
        (pod("1", mirror=True), False),
        (pod("1", phase="Succeeded"), False),
    ],
)
def test_a_drain_evicts_what_would_not_come_back_at_once(found: client.V1Pod, evicted: bool) -> None:
    """As `kubectl drain`: a DaemonSet and the node itself would make theirs again there."""
    assert is_evicted(found, "a") is evicted
