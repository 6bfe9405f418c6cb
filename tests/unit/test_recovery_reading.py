"""From the document of live settings to the settings that decide recovery: as they are, or unknown with a reason."""

from __future__ import annotations

import os
from copy import deepcopy
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from assay import controller_manager
from assay.errors import AssayError
from assay.kafka import overrides
from assay.recovery.reading import duration, settings_of

if TYPE_CHECKING:
    from pathlib import Path

UNREACHABLE = {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute"}
DOCUMENT: dict[str, Any] = {
    "kafka": {
        "brokers": {
            number: {
                "address": "b:1",
                "settings": {
                    "broker.session.timeout.ms": "3000",
                    "broker.heartbeat.interval.ms": "500",
                    "controller.quorum.fetch.timeout.ms": "2000",
                    "controller.quorum.election.timeout.ms": "1000",
                },
            }
            for number in ("0", "1", "2")
        },
        "group": {
            "protocol": "CLASSIC",
            "members": [{"instanceId": None}],
            "settings": {
                "group.min.session.timeout.ms": "6000",
                "group.consumer.min.session.timeout.ms": "6000",
                "consumer.session.timeout.ms": "6000",
                "consumer.heartbeat.interval.ms": "1000",
            },
        },
    },
    "load": {"producer": overrides.effective({})},
    "kubernetes": {
        "version": "v1.36.3",
        "leases": {"node-1": 20, "node-2": 20},
        "controllerManager": {"node-monitor-grace-period": "20s"},
        "pods": {
            "consumer-0": {
                "component": "analytics",
                "tolerations": [UNREACHABLE | {"tolerationSeconds": 10}],
                "containers": {"analytics": {"env": {}, "envFrom": ["ConfigMap config"]}},
            }
        },
        "configMaps": {
            "config": {
                "ANALYTICS_SESSION_TIMEOUT_MS": "6000",
                "ANALYTICS_HEARTBEAT_INTERVAL_MS": "1000",
                "ANALYTICS_FLUSH_SECONDS": "1.0",
                "KAFKA_CLIENT_SOCKET_TIMEOUT_MS": "6000",
                "KAFKA_CLIENT_RETRY_BACKOFF_MAX_MS": "500",
            }
        },
    },
}


def given(**changes: Any) -> dict[str, Any]:
    """The document, with parts of `kafka` or `kubernetes` replaced."""
    document = deepcopy(DOCUMENT)
    for name, value in changes.items():
        part = next(part for part in (document["kafka"], document["kubernetes"]) if name in part)
        part[name] = value
    return document


def test_every_setting_is_found_with_whose_it_is() -> None:
    """Brokers, group, consumers, load, nodes, controller manager and pods."""
    settings = settings_of(DOCUMENT)
    assert str(settings.broker_session) == "brokers: broker.session.timeout.ms = 3000 ms"
    assert str(settings.classic_session) == "consumers: ANALYTICS_SESSION_TIMEOUT_MS = 6000 ms"
    assert str(settings.load_socket) == "load: socket.timeout.ms = 3000 ms"
    assert str(settings.node_lease) == "nodes: nodeLeaseDurationSeconds = 20 s"
    assert str(settings.toleration) == "consumer pods: tolerationSeconds = 10 s"
    assert (settings.flush.seconds, settings.protocol, settings.static) == (1.0, "CLASSIC", False)
    assert [name for name, one in vars(settings).items() if getattr(one, "seconds", 0) is None] == []


def test_a_default_is_taken_where_its_owner_says_that_it_holds() -> None:
    """A flag that is not given has the default of that version; brokers before 4.3 assign at once."""
    settings = settings_of(DOCUMENT)
    assert settings.node_monitor.found == "5 s (default of Kubernetes 1.36)"
    assert settings.consumer_assignment.seconds == 0
    older = settings_of(given(version="v1.31.2", controllerManager={}))
    assert older.node_grace.found == "40 s (default of Kubernetes 1.31)"


def test_static_members_are_seen() -> None:
    """By the instance id that they give."""
    members = [{"instanceId": None}, {"instanceId": "consumer-1"}]
    assert settings_of(given(group={**DOCUMENT["kafka"]["group"], "members": members})).static


@pytest.mark.parametrize(
    ("changes", "field", "why"),
    [
        ({"brokers": {"unknown": "Kafka does not answer."}}, "broker_session", "Kafka does not answer"),
        ({"brokers": {"0": {"settings": {"unknown": "refused"}}}}, "broker_session", "broker 0: refused"),
        ({"brokers": {}}, "broker_session", "no broker has broker.session.timeout.ms"),
        ({"group": {"unknown": "No coordinator."}}, "consumer_session", "No coordinator"),
        ({"pods": {"unknown": "Forbidden"}}, "classic_session", "Forbidden"),
        ({"pods": {}}, "classic_session", "no pod of the consumers is told ANALYTICS_SESSION_TIMEOUT_MS"),
        ({"pods": {}}, "toleration", "no pod of the consumers was found"),
        ({"configMaps": {"config": {"ANALYTICS_FLUSH_SECONDS": "soon"}}}, "flush", "'soon' is no number"),
        ({"leases": {"unknown": "Forbidden"}}, "node_lease", "Forbidden"),
        ({"leases": {}}, "node_lease", "no node has a lease"),
        ({"controllerManager": {"unknown": "No pod."}}, "node_grace", "No pod"),
        ({"controllerManager": {"node-monitor-grace-period": "long"}}, "node_grace", "'long' is no time"),
        (
            {"controllerManager": {}, "version": {"unknown": "?"}},
            "node_grace",
            "it is not given, and the version of Kubernetes is not known",
        ),
    ],
)
def test_what_could_not_be_read_is_unknown_and_says_why(changes: dict[str, Any], field: str, why: str) -> None:
    """Never a guess."""
    setting = getattr(settings_of(given(**changes)), field)
    assert (setting.seconds, setting.why) == (None, why)


def test_brokers_that_differ_have_no_floor() -> None:
    """Which of them is hit is not known before."""
    document = deepcopy(DOCUMENT)
    document["kafka"]["brokers"]["2"]["settings"]["broker.session.timeout.ms"] = "9000"
    setting = settings_of(document).broker_session
    assert (setting.seconds, setting.why) == (None, "the brokers differ: 3000 (0, 1), 9000 (2)")


def test_fetch_timeouts_of_the_quorum_may_differ() -> None:
    """The shortest counts for the least and the longest for the most, each with whose it is."""
    document = deepcopy(DOCUMENT)
    document["kafka"]["brokers"]["1"]["settings"]["controller.quorum.fetch.timeout.ms"] = "1850"
    document["kafka"]["brokers"]["2"]["settings"]["controller.quorum.fetch.timeout.ms"] = "2150"
    settings = settings_of(document)
    assert settings.quorum_fetch.found == "1850 ms (broker 1)"
    assert settings.quorum_fetch_longest.found == "2150 ms (broker 2)"
    same = settings_of(DOCUMENT)
    assert (same.quorum_fetch.found, same.quorum_fetch_longest.found) == ("2000 ms", "2000 ms")


def test_a_fetch_timeout_that_cannot_be_read_makes_both_unknown() -> None:
    """The one that was not read may be the longest."""
    document = deepcopy(DOCUMENT)
    document["kafka"]["brokers"]["1"]["settings"]["controller.quorum.fetch.timeout.ms"] = "soon"
    settings = settings_of(document)
    assert settings.quorum_fetch == settings.quorum_fetch_longest
    assert (settings.quorum_fetch.seconds, settings.quorum_fetch.why) == (None, "'soon' is no number")
    document["kafka"]["brokers"]["1"]["settings"] = {"unknown": "refused"}
    assert settings_of(document).quorum_fetch_longest.why == "broker 1: refused"


def test_an_older_document_has_no_control_plane() -> None:
    """Evidence of an earlier release is read as far as it goes."""
    document = deepcopy(DOCUMENT)
    del document["kubernetes"]["leases"], document["kubernetes"]["controllerManager"]
    assert settings_of(document).node_lease.why == "nobody asked for the nodes' leases"


@pytest.mark.parametrize(
    ("tolerations", "seconds"),
    [
        ([], 0.0),
        ([UNREACHABLE], float("inf")),
        ([{"operator": "Exists"}], float("inf")),
        ([UNREACHABLE, {"operator": "Exists", "tolerationSeconds": 7}], 7.0),
        ([{"key": "other", "effect": "NoExecute"}], 0.0),
        ([UNREACHABLE | {"effect": "NoSchedule"}], 0.0),
    ],
)
def test_how_long_a_pod_stays_on_a_lost_node(tolerations: list[dict[str, Any]], seconds: float) -> None:
    """As Kubernetes counts: the least of what is said; for ever without a time, not at all without a toleration."""
    pod = {**DOCUMENT["kubernetes"]["pods"]["consumer-0"], "tolerations": tolerations}
    assert settings_of(given(pods={"consumer-0": pod})).toleration.seconds == seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("20s", 20), ("1m30s", 90), ("1h", 3600), ("500ms", 0.5), ("1.5s", 1.5), ("5", None), ("", None)],
)
def test_times_as_kubernetes_writes_them(text: str, seconds: float | None) -> None:
    """And nothing else."""
    assert duration(text) == seconds


def platform(certificate: Path, pods: list[Any]) -> Any:
    """A cluster that is known by this certificate, and whose kube-system has these pods."""
    answer = SimpleNamespace(items=pods)
    core = SimpleNamespace(
        list_namespaced_pod=lambda _namespace, label_selector: answer if label_selector else None,
        api_client=SimpleNamespace(configuration=SimpleNamespace(ssl_ca_cert=str(certificate))),
    )
    return SimpleNamespace(core=core, context="c")


def test_a_controller_manager_in_a_pod(tmp_path: Path) -> None:
    """As kubeadm runs it."""
    container = SimpleNamespace(command=["kube-controller-manager", "--node-monitor-grace-period=20s"], args=["--v"])
    pod = SimpleNamespace(spec=SimpleNamespace(containers=[container]))
    assert controller_manager.flags(platform(tmp_path, [pod])) == {"node-monitor-grace-period": "20s", "v": "true"}


def test_a_controller_manager_of_another_cluster_is_not_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the one that hands out the certificate by which we know the cluster."""
    words: list[list[str] | None] = [None]
    for number, text in enumerate(("other", "ours")):
        (tmp_path / text).write_text(f"{text}\n")
        words.append(["kube-controller-manager", f"--root-ca-file={tmp_path / text}", f"--v={number}"])
    (tmp_path / "known").write_text("ours")
    found = [SimpleNamespace(info={"pid": os.getpid(), "cmdline": one}) for one in words]
    monkeypatch.setattr(psutil, "process_iter", lambda _names: iter(found))
    assert controller_manager.flags(platform(tmp_path / "known", []))["v"] == "1"
    for nobody in (tmp_path / "absent", tmp_path / "other" / "absent"):
        with pytest.raises(AssayError, match="no pod of kube-system and no process of this machine"):
            controller_manager.flags(platform(nobody, []))
