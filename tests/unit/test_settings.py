"""The settings of a run: which decide, what is shown of pods, and that nothing secret or unknown is made up."""

from __future__ import annotations

import json
from typing import Any

import pytest

from assay import settings
from assay.kafka import overrides
from assay.manifest import Plan

PLAN = Plan(messages=1, rate_per_second=0, seed=1, topic="prices", group="analytics", partitions=3)


def document() -> dict[str, Any]:
    """What is read of a platform where all is as it should be."""
    broker = {"default.replication.factor": "3", "broker.session.timeout.ms": "3000", "log.dirs": "/data"}
    partitions = {str(number): {"leader": number, "replicas": [0, 1, 2], "inSync": [0, 1, 2]} for number in range(3)}
    topic = {"min.insync.replicas": "2", "unclean.leader.election.enable": "false", "retention.ms": "1"}
    pod = {
        "component": "analytics",
        "containers": {"analytics": {"env": {"A": "1"}, "envFrom": ["ConfigMap config", "Secret keys"]}},
    }
    return {
        "kafka": {
            "version": "4.3.1",
            "brokers": {str(number): {"address": "b:1", "settings": dict(broker)} for number in range(3)},
            "topics": {"prices": {"partitions": partitions, "settings": topic}},
            "group": {"protocol": "CLASSIC", "settings": {"consumer.session.timeout.ms": "45000"}},
        },
        "load": {"producer": overrides.effective({})},
        "kubernetes": {
            "version": "v1.36.3",
            "nodes": {"node-1": {"kubeletVersion": "v1.36.3"}, "node-2": {"kubeletVersion": "v1.36.3"}},
            "pods": {"consumer-0": pod},
            "configMaps": {"config": {"ANALYTICS_SESSION_TIMEOUT_MS": "6000"}},
        },
    }


def test_the_settings_that_decide_have_plain_names() -> None:
    """A dozen of hundreds, all as text."""
    assert settings.decisive(document(), PLAN) == {
        "producer acks": "all",
        "producer enable.idempotence": "true",
        "producer message.timeout.ms": "120000",
        "topic min.insync.replicas": "2",
        "topic unclean.leader.election.enable": "false",
        "topic replication.factor": "3",
        "broker default.replication.factor": "3",
        "broker broker.session.timeout.ms": "3000",
        "group protocol": "CLASSIC",
        "group session.timeout": "6000 ms",
    }


def test_where_the_brokers_decide_the_groups_timeouts_theirs_are_told() -> None:
    """With the protocol of KIP-848 a member's own setting means nothing."""
    given = document()
    given["kafka"]["group"]["protocol"] = "CONSUMER"
    assert settings.decisive(given, PLAN)["group session.timeout"] == "45000 ms"


def test_brokers_that_differ_are_told_apart() -> None:
    """One wrong broker does not hide behind two right ones."""
    given = document()
    given["kafka"]["brokers"]["2"]["settings"]["broker.session.timeout.ms"] = "9000"
    assert settings.decisive(given, PLAN)["broker broker.session.timeout.ms"] == "3000 (0, 1), 9000 (2)"


def test_the_partition_with_the_fewest_copies_counts() -> None:
    """Replication is as good as its worst partition."""
    given = document()
    given["kafka"]["topics"]["prices"]["partitions"]["1"]["replicas"] = [2]
    assert settings.decisive(given, PLAN)["topic replication.factor"] == "1"


def test_what_was_set_over_the_safe_settings_is_told() -> None:
    """As the producer uses it."""
    given = document() | {"load": {"producer": overrides.effective({"acks": "0", "enable.idempotence": "false"})}}
    decisive = settings.decisive(given, PLAN)
    assert (decisive["producer acks"], decisive["producer enable.idempotence"]) == ("0", "false")


@pytest.mark.parametrize("part", ["brokers", "topics", "group", "pods"])
def test_what_could_not_be_read_has_no_entry(part: str) -> None:
    """The others have theirs: nothing is made up, and nothing crashes."""
    given = document()
    for where in (given["kafka"], given["kubernetes"]):
        if part in where:
            where[part] = {"unknown": "Kafka does not answer."}
    found = settings.decisive(given, PLAN)
    assert found["producer acks"] == "all"
    assert "unknown" not in json.dumps(found)
    assert len(found) < len(settings.decisive(document(), PLAN))


def test_a_topic_without_a_group_has_no_settings_of_one() -> None:
    """Nobody consumes it."""
    given = document()
    del given["kafka"]["group"]
    assert not [name for name in settings.decisive(given, PLAN) if name.startswith("group ")]


def test_versions_are_of_what_ran() -> None:
    """Nodes of different versions are told apart; what could not be found out is left out."""
    given = document()
    found = settings.versions(given)
    assert found.pop("librdkafka")
    assert found == {"Kafka": "4.3.1", "Kubernetes": "v1.36.3", "Kubernetes nodes": "v1.36.3"}
    given["kubernetes"]["nodes"]["node-2"]["kubeletVersion"] = "v1.35.0"
    given["kafka"]["version"] = {"unknown": "No broker's pod runs."}
    found = settings.versions(given)
    assert "Kafka" not in found
    assert found["Kubernetes nodes"] == "v1.35.0 (node-2), v1.36.3 (node-1)"


POD: dict[str, Any] = {
    "metadata": {"name": "p", "uid": "u-1", "labels": {"app.kubernetes.io/component": "analytics"}},
    "spec": {
        "nodeName": "node-1",
        "terminationGracePeriodSeconds": 30,
        "tolerations": [{"key": "node.kubernetes.io/unreachable", "tolerationSeconds": 10}],
        "containers": [
            {
                "name": "main",
                "image": "workloads:1",
                "command": ["python3"],
                "resources": {"limits": {"cpu": "1"}},
                "env": [
                    {"name": "PLAIN", "value": "1"},
                    {"name": "EMPTY"},
                    {"name": "DB_PASSWORD", "value": "hunter2"},
                    {"name": "DB_PASSWORD_FILE", "value": "/run/password"},
                    {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "token"}}},
                    {"name": "MODE", "valueFrom": {"configMapKeyRef": {"name": "modes", "key": "mode"}}},
                    {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
                ],
                "envFrom": [{"configMapRef": {"name": "config"}}, {"secretRef": {"name": "keys"}}],
            }
        ],
        "volumes": [
            {"name": "a", "configMap": {"name": "files"}},
            {"name": "b", "secret": {"secretName": "keys"}},
            {"name": "c", "projected": {"sources": [{"configMap": {"name": "more"}}, {"secret": {"name": "keys"}}]}},
        ],
    },
    "status": {"containerStatuses": [{"name": "main", "imageID": "sha256:1", "restartCount": 2}]},
}


def test_a_pod_is_told_without_its_secrets() -> None:
    """Variables from Secrets are named, and a literal that is called a password is not shown."""
    facts = settings.pod_facts(POD)
    main = facts["containers"]["main"]
    assert main["env"] == {
        "PLAIN": "1",
        "EMPTY": "",
        "DB_PASSWORD": settings.NOT_SHOWN,
        "DB_PASSWORD_FILE": "/run/password",
        "TOKEN": "(the Secret keys, key token)",
        "MODE": "(the ConfigMap modes, key mode)",
        "NODE": "(fieldRef spec.nodeName)",
    }
    assert main["envFrom"] == ["ConfigMap config", "Secret keys"]
    assert (main["image"], main["imageID"], main["restartCount"]) == ("workloads:1", "sha256:1", 2)
    assert (facts["uid"], facts["node"], facts["component"]) == ("u-1", "node-1", "analytics")
    assert "hunter2" not in json.dumps(facts)


def test_every_configmap_of_a_pod_is_found() -> None:
    """Mounted, projected, or as variables; no Secret is among them."""
    assert settings.config_maps(POD["spec"]) == {"files", "more", "config", "modes"}


def test_a_pod_that_has_not_started_is_told_as_far_as_it_is() -> None:
    """It has no image id and no restarts yet."""
    waiting = {**POD, "status": {}}
    assert settings.pod_facts(waiting)["containers"]["main"]["imageID"] is None
