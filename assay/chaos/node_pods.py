"""Having the node program run on any cluster's node: through a short-lived privileged pod that sees its processes.

The pods live in a namespace of their own, which alone allows privileged pods and is removed with the last of them,
unless it had to be made by somebody else. A pod ends by itself when it was not asked anything for a while and nothing
is paused through it; one that is told to end first continues what is. Dropped packets are the kernel's own affair (see
`packets`). So nothing depends on whoever made it, and a killed maker leaves at most a pod that has ended, which the
next one removes.
"""

from __future__ import annotations

import secrets
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Self

import urllib3
from kubernetes import client

from assay import pods
from assay.chaos import node
from assay.errors import AssayError, UsageError
from assay.platform import ANALYTICS, Platform, reason
from assay.waiting import wait_until

if TYPE_CHECKING:
    from types import TracebackType

    from assay.chaos.node import Answer, Node, Order

NAMESPACE: Final = "assay-chaos"
#: A pod ends by itself when nothing was asked of it for so long, in seconds.
IDLE_SECONDS: Final = 120
#: The kubelet ends it after this time, whatever happens in it.
LIFETIME_SECONDS: Final = 3600
_START_SECONDS: Final = 90.0
_GRACE_SECONDS: Final = 5
_OURS: Final = {"app.kubernetes.io/managed-by": "assay", "app.kubernetes.io/component": "chaos"}
_LABELS: Final = _OURS | {f"pod-security.kubernetes.io/{mode}": "privileged" for mode in ("enforce", "audit", "warn")}
_ABSENT: Final = 404
_TAKEN: Final = 409
_FORBIDDEN: Final = 403
_ENDED: Final = frozenset({"Succeeded", "Failed"})


class NodePods:
    """Nodes reached through pods, for as long as this context lasts; a node's pod is made when it is first asked for.

    Use one at a time in a cluster: whoever made the namespace removes it.
    """

    def __init__(self, platform: Platform, image: str | None = None) -> None:
        """Nothing is made yet.

        Args:
            platform: A platform on the cluster.
            image: An image that every node has or can pull, with Python 3.10 or newer as `python3`; by default that of
                the platform's own workloads.
        """
        self._platform = platform
        self._image = image
        self._chaos = Platform(platform.kubeconfig, platform.context, NAMESPACE)
        self._pods: dict[str, str] = {}
        self._removes = True

    def __enter__(self) -> Self:
        """Make the namespace.

        Raises:
            AssayError: It can't be made, or is somebody else's.
        """
        wait_until(self._make_namespace, _START_SECONDS, f"The namespace {NAMESPACE} is still being removed.")
        return self

    def __call__(self, name: str) -> Node:
        """The node of this name.

        Raises:
            AssayError: Its pod is refused or does not start.
        """
        if name not in self._pods or self._phase(self._pods[name]) in _ENDED:
            self._start(name)
        return PodNode(self._chaos, name, self._pods[name])

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove our pods and those that have ended, and the namespace unless others work in it."""
        # What can't be removed now ends by itself, and the next one removes it.
        with suppress(client.ApiException, urllib3.exceptions.HTTPError):
            there = self._chaos.core.list_namespaced_pod(NAMESPACE).items
            ours = set(self._pods.values())
            others = [one for one in there if one.metadata.name not in ours and one.status.phase not in _ENDED]
            for one in there:
                if one not in others:
                    self._chaos.core.delete_namespaced_pod(one.metadata.name, NAMESPACE)
            if not others and self._removes:
                self._chaos.core.delete_namespace(NAMESPACE)

    def _make_namespace(self) -> bool:
        try:
            self._chaos.core.create_namespace({"metadata": {"name": NAMESPACE, "labels": _LABELS}})
        except client.ApiException as error:
            if error.status not in {_TAKEN, _FORBIDDEN}:
                raise AssayError(f"The namespace {NAMESPACE} can't be made: {reason(error)}.") from None
            self._removes = error.status == _TAKEN  # who may not make it finds it made for him, and leaves it
            try:
                found = self._chaos.core.read_namespace(NAMESPACE)
            except client.ApiException:
                if not self._removes:
                    raise AssayError(
                        f"The namespace {NAMESPACE} can't be made ({reason(error)}), and is not there: have whoever "
                        "may make namespaces apply what `assay rights --for chaos` prints."
                    ) from None
                return False  # it is just gone: the next try makes it
            return self._takes_over(found)
        return True

    def _takes_over(self, found: Any) -> bool:
        """Whether the namespace that is there can be used."""
        labels = found.metadata.labels or {}
        if any(labels.get(name) != value for name, value in _OURS.items()):
            raise UsageError(f"There is a namespace {NAMESPACE} that is not ours: rename or remove it first.")
        return found.metadata.deletion_timestamp is None

    def _start(self, name: str) -> None:
        pod = f"node-{secrets.token_hex(4)}"
        image = self._image or self._platform.template("Deployment", ANALYTICS)["spec"]["containers"][0]["image"]
        body = manifest(pod, name, image)
        wait_until(lambda: self._create(body), _START_SECONDS, f"The namespace {NAMESPACE} gets no service account.")
        self._pods[name] = pod
        wait_until(
            lambda: self._runs(pod),
            _START_SECONDS,
            f"The privileged pod {pod} did not start on the node {name} within {_START_SECONDS:.0f} s: "
            f"see `kubectl --namespace {NAMESPACE} describe pod {pod}`.",
            every=0.2,
        )

    def _create(self, body: dict[str, Any]) -> bool:
        try:
            self._chaos.core.create_namespaced_pod(NAMESPACE, body)
        except client.ApiException as error:
            if "serviceaccount" in reason(error):  # a new namespace gets its account a moment later
                return False
            raise AssayError(f"A privileged pod is refused in {NAMESPACE}: {reason(error)}.") from None
        return True

    def _runs(self, pod: str) -> bool:
        phase = self._phase(pod)
        if phase in _ENDED:
            raise AssayError(f"The privileged pod {pod} ended at once: does its image have Python 3 as python3?")
        return phase == "Running"

    def _phase(self, pod: str) -> str:
        try:
            return str(self._chaos.core.read_namespaced_pod(pod, NAMESPACE).status.phase)
        except client.ApiException as error:
            if error.status == _ABSENT:
                return "Failed"
            raise AssayError(f"The privileged pod {pod} can't be looked up: {reason(error)}.") from None


class PodNode:
    """One node, through its pod."""

    def __init__(self, chaos: Platform, name: str, pod: str) -> None:
        """The node of this name, whose pod runs.

        Args:
            chaos: The namespace of the pod.
            name: The node's name.
            pod: The pod's name.
        """
        self._chaos = chaos
        self._name = name
        self._pod = pod

    def ask(self, order: Order) -> Answer:
        """Carry an order out in the pod.

        Raises:
            AssayError: It can't be done.
        """
        timeout = node.ORDER_SECONDS + float(order.get("seconds", 0)) * float(order.get("attempts", 0))
        done = pods.execute(self._chaos, self._pod, node.command(order), timeout)
        return node.parse(f"the node {self._name}", order, done.stdout, done.stderr)


def manifest(pod: str, node_name: str, image: str) -> dict[str, Any]:
    """The pod: bound to the node whatever its taints, root, privileged, and in the node's process namespace."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": pod, "labels": _OURS},
        "spec": {
            "nodeName": node_name,
            "hostPID": True,
            "restartPolicy": "Never",
            "activeDeadlineSeconds": LIFETIME_SECONDS,
            "terminationGracePeriodSeconds": _GRACE_SECONDS,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "tolerations": [{"operator": "Exists"}],
            "containers": [
                {
                    "name": "node",
                    "image": image,
                    "imagePullPolicy": "IfNotPresent",
                    "command": node.command({"do": "stay", "seconds": IDLE_SECONDS}),
                    "env": [{"name": node.VARIABLE, "value": node.program()}],
                    "securityContext": {"privileged": True, "runAsUser": 0, "runAsNonRoot": False},
                    "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
                }
            ],
        },
    }
