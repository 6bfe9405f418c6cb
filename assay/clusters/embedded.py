"""The embedded cluster: real Kubernetes on this machine, with root and without Docker, registry or prepared image.

The control plane and each node are a supervisor with its own namespaces (see `supervisor`): when that first process
dies, everything below it dies too. Whatever is made outside of those namespaces is journaled first (see `journal`).
"""

from __future__ import annotations

import shutil
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from assay.clusters import (
    addresses,
    auditing,
    cgroups,
    control_plane,
    crash,
    machine,
    network,
    prepared,
    processes,
    removal,
)
from assay.clusters.boot import Boot
from assay.clusters.cluster import ClusterError, ClusterStatus, NodeStatus, Report
from assay.clusters.commands import run
from assay.clusters.node import CONTAINERD_SOCKET, nodes_of
from assay.clusters.state import Record, State, checked_name, existing, lock, new_record
from assay.clusters.state import root as default_root
from assay.clusters.supervised import Supervised
from assay.errors import UsageError
from assay.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from assay.clusters.node import Node

KIND = "embedded"
DEFAULT_NODES = 3
IMPORT_SECONDS = 300
CRASH_SECONDS = 30


class EmbeddedCluster:
    """The embedded cluster of a name; see `assay.clusters.cluster.Cluster` for what it can do."""

    def __init__(
        self,
        name: str,
        *,
        nodes: int = DEFAULT_NODES,
        address_range: str | None = None,
        root: Path | None = None,
        cache: Path | None = None,
        prepare_host: Callable[[], None] | None = None,
        report: Report = lambda _line: None,
    ) -> None:
        """Describe the cluster; nothing is touched.

        Args:
            name: the cluster's name.
            nodes: how many nodes `create` makes.
            address_range: like `10.201.0.0/16`; None takes the first free one.
            root: the folder of all clusters' state, by default `state.root()`.
            cache: the folder of what host.yml prepared, by default `prepared.cache()`.
            prepare_host: runs playbooks/host.yml when that is missing.
            report: called with each line of progress.

        Raises:
            UsageError: the name or the number of nodes won't do.
        """
        self._name = checked_name(name)
        if not 1 <= nodes <= addresses.MAX_NODES:
            raise UsageError(f"a cluster has 1 to {addresses.MAX_NODES} nodes, not {nodes}")
        self._nodes = nodes
        self._range = address_range
        self._root = root or default_root()
        self._cache = cache or prepared.cache()
        self._prepare_host = prepare_host
        self._report = report
        self._state = State(self._root / name)
        self._supervised = Supervised(self._state)

    @property
    def name(self) -> str:
        """The cluster's name."""
        return self._name

    @property
    def kubeconfig(self) -> Path:
        """The cluster's kubeconfig; it is there once `create` has returned."""
        return self._state.kubeconfig

    @property
    def context(self) -> str:
        """The context's name in it."""
        return f"assay-{self._name}"

    @property
    def audit_log(self) -> Path | None:
        """The API server's audit log; None before `create`, and of a cluster that an earlier release made."""
        log = auditing.log(self._state)
        return log if log.is_file() else None

    @property
    def clients(self) -> tuple[str, ...]:
        """The machine's own end of the link into the fabric; none before `create`."""
        record = self._state.record()
        return (f"{record.addresses.host}/32",) if record is not None and record.octet else ()

    @property
    def etcd(self) -> Path:
        """The folder of etcd's own files."""
        return self._state.etcd

    def outdated(self) -> bool:
        """Whether it was made from another binary or other images than are prepared now."""
        record, now = self._state.record(), prepared.find(self._cache)
        return record is not None and bool(record.parts) and now is not None and record.parts != now.mark

    def available(self) -> str | None:
        """Why this machine can't have an embedded cluster; None if it can."""
        return machine.probe(self._root).refusal(with_tools=self._prepare_host is None)

    # ---- making ----

    def create(self) -> None:
        """Make the cluster until its nodes are Ready and its DNS answers.

        If it is up already that is fine, and nodes of it that died are started; the remains of a half-made one are
        removed first.

        Raises:
            UsageError: this machine can't, or the cluster exists with other nodes, or addresses clash.
            ClusterError: it was begun and did not get there; it stays for its logs until `delete` or another `create`.
        """
        refusal = self.available()
        if refusal:
            raise UsageError(refusal)
        with self._state.locked():
            try:
                self._create()
            except UsageError:
                record = self._state.record()
                if record is not None and not record.complete:
                    removal.remove(self._state, record)
                raise
            finally:
                with suppress(OSError):
                    self._state.folder.rmdir()  # only if nothing was made

    def _create(self) -> None:
        record = self._state.record()
        if record is not None and self._is_up(record):
            self._revive(record)
            return
        if record is not None:
            self._refuse_other_kind(record)
            self._report(f"removing what is left of cluster {self._name}, which is not up")
            removal.remove(self._state, record)
        parts = prepared.find_or_prepare(self._cache, self._prepare_host)
        facts = machine.probe(self._root)
        refusal = facts.refusal()
        if refusal:
            raise UsageError(refusal)
        record = self._with_addresses(parts.mark)
        own = parts.linked(self._state.folder / "bin")
        Boot(self._state, self._supervised, own, facts, self._report).run(record, self.context)
        self._state.completed(record)

    def _with_addresses(self, parts: str) -> Record:
        with lock(self._root, wait=True):
            used = (*machine.used_networks(), *(one.addresses.range for one in existing(self._root) if one.octet))
            chosen = addresses.explicit(self._range, used) if self._range else addresses.choose(used)
            record = new_record(self._name, KIND, self._nodes, chosen.octet)
            return self._state.save(replace(record, parts=parts))

    # ---- what is there ----

    def _refuse_other_kind(self, record: Record) -> None:
        if record.kind != KIND:
            raise UsageError(
                f"cluster {self._name!r} exists and is of kind {record.kind}; remove it first with `assay down`"
            )

    def _is_up(self, record: Record) -> bool:
        return (
            record.kind == KIND
            and record.complete
            and record.boot == processes.boot_id()
            and self._supervised.running(control_plane.ROLE) is not None
        )

    def _up(self) -> Record:
        record = self._state.record()
        if record is None or not self._is_up(record):
            raise ClusterError(f"cluster {self._name!r} is not up; start it with `assay up`")
        return record

    def _node(self, name: str) -> Node:
        nodes = {node.name: node for node in nodes_of(self._up(), self._state)}
        if name not in nodes:
            raise UsageError(f"cluster {self._name!r} has no node {name!r}; it has {', '.join(nodes)}")
        return nodes[name]

    def _revive(self, record: Record) -> None:
        if record.nodes != self._nodes:
            raise UsageError(
                f"cluster {self._name!r} is up with {record.nodes} nodes, not {self._nodes}; "
                "remove it first with `assay down`"
            )
        if self._range and self._range != str(record.addresses.range):
            raise UsageError(
                f"cluster {self._name!r} is up at {record.addresses.range}; remove it first with `assay down`"
            )
        dead = [node.name for node in nodes_of(record, self._state) if self._supervised.running(node.name) is None]
        for name in dead:
            self.revive_node(name)
        self._report(f"cluster {self._name} is up" + (f"; started again: {', '.join(dead)}" if dead else ""))

    def status(self) -> ClusterStatus:
        """The cluster as it is now."""
        record = self._state.record()
        if record is None:
            return ClusterStatus(self._name, KIND, "absent")
        from assay.clusters import api  # noqa: PLC0415  # slow to import

        known = api.node_conditions(self.kubeconfig) if self._is_up(record) else None
        nodes = tuple(
            NodeStatus(
                node.name,
                node.address,
                self._supervised.running(node.name) is not None,
                None if known is None else known.get(node.name),
            )
            for node in nodes_of(record, self._state)
        )
        pids = processes.descendants(pid for pid, _ in processes.marked(record.token))
        return ClusterStatus(
            self._name,
            KIND,
            "partial" if known is None else "up",
            nodes,
            self.kubeconfig,
            self.context,
            processes.memory(set(pids)),
        )

    # ---- nodes ----

    def node_names(self) -> tuple[str, ...]:
        """The names of all its nodes.

        Raises:
            ClusterError: the cluster is not up.
        """
        return tuple(node.name for node in nodes_of(self._up(), self._state))

    def kill_node(self, name: str) -> None:
        """Crash a node: kill its first process, and thereby all in it, at once. Its disk stays.

        Raises:
            UsageError: there is no such node.
            ClusterError: the cluster is not up, or the node does not run.
        """
        node = self._node(name)
        supervising = self._supervised.pid(node.name)
        for child in processes.descendants([supervising])[1:2]:
            processes.signal_process(child, signal.SIGKILL)
        found = self._supervised.running(node.name)
        if found is not None:
            processes.end([found])

    def start_node(self, name: str) -> None:
        """Start a node that was killed, as after a reboot: same name, address and disk. Returns before it is Ready.

        Raises:
            UsageError: there is no such node, or it runs.
            ClusterError: the cluster is not up, or the node could not be started.
        """
        node = self._node(name)
        if self._supervised.running(name) is not None:
            raise UsageError(f"node {name!r} is running")
        # A machine that boots has no cgroups of what ran before. Its kubelet would ask for the container of each, one
        # after another for 3 s, before it starts any pod.
        tree = cgroups.read()
        tree.remove(node.pods_cgroup)
        tree.make(node.pods_cgroup)
        self._supervised.start_node(node)

    def crash_node(self, name: str, seconds: float) -> None:
        """As `kill_node`, and start it again after `seconds`: a process of its own does both, so that nobody need live.

        Raises:
            UsageError: there is no such node.
            ClusterError: the cluster is not up, or the node does not run, or would not die.
        """
        node = self._node(name)
        self._supervised.pid(name)
        log = node.logs / "crash.log"
        argv = [sys.executable, "-I", crash.__file__, str(self._root), self._name, name, f"{seconds:g}"]
        processes.start(argv, log, node.record.token)
        wait_until(
            lambda: self._supervised.running(name) is None,
            CRASH_SECONDS,
            f"node {name!r} was not crashed; see {log}",
            every=0.05,
        )

    def revive_node(self, name: str) -> None:
        """Start a node that was killed, unless it runs; one of several that try it at once does it.

        Raises:
            UsageError: there is no such node.
            ClusterError: the cluster is not up, or the node could not be started.
        """
        with lock(self._node(name).folder, wait=True):
            if self._supervised.running(name) is None:
                self.start_node(name)

    def node_runs(self, name: str) -> bool:
        """Whether a node's first process runs; after a crash others of it may be about to end.

        Raises:
            UsageError: there is no such node.
            ClusterError: the cluster is not up.
        """
        return self._supervised.running(self._node(name).name) is not None

    def node_processes(self, name: str) -> tuple[tuple[int, int], ...]:
        """Pid and start time of all live processes of a node, its pods' included.

        Raises:
            UsageError: there is no such node.
            ClusterError: the cluster is not up.
        """
        node = self._node(name)
        tree = cgroups.read()
        found = tree.processes(node.pods_cgroup) | tree.processes(node.system_cgroup)
        started = ((pid, processes.start_time(pid)) for pid in sorted(found))
        return tuple((pid, ticks) for pid, ticks in started if ticks is not None)

    def disconnect_node(self, name: str) -> None:
        """Pull a node's cable: its programs and pods go on, and nothing reaches it.

        Raises:
            UsageError: there is no such node.
            ClusterError: the cluster is not up.
        """
        network.set_port(self._node(name).number, self._supervised.pid(control_plane.ROLE), up=False)

    def connect_node(self, name: str) -> None:
        """Put a node's cable back.

        Raises:
            UsageError: there is no such node.
            ClusterError: the cluster is not up.
        """
        network.set_port(self._node(name).number, self._supervised.pid(control_plane.ROLE), up=True)

    def enter_node(self, name: str) -> list[str]:
        """The command line's beginning that runs a tool in a node's namespaces (give absolute paths).

        Raises:
            UsageError: there is no such node.
            ClusterError: the cluster is not up, or the node does not run.
        """
        pid = self._supervised.pid(self._node(name).name)
        return ["nsenter", f"--net=/proc/{pid}/ns/net", f"--mount=/proc/{pid}/ns/mnt"]

    # ---- images, logs, removal ----

    def load_images(self, archives: Sequence[Path]) -> None:
        """Import docker-archives on every node that runs.

        Raises:
            ClusterError: the cluster is not up, or a node refused one.
        """
        nodes = [node for node in nodes_of(self._up(), self._state) if self._supervised.running(node.name) is not None]

        def load(node: Node) -> None:
            for archive in archives:
                argv = ["ctr", "--address", CONTAINERD_SOCKET, "--namespace", "k8s.io", "images", "import", "-"]
                with archive.open("rb") as content:
                    run([*self.enter_node(node.name), *argv], stdin_file=content, timeout=IMPORT_SECONDS)

        with ThreadPoolExecutor(len(nodes) or 1) as pool:
            list(pool.map(load, nodes))

    def logs(self, folder: Path) -> None:
        """Copy the logs of all components, and of all pods by node, into the folder."""
        if self._state.logs.is_dir():
            shutil.copytree(self._state.logs, folder, dirs_exist_ok=True)
        for pods in self._state.folder.glob("nodes/*/pod-logs"):
            with suppress(shutil.Error):  # a log that was rotated away while we copied
                shutil.copytree(pods, folder / pods.parent.name / "pods", dirs_exist_ok=True)

    def delete(self) -> None:
        """Remove the cluster and everything it made.

        Raises:
            UsageError: it is being made or removed right now, we are not root, or it is of another kind.
            ClusterError: something could not be removed.
        """
        if not self._state.folder.is_dir():
            return
        facts = machine.Facts(sys.platform.capitalize(), root=machine.is_root())
        if not facts.root:
            raise UsageError(facts.refusal() or "")
        with self._state.locked():
            record = self._state.record()
            if record is not None:
                self._refuse_other_kind(record)
                removal.remove(self._state, record)
            with suppress(OSError):
                self._state.folder.rmdir()
