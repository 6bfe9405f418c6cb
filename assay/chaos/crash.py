"""A node that crashes: its own programs and all its pods end at once, and it comes back as after a reboot."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from assay.chaos import readiness
from assay.errors import UsageError

if TYPE_CHECKING:
    from assay.chaos.machines import Machines
    from assay.chaos.readiness import Readiness
    from assay.platform import Platform


@dataclass
class Crashed:
    """A node that crashes.

    Attributes:
        platform: The platform whose pods run on it.
        machines: What can crash it.
        node: Its name.
        chosen: How it was chosen.
    """

    platform: Platform
    machines: Machines
    node: str
    chosen: str = ""
    kind: str = "node-crash"
    _processes: frozenset[tuple[int, int]] = field(default=frozenset(), init=False)
    _containers: frozenset[str] = field(default=frozenset(), init=False)
    _before: Readiness | None = field(default=None, init=False)

    @property
    def target(self) -> str:
        """The node."""
        return f"node/{self.node}"

    def inject(self, name: str, seconds: float) -> None:  # noqa: ARG002  # its end is the machine's own affair
        """Crash it; it starts again by itself."""
        pods = self._pods()
        on_it = [one for one in pods if one.spec.node_name == self.node]
        if not on_it:
            raise UsageError(f"No pod of {self.platform.namespace} runs on {self.node}: its crash would show nothing.")
        self._before = readiness.of(pods)
        self._containers = frozenset(_containers(on_it))
        self._processes = frozenset(self.machines.node_processes(self.node))
        self.machines.crash_node(self.node, seconds)

    def bites(self) -> str | None:
        """None of its processes is alive."""
        return None if self._alive() else f"all {len(self._processes)} processes of the node gone"

    def heal(self, name: str) -> None:  # noqa: ARG002  # a node has one crash at a time
        """Start it, unless it runs."""
        self.machines.revive_node(self.node)

    def healed(self) -> str | None:
        """It is ready, no pod lives on what died with it, and as many pods are ready as before."""
        if self._before is None:
            return "nothing was crashed"
        if self._alive():
            return "the node did not crash"
        conditions = self.platform.core.read_node(self.node).status.conditions or ()
        ready = any(one.type == "Ready" and one.status == "True" for one in conditions)
        pods = self._pods()
        # What Kubernetes says of a dead node is true for a minute: only new containers are news.
        stale = self._containers & frozenset(_containers([one for one in pods if readiness.is_ready(one)]))
        if not ready or stale or readiness.of(pods).lacking(self._before):
            return None
        return f"{self.node} is ready, and all pods are that were"

    def _alive(self) -> bool:
        return bool(self._processes & frozenset(self.machines.node_processes(self.node)))

    def _pods(self) -> list[Any]:
        return readiness.pods(self.platform)


def _containers(pods: list[Any]) -> list[str]:
    return [str(one.container_id) for pod in pods for one in pod.status.container_statuses or () if one.container_id]
