"""Consumers' events from real pods' logs: containers die, pods are deleted, and each event is recorded once."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from assay import ledger
from assay.consumer_events import ConsumerEvents
from assay.platform import Platform
from assay.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Pods

    from assay.clusters.embedded import EmbeddedCluster

#: Logs an event every 20 ms, and other lines; when told to die, its last word, and is gone at once.
CONSUMER = """
import itertools, json, os, pathlib, secrets, time
instance = os.environ["HOSTNAME"] + "/" + secrets.token_hex(4)
def say(n, kind, ranges):
    facts = {"event": "consumer." + kind, "instance": instance, "n": n, "monotonic_ns": time.monotonic_ns()}
    print(json.dumps({**facts, "ranges": ranges}), flush=True)
say(0, "started", [])
for n in itertools.count(1):
    print("something else", flush=True)
    say(n, "polled", [[0, n, n + 1, 1], [1, 7 * n, 7 * n + 7, 7]])
    if pathlib.Path("/tmp/die").exists():
        say(n + 1, "stopped", [])
        os._exit(1)
    time.sleep(0.02)
"""


def start(pods: Pods, name: str) -> None:
    """Start a pod that looks like a consumer's."""
    container = {"name": "analytics", "image": pods.image, "command": ["python3", "-c", CONSUMER]}
    body: dict[str, Any] = {
        "metadata": {"name": name, "labels": {"app.kubernetes.io/component": "analytics"}},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 0},
    }
    pods.api.create_namespaced_pod(pods.namespace, body)
    wait_until(lambda: pods.phase(name) == "Running", 120, f"{name} does not run")


def test_each_event_is_recorded_once_whatever_happens_to_the_pods(
    cluster: EmbeddedCluster, pods: Pods, tmp_path: Path
) -> None:
    """A consumer that dies and comes back, one that is deleted, one that is new, one that just goes on."""
    for name in ("dies", "deleted", "stays"):
        start(pods, name)
    time.sleep(1)  # so that something was logged before
    platform = Platform(cluster.kubeconfig, cluster.context, pods.namespace)
    path = tmp_path / "events.arrows"
    began = time.monotonic_ns()
    with ConsumerEvents(platform, "analytics", path) as events:
        pods.python("dies", "open('/tmp/die', 'w')")
        pods.api.delete_namespaced_pod("deleted", pods.namespace, grace_period_seconds=0)
        start(pods, "new")
        restarted = pods.api.read_namespaced_pod_status
        wait_until(
            lambda: restarted("dies", pods.namespace).status.container_statuses[0].restart_count, 60, "no restart"
        )
        time.sleep(2)
    recorded = ledger.read(path)
    assert recorded.complete
    assert events.gaps == []
    by_instance: dict[str, list[dict[str, Any]]] = {}
    for row in recorded.table.to_pylist():
        by_instance.setdefault(row["instance"], []).append(row)
    assert sorted(name.split("/")[0] for name in by_instance) == ["deleted", "dies", "dies", "new", "stays"]
    for instance, rows in by_instance.items():
        places = [(row["n"], row["partition"]) for row in rows]
        assert len(set(places)) == len(places), instance
        assert {n for n, _ in places} == set(range(len({n for n, _ in places}))), instance
        assert (rows[0]["seen_ns"] is None) == (rows[0]["at_ns"] < began), instance
        delays = sorted(row["seen_ns"] - row["at_ns"] for row in rows if row["seen_ns"] is not None)
        assert 0 <= delays[0] <= delays[len(delays) // 2] < 5e9, instance
    last = [rows[-1]["kind"] for name, rows in by_instance.items() if name.startswith("dies/")]
    assert sorted(last) == ["polled", "stopped"]
