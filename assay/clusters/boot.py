"""Booting an embedded cluster: from the parts that are prepared until its nodes are Ready and its DNS answers."""

from __future__ import annotations

import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from assay.clusters import (
    auditing,
    borrowed,
    cgroups,
    control_plane,
    disks,
    machine,
    supervisor,
    tunables,
)
from assay.clusters.cluster import ClusterError, Report
from assay.clusters.journal import CgroupTree
from assay.clusters.node import OWN_FOLDERS, nodes_of
from assay.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from assay.clusters.node import Node
    from assay.clusters.prepared import Prepared
    from assay.clusters.state import Record, State
    from assay.clusters.supervised import Supervised
    from assay.pki import Authority

#: What several nodes on one machine use up: each kubelet, containerd and many programs in pods watch files.
SYSCTLS: Final[Mapping[str, int]] = {
    "fs/inotify/max_user_instances": 1024,
    "fs/inotify/max_user_watches": 262144,
}
_EVERY_SECONDS: Final = 0.05


class Boot:
    """One boot. Its record is saved already, so that what it leaves behind can be removed whenever it ends."""

    def __init__(
        self,
        state: State,
        supervised: Supervised,
        parts: Prepared,
        facts: machine.Facts,
        report: Report,
    ) -> None:
        """Describe the boot; nothing is touched.

        Args:
            state: the cluster's.
            supervised: starts its processes.
            parts: its binary, and the image store that nodes copy.
            facts: what this machine has.
            report: told each step that is done, with the time since the boot began.
        """
        self._state = state
        self._supervised = supervised
        self._parts = parts
        self._facts = facts
        self._report = report
        self._begun = time.monotonic()
        self._name_servers = machine.name_servers()

    def run(self, record: Record, context: str) -> None:
        """Boot.

        Args:
            record: what is to be.
            context: its context's name in its kubeconfig.

        Raises:
            AssayError: it did not get there; all stays for its logs.
        """
        state = self._state
        state.logs.mkdir(exist_ok=True)
        state.volumes.mkdir(exist_ok=True)
        forwarding = {f"net/ipv4/conf/{link}/forwarding": 1 for link in machine.default_interfaces()}
        borrowed.borrow(state.folder, {**SYSCTLS, **forwarding}, list(OWN_FOLDERS.values()))
        state.journal.write(CgroupTree(record.cgroup_tree))
        authority = control_plane.make_identities(state, record.addresses, context)
        auditing.write_policy(state)
        self._done("addresses, keys and settings")
        nodes = nodes_of(record, state)
        with ThreadPoolExecutor(len(nodes) + 1) as pool:
            self._start_control_plane(record)
            lacking = pool.submit(disks.lacking, state.folder)
            started = [pool.submit(self._make_node, node, authority) for node in nodes]
            from assay.clusters import api  # noqa: PLC0415  # slow to import: meanwhile the processes start

            for one in started:
                one.result()
            no_disks = lacking.result()
        self._done(f"control plane and {len(nodes)} nodes started")
        waiting = api.Api(state.kubeconfig)
        api_server = str(record.addresses.control_plane)
        self._wait("the API server", lambda: supervisor.answers(api_server, 6443, "/readyz"))
        waiting.apply_addons(record.addresses, self._parts, self._name_servers, no_disks)
        if no_disks:
            self._report(f"volumes have no size of their own: {no_disks}")
        names = {node.name for node in nodes}
        self._wait(f"{len(nodes)} nodes Ready", lambda: names <= waiting.ready_nodes())
        self._wait("cluster DNS", waiting.dns_ready)

    def _start_control_plane(self, record: Record) -> None:
        folders = cgroups.read().make(f"{record.cgroup_tree}/{control_plane.ROLE}")
        specification = control_plane.specification(
            self._state, record.addresses, self._parts, [str(one) for one in folders]
        )
        self._supervised.start_control_plane(record, specification)

    def _make_node(self, node: Node, authority: Authority) -> None:
        cni = self._facts.cni_folder
        if cni is None:
            raise ClusterError("the CNI plugins vanished while the cluster was made")
        node.make_files(authority, self._parts, cni, self._name_servers)
        self._parts.copy_store(node.folder / "containerd", node.record.token)
        tree = cgroups.read()
        tree.make(node.pods_cgroup)
        folders = [str(one) for one in tree.make(node.system_cgroup)]
        containerd = shutil.which("containerd") or "/usr/bin/containerd"
        self._supervised.start_node(node, node.specification(self._parts, containerd, folders))

    def _wait(self, what: str, there: Callable[[], bool]) -> None:
        logs = self._state.logs
        seconds = tunables.BOOT_SECONDS

        def alive_and_there() -> bool:
            if self._supervised.running(control_plane.ROLE) is None:
                name, log = self._state.folder.name, logs / "control-plane.log"
                raise ClusterError(f"the control plane of cluster {name} died while it started; see {log}")
            return there()

        wait_until(
            alive_and_there,
            self._begun + seconds - time.monotonic(),
            f"{what} not there {seconds} s after the start; see {logs}, then run `assay down`",
            every=_EVERY_SECONDS,
        )
        self._done(what)

    def _done(self, what: str) -> None:
        self._report(f"{time.monotonic() - self._begun:5.1f} s  {what}")
