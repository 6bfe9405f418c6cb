"""What the tests with a real cluster share: one embedded cluster a session, and pods in it."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from kubernetes import client, config
from kubernetes.stream import stream

from assay import credentials, host, ledger, sealed
from assay.chaos.readiness import is_ready
from assay.clusters import machine, prepared
from assay.clusters.embedded import EmbeddedCluster
from assay.deploy import deploy, known
from assay.errors import AssayError
from assay.kafka import metadata
from assay.kafka.admin import Admin
from assay.ledger import LedgerWriter
from assay.platform import Platform

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WORKLOADS = "assay.dev/workloads"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder needs the embedded cluster, and minutes.

    What needs the platform on it comes last: others want to see a cluster without one, and remove it again.
    """
    here = [item for item in items if item.path.is_relative_to(Path(__file__).parent)]
    for item in here:
        item.add_marker(pytest.mark.cluster)
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(600))
    items.sort(key=lambda item: "deployed" in getattr(item, "fixturenames", ()))


@pytest.fixture(scope="session")
def clusters_root() -> Iterator[Path]:
    """A folder of clusters' state of this session's own, on a disk (overlay mounts don't work everywhere)."""
    base = Path(os.environ.get("ASSAY_TEST_STATE", "/var/tmp"))  # noqa: S108  # a folder of its own is made below
    folder = Path(tempfile.mkdtemp(prefix="assay-test-", dir=base))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def new_cluster(clusters_root: Path) -> Iterator[Callable[..., EmbeddedCluster]]:
    """Describe a cluster by name (`nodes=...` and so on as wanted); what is left of it is removed at the end."""
    refusal = machine.probe(clusters_root).refusal(with_tools=False)
    if refusal:
        pytest.skip(refusal)
    host.ensure(print)
    made: list[EmbeddedCluster] = []

    def describe(name: str, **options: object) -> EmbeddedCluster:
        cluster = EmbeddedCluster(name, root=clusters_root, **options)  # type: ignore[arg-type]  # passed on as given
        made.append(cluster)
        return cluster

    yield describe
    for cluster in made:
        cluster.delete()


@pytest.fixture(scope="session")
def cluster(new_cluster: Callable[..., EmbeddedCluster]) -> EmbeddedCluster:
    """One embedded cluster with three nodes for the whole session."""
    described = new_cluster(f"test-{os.getpid()}")
    described.create()
    return described


@contextmanager
def known_to_kafka(platform: Platform) -> Iterator[None]:
    """This process, and those that it starts, show the platform's Kafka a certificate, if it wants one, for a while.

    In plain text nothing is shown, and nothing changes.
    """
    before = set(os.environ)
    named = credentials.provide(platform)
    try:
        yield
    finally:
        for name in named.keys() - before:
            os.environ.pop(name, None)


@pytest.fixture(scope="session")
def deployed(cluster: EmbeddedCluster) -> Iterator[EmbeddedCluster]:
    """The session's cluster with the platform on it, whose Kafka knows this process, until the session ends."""
    deploy(cluster.kubeconfig, cluster.context, known(cluster))
    with known_to_kafka(Platform(cluster.kubeconfig, cluster.context)):
        yield cluster


@pytest.fixture
def platform(deployed: EmbeddedCluster) -> Iterator[Platform]:
    """The platform, which is whole before and after."""
    found = Platform(deployed.kubeconfig, deployed.context)
    wait_until_whole(found)
    yield found
    wait_until_whole(found)


@pytest.fixture
def faults(tmp_path: Path) -> Iterator[LedgerWriter]:
    """A ledger of this test's faults."""
    with LedgerWriter(tmp_path / "faults.arrows", "faults") as writer:
        yield writer


class Pods:
    """Makes pods of the workloads' image and looks into them."""

    def __init__(self, kubeconfig: Path) -> None:
        """Use the cluster of this kubeconfig, in a namespace of its own."""
        self.api = client.CoreV1Api(config.new_client_from_config(str(kubeconfig)))
        self.namespace = f"test-{secrets.token_hex(3)}"
        self.api.create_namespace({"metadata": {"name": self.namespace}})
        until(self._has_account, "the namespace has its service account")
        found = prepared.find(prepared.cache())
        images = found.images if found else ()
        self.image = next((one for one in images if one.startswith(f"{WORKLOADS}:")), None)
        if self.image is None:
            pytest.skip(f"no {WORKLOADS} image is prepared")

    def _has_account(self) -> bool:
        return any(
            one.metadata.name == "default" for one in self.api.list_namespaced_service_account(self.namespace).items
        )

    def run(self, name: str, code: str, *, node: str | None = None, claim: str | None = None) -> str:
        """Start a pod that runs this Python code; its IP address once it runs.

        Args:
            name: the pod's name.
            code: Python.
            node: where it must run; None leaves that to the scheduler.
            claim: a PersistentVolumeClaim to mount at /data.
        """
        container: dict[str, object] = {"name": "main", "image": self.image, "command": ["python3", "-u", "-c", code]}
        spec: dict[str, object] = {"containers": [container], "terminationGracePeriodSeconds": 0}
        if node:
            spec["nodeName"] = node
        if claim:
            container["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
            spec["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}]
        self.api.create_namespaced_pod(self.namespace, {"metadata": {"name": name}, "spec": spec})
        until(lambda: self.phase(name) == "Running", f"pod {name} runs")
        return str(self.api.read_namespaced_pod(name, self.namespace).status.pod_ip)

    def phase(self, name: str) -> str:
        """The pod's phase."""
        return str(self.api.read_namespaced_pod(name, self.namespace).status.phase)

    def python(self, name: str, code: str) -> str:
        """Run Python code in a running pod and return what it printed, its errors included."""
        printed = stream(
            self.api.connect_get_namespaced_pod_exec,
            name,
            self.namespace,
            command=["python3", "-c", code],
            stdout=True,
            stderr=True,
        )
        return str(printed).strip()


@pytest.fixture(scope="session")
def new_pods(cluster: EmbeddedCluster) -> Callable[[], Pods]:
    """Make pods in a namespace of their own, which whoever asks for them removes."""
    return lambda: Pods(cluster.kubeconfig)


@pytest.fixture
def pods(cluster: EmbeddedCluster) -> Iterator[Pods]:
    """Pods in a namespace of this test alone."""
    made = Pods(cluster.kubeconfig)
    yield made
    made.api.delete_namespace(made.namespace)


def wait_until_whole(platform: Platform, seconds: float = 180) -> None:
    """Wait until three brokers and three consumers are ready, and every replica of every topic is in sync.

    Each broker has to answer for itself: one that has just died is ready by its pod's word, and in sync by its peers',
    for some seconds more.
    """
    admin = Admin(platform.bootstrap())

    def whole() -> bool:
        pods = [*platform.pods("kafka"), *platform.pods("analytics")]
        if len(pods) != 6 or not all(is_ready(pod) for pod in pods):
            return False
        try:
            known = metadata.views(admin)
            return len(known) == 3 and not metadata.lacking(known.values())
        except AssayError:
            return False

    until(whole, "the platform is whole", seconds)


def steps(folder: Path) -> list[dict[str, Any]]:
    """The rows of the ledger of faults in a folder: sealed, or as far as they go by now."""
    stream = folder / "faults.arrows"
    table = ledger.read(stream).table if stream.exists() else sealed.read(folder / "faults.parquet").whole()
    found: list[dict[str, Any]] = table.to_pylist()
    return found


def until(there: Callable[[], bool], what: str, seconds: float = 120) -> None:
    """Wait until something is so.

    Raises:
        AssertionError: it isn't after that many seconds.
    """
    deadline = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.2)
