"""Cgroups on v1, hybrid and v2 machines (on trees of ordinary files)."""

from __future__ import annotations

import errno
import os
import pathlib
from typing import TYPE_CHECKING

import pytest

from assay.clusters import cgroups
from assay.clusters.cgroups import Cgroups, Hierarchy
from assay.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

V1 = """\
31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
32 31 0:29 / {root}/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
34 31 0:31 / {root}/cpuset rw,relatime - cgroup cgroup rw,cpuset
35 31 0:32 / {root}/memory rw,relatime shared:9 - cgroup cgroup rw,memory
40 31 0:37 / {root}/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
41 31 0:38 / {root}/unified rw,relatime - cgroup2 cgroup2 rw
"""


def v2(root: Path, controllers: str) -> Cgroups:
    """A v2 machine with these controllers, none of them handed out yet."""
    root.mkdir(exist_ok=True)
    (root / "cgroup.controllers").write_text(controllers)
    (root / "cgroup.subtree_control").write_text("")
    return Cgroups((Hierarchy(root, 2, frozenset(controllers.split())),))


def test_a_v1_machine_is_read_from_its_mounts(tmp_path: Path) -> None:
    """Joint and named hierarchies are found; a hybrid machine's unified one does not make it v2."""
    (tmp_path / "unified").mkdir()
    (tmp_path / "unified" / "cgroup.controllers").write_text("")
    mounts = tmp_path / "mountinfo"
    mounts.write_text(V1.format(root=tmp_path))
    found = cgroups.read(mounts)
    assert not found.unified
    assert found.missing() == ()
    assert {one.root.name: set(one.controllers) for one in found.hierarchies} == {
        "cpu,cpuacct": {"cpu", "cpuacct"},
        "cpuset": {"cpuset"},
        "memory": {"memory"},
        "systemd": {"name=systemd"},
        "unified": set(),
    }


def test_missing_controllers_are_named(tmp_path: Path) -> None:
    """Kubernetes can't run without memory; a v2 machine needs pids too, and has no cpuacct."""
    assert Cgroups((Hierarchy(tmp_path, 1, frozenset({"cpu", "cpuacct", "cpuset"})),)).missing() == ("memory",)
    assert v2(tmp_path, "cpu cpuset memory").missing() == ("pids",)
    assert v2(tmp_path, "cpu cpuset memory pids io").missing() == ()


def test_on_v1_a_cgroup_is_made_in_each_hierarchy_with_its_parents_cpus(tmp_path: Path) -> None:
    """Every level of cpuset gets its parent's CPUs and memory nodes: an empty one can hold no process."""
    hierarchies = tuple(Hierarchy(tmp_path / one, 1, frozenset({one})) for one in ("memory", "cpuset"))
    for part in ("memory/a/b", "cpuset/a/b"):
        (tmp_path / part).mkdir(parents=True)
    for folder, content in (("", "0-1"), ("a", ""), ("a/b", "\n")):
        for name in ("cpuset.cpus", "cpuset.mems"):
            (tmp_path / "cpuset" / folder / name).write_text(content)
    folders = Cgroups(hierarchies).make("a/b")
    assert folders == (tmp_path / "memory/a/b", tmp_path / "cpuset/a/b")
    assert (tmp_path / "cpuset/a/b/cpuset.cpus").read_text() == "0-1"
    assert (tmp_path / "cpuset/a/cpuset.mems").read_text() == "0-1"


def test_on_a_hybrid_machine_the_unified_tree_is_left_alone(tmp_path: Path) -> None:
    """It has no controllers; nothing is made there."""
    both = (Hierarchy(tmp_path / "memory", 1, frozenset({"memory"})), Hierarchy(tmp_path / "unified", 2, frozenset()))
    for one in both:
        one.root.mkdir()
    Cgroups(both).make("a")
    assert not (tmp_path / "unified/a").exists()


def test_on_v2_controllers_are_handed_down_to_the_cgroup(tmp_path: Path) -> None:
    """The root hands out what it has and we know; what it does not have is not asked for."""
    (tmp_path / "a").mkdir()
    for name in ("cgroup.controllers", "cgroup.subtree_control"):
        (tmp_path / "a" / name).write_text("")
    v2(tmp_path, "cpu cpuset memory pids novel").make("a/b")
    assert (tmp_path / "cgroup.subtree_control").read_text() == "+cpuset +cpu +memory +pids"
    assert (tmp_path / "a/b").is_dir()


def test_on_v2_a_machine_that_does_not_delegate_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel says EBUSY where the root cgroup holds processes; the sentence names controllers and folder."""
    machine = v2(tmp_path, "memory")

    def busy(_path: Path, _text: str) -> int:
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))

    monkeypatch.setattr(pathlib.Path, "write_text", busy)
    with pytest.raises(UsageError, match=f"memory can't be handed out below {tmp_path} .*busy"):
        machine.make("a")


def test_a_tree_is_removed_from_the_bottom_up(tmp_path: Path) -> None:
    """Also from hierarchies in which it was never made, and twice."""
    machine = Cgroups(tuple(Hierarchy(tmp_path / one, 1, frozenset({one})) for one in ("memory", "cpu")))
    (tmp_path / "memory/a/b/c").mkdir(parents=True)
    (tmp_path / "memory/other").mkdir()
    machine.remove("a")
    machine.remove("a")
    assert [one.name for one in (tmp_path / "memory").iterdir()] == ["other"]
