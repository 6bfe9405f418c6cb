"""NetworkPolicies are enforced on an embedded cluster: a truth table of what real pods reach under real policies.

The ground: a server in one namespace, listening on two TCP ports and one of UDP, and behind a Service; beside it `near`
(same node, a friend) and `far` (another node, a stranger), and in a second namespace `other` (another node, a friend).
Every client tries every way to the server; each scenario names the cells that must be open, all others must be shut.
"""

from __future__ import annotations

import json
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml
from kubernetes import client, config
from kubernetes.stream import stream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from assay.clusters.embedded import EmbeddedCluster

    from .conftest import Pods

#: How long the table may differ after a change, and how long one attempt waits for an answer.
SETTLE_SECONDS: Final = 15
START_SECONDS: Final = 60
ATTEMPT_SECONDS: Final = 1.0

TCP: Final = frozenset({"tcp 8080", "tcp 8081", "service tcp"})
UDP: Final = frozenset({"udp 5353", "service udp"})
WEB: Final = frozenset({"tcp 8080", "service tcp"})
ALL: Final = TCP | UDP
NONE: Final[frozenset[str]] = frozenset()

SERVER: Final = """
import socket, threading
def answer(connection):
    while data := connection.recv(100):
        connection.sendall(data)
def accept(port):
    listener = socket.create_server(("", port))
    while True:
        threading.Thread(target=answer, args=[listener.accept()[0]]).start()
def echo(port):
    bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    bound.bind(("", port))
    while True:
        data, peer = bound.recvfrom(100)
        bound.sendto(data, peer)
for work, port in ((accept, 8080), (accept, 8081), (echo, 5353)):
    threading.Thread(target=work, args=[port]).start()
"""
IDLE: Final = "import time; time.sleep(3600)"
PROBE: Final = f"""
import json, socket, sys
from concurrent.futures import ThreadPoolExecutor
def open(way):
    kind, host, port = way
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM) as tried:
            tried.settimeout({ATTEMPT_SECONDS})
            tried.connect((host, port))
            tried.sendall(b"?")
            return tried.recv(1) == b"?"
    except OSError:
        return False
ways = json.loads(sys.argv[1])
with ThreadPoolExecutor(len(ways)) as pool:
    print(json.dumps(dict(zip(ways, pool.map(open, ways.values())))))
"""


class Ground:
    """The two namespaces with their pods, and what is tried between them."""

    def __init__(self, kubeconfig: Path, home: Pods, abroad: Pods) -> None:
        """Use the cluster of this kubeconfig and two namespaces in it, whose pods are not made yet."""
        self.kubeconfig = kubeconfig
        self.home, self.abroad = home, abroad
        self.policies = client.NetworkingV1Api(self._connection())
        self.ways: dict[str, tuple[str, str, int]] = {}
        self.addresses: dict[str, str] = {}
        self._exec: dict[str, tuple[Pods, client.CoreV1Api]] = {}

    def _connection(self) -> client.ApiClient:
        return config.new_client_from_config(str(self.kubeconfig))

    def populate(self, cluster_name: str) -> None:
        """Start server and clients, and the Service."""
        self.start(self.home, "server", f"{cluster_name}-node-1", {"app": "server"}, SERVER)
        self.start(self.home, "near", f"{cluster_name}-node-1", {"role": "friend"})
        self.start(self.home, "far", f"{cluster_name}-node-2", {"role": "stranger"})
        self.start(self.abroad, "other", f"{cluster_name}-node-3", {"role": "friend"})
        ports = [
            {"name": "tcp", "port": 80, "targetPort": 8080},
            {"name": "udp", "port": 53, "targetPort": 5353, "protocol": "UDP"},
        ]
        service = self.home.api.create_namespaced_service(
            self.home.namespace,
            {"metadata": {"name": "server"}, "spec": {"selector": {"app": "server"}, "ports": ports}},
        ).spec.cluster_ip
        for name in ("server", "near", "far", "other"):
            self.await_address(name)
        server = self.addresses["server"]
        self.ways = {
            "tcp 8080": ("tcp", server, 8080),
            "tcp 8081": ("tcp", server, 8081),
            "udp 5353": ("udp", server, 5353),
            "service tcp": ("tcp", service, 80),
            "service udp": ("udp", service, 53),
        }

    def start(self, pods: Pods, name: str, node: str, labels: dict[str, str], code: str = IDLE) -> None:
        """Start a pod; its port 8080 is named `web`."""
        container = {
            "name": "main",
            "image": pods.image,
            "command": ["python3", "-u", "-c", code],
            "ports": [{"name": "web", "containerPort": 8080}],
        }
        spec = {"containers": [container], "nodeName": node, "terminationGracePeriodSeconds": 0}
        pods.api.create_namespaced_pod(pods.namespace, {"metadata": {"name": name, "labels": labels}, "spec": spec})
        self._exec[name] = pods, client.CoreV1Api(self._connection())

    def await_address(self, name: str) -> None:
        """Wait until a pod runs and note its address."""
        pods = self._exec[name][0]
        deadline = time.monotonic() + START_SECONDS
        while pods.phase(name) != "Running":
            assert time.monotonic() < deadline, f"pod {name} does not run"
            time.sleep(0.1)
        self.addresses[name] = str(pods.api.read_namespaced_pod(name, pods.namespace).status.pod_ip)

    def python(self, name: str, code: str, *arguments: str) -> str:
        """Run Python in a pod, over a connection that is this pod's alone: `stream` changes the one it uses."""
        pods, api = self._exec[name]
        command = ["python3", "-c", code, *arguments]
        printed = stream(
            api.connect_get_namespaced_pod_exec,
            name,
            pods.namespace,
            command=command,
            stdout=True,
            stderr=True,
            _preload_content=False,
        )
        printed.run_forever()
        return str(printed.read_all()).strip()

    def seen(self, *clients: str) -> dict[str, frozenset[str]]:
        """The ways that are open to each client now; the clients try at the same time."""

        def one(name: str) -> frozenset[str]:
            answers: dict[str, bool] = json.loads(self.python(name, PROBE, json.dumps(self.ways)))
            return frozenset(way for way, answered in answers.items() if answered)

        with ThreadPoolExecutor(len(clients)) as pool:
            return dict(zip(clients, pool.map(one, clients), strict=True))

    def must_see(self, **expected: frozenset[str]) -> None:
        """The table is as expected, soon at least."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while (seen := self.seen(*expected)) != expected and time.monotonic() < deadline:
            pass
        assert seen == expected

    def apply(self, name: str, spec: str) -> None:
        """Make a policy in the server's namespace of this YAML, in which `{near}` and so on are addresses."""
        for pod, address in self.addresses.items():
            spec = spec.replace("{" + pod + "}", address)
        spec = spec.replace("{abroad}", self.abroad.namespace)
        document = {"metadata": {"name": name}, "spec": yaml.safe_load(spec)}
        self.policies.create_namespaced_network_policy(self.home.namespace, document)

    def clear(self) -> None:
        """Remove all policies."""
        self.policies.delete_collection_namespaced_network_policy(self.home.namespace)

    def label(self, name: str, role: str) -> None:
        """Change a pod's role."""
        pods = self._exec[name][0]
        pods.api.patch_namespaced_pod(name, pods.namespace, {"metadata": {"labels": {"role": role}}})


@pytest.fixture(scope="module")
def populated(cluster: EmbeddedCluster, new_pods: Callable[[], Pods]) -> Iterator[Ground]:
    """The ground, with every way open to everybody."""
    made = Ground(cluster.kubeconfig, new_pods(), new_pods())
    made.populate(cluster.name)
    made.must_see(near=ALL, far=ALL, other=ALL)
    yield made
    for pods in (made.home, made.abroad):
        pods.api.delete_namespace(pods.namespace)


@pytest.fixture
def ground(populated: Ground) -> Iterator[Ground]:
    """The ground, without policies before and after."""
    yield populated
    populated.clear()


FRIENDS: Final = (
    "{podSelector: {matchLabels: {app: server}}, ingress: [{from: [{podSelector: {matchLabels: {role: friend}}}]}]}"
)
DENY_INGRESS: Final = "{podSelector: {matchLabels: {app: server}}}"


def to_server(rule: str) -> str:
    """A policy that lets this into the server and nothing else."""
    return "{podSelector: {matchLabels: {app: server}}, ingress: [" + rule + "]}"


def from_home(rules: str) -> str:
    """A policy that lets this out of the server's namespace and nothing else."""
    return "{podSelector: {}, policyTypes: [Egress], egress: [" + rules + "]}"


@pytest.mark.parametrize(
    ("specs", "near", "far", "other"),
    [
        pytest.param((), ALL, ALL, ALL, id="no policy"),
        pytest.param((DENY_INGRESS,), NONE, NONE, NONE, id="deny ingress"),
        pytest.param(("{podSelector: {}, policyTypes: [Ingress, Egress]}",), NONE, NONE, NONE, id="deny both"),
        pytest.param((from_home(""),), NONE, NONE, ALL, id="deny egress"),
        pytest.param((FRIENDS,), ALL, NONE, NONE, id="podSelector"),
        pytest.param(
            (to_server("{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: '{abroad}'}}}]}"),),
            *(NONE, NONE, ALL),
            id="namespaceSelector",
        ),
        pytest.param(
            (to_server("{from: [{namespaceSelector: {}, podSelector: {matchLabels: {role: friend}}}]}"),),
            *(ALL, NONE, ALL),
            id="both selectors",
        ),
        pytest.param(
            (to_server("{from: [{ipBlock: {cidr: 10.0.0.0/8, except: ['{near}/32', '{other}/32']}}]}"),),
            *(NONE, ALL, NONE),
            id="ipBlock except",
        ),
        pytest.param((to_server("{ports: [{port: 8080}]}"),), WEB, WEB, WEB, id="port"),
        pytest.param((to_server("{ports: [{port: web}]}"),), WEB, WEB, WEB, id="named port"),
        pytest.param((to_server("{ports: [{port: 8000, endPort: 8100}]}"),), TCP, TCP, TCP, id="port range"),
        pytest.param((to_server("{ports: [{port: 5353, protocol: UDP}]}"),), UDP, UDP, UDP, id="UDP port"),
        pytest.param((FRIENDS, to_server("{ports: [{port: 8080}]}")), ALL, WEB, WEB, id="union"),
        pytest.param(
            (from_home("{to: [{podSelector: {matchLabels: {app: server}}}], ports: [{port: web}]}"),),
            *(WEB, WEB, ALL),
            id="egress to a named port",
        ),
        pytest.param(
            (from_home("{to: [{ipBlock: {cidr: '{server}/32'}}], ports: [{protocol: UDP}]}"),),
            *(UDP, UDP, ALL),
            id="egress to a block",
        ),
    ],
)
def test_truth_table(
    ground: Ground, specs: tuple[str, ...], near: frozenset[str], far: frozenset[str], other: frozenset[str]
) -> None:
    """What must be open is, and everything else is shut, between pods of one node and of two, to pods and Services."""
    for number, spec in enumerate(specs):
        ground.apply(f"policy-{number}", spec)
    ground.must_see(near=near, far=far, other=other)


def test_changes_are_followed(ground: Ground) -> None:
    """Policies removed, labels changed and pods started while others run count at once."""
    ground.apply("friends", FRIENDS)
    ground.must_see(near=ALL, far=NONE)
    ground.label("far", "friend")
    ground.must_see(near=ALL, far=ALL)
    ground.label("far", "stranger")
    ground.must_see(near=ALL, far=NONE)
    ground.start(
        ground.home,
        "late",
        ground.home.api.read_namespaced_pod("far", ground.home.namespace).spec.node_name,
        {"role": "friend"},
    )
    ground.await_address("late")
    ground.must_see(late=ALL, far=NONE)
    ground.clear()
    ground.must_see(late=ALL, far=ALL, other=ALL)


def test_open_connections_are_cut(ground: Ground) -> None:
    """A connection that was opened before a policy forbade it gets nothing through any more; an allowed one does."""
    talk = f"""
import socket, time
talking = socket.create_connection(("{ground.addresses["server"]}", 8080), timeout=10)
talking.settimeout(2)
try:
    for _ in range(50):
        talking.sendall(b"?")
        talking.recv(1)
        time.sleep(0.1)
    print("all answered")
except TimeoutError:
    print("cut")
"""
    with ThreadPoolExecutor(2) as pool:
        near, far = (pool.submit(ground.python, name, talk) for name in ("near", "far"))
        time.sleep(1)
        ground.apply("friends", FRIENDS)
        assert (near.result(), far.result()) == ("all answered", "cut")


def test_rules_outlive_the_engine(ground: Ground, cluster: EmbeddedCluster) -> None:
    """While a node's engine is dead its rules hold; it is started again and follows what changed meanwhile."""
    ground.apply("deny", DENY_INGRESS)
    ground.must_see(near=NONE, far=NONE, other=NONE)
    node = f"{cluster.name}-node-1"
    (engine,) = engines(node)
    os.kill(engine, signal.SIGKILL)
    assert ground.seen("near", "far", "other") == {"near": NONE, "far": NONE, "other": NONE}
    ground.clear()
    ground.must_see(near=ALL, far=ALL, other=ALL)
    assert engines(node) not in ([], [engine])


def engines(node: str) -> list[int]:
    """The process ids of a node's policy engine."""
    found: list[int] = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words: list[Any] = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue  # it has just ended
        if words[0].endswith(b"/network-policy") and f"--node-name={node}".encode() in words:
            found.append(int(folder.name))
    return found
