"""Clusters in Docker containers: kind, k3d and minikube, through pytest-kubernetes' providers."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING, Any, Literal

import yaml
from pytest_kubernetes.options import ClusterOptions  # type: ignore[import-untyped]  # theirs
from pytest_kubernetes.providers import select_provider_manager  # type: ignore[import-untyped]  # theirs

from assay.clusters import api
from assay.clusters.cluster import ClusterError, ClusterStatus, NodeStatus, Report
from assay.clusters.commands import run
from assay.clusters.state import State, checked_name, new_record
from assay.clusters.state import root as default_root
from assay.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pytest_kubernetes.providers.base import AClusterManager  # type: ignore[import-untyped]  # theirs

Tool = Literal["kind", "k3d", "minikube"]
CREATE_SECONDS = 600
LOGS_SECONDS = 300
ENGINE_SECONDS = 10


def engine_answers() -> bool:
    """Whether a Docker engine answers on this machine."""
    if shutil.which("docker") is None:
        return False
    try:
        asked = subprocess.run(
            ["docker", "version", "--format", "{{.Server.Version}}"],
            capture_output=True,
            timeout=ENGINE_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    return asked.returncode == 0


class DockerCluster:
    """A cluster that one of the tools makes in Docker; see `assay.clusters.cluster.Cluster`."""

    def __init__(
        self, tool: Tool, name: str, *, nodes: int = 3, root: Path | None = None, report: Report = lambda _line: None
    ) -> None:
        """Describe the cluster; nothing is touched.

        Args:
            tool: which tool makes it.
            name: the cluster's name; the tool's own name for it is `pytest-<name>`.
            nodes: how many nodes it has, the control plane's among them.
            root: the folder of all clusters' state, by default `state.root()`.
            report: called with each line of progress.

        Raises:
            UsageError: the name or the number of nodes won't do.
        """
        self._tool = tool
        self._name = checked_name(name)
        if nodes < 1:
            raise UsageError(f"a cluster has at least 1 node, not {nodes}")
        self._nodes = nodes
        self._state = State((root or default_root()) / name)
        self._report = report

    @property
    def name(self) -> str:
        """The cluster's name."""
        return self._name

    @property
    def kubeconfig(self) -> Path:
        """The file the tool wrote for this cluster; it is there once `create` has returned."""
        return self._state.kubeconfig

    @property
    def context(self) -> str:
        """The context that the tool named."""
        own = f"pytest-{self._name}"
        return own if self._tool == "minikube" else f"{self._tool}-{own}"

    @property
    def audit_log(self) -> None:
        """None: these tools' API servers write one only where they are configured to, inside of a container."""

    @property
    def clients(self) -> tuple[str, ...]:
        """Not known: Docker may hide the machine behind a bridge's address, or not."""
        return ()

    def available(self) -> str | None:
        """Which tool is missing, or that no Docker engine answers; None if all is there."""
        missing = [one for one in (self._tool, "kubectl") if shutil.which(one) is None]
        if missing:
            return f"{', '.join(missing)} not found on the PATH (needed for --cluster {self._tool})"
        if not engine_answers():
            return f"no Docker engine answers on this machine (needed for --cluster {self._tool}); is it started?"
        return None

    def create(self) -> None:
        """Make the cluster with its tool until its API answers; one that is there is used.

        Raises:
            UsageError: a tool or the engine is missing, or a cluster of this name is of another kind.
            ClusterError: the tool failed.
        """
        reason = self.available()
        if reason:
            raise UsageError(reason)
        with self._state.locked():
            record = self._state.record()
            if record is not None and record.kind != self._tool:
                raise UsageError(f"cluster {self._name!r} exists and is of kind {record.kind}; run `assay down` first")
            record = record or self._state.save(new_record(self._name, self._tool, self._nodes))
            self._report(f"{self._tool} makes cluster {self._name} with {self._nodes} nodes")
            options = ClusterOptions(
                cluster_name=self._manager_name,
                kubeconfig_path=self.kubeconfig,
                provider_config=self._configuration(),
                cluster_timeout=CREATE_SECONDS,
            )
            extra = {"options": ["--nodes", str(self._nodes)]} if self._tool == "minikube" else {}
            try:
                self._manager().create(options, timeout=60, **extra)
            except (RuntimeError, ValueError, OSError, subprocess.SubprocessError) as error:
                raise ClusterError(f"{self._tool} could not make cluster {self._name}: {_told(error)}") from error
            self._state.completed(record)

    def load_images(self, archives: Sequence[Path]) -> None:
        """Give every node the images of these docker-archives, by the tool's own command for archives.

        Raises:
            ClusterError: the tool failed.
        """
        name = self._manager_name
        for archive in archives:
            argv = {
                "kind": ["kind", "load", "image-archive", str(archive), "--name", name],
                "k3d": ["k3d", "image", "import", str(archive), "--cluster", name],
                "minikube": ["minikube", "image", "load", str(archive), "-p", name],
            }[self._tool]
            run(argv, timeout=CREATE_SECONDS)

    def logs(self, folder: Path) -> None:
        """Collect the nodes' logs into the folder, as far as the tool does.

        Raises:
            ClusterError: the tool failed.
        """
        folder.mkdir(parents=True, exist_ok=True)
        if self._tool == "kind":
            run(["kind", "export", "logs", str(folder), "--name", self._manager_name], timeout=LOGS_SECONDS)
        elif self._tool == "minikube":
            file = str(folder / "minikube.log")
            run(["minikube", "logs", "-p", self._manager_name, "--file", file], timeout=LOGS_SECONDS)
        else:
            names = run(["docker", "ps", "--filter", f"name=k3d-{self._manager_name}-", "--format", "{{.Names}}"])
            for name in names.split():
                (folder / f"{name}.log").write_text(run(["docker", "logs", name], timeout=LOGS_SECONDS))

    def status(self) -> ClusterStatus:
        """The cluster as it is now."""
        if self._state.record() is None:
            return ClusterStatus(self._name, self._tool, "absent")
        nodes = api.node_conditions(self.kubeconfig) if self.kubeconfig.exists() else None
        return ClusterStatus(
            self._name,
            self._tool,
            "partial" if nodes is None else "up",
            tuple(NodeStatus(name, "", None, ready) for name, ready in (nodes or {}).items()),
            self.kubeconfig,
            self.context,
        )

    def delete(self) -> None:
        """Have the tool remove the cluster, if we had it made.

        Raises:
            ClusterError: the tool failed.
        """
        record = self._state.record()
        if record is None:
            return
        with self._state.locked():
            try:
                manager = self._manager()
                manager._on_delete()  # noqa: SLF001  # its public `delete` sleeps, and forgets what it did not make itself
            except (RuntimeError, OSError, subprocess.SubprocessError) as error:
                raise ClusterError(f"{self._tool} could not remove cluster {self._name}: {_told(error)}") from error
            shutil.rmtree(self._state.folder)

    @property
    def _manager_name(self) -> str:
        return f"pytest-{self._name}"  # pytest-kubernetes puts this before every name

    def _manager(self) -> AClusterManager:
        manager = select_provider_manager(self._tool)(self._name)
        manager._cluster_options.cluster_timeout = CREATE_SECONDS  # noqa: SLF001  # its only way for `_on_delete`
        return manager

    def _configuration(self) -> Path | None:
        """The tool's own configuration file for this many nodes; without one pytest-kubernetes pins an old image."""
        workers = self._nodes - 1
        documents: dict[str, dict[str, Any]] = {
            "kind": {
                "kind": "Cluster",
                "apiVersion": "kind.x-k8s.io/v1alpha4",
                "name": self._manager_name,
                "nodes": [{"role": "control-plane"}, *({"role": "worker"} for _ in range(workers))],
            },
            "k3d": {
                "kind": "Simple",
                "apiVersion": "k3d.io/v1alpha5",
                "metadata": {"name": self._manager_name},
                "name": self._manager_name,
                "servers": 1,
                "agents": workers,
            },
        }
        if self._tool not in documents:
            return None
        path = self._state.folder / f"{self._tool}.yaml"
        path.write_text(yaml.safe_dump(documents[self._tool]))
        return path


def _told(error: BaseException) -> str:
    told = getattr(error, "stderr", None) or str(error)
    text = told.decode(errors="replace") if isinstance(told, bytes) else str(told)
    return " ".join(text.split())[-500:]
