"""The pod and container that a fault is about, as Kubernetes knows them now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kubernetes import client

from assay.errors import AssayError
from assay.platform import reason

if TYPE_CHECKING:
    from assay.platform import Platform


@dataclass(frozen=True)
class Target:
    """A container that runs.

    Attributes:
        pod: The pod's name.
        uid: The pod's uid.
        node: The node's name.
        address: The pod's IP address.
        container: The container's name.
        container_id: Its id, without the runtime's scheme; a restarted container has another.
        ready: Whether it is ready, by its own probe.
        own_network: Whether the pod has a network namespace of its own, and not the node's.
    """

    pod: str
    uid: str
    node: str
    address: str
    container: str
    container_id: str
    ready: bool
    own_network: bool

    def __str__(self) -> str:
        """As ledgers name it."""
        return f"pod/{self.pod}"


def find(platform: Platform, pod: str, container: str | None = None) -> Target:
    """A pod's container, the first if none is named.

    Raises:
        AssayError: There is no such pod or container, or it does not run.
    """
    try:
        found = platform.core.read_namespaced_pod(pod, platform.namespace)
    except client.ApiException as error:
        raise AssayError(f"There is no pod {pod} in {platform.namespace} to do harm to: {reason(error)}.") from None
    names = [one.name for one in found.spec.containers]
    name = container or names[0]
    if name not in names:
        raise AssayError(f"The pod {pod} has no container {name}; it has {', '.join(names)}.")
    statuses: list[Any] = found.status.container_statuses or []
    status = next((one for one in statuses if one.name == name), None)
    if status is None or status.state.running is None or not found.status.pod_ip:
        raise AssayError(f"The container {name} of the pod {pod} is not running, so that no harm can be done to it.")
    return Target(
        pod=pod,
        uid=found.metadata.uid,
        node=found.spec.node_name,
        address=found.status.pod_ip,
        container=name,
        container_id=status.container_id.rpartition("/")[2],
        ready=bool(status.ready),
        own_network=not found.spec.host_network,
    )
