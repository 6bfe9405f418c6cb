"""A node that is drained, as `kubectl drain` does it: cordoned, and the platform's pods on it evicted.

An eviction asks the disruption budgets, which a deletion does not: one that a budget refuses is asked for again. Once
the node is empty, one more eviction is tried of what a budget guards, as a dry run; the API server's answer to it shows
whether the budget holds. Pods of other namespaces stay.

The cordon ends after a time limit though its maker is dead: a process of its own, which is there before anything is
done, takes it off again. Both take off only the cordon of their own fault, which an annotation of the node names.
"""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import urllib3
from kubernetes import client

from assay.chaos import readiness
from assay.errors import AssayError, UsageError
from assay.platform import Platform, reason

if TYPE_CHECKING:
    from assay.chaos.node import Nodes
    from assay.chaos.readiness import Readiness

MARK: Final = "assay.dev/drained-by"
_MIRROR: Final = "kubernetes.io/config.mirror"
_ENDED: Final = frozenset({"Succeeded", "Failed"})
_REFUSED, _ABSENT, _CONFLICT = 429, 404, 409
_READY: Final = "ready"


@dataclass
class Drained:
    """A node that is drained.

    Attributes:
        platform: The platform whose pods are evicted.
        nodes: The cluster's nodes: that processes are gone is seen there.
        node: The node's name.
        chosen: How it was chosen.
    """

    platform: Platform
    nodes: Nodes
    node: str
    chosen: str = ""
    kind: str = "node-drain"
    _evicted: list[Any] = field(default_factory=list, init=False)
    _before: Readiness | None = field(default=None, init=False)
    _healer: subprocess.Popen[str] | None = field(default=None, init=False)

    @property
    def target(self) -> str:
        """The node."""
        return f"node/{self.node}"

    def inject(self, name: str, seconds: float) -> None:
        """Cordon it, and ask for the first evictions."""
        pods = readiness.pods(self.platform)
        self._evicted = [one for one in pods if is_evicted(one, self.node)]
        if not self._evicted:
            raise UsageError(f"No pod of {self.platform.namespace} can be evicted from {self.node}.")
        if _node(self.platform, self.node).spec.unschedulable:
            raise UsageError(f"The node {self.node} is cordoned already: that is somebody else's to end.")
        self._healer = self._start_healer(name, seconds)
        self._before = readiness.of(pods)
        _patch(self.platform, self.node, {"unschedulable": True}, name)
        self._evict()

    def bites(self) -> str | None:
        """The node takes no pods, and none of the evicted pods' processes is alive."""
        self._evict()
        for one in self._evicted:
            if self.nodes(self.node).ask({"do": "processes", "pod": one.metadata.uid})["processes"]:
                return None
        if not _node(self.platform, self.node).spec.unschedulable:
            return None
        names = ", ".join(str(one.metadata.name) for one in self._evicted)
        return f"{names} evicted, no process of theirs is left; {self._one_more()}"

    def heal(self, name: str) -> None:
        """Uncordon it, if it is cordoned by this fault."""
        uncordon(self.platform, self.node, name)
        if self._healer is not None:
            self._healer.kill()
            self._healer.wait()
            self._healer = None

    def healed(self) -> str | None:
        """It takes pods again, and as many are ready as before."""
        if self._before is None:
            return "nothing was drained"
        cordoned = _node(self.platform, self.node).spec.unschedulable
        if cordoned or readiness.of(readiness.pods(self.platform)).lacking(self._before):
            return None
        return f"{self.node} takes pods, and as many are ready as before"

    def _evict(self) -> None:
        """Ask for the eviction of those that are still there; what a budget refuses now is asked for again later."""
        there = {one.metadata.uid for one in readiness.pods(self.platform) if one.metadata.deletion_timestamp is None}
        for one in self._evicted:
            if one.metadata.uid in there:
                evict(self.platform, one)

    def _one_more(self) -> str:
        """What becomes of one more eviction of those that are guarded with an evicted one, as a dry run."""
        owners = {readiness.owner(one) for one in self._evicted}
        more = [
            one
            for one in readiness.pods(self.platform)
            if readiness.is_ready(one) and one.spec.node_name != self.node and readiness.owner(one) in owners
        ]
        refusals = [(one, evict(self.platform, one, dry_run=True)) for one in more]
        said = [f"{one.metadata.name} ({refusal})" for one, refusal in refusals if refusal]
        return f"one more eviction was refused: {'; '.join(said)}" if said else "no budget refused one more eviction"

    def _start_healer(self, name: str, seconds: float) -> subprocess.Popen[str]:
        told = [str(self.platform.kubeconfig.absolute()), self.platform.context, self.node, name, f"{seconds:g}"]
        healer = subprocess.Popen(
            [sys.executable, "-m", __name__, *told],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        assert healer.stdout is not None  # noqa: S101  # it was asked for
        with healer.stdout as said:
            if said.readline().strip() == _READY:
                return healer
        healer.kill()
        healer.wait()
        raise AssayError(f"The process that would uncordon {self.node} could not be started: nothing was drained.")


def is_evicted(pod: Any, node: str) -> bool:
    """Whether draining the node evicts a pod: not what a DaemonSet or the node itself would make again there (pure)."""
    made_there = (readiness.owner(pod) or "").startswith("DaemonSet/")
    mirror = _MIRROR in (pod.metadata.annotations or {})
    return pod.spec.node_name == node and not made_there and not mirror and pod.status.phase not in _ENDED


def evict(platform: Platform, pod: Any, *, dry_run: bool = False) -> str | None:
    """Ask for a pod's eviction: None if it is accepted, else the budget's refusal.

    Raises:
        AssayError: It is refused for another reason.
    """
    body = client.V1Eviction(
        metadata=client.V1ObjectMeta(name=pod.metadata.name, namespace=platform.namespace),
        delete_options=client.V1DeleteOptions(preconditions=client.V1Preconditions(uid=pod.metadata.uid)),
    )
    only = {"dry_run": "All"} if dry_run else {}
    try:
        platform.core.create_namespaced_pod_eviction(pod.metadata.name, platform.namespace, body, **only)
    except client.ApiException as error:
        if error.status == _REFUSED:
            return f"{error.status} {reason(error)}"
        if error.status not in {_ABSENT, _CONFLICT}:  # it is gone, or another pod of its name is there
            raise AssayError(f"The pod {pod.metadata.name} can't be evicted: {reason(error)}.") from None
    return None


def uncordon(platform: Platform, node: str, fault: str) -> None:
    """Let a node take pods again, if it is this fault that has cordoned it.

    Raises:
        AssayError: The API server does not answer or refuses it.
    """
    annotations = _node(platform, node).metadata.annotations or {}
    if annotations.get(MARK) == fault:
        _patch(platform, node, {"unschedulable": None}, None)


def _node(platform: Platform, name: str) -> Any:
    try:
        return platform.core.read_node(name)
    except (client.ApiException, urllib3.exceptions.HTTPError) as error:
        raise AssayError(f"The node {name} can't be looked up: {reason(error)}.") from None


def _patch(platform: Platform, name: str, spec: dict[str, Any], fault: str | None) -> None:
    try:
        platform.core.patch_node(name, {"metadata": {"annotations": {MARK: fault}}, "spec": spec})
    except (client.ApiException, urllib3.exceptions.HTTPError) as error:
        raise AssayError(f"The node {name} can't be changed: {reason(error)}.") from None


def main() -> None:
    """Be the healer: `KUBECONFIG CONTEXT NODE FAULT SECONDS`."""
    kubeconfig, context, node, fault, seconds = sys.argv[1:]
    platform = Platform(Path(kubeconfig), context)
    _node(platform, node)
    deadline = time.monotonic() + float(seconds)
    sys.stdout.write(f"{_READY}\n")
    sys.stdout.flush()
    while time.monotonic() < deadline:
        time.sleep(max(0.0, min(1.0, deadline - time.monotonic())))
    while True:
        try:
            return uncordon(platform, node, fault)
        except AssayError:
            time.sleep(1)


if __name__ == "__main__":
    main()
