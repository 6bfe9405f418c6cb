"""A rolling restart, as `kubectl rollout restart` asks for it: pod after pod is made anew by the StatefulSet.

It ends by itself and can't be taken back half way: healing it is waiting for its end.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import urllib3
from kubernetes import client

from assay.chaos import readiness
from assay.errors import AssayError
from assay.kafka import metadata
from assay.platform import reason

if TYPE_CHECKING:
    from assay.chaos.node import Nodes
    from assay.kafka.admin import Admin
    from assay.platform import Platform

#: What kubectl writes, so that a person recognises it.
ANNOTATION: Final = "kubectl.kubernetes.io/restartedAt"


@dataclass
class Restarted:
    """All brokers, one after another.

    Attributes:
        platform: Where.
        nodes: The cluster's nodes.
        admin: Asks the brokers which replicas are in sync.
        name: The StatefulSet.
    """

    platform: Platform
    nodes: Nodes
    admin: Admin
    name: str = "kafka"
    chosen: str = ""
    kind: str = "rolling-restart"
    _before: dict[str, Any] = field(default_factory=dict, init=False)

    @property
    def target(self) -> str:
        """The StatefulSet."""
        return self._owner.lower()

    def inject(self, name: str, seconds: float) -> None:  # noqa: ARG002  # it ends when it is done
        """Ask for it, if everything is whole."""
        whole = self._whole()
        if whole is None:
            raise AssayError(f"{self._owner} is not whole already: a restart now would say nothing of a restart.")
        before = {str(one.metadata.uid): one for one in whole}
        annotations = {ANNOTATION: datetime.now(UTC).isoformat(timespec="seconds")}
        body = {"spec": {"template": {"metadata": {"annotations": annotations}}}}
        try:
            self.platform.apps.patch_namespaced_stateful_set(self.name, self.platform.namespace, body)
        except (client.ApiException, urllib3.exceptions.HTTPError) as error:
            raise AssayError(f"{self._owner} can't be restarted: {reason(error)}.") from None
        self._before = before

    def bites(self) -> str | None:
        """No process of the first pod is alive."""
        for uid, pod in self._before.items():
            if not self.nodes(pod.spec.node_name).ask({"do": "processes", "pod": uid})["processes"]:
                return f"no process of {pod.metadata.name} as it was is left"
        return None

    def heal(self, name: str) -> None:
        """Nothing: the StatefulSet does it."""

    def healed(self) -> str | None:
        """Every pod is new and ready, and every replica of every topic is in sync."""
        if not self._before:
            return "nothing was restarted"
        whole = self._whole()
        if whole is None or any(str(one.metadata.uid) in self._before for one in whole):
            return None
        return f"all {len(whole)} pods are new and ready, and every replica is in sync"

    @property
    def _owner(self) -> str:
        return f"StatefulSet/{self.name}"

    def _whole(self) -> list[Any] | None:
        """Its pods, if all are ready and every replica is in sync; None: they are not."""
        try:
            wanted = self.platform.apps.read_namespaced_stateful_set(self.name, self.platform.namespace).spec.replicas
        except (client.ApiException, urllib3.exceptions.HTTPError) as error:
            raise AssayError(f"{self._owner} can't be looked up: {reason(error)}.") from None
        mine = [one for one in readiness.pods(self.platform) if readiness.owner(one) == self._owner]
        ready = len(mine) == wanted and all(readiness.is_ready(one) for one in mine)
        return mine if ready and not metadata.under_replicated(self.admin) else None
