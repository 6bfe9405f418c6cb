"""The program that does the harm on a node: whom it would hit, and what it says when it can't."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from assay.chaos import node, node_processes, node_program
from assay.errors import AssayError
from assay.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

POD = "0cf1d8b0-7f6b-4c9e-9f5e-3d1c7a1b2c3d"
ANOTHER = "1cf1d8b0-7f6b-4c9e-9f5e-3d1c7a1b2c3d"
CONTAINER = "ab" * 32
SLICE = POD.replace("-", "_")

CGROUPS = {
    "v1 cgroupfs": f"9:name=systemd:/\n4:memory:/kubepods/burstable/pod{POD}/{CONTAINER}\n0::/",
    "v2 cgroupfs": f"0::/kubepods/besteffort/pod{POD}/{CONTAINER}",
    "v2 cgroupfs, guaranteed": f"0::/kubepods/pod{POD}/{CONTAINER}",
    "v2 systemd, containerd": "0::/kubepods.slice/kubepods-burstable.slice/"
    f"kubepods-burstable-pod{SLICE}.slice/cri-containerd-{CONTAINER}.scope",
    "v2 systemd, CRI-O": f"0::/kubepods.slice/kubepods-pod{SLICE}.slice/crio-{CONTAINER}.scope",
    "v2 systemd, CRI-O, nested": f"0::/kubepods.slice/kubepods-pod{SLICE}.slice/crio-{CONTAINER}.scope/container",
    "v1 systemd, Docker": f"3:cpu:/kubepods.slice/kubepods-pod{SLICE}.slice/docker-{CONTAINER}.scope",
    "v1 systemd driver without systemd": f"3:cpu:/system.slice/kubepods-pod{SLICE}.slice:cri-containerd:{CONTAINER}",
    "kind": "0::/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/"
    f"kubelet-kubepods-burstable-pod{SLICE}.slice/cri-containerd-{CONTAINER}.scope",
    "embedded": f"0::/assay-test-0a1b2c3d/test-node-1/kubepods/burstable/pod{POD}/{CONTAINER}",
    "seen from a cgroup namespace": f"0::/../../pod{POD}/{CONTAINER}",
    "with a cgroup below": f"0::/kubepods/burstable/pod{POD}/{CONTAINER}/system.slice/a.service",
}


@pytest.mark.parametrize("cgroups", CGROUPS.values(), ids=CGROUPS.keys())
def test_a_process_is_known_by_its_cgroup(cgroups: str) -> None:
    """Whatever the version, the driver and the runtime; another pod's or container's is not meant."""
    assert node_processes.belongs(cgroups, POD)
    assert node_processes.belongs(cgroups, POD, CONTAINER)
    assert not node_processes.belongs(cgroups, ANOTHER)
    assert not node_processes.belongs(cgroups, ANOTHER, CONTAINER)
    assert not node_processes.belongs(cgroups, POD, "cd" * 32)
    assert not node_processes.belongs(cgroups, POD, CONTAINER[:12])


@pytest.mark.parametrize(
    "cgroups",
    ["", "0::/", "9:name=systemd:/\n8:pids:/user.slice\n0::/", f"0::/system.slice/cri-containerd-{CONTAINER}.scope"],
)
def test_a_process_of_no_pod_is_never_meant(cgroups: str) -> None:
    """Not even if the container's id stands in its cgroup: nothing outside of the pod is touched."""
    assert not node_processes.belongs(cgroups, POD)
    assert not node_processes.belongs(cgroups, POD, CONTAINER)


def test_it_needs_nothing_but_the_standard_library() -> None:
    """It is sent as text to whatever Python a node's image has; each part may import those that are sent before it."""
    parts: dict[str, str] = json.loads(node.program())
    before = list[str]()
    for name, text in parts.items():
        for found in ast.walk(ast.parse(text)):
            if isinstance(found, ast.Import):
                assert {alias.name for alias in found.names} <= sys.stdlib_module_names
            elif isinstance(found, ast.ImportFrom) and found.module == "assay.chaos":
                assert {alias.name for alias in found.names} <= set(before)
            elif isinstance(found, ast.ImportFrom):
                assert found.module in sys.stdlib_module_names | {"collections.abc"}
        before.append(name)


@pytest.mark.parametrize(
    "order",
    [
        {"do": "signal", "pod": POD, "container": CONTAINER, "name": "KILL"},
        {"do": "pause", "pod": POD, "container": CONTAINER, "fault": "x", "seconds": 1},
        {"do": "cut", "pod": POD, "ruleset": ""},
        {"do": "reach", "pod": POD, "address": "127.0.0.1", "port": 1, "seconds": 1, "attempts": 1},
        {"do": "volume", "pod": POD, "container": CONTAINER, "path": "/data"},
        {"do": "fill", "pod": POD, "container": CONTAINER, "fault": "x", "path": "/data", "seconds": 1, "at_most": 1},
    ],
    ids=lambda order: order["do"],
)
def test_harm_to_a_pod_that_is_not_here_is_refused_in_a_sentence(order: dict[str, object]) -> None:
    """The real program, started as on a node: it says what it did not find, and does nothing."""
    with pytest.raises(AssayError, match=rf"{order['do']}.* can't be carried out on this machine: no process of"):
        node.on_this_machine("any").ask(order)


def test_undoing_what_is_not_there_is_fine() -> None:
    """Healing may be asked any number of times, also after the pod is gone."""
    here = node.on_this_machine("any")
    assert here.ask({"do": "mend", "pod": POD, "table": "inet assay-x"}) == {"there": False}
    assert here.ask({"do": "processes", "pod": POD, "container": CONTAINER}) == {"processes": []}
    assert here.ask({"do": "resume", "pod": POD, "container": CONTAINER, "fault": "absent"}) == {"processes": []}
    assert here.ask({"do": "held", "pod": POD, "container": CONTAINER, "fault": "absent"}) == {"held": False}


@pytest.fixture
def staying(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """The real program, as a pod's first process runs it, for as long as it is asked something every three seconds."""
    order = {"do": "stay", "seconds": 3, "folder": str(tmp_path)}
    environment = {node.VARIABLE: node.program()}
    with subprocess.Popen(
        node.command(order, sys.executable), env=environment, stdout=subprocess.PIPE, text=True
    ) as one:
        wait_until((tmp_path / "asked").exists, 20, "it does not start")
        yield one
        one.kill()


def test_a_pod_ends_when_nobody_asks_it_any_more(staying: subprocess.Popen[str], tmp_path: Path) -> None:
    """Each order counts, also one that finds nothing; a killed maker asks nothing."""
    resume = {"do": "resume", "pod": POD, "container": CONTAINER, "fault": "absent", "folder": str(tmp_path)}
    began = time.monotonic()
    while time.monotonic() - began < 4:
        assert node_program.answer(resume) == {"processes": []}
        time.sleep(0.1)
    assert staying.poll() is None
    assert staying.wait(20) == 0


def test_a_pod_does_not_end_while_something_is_paused(staying: subprocess.Popen[str], tmp_path: Path) -> None:
    """Its healer would end with it; told to end, it heals what it can and goes."""
    (tmp_path / "x.json").write_text(json.dumps({"pid": 0, "started": 0, "pod": POD, "container": CONTAINER}))
    time.sleep(4)
    assert staying.poll() is None
    staying.terminate()
    assert staying.wait(20) == 0
    assert not (tmp_path / "x.json").exists()


def test_an_answer_that_is_none_is_a_sentence() -> None:
    """Whatever killed the program, its last words are shown, not a traceback of ours."""
    with pytest.raises(AssayError, match=r"The order 'cut' died on the node a: MemoryError\."):
        node.parse("the node a", {"do": "cut"}, "half an ans", "Traceback…\nMemoryError")
    with pytest.raises(AssayError, match=r"it said nothing\."):
        node.parse("the node a", {"do": "cut"}, "", "")
