"""Deleting a pod through the API: whoever owns it makes another."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kubernetes import client

from assay.chaos import readiness
from assay.errors import AssayError, UsageError
from assay.platform import reason

if TYPE_CHECKING:
    from assay.chaos.node import Nodes
    from assay.chaos.readiness import Readiness
    from assay.chaos.target import Target
    from assay.platform import Platform


@dataclass
class Deleted:
    """A pod that is deleted.

    Attributes:
        platform: Where.
        nodes: The cluster's nodes: that the processes are gone is seen there.
        target: The pod.
        grace_seconds: How long its processes may take to end by themselves; None: as long as the pod says.
        chosen: How it was chosen.
    """

    platform: Platform
    nodes: Nodes
    target: Target
    grace_seconds: int | None = None
    chosen: str = ""
    kind: str = "pod-delete"
    _owner: str = field(default="", init=False)
    _before: Readiness | None = field(default=None, init=False)

    def inject(self, name: str, seconds: float) -> None:  # noqa: ARG002  # there is nothing to end after a time
        """Ask for its deletion, of this very pod and no later one of its name."""
        pods = readiness.pods(self.platform)
        found = next((one for one in pods if one.metadata.uid == self.target.uid), None)
        if found is None:
            raise AssayError(f"The pod {self.target.pod} is gone already: it can't be deleted.")
        owner = readiness.owner(found)
        if owner is None:
            raise UsageError(f"Nobody would make the pod {self.target.pod} again: it has no owner.")
        self._owner, self._before = owner, readiness.of(pods)
        preconditions = client.V1Preconditions(uid=self.target.uid)
        options = client.V1DeleteOptions(grace_period_seconds=self.grace_seconds, preconditions=preconditions)
        try:
            self.platform.core.delete_namespaced_pod(self.target.pod, self.platform.namespace, body=options)
        except client.ApiException as error:
            raise AssayError(f"The pod {self.target.pod} can't be deleted: {reason(error)}.") from None

    def bites(self) -> str | None:
        """No process of its container is alive."""
        order = {"do": "processes", "pod": self.target.uid, "container": self.target.container_id}
        alive = self.nodes(self.target.node).ask(order)["processes"]
        return None if alive else f"no process of the pod with uid {self.target.uid} is left"

    def heal(self, name: str) -> None:
        """Nothing: its owner does it."""

    def healed(self) -> str | None:
        """It is gone, its owner has as many ready pods as before, and a new one among them."""
        if self._before is None:
            return "nothing was deleted"
        pods = readiness.pods(self.platform)
        now = readiness.of(pods)
        new = now.new(self._before, self._owner)
        gone = all(one.metadata.uid != self.target.uid for one in pods)
        if not gone or not new or self._owner in now.lacking(self._before):
            return None
        return f"{self._owner} has {len(now.ready[self._owner])} ready pods, new: {', '.join(sorted(new))}"
