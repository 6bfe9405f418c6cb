"""The embedded cluster is a real Kubernetes with real nodes, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from kubernetes import client, config
from leftovers import found_of, read_record

from assay.errors import UsageError

from .conftest import Pods

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from assay.clusters.embedded import EmbeddedCluster

SLEEP = "import time; time.sleep(3600)"
SERVE = "import http.server as h; h.test(h.SimpleHTTPRequestHandler, port=8000)"
READ = "import urllib.request as r; print(r.urlopen('http://{}', timeout=10).status)"


def until(there: Callable[[], bool], what: str, seconds: float = 120) -> None:
    """Wait until something is so, or fail."""
    deadline = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.2)


def ready(cluster: EmbeddedCluster, node: str) -> bool | None:
    """Whether the API server holds the node for Ready."""
    return next(one.ready for one in cluster.status().nodes if one.name == node)


def test_three_nodes_are_ready(cluster: EmbeddedCluster) -> None:
    """`create` returns when all nodes are Ready; its kubeconfig and context work with Kubernetes' own client."""
    nodes = client.CoreV1Api(config.new_client_from_config(str(cluster.kubeconfig), cluster.context)).list_node().items
    assert [node.metadata.name for node in nodes] == [f"{cluster.name}-node-{n}" for n in (1, 2, 3)]
    assert {one.alive for one in cluster.status().nodes} == {True}
    assert {one.ready for one in cluster.status().nodes} == {True}


def test_secrets_are_encrypted_at_rest(cluster: EmbeddedCluster, pods: Pods) -> None:
    """What a Secret holds is nowhere in etcd's files; what a ConfigMap holds is, so the look is sound."""
    pods.api.create_namespaced_secret(pods.namespace, {"metadata": {"name": "s"}, "stringData": {"k": "hidden-7f3a9c"}})
    pods.api.create_namespaced_config_map(pods.namespace, {"metadata": {"name": "c"}, "data": {"k": "open-7f3a9c"}})
    etcd = cluster.kubeconfig.parent / "etcd"

    def on_disk(text: bytes) -> bool:
        return any(text in one.read_bytes() for one in etcd.rglob("*") if one.is_file())

    until(lambda: on_disk(b"open-7f3a9c"), "etcd has written the ConfigMap", 30)
    assert not on_disk(b"hidden-7f3a9c")


def test_pods_of_different_nodes_reach_each_other_and_services_by_name(cluster: EmbeddedCluster, pods: Pods) -> None:
    """By address, by a Service's name through cluster DNS; from another node, the same node, and the host."""
    one, two, _ = cluster.node_names()
    address = pods.run("server", SERVE, node=one)
    pods.api.patch_namespaced_pod("server", pods.namespace, {"metadata": {"labels": {"app": "server"}}})
    pods.api.create_namespaced_service(
        pods.namespace,
        {
            "metadata": {"name": "server"},
            "spec": {"selector": {"app": "server"}, "ports": [{"port": 80, "targetPort": 8000}]},
        },
    )
    for name, node in (("far", two), ("near", one)):
        pods.run(name, SLEEP, node=node)
        until(lambda name=name: pods.python(name, READ.format(f"{address}:8000")) == "200", f"{name}: by address", 30)
        until(lambda name=name: pods.python(name, READ.format("server")) == "200", f"{name}: by name", 60)
        full = READ.format(f"server.{pods.namespace}.svc.cluster.local")
        until(lambda name=name, full=full: pods.python(name, full) == "200", f"{name}: by full name", 30)
    host = [sys.executable, "-c", READ.format(f"{address}:8000")]
    assert subprocess.run(host, capture_output=True, text=True, check=False).stdout.strip() == "200"


def test_a_node_port_answers_at_every_node(cluster: EmbeddedCluster, pods: Pods) -> None:
    """From the machine, a NodePort is open at each node's address, wherever the pod runs."""
    pods.run("server", SERVE, node=cluster.node_names()[0])
    pods.api.patch_namespaced_pod("server", pods.namespace, {"metadata": {"labels": {"app": "server"}}})
    ports = [{"port": 80, "targetPort": 8000}]
    service = pods.api.create_namespaced_service(
        pods.namespace,
        {"metadata": {"name": "open"}, "spec": {"type": "NodePort", "selector": {"app": "server"}, "ports": ports}},
    )
    port = service.spec.ports[0].node_port
    for node in cluster.status().nodes:
        look = [sys.executable, "-c", READ.format(f"{node.address}:{port}")]
        until(
            lambda look=look: subprocess.run(look, capture_output=True, text=True, check=False).stdout.strip() == "200",
            f"NodePort at {node.address}",
            30,
        )


def claim(pods: Pods, name: str, mode: str, size: str) -> None:
    """A claim of the default StorageClass."""
    spec = {"accessModes": [mode], "resources": {"requests": {"storage": size}}}
    pods.api.create_namespaced_persistent_volume_claim(pods.namespace, {"metadata": {"name": name}, "spec": spec})


def test_a_claim_of_many_nodes_keeps_its_data_across_them(cluster: EmbeddedCluster, pods: Pods) -> None:
    """The default StorageClass makes a volume for a claim; what a pod writes, a pod on another node reads."""
    claim(pods, "shared", "ReadWriteMany", "1Gi")
    one, two, _ = cluster.node_names()
    pods.run("writer", f"open('/data/x', 'w').write('kept'); {SLEEP}", node=one, claim="shared")
    pods.run("reader", SLEEP, node=two, claim="shared")
    until(lambda: pods.python("reader", "print(open('/data/x').read())") == "kept", "the reader sees the file", 30)


WRITE = """
try:
    with open("/data/{}", "wb") as file:
        file.write(bytes({} << 20))
    print("written")
except OSError as error:
    print(error.strerror)
"""


def test_a_claim_of_one_node_is_a_disk_of_its_size(cluster: EmbeddedCluster, pods: Pods) -> None:
    """It can be filled, which fills no other; its data follow the pod to another node, and all goes with the claim."""
    folder = cluster.kubeconfig.parent
    one, two, _ = cluster.node_names()

    def disks() -> list[str]:
        return [one for one in found_of(folder, read_record(folder))["disks"] if f"/{pods.namespace}_" in one]

    for name in ("small", "beside"):
        claim(pods, name, "ReadWriteOnce", "64Mi")
        pods.run(name, SLEEP, node=one, claim=name)
    size = int(pods.python("small", "import os; s = os.statvfs('/data'); print(s.f_blocks * s.f_frsize)"))
    assert 56 << 20 < size <= 64 << 20
    assert pods.python("small", "import os; print(os.listdir('/data'))") == "[]"
    assert pods.python("small", WRITE.format("kept", 1)) == "written"
    assert pods.python("small", WRITE.format("big", 80)) == "No space left on device"
    assert pods.python("beside", WRITE.format("x", 40)) == "written"
    assert len(disks()) == 2
    assert found_of(folder, read_record(folder))["mounts"] == []  # the machine itself sees none of it

    pods.api.delete_namespaced_pod("small", pods.namespace, grace_period_seconds=0)
    pods.run("moved", SLEEP, node=two, claim="small")
    assert pods.python("moved", "import os; print(sorted(os.listdir('/data')))") == "['big', 'kept']"
    for pod, name in (("moved", "small"), ("beside", "beside")):
        pods.api.delete_namespaced_pod(pod, pods.namespace, grace_period_seconds=0)
        pods.api.delete_namespaced_persistent_volume_claim(name, pods.namespace)
    until(lambda: not disks(), "the disks are detached")
    until(lambda: not list((folder / "volumes").glob(f"{pods.namespace}_*")), "their files are gone", 60)


@pytest.mark.timeout(900)
def test_a_killed_node_is_missed_and_comes_back_with_its_pods(
    cluster: EmbeddedCluster, pods: Pods, clusters_root: Path
) -> None:
    """A killed node becomes NotReady; started again, it has its name and address, and its pods run again, with disks.

    What was written and never synced is there: the kernel writes it out when a dead node's mount goes. No container of
    before is looked for, which would take the kubelet three seconds each.
    """
    node = cluster.node_names()[2]
    claim(pods, "own", "ReadWriteOnce", "64Mi")
    pods.run("resident", SLEEP, node=node, claim="own")
    assert pods.python("resident", WRITE.format("unsynced", 4)) == "written"
    cluster.kill_node(node)
    assert next(one.alive for one in cluster.status().nodes if one.name == node) is False
    until(lambda: ready(cluster, node) is False, "the dead node is NotReady", 60)
    cluster.start_node(node)
    until(lambda: ready(cluster, node) is True, "the node is Ready again", 60)

    def again() -> bool:
        status = pods.api.read_namespaced_pod("resident", pods.namespace).status
        state = (status.container_statuses or [None])[0]
        return status.phase == "Running" and state is not None and state.ready and state.restart_count > 0

    until(again, "its pod runs again")
    assert pods.python("resident", "import os; print(os.path.getsize('/data/unsynced'))") == str(4 << 20)
    assert pods.python("resident", WRITE.format("more", 1)) == "written"
    (log,) = clusters_root.glob(f"{cluster.name}/logs/{node}/kubelet.log")
    assert "Failed to create existing container" not in log.read_text()


def test_a_disconnected_node_is_missed_and_comes_back(cluster: EmbeddedCluster) -> None:
    """A node without its cable is NotReady though it lives, and Ready when it has it again."""
    node = cluster.node_names()[1]
    cluster.disconnect_node(node)
    try:
        until(lambda: ready(cluster, node) is False, "the disconnected node is NotReady", 60)
        assert next(one.alive for one in cluster.status().nodes if one.name == node) is True
    finally:
        cluster.connect_node(node)
    until(lambda: ready(cluster, node) is True, "the node is Ready again", 60)


def test_up_again_is_fine_and_another_size_is_refused(
    cluster: EmbeddedCluster, new_cluster: Callable[..., EmbeddedCluster]
) -> None:
    """Creating what is up says so and changes nothing; asking for other nodes is refused in one sentence."""
    new_cluster(cluster.name).create()
    with pytest.raises(UsageError, match="is up with 3 nodes, not 2"):
        new_cluster(cluster.name, nodes=2).create()


def test_two_clusters_side_by_side_and_nothing_left(
    cluster: EmbeddedCluster, new_cluster: Callable[..., EmbeddedCluster]
) -> None:
    """A second cluster has its own of everything; its removal leaves nothing of it, and the first one as it was."""
    second = new_cluster(f"second-{os.getpid()}", nodes=1)
    second.create()
    folder = second.kubeconfig.parent
    record = read_record(folder)
    assert {one.ready for one in second.status().nodes} == {True}
    assert {one.address for one in second.status().nodes}.isdisjoint(one.address for one in cluster.status().nodes)
    users = Pods(second.kubeconfig)
    claim(users, "own", "ReadWriteOnce", "64Mi")
    users.run("user", SLEEP, claim="own")
    made = {what for what, found in found_of(folder, record).items() if found}
    second.delete()
    # The control: what is looked for can be found, so finding nothing means something. Nothing is ever mounted here.
    assert made == {"processes", "folder", "links", "routes", "tables", "disks", "cgroups", "borrowed"}
    assert not any(found_of(folder, record).values()), found_of(folder, record)
    assert not folder.exists()
    assert {one.ready for one in cluster.status().nodes} == {True}
    second.delete()
    assert second.status().state == "absent"


@pytest.mark.parametrize("seconds", [0.1, 0.4, 0.8, 1.5, 3.0, 6.0])
def test_removal_after_up_was_killed_leaves_nothing(
    new_cluster: Callable[..., EmbeddedCluster], clusters_root: Path, seconds: float
) -> None:
    """`up` is killed (SIGKILL) that long after it began to make the cluster; `down` then removes all it had made."""
    name = f"killed-{os.getpid()}"
    cluster = new_cluster(name, nodes=2)
    code = (
        "import sys, pathlib; from assay.clusters.embedded import EmbeddedCluster;"
        "EmbeddedCluster(sys.argv[1], nodes=2, root=pathlib.Path(sys.argv[2])).create()"
    )
    up = subprocess.Popen([sys.executable, "-c", code, name, str(clusters_root)])
    record = clusters_root / name / "cluster.json"
    until(lambda: record.exists() or up.poll() is not None, "the cluster is begun", 60)
    time.sleep(seconds)
    up.send_signal(signal.SIGKILL)
    up.wait()
    begun = read_record(clusters_root / name)
    cluster.delete()
    assert not any(found_of(clusters_root / name, begun).values()), found_of(clusters_root / name, begun)
    assert not (clusters_root / name).exists()


def test_a_half_made_cluster_is_replaced(new_cluster: Callable[..., EmbeddedCluster], clusters_root: Path) -> None:
    """`up` over the remains of a killed `up` removes them first and ends with a cluster."""
    name = f"half-{os.getpid()}"
    told: list[str] = []
    cluster = new_cluster(name, nodes=1, report=told.append)
    code = (
        "import sys, pathlib; from assay.clusters.embedded import EmbeddedCluster;"
        "EmbeddedCluster(sys.argv[1], nodes=1, root=pathlib.Path(sys.argv[2])).create()"
    )
    up = subprocess.Popen([sys.executable, "-c", code, name, str(clusters_root)])
    until((clusters_root / name / "control-plane.json").exists, "the control plane is begun", 60)
    up.send_signal(signal.SIGKILL)
    up.wait()
    cluster.create()
    assert any("removing what is left" in line for line in told)
    assert cluster.status().state == "up"
    cluster.delete()
