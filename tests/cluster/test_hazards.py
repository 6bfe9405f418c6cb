"""Every fault of the catalogue on the deployed platform: it bites, is healed, and the platform is whole again.

One of each kind is in every build; other roles, directions and ways are `endurance`.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import Producer
from handmade import new_topic

from assay.chaos import catalogue, target
from assay.chaos.disk import Filled, capacity
from assay.chaos.drain import MARK
from assay.chaos.injection import injected
from assay.chaos.node import on_this_machine
from assay.chaos.node_pods import NodePods
from assay.errors import AssayError, UsageError
from assay.kafka import identity, metadata
from assay.kafka.admin import Admin
from assay.platform import Platform
from assay.waiting import wait_until

from .conftest import steps, wait_until_whole

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from assay.chaos.node import Nodes
    from assay.chaos.target import Target
    from assay.clusters.embedded import EmbeddedCluster
    from assay.ledger import LedgerWriter

    from .conftest import Pods

WHOLE = ["inject-asked", "bites", "heal-asked", "healed"]
DISK = "16Mi"
KAFKA = "/var/lib/kafka"
#: Builds a fault of the catalogue, injects it, says so, and waits to be killed.
MAKER = """
import os, sys, time
from pathlib import Path
from assay.chaos import catalogue
from assay.chaos.injection import injected
from assay.chaos.node import on_this_machine
from assay.clusters.embedded import EmbeddedCluster
from assay.kafka.admin import Admin
from assay.ledger import LedgerWriter
from assay.platform import Platform

root, cluster, name, seconds, path = sys.argv[1:]
machines = EmbeddedCluster(cluster, root=Path(root))
platform = Platform(machines.kubeconfig, machines.context)
fault = catalogue.build(name, platform, on_this_machine, Admin(platform.bootstrap()), machines=machines)
limits = catalogue.limits(name)
with LedgerWriter(Path(path), "faults") as faults, injected(fault, faults, "orphan", seconds=float(seconds), **limits):
    print("bitten", fault.target, flush=True)
    time.sleep(600)
"""


def of(name: str, *, endurance: bool = False, **arguments: catalogue.Plain) -> Any:
    """A fault of the catalogue with its arguments, as a parameter."""
    words = [name, *(str(one) for one in arguments.values())]
    return pytest.param(name, arguments, id="-".join(words), marks=[pytest.mark.endurance] if endurance else [])


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        of("consumer-sigkill", role="owner:0"),
        of("consumer-sigterm", endurance=True),
        of("consumer-pause"),
        of("consumer-isolated", role="owner:1"),
        of("consumer-isolated", endurance=True, direction="in"),
        of("broker-sigkill", role="controller"),
        of("broker-sigkill", endurance=True, role="leader-not-controller"),
        of("broker-sigkill", endurance=True, role="coordinator"),
        of("broker-sigterm", endurance=True, role="leader:1"),
        of("broker-pause", role="follower:0"),
        of("broker-pause", endurance=True, role="coordinator"),
        of("broker-isolated", role="leader:0"),
        of("broker-isolated", role="leader:1", peers="clients", direction="in"),
        of("broker-isolated", endurance=True, role="leader:0", peers="brokers"),
        of("broker-isolated", endurance=True, role="controller", peers="brokers", direction="out"),
        of("packet-loss", role="leader:2", share=0.2),
        of("packet-loss", endurance=True, role="random", peers="clients", share=0.2),
        of("two-brokers", endurance=True, how="pause"),
        of("two-brokers", endurance=True, how="sigkill"),
        of("two-brokers", endurance=True, how="isolated"),
        of("pod-deleted", grace="none"),
        of("pod-deleted", endurance=True, who="broker", role="leader:0", grace="normal"),
        of("dns-down"),
        of("dns-down", endurance=True, at="servers"),
        of("feed-down"),
        of("disk-full", role="follower:0"),
        of("node-kill", role="follower:0"),
        of("node-drain", endurance=True, who="consumer", role="owner:0"),
        of("rolling-restart"),
    ],
)
def test_a_fault_bites_and_is_healed(
    deployed: EmbeddedCluster,
    platform: Platform,
    faults: LedgerWriter,
    tmp_path: Path,
    *,
    name: str,
    arguments: dict[str, catalogue.Plain],
) -> None:
    """Each step is in the ledger, with how its target was chosen; the fixture sees that the platform is whole again."""
    admin = Admin(platform.bootstrap())
    fault = catalogue.build(name, platform, on_this_machine, admin, machines=deployed, **arguments)
    with injected(fault, faults, "hazard", seconds=300, **catalogue.limits(name)):
        assert fault.bites()
    found = steps(tmp_path)
    assert [row["step"] for row in found] == WHOLE
    assert str(arguments.get("role", "")) in found[0]["detail"]
    assert all(row["detail"] for row in (found[1], found[3]))


def test_with_two_brokers_less_nothing_is_acknowledged(platform: Platform, faults: LedgerWriter) -> None:
    """In no partition, also not where the leader lives; afterwards every partition acknowledges again."""
    bootstrap = platform.bootstrap()
    settings = {"min.insync.replicas": "2"}
    with new_topic(bootstrap, f"two-less-{secrets.token_hex(3)}", [0, 1, 2], settings) as topic:
        assert acknowledged(bootstrap, topic, 20) == 3
        fault = catalogue.build("two-brokers", platform, on_this_machine, Admin(bootstrap), how="pause")
        with injected(fault, faults, "two", seconds=60, **catalogue.limits("two-brokers")):
            assert acknowledged(bootstrap, topic, 5) == 0
        wait_until_whole(platform)
        assert acknowledged(bootstrap, topic, 30) == 3


def acknowledged(bootstrap: str, topic: str, seconds: float) -> int:
    """How many of three partitions acknowledge a message within a time."""
    ends: list[bool] = []
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "acks": "all",
            "message.timeout.ms": int(seconds * 1000),
            "log_level": 0,
            **identity.settings(),
        }
    )
    for partition in range(3):
        producer.produce(topic, b"x", partition=partition, on_delivery=lambda error, _: ends.append(error is None))
    assert producer.flush(seconds + 30) == 0
    return sum(ends)


def test_a_drain_honours_the_budgets_and_ends_though_its_maker_is_killed(
    deployed: EmbeddedCluster, platform: Platform, tmp_path: Path
) -> None:
    """One more eviction is refused with 429; the cordon ends by itself, and no other cordon does."""
    node = orphaned(deployed, "node-drain", 45, tmp_path)
    bitten = steps(tmp_path)[1]["detail"]
    assert "one more eviction was refused" in bitten
    assert "429" in bitten
    found = platform.core.read_node(node)
    assert found.spec.unschedulable
    assert found.metadata.annotations[MARK] == "orphan"
    wait_until(lambda: not platform.core.read_node(node).spec.unschedulable, 60, "it stays cordoned")
    assert MARK not in (platform.core.read_node(node).metadata.annotations or {})


@pytest.mark.endurance
def test_a_node_starts_again_though_its_maker_is_killed(
    deployed: EmbeddedCluster, platform: Platform, tmp_path: Path
) -> None:
    """Not before its time; what it lost comes back on it."""
    began = time.monotonic()
    node = orphaned(deployed, "node-kill", 10, tmp_path)
    wait_until(lambda: deployed.node_processes(node), 60, "it stays dead", every=0.1)
    assert time.monotonic() - began > 10
    wait_until_whole(platform)


def orphaned(cluster: EmbeddedCluster, name: str, seconds: float, folder: Path) -> str:
    """Have a process inject a fault, and kill it; the name of what was hit."""
    words = [str(cluster.kubeconfig.parents[1]), cluster.name, name, str(seconds), str(folder / "faults.arrows")]
    with subprocess.Popen([sys.executable, "-c", MAKER, *words], stdout=subprocess.PIPE, text=True) as maker:
        assert maker.stdout is not None
        said = maker.stdout.readline()
        maker.kill()
    assert said.startswith("bitten ")
    return said.strip().rpartition("/")[2]


@pytest.fixture
def disk(cluster: EmbeddedCluster, pods: Pods) -> tuple[Platform, Target]:
    """A pod with a volume of its own size at /data, which the kernel keeps in memory."""
    volume = {"name": "data", "emptyDir": {"medium": "Memory", "sizeLimit": DISK}}
    container = {
        "name": "main",
        "image": pods.image,
        "command": ["python3", "-c", "import time; time.sleep(999)"],
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
    spec = {"containers": [container], "volumes": [volume], "terminationGracePeriodSeconds": 0}
    pods.api.create_namespaced_pod(pods.namespace, {"metadata": {"name": "disk"}, "spec": spec})
    wait_until(lambda: pods.phase("disk") == "Running", 60, "the pod does not run")
    found = Platform(cluster.kubeconfig, cluster.context, pods.namespace)
    return found, target.find(found, "disk")


@pytest.fixture(params=["this machine", "pods"])
def nodes(request: pytest.FixtureRequest, disk: tuple[Platform, Target], pods: Pods) -> Iterator[Nodes]:
    """The nodes, reached in either way."""
    if request.param == "this machine":
        yield on_this_machine
        return
    with NodePods(disk[0], pods.image) as reached:
        yield reached


WRITE = """
try:
    with open("/data/{}", "wb") as file:
        file.write(bytes(65536))
    print("written")
except OSError as error:
    print(error.strerror)
"""


def test_a_full_disk_takes_nothing_until_it_is_healed(
    disk: tuple[Platform, Target], nodes: Nodes, pods: Pods, faults: LedgerWriter, tmp_path: Path
) -> None:
    """Also what becomes free is taken; afterwards all of it is there again, and no file is left."""
    platform, pod = disk
    assert pods.python("disk", WRITE.format("before")) == "written"
    fault = Filled(platform, nodes, pod, "/data")
    with injected(fault, faults, "full", seconds=60):
        assert pods.python("disk", WRITE.format("first")) == "No space left on device"
        pods.python("disk", "import os; os.remove('/data/before')")
        wait_until(fault.bites, 10, "what is freed stays free", every=0.1)
        assert pods.python("disk", WRITE.format("second")) == "No space left on device"
    assert pods.python("disk", WRITE.format("after")) == "written"
    assert pods.python("disk", "import os; print(sorted(os.listdir('/data')))") == "['after', 'first', 'second']"
    assert [row["step"] for row in steps(tmp_path)] == WHOLE


def test_a_full_disk_gives_its_space_back_by_itself(disk: tuple[Platform, Target], nodes: Nodes, pods: Pods) -> None:
    """Nobody heals it."""
    platform, pod = disk
    fault = Filled(platform, nodes, pod, "/data")
    fault.inject("full", 4)
    assert fault.bites()
    assert pods.python("disk", WRITE.format("first")) == "No space left on device"
    wait_until(fault.healed, 30, "it stays full")
    assert pods.python("disk", WRITE.format("second")) == "written"


def test_a_volume_that_shares_its_disk_is_not_filled(platform: Platform, faults: LedgerWriter, tmp_path: Path) -> None:
    """As the warehouse, which many nodes write: nothing is changed, and the sentence says why."""
    consumer = target.find(platform, platform.pods("analytics")[0].metadata.name)
    refused = injected(Filled(platform, on_this_machine, consumer, "/warehouse"), faults, "full")
    with pytest.raises(UsageError, match="it is a folder of a disk that others use too"), refused:
        pytest.fail("it was filled")
    assert [row["step"] for row in steps(tmp_path)] == ["inject-asked", "failed"]


def test_a_full_disk_of_a_broker_fills_nothing_else(deployed: EmbeddedCluster, platform: Platform) -> None:
    """Neither the machine's disk nor another broker's; nobody heals it, and it ends by itself."""
    full, other = (target.find(platform, name) for name in ("kafka-0", "kafka-1"))
    claimed, _ = capacity(platform, full, KAFKA)
    before, beside = free(deployed.kubeconfig.parent), other_free(other)
    fault = Filled(platform, on_this_machine, full, KAFKA)

    def healed() -> str | None:
        with suppress(AssayError):  # the broker may have died of it, and be just starting
            return fault.healed()
        return None

    fault.inject("full", 4)
    try:
        assert fault.bites()
        # Others write meanwhile, but nothing like all of a broker's disk.
        assert before - free(deployed.kubeconfig.parent) < claimed / 4
        assert beside - other_free(other) < claimed / 4
    finally:
        wait_until(healed, 240, "it stays full")


def free(folder: Path) -> int:
    """The bytes that are free for anybody on a folder's file system."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


def other_free(broker: Target) -> int:
    """The same of a broker's volume."""
    order = {"do": "volume", "pod": broker.uid, "container": broker.container_id, "path": KAFKA}
    return int(on_this_machine(broker.node).ask(order)["free"])


@pytest.mark.endurance
def test_a_broker_without_space_falls_out_and_comes_back(
    platform: Platform, faults: LedgerWriter, tmp_path: Path
) -> None:
    """The other two go on; once there is space it is in sync again."""
    broker = target.find(platform, "kafka-2")
    bootstrap = platform.bootstrap()
    admin = Admin(bootstrap)

    def fallen_out() -> bool:
        with suppress(AssayError):  # it may be the broker that was asked, and be just dying
            return bool(metadata.under_replicated(admin))
        return False

    fault = Filled(platform, on_this_machine, broker, KAFKA)
    with new_topic(bootstrap, f"full-{secrets.token_hex(3)}", [0, 1, 0], {"min.insync.replicas": "2"}) as topic:
        with injected(fault, faults, "full", heal_seconds=240):
            wait_until(fallen_out, 90, "it does not mind")
            assert acknowledged(bootstrap, topic, 30) == 3
        wait_until_whole(platform)
    assert [row["step"] for row in steps(tmp_path)] == WHOLE
