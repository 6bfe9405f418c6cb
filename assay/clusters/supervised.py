"""What runs of one embedded cluster: a supervisor for the control plane, and one for each node, by role."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from assay.clusters import control_plane, network, processes, supervisor
from assay.clusters.cluster import ClusterError
from assay.clusters.journal import Process
from assay.waiting import wait_until

if TYPE_CHECKING:
    from assay.clusters.node import Node
    from assay.clusters.state import Record, State

#: How long a new process may take to leave the machine's namespaces, and how often it is looked at, in seconds.
_UNSHARE_SECONDS: Final = 10.0
_EVERY_SECONDS: Final = 0.05


class Supervised:
    """The first processes of one cluster, as its journal tells them. A role is `control-plane` or a node's name."""

    def __init__(self, state: State) -> None:
        """Those of the cluster with this state; nothing is touched."""
        self._state = state

    def running(self, role: str) -> tuple[int, int] | None:
        """Pid and start time of a role's supervisor, if it lives."""
        last = None
        for entry in self._state.journal.entries():
            if isinstance(entry, Process) and entry.role == role and entry.pid is not None:
                last = (entry.pid, entry.started or 0)
        return last if last is not None and processes.alive(*last) else None

    def pid(self, role: str) -> int:
        """The pid of a role's supervisor.

        Raises:
            ClusterError: it does not run.
        """
        found = self.running(role)
        if found is None:
            raise ClusterError(f"{role} of cluster {self._state.folder.name!r} is not running")
        return found[0]

    def start_control_plane(self, record: Record, specification: dict[str, object]) -> None:
        """Start the control plane, and the fabric in its network that nodes are connected to.

        Raises:
            ClusterError: it got no namespaces of its own.
        """
        self._specify(control_plane.ROLE, specification)
        pid = self._start(control_plane.ROLE, record, self._state.logs / "control-plane.log")
        network.make_fabric(record, pid, self._state.journal)

    def start_node(self, node: Node, specification: dict[str, object] | None = None) -> None:
        """Start a node and plug in its cable. Without a specification it does what it did before.

        Raises:
            ClusterError: it got no namespaces of its own, or the control plane does not run.
        """
        if specification is not None:
            self._specify(node.name, specification)
        fabric = self.pid(control_plane.ROLE)
        pid = self._start(node.name, node.record, node.logs / "supervisor.log")
        network.connect_node(node.record, node.number, pid, fabric)

    def _specification(self, role: str) -> Path:
        return self._state.folder / f"{role}.json"

    def _specify(self, role: str, specification: dict[str, object]) -> None:
        """Write down what a supervisor shall do; a node that is started again does the same again."""
        self._specification(role).write_text(json.dumps(specification, indent=1))

    def _start(self, role: str, record: Record, log: Path) -> int:
        journal = self._state.journal
        journal.write(Process(role))
        namespaces = ["--net", "--mount", "--uts", "--ipc", "--pid", "--mount-proc", "--fork", "--kill-child=SIGKILL"]
        argv = ["unshare", *namespaces, sys.executable, "-I", "-S", supervisor.__file__, str(self._specification(role))]
        pid, started = processes.start(argv, log, record.token)
        journal.write(Process(role, pid, started))
        # What is connected to its network must be its own: wait until it has left the machine's.
        own = Path("/proc/self/ns/net").stat().st_ino
        wait_until(
            lambda: processes.alive(pid, started) and Path(f"/proc/{pid}/ns/net").stat().st_ino != own,
            _UNSHARE_SECONDS,
            f"{role} did not get namespaces of its own; see {log}",
            every=_EVERY_SECONDS,
        )
        return pid
