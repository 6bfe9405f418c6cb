"""The cgroups of a cluster, on machines with cgroup v1 (also hybrid) and v2.

A cluster has the tree `/assay-<cluster>` in every hierarchy, and in it for each node two groups: `<node>`, which the
kubelet divides among pods (its `cgroupRoot`), and `<node>-system` for the node's own programs; v2 allows processes only
in leaves.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from assay.clusters.cluster import ClusterError
from assay.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

REQUIRED = frozenset({"cpu", "cpuacct", "cpuset", "memory"})
REQUIRED_V2 = frozenset({"cpu", "cpuset", "memory", "pids"})
WANTED_V2 = ("cpuset", "cpu", "io", "memory", "hugetlb", "pids", "rdma", "misc")
REMOVE_SECONDS = 10.0


@dataclass(frozen=True)
class Hierarchy:
    """One mounted cgroup hierarchy.

    Attributes:
        root: where it is mounted.
        version: 1 or 2.
        controllers: the controllers it has.
    """

    root: Path
    version: int
    controllers: frozenset[str]


@dataclass(frozen=True)
class Cgroups:
    """The machine's cgroup hierarchies, and what can be done with them."""

    hierarchies: tuple[Hierarchy, ...]

    @property
    def unified(self) -> bool:
        """Whether the machine uses v2 for everything."""
        return bool(self.hierarchies) and all(one.version == 2 for one in self.hierarchies)  # noqa: PLR2004  # v2

    def missing(self) -> tuple[str, ...]:
        """The controllers that Kubernetes needs and this machine lacks."""
        have = frozenset[str]().union(*(one.controllers for one in self.hierarchies))
        return tuple(sorted((REQUIRED_V2 if self.unified else REQUIRED) - have))

    def make(self, path: str) -> tuple[Path, ...]:
        """Make a cgroup in every hierarchy that controls something, with all its parents ready to be divided.

        Args:
            path: from the hierarchies' roots, like `assay-x/node-1`.

        Returns:
            Its folders, one for each hierarchy.

        Raises:
            UsageError: a v2 machine does not delegate the controllers needed (inside a container, say).
        """
        folders = []
        for hierarchy in self.hierarchies:
            if hierarchy.version == 2 and not self.unified:  # noqa: PLR2004  # v2
                continue  # hybrid: systemd's own tracking tree, which has no controllers
            folder = hierarchy.root
            for part in path.split("/"):
                if hierarchy.version == 2:  # noqa: PLR2004  # v2
                    _delegate(folder)
                parent, folder = folder, folder / part
                folder.mkdir(exist_ok=True)
                if "cpuset" in hierarchy.controllers and hierarchy.version == 1:
                    _inherit_cpuset(parent, folder)
            folders.append(folder)
        return tuple(folders)

    def delegate(self, path: str) -> None:
        """On v2, let the cgroup at the path divide its controllers among its children."""
        for hierarchy in self.hierarchies:
            if hierarchy.version == 2 and self.unified:  # noqa: PLR2004  # v2
                _delegate(hierarchy.root / path)

    def processes(self, path: str) -> frozenset[int]:
        """The pids in the cgroup at the path and in all below it; those that ended and were not reaped may be there."""
        found = set[int]()
        for hierarchy in self.hierarchies:
            for folder in _deepest_first(hierarchy.root / path):
                with suppress(OSError):
                    found |= {int(pid) for pid in (folder / "cgroup.procs").read_text().split()}
        return frozenset(found)

    def remove(self, path: str) -> None:
        """Remove the cgroup and all below it from every hierarchy; its processes must have ended.

        Raises:
            ClusterError: something still runs in it after 10 s.
        """
        deadline = time.monotonic() + REMOVE_SECONDS
        for hierarchy in self.hierarchies:
            top = hierarchy.root / path
            while top.exists():
                for folder in _deepest_first(top):
                    with suppress(OSError):
                        folder.rmdir()
                if top.exists():
                    if time.monotonic() > deadline:
                        raise ClusterError(f"cgroup {top} can't be removed: a process still runs in it")
                    time.sleep(0.05)


def read(mounts: Path = Path("/proc/self/mountinfo")) -> Cgroups:
    """The hierarchies that are mounted on this machine."""
    found = []
    for line in mounts.read_text().splitlines():
        left, _, right = line.partition(" - ")
        kind, _, options = right.split(" ", 2)
        root = Path(left.split()[4])
        if kind == "cgroup":
            controllers = options.split(" ")[-1].split(",")
            found.append(Hierarchy(root, 1, frozenset(controllers) - {"rw", "ro", "xattr", "clone_children"}))
        elif kind == "cgroup2":
            with suppress(OSError):
                found.append(Hierarchy(root, 2, frozenset((root / "cgroup.controllers").read_text().split())))
    return Cgroups(tuple(dict.fromkeys(found)))


def _delegate(folder: Path) -> None:
    have = (folder / "cgroup.controllers").read_text().split()
    enabled = (folder / "cgroup.subtree_control").read_text().split()
    lacking = [one for one in WANTED_V2 if one in have and one not in enabled]
    if not lacking:
        return
    try:
        (folder / "cgroup.subtree_control").write_text(" ".join(f"+{one}" for one in lacking))
    except OSError as error:
        raise UsageError(
            f"cgroup controllers {', '.join(lacking)} can't be handed out below {folder} ({error.strerror}); the "
            "embedded cluster needs a machine, or a container, whose root cgroup holds no processes"
        ) from error


def _inherit_cpuset(parent: Path, folder: Path) -> None:
    for name in ("cpuset.cpus", "cpuset.mems"):
        if not (folder / name).read_text().strip():
            (folder / name).write_text((parent / name).read_text())


def _deepest_first(top: Path) -> Iterator[Path]:
    with suppress(OSError):
        for child in top.iterdir():
            if child.is_dir():
                yield from _deepest_first(child)
    yield top
