"""Faults on real containers: each bites, touches nothing else, is healed, and heals itself when its maker is dead.

Every test is made both ways: by the node program on this machine, and through a privileged pod, as on any cluster.
"""

from __future__ import annotations

import secrets
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from assay import ledger
from assay.chaos import packets, target
from assay.chaos.faults import Dropped, Killed, Paused, Probe
from assay.chaos.injection import injected
from assay.chaos.node import on_this_machine
from assay.chaos.node_pods import NAMESPACE, NodePods
from assay.errors import AssayError
from assay.platform import Platform
from assay.waiting import wait_until

from .conftest import steps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from assay.chaos.node import Nodes
    from assay.chaos.target import Target
    from assay.clusters.embedded import EmbeddedCluster
    from assay.ledger import LedgerWriter

    from .conftest import Pods

CUT, OPEN = 8001, 8002
WHOLE = ["inject-asked", "bites", "heal-asked", "healed"]
SERVER = f"""
import socket, threading
def serve(port):
    with socket.create_server(("", port)) as listening:
        while True:
            connection, _ = listening.accept()
            threading.Thread(target=echo, args=[connection], daemon=True).start()
def echo(connection):
    while data := connection.recv(100):
        connection.sendall(data)
for port in ({CUT}, {OPEN}):
    threading.Thread(target=serve, args=[port]).start()
"""
#: Says something on one connection again and again, and writes down whether it is answered.
TALKER = """
import socket, sys, time
connection = socket.create_connection((sys.argv[1], int(sys.argv[2])), 2)
connection.settimeout(0.3)
end = time.monotonic() + 60
while time.monotonic() < end:
    try:
        connection.sendall(b"x")
        answer = connection.recv(100)
    except TimeoutError:
        answer = b""
    open("/tmp/said", "w").write("answered" if answer else "silence")
    time.sleep(0.1)
"""
#: Injects two faults, says so, and waits to be killed.
MAKER = """
import sys, time
from pathlib import Path
from assay.chaos import packets, target
from assay.chaos.faults import Dropped, Paused, Probe
from assay.chaos.injection import injected
from assay.chaos.node import on_this_machine
from assay.chaos.node_pods import NodePods
from assay.ledger import LedgerWriter
from assay.platform import Platform

kubeconfig, context, namespace, image, ledger, cut_port, open_port = sys.argv[1:]
platform = Platform(Path(kubeconfig), context, namespace)
server, client = target.find(platform, "server"), target.find(platform, "client")
nodes = NodePods(platform, image).__enter__() if image else on_this_machine
through, beside = (Probe(client, server.address, int(port)) for port in (cut_port, open_port))
cut = Dropped(nodes, server, packets.flows([client.address], here=[through.port]), through, beside)
with LedgerWriter(Path(ledger), "faults") as faults, injected(cut, faults, "orphan-cut", seconds=12):
    with injected(Paused(nodes, client), faults, "orphan-pause", seconds=8):
        print("bitten", flush=True)
        time.sleep(60)
"""


@pytest.fixture(scope="module")
def pods(new_pods: Callable[[], Pods]) -> Iterator[Pods]:
    """A server, a client on its node and one on another, for all tests here."""
    made = new_pods()
    node, other = (found.metadata.name for found in made.api.list_node().items[:2])
    for name, place in (("server", node), ("client", other), ("neighbour", node)):
        made.run(name, SERVER, node=place)
    yield made
    made.api.delete_namespace(made.namespace)


@pytest.fixture(scope="module")
def platform(cluster: EmbeddedCluster, pods: Pods) -> Platform:
    """Their namespace, as faults are told it."""
    return Platform(cluster.kubeconfig, cluster.context, pods.namespace)


@pytest.fixture(scope="module", params=["this machine", "pods"])
def nodes(request: pytest.FixtureRequest, platform: Platform, pods: Pods) -> Iterator[Nodes]:
    """The nodes, reached in either way."""
    if request.param == "this machine":
        yield on_this_machine
        return
    with NodePods(platform, pods.image) as reached:
        yield reached


def state(nodes: Nodes, of: Target) -> list[tuple[int, int, str]]:
    """Pid, start time and state of each process of a container; what sleeps and what runs is alike."""
    found = nodes(of.node).ask({"do": "processes", "pod": of.uid, "container": of.container_id})["processes"]
    return [(one["pid"], one["started"], "T" if one["state"] == "T" else "S") for one in found]


def reach(nodes: Nodes, probe: Probe, attempts: int = 3, seconds: float = 0.3) -> tuple[int, str]:
    """How many of a probe's connections were answered, and how the last one ended."""
    order = {"do": "reach", "pod": probe.source.uid, "address": probe.address, "port": probe.port}
    answer = nodes(probe.source.node).ask({**order, "attempts": attempts, "seconds": seconds})
    return answer["passed"], answer["end"]


def cut_between(nodes: Nodes, platform: Platform, *, loss: float = 1.0) -> Dropped:
    """What the client sends to the server's one port is dropped, and what comes back; its other port stays open."""
    server, client = target.find(platform, "server"), target.find(platform, "client")
    return Dropped(
        nodes,
        server,
        packets.flows([client.address], here=[CUT]),
        through=Probe(client, server.address, CUT),
        beside=Probe(client, server.address, OPEN),
        loss=loss,
    )


def test_sigkill_ends_a_container_and_nothing_else(
    nodes: Nodes, platform: Platform, pods: Pods, faults: LedgerWriter, tmp_path: Path
) -> None:
    """Also its first process, which ignores SIGKILL from within; a container beside it on the node does not notice."""
    name = f"victim-{secrets.token_hex(3)}"
    neighbour = target.find(platform, "neighbour")
    pods.run(name, "import time; time.sleep(999)", node=neighbour.node)
    from_within = "import os, time; os.kill(1, 9); time.sleep(0.2); print(os.path.exists('/proc/1'))"
    assert pods.python(name, from_within) == "True"
    victim = target.find(platform, name)
    before = state(nodes, neighbour)
    with injected(Killed(platform, nodes, victim), faults, "kill"):
        assert state(nodes, victim) == []
    assert target.find(platform, name).container_id != victim.container_id
    assert state(nodes, neighbour) == before
    recorded = steps(tmp_path)
    assert [row["step"] for row in recorded] == WHOLE
    assert {(row["fault"], row["kind"], row["target"]) for row in recorded} == {
        ("kill", "process-sigkill", f"pod/{name}")
    }


def test_sigterm_lets_a_container_end_by_itself(
    nodes: Nodes, platform: Platform, pods: Pods, faults: LedgerWriter, tmp_path: Path
) -> None:
    """It decides how: its exit code is its own."""
    name = f"polite-{secrets.token_hex(3)}"
    pods.run(name, "import signal, sys\nsignal.signal(15, lambda *_: sys.exit(7))\nwhile True: signal.pause()")
    with injected(Killed(platform, nodes, target.find(platform, name), "TERM"), faults, "polite"):
        pass
    (status,) = pods.api.read_namespaced_pod(name, pods.namespace).status.container_statuses
    assert status.last_state.terminated.exit_code == 7
    assert {row["kind"] for row in steps(tmp_path)} == {"process-sigterm"}


def test_a_paused_container_answers_nothing_and_goes_on_afterwards(
    nodes: Nodes, platform: Platform, pods: Pods, faults: LedgerWriter, tmp_path: Path
) -> None:
    """Its processes are the same before and after; healing once more changes nothing."""
    server = target.find(platform, "server")
    before = state(nodes, server)
    ask = f"""
import socket
connection = socket.create_connection(("{server.address}", {OPEN}), 2)
connection.settimeout(1)
connection.sendall(b"x")
try:
    print(connection.recv(1))
except TimeoutError:
    print("silence")
"""
    assert pods.python("client", ask) == "b'x'"
    with injected(Paused(nodes, server), faults, "pause") as pause:
        assert state(nodes, server) == [(pid, started, "T") for pid, started, _ in before]
        assert pods.python("client", ask) == "silence"
        pause.heal()
        assert pods.python("client", ask) == "b'x'"
    assert state(nodes, server) == before
    assert [row["step"] for row in steps(tmp_path)] == WHOLE


def test_a_cut_breaks_what_it_names_and_nothing_beside(
    nodes: Nodes, platform: Platform, pods: Pods, faults: LedgerWriter, tmp_path: Path
) -> None:
    """A connection that stands is broken too; the same port for others, and other ports for the same peer, are not."""
    cut = cut_between(nodes, platform)
    address = cut.target.address
    talker = ["python3", "-c", TALKER, address, str(CUT)]
    quiet = "start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL"
    pods.python("client", f"import subprocess; subprocess.Popen({talker!r}, {quiet})")

    def said() -> str:
        return pods.python("client", "print(open('/tmp/said').read())")

    wait_until(lambda: said() == "answered", 10, "the connection does not stand")
    try_it = "import socket; socket.create_connection(('{}', {}), 2); print('open')"
    with injected(cut, faults, "cut"):
        wait_until(lambda: said() == "silence", 10, "the standing connection goes on")
        assert pods.python("neighbour", try_it.format(address, CUT)) == "open"
        assert pods.python("client", try_it.format(address, OPEN)) == "open"
    wait_until(lambda: said() == "answered", 30, "the connection does not go on")
    assert [row["step"] for row in steps(tmp_path)] == WHOLE


def test_a_share_of_packets_can_be_lost(nodes: Nodes, platform: Platform, faults: LedgerWriter, tmp_path: Path) -> None:
    """Some connections do not come about at once, which is how it is seen to bite, and some do: of 30, one at least."""
    lossy = cut_between(nodes, platform, loss=0.3)
    with injected(lossy, faults, "loss"):
        assert any(reach(nodes, lossy.through, 1) == (1, "open") for _ in range(30))
    assert [(row["kind"], row["step"]) for row in steps(tmp_path)] == [("packet-loss", step) for step in WHOLE]


def test_faults_end_by_themselves_when_their_maker_is_killed(
    nodes: Nodes, platform: Platform, pods: Pods, tmp_path: Path
) -> None:
    """Neither before their time nor much later; the ledger says what was seen until then."""
    image = "" if nodes is on_this_machine else str(pods.image)
    path = tmp_path / "orphans.arrows"
    words = [str(platform.kubeconfig), platform.context, platform.namespace, image, str(path), str(CUT), str(OPEN)]
    cut, client = cut_between(nodes, platform), target.find(platform, "client")
    began = time.monotonic()
    with subprocess.Popen([sys.executable, "-c", MAKER, *words], stdout=subprocess.PIPE, text=True) as maker:
        assert maker.stdout is not None
        assert maker.stdout.readline() == "bitten\n"
        maker.kill()
    assert {letter for _, _, letter in state(nodes, client)} == {"T"}
    assert reach(nodes, cut.through) == (0, "silent")
    wait_until(lambda: {letter for _, _, letter in state(nodes, client)} == {"S"}, 20, "it stays paused", every=0.2)
    assert time.monotonic() - began > 8
    wait_until(lambda: reach(nodes, cut.through) == (3, "open"), 20, "it stays cut", every=0.2)
    assert time.monotonic() - began > 12
    recorded = ledger.read(path)
    assert not recorded.complete
    assert recorded.table["step"].to_pylist() == ["inject-asked", "bites"] * 2


def test_a_fault_that_does_not_bite_is_an_error(
    nodes: Nodes, platform: Platform, faults: LedgerWriter, tmp_path: Path
) -> None:
    """The block is not entered, and the ledger says that it failed."""
    toothless = injected(cut_between(nodes, platform, loss=1e-6), faults, "toothless", bite_seconds=1)
    with pytest.raises(AssayError, match="was not seen to bite within 1 s"), toothless:
        pytest.fail("it was taken to bite")
    assert [row["step"] for row in steps(tmp_path)] == ["inject-asked", "failed", "heal-asked", "healed"]


def test_no_harm_without_a_target(platform: Platform) -> None:
    """What is not there, or does not run, is said in a sentence."""
    with pytest.raises(AssayError, match="There is no pod absent in"):
        target.find(platform, "absent")
    with pytest.raises(AssayError, match="has no container absent; it has main"):
        target.find(platform, "server", "absent")


def test_the_namespace_for_privileged_pods_goes_again(platform: Platform, pods: Pods) -> None:
    """It is there as long as it is used; pods that a killed maker left there are somebody's use."""
    left = pods.api.list_namespaced_pod(NAMESPACE).items
    with NodePods(platform, pods.image) as reached:
        reached(target.find(platform, "server").node)
        assert [one.metadata.name for one in pods.api.list_namespace().items].count(NAMESPACE) == 1
        for one in left:
            pods.api.delete_namespaced_pod(one.metadata.name, NAMESPACE)
        wait_until(lambda: len(pods.api.list_namespaced_pod(NAMESPACE).items) == 1, 30, "the others' pods stay")
    wait_until(lambda: NAMESPACE not in [one.metadata.name for one in pods.api.list_namespace().items], 60, "it stays")
