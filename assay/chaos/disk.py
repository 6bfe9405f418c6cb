"""A volume that is full: the space that is left on it is held by a file without a name until the fault ends.

Only a volume with a file system of its own, not larger than its claim, is filled. One that is a folder of a bigger disk
shares that disk with its node and others, and to fill it would harm what nobody asked to harm: it is refused.

The file has no name and is held by a process on the node, so that whatever ends that process gives the space back, the
time limit and the node's own crash included.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from kubernetes import client
from kubernetes.utils.quantity import parse_quantity

from assay.chaos import target
from assay.errors import AssayError, UsageError
from assay.platform import reason

if TYPE_CHECKING:
    from collections.abc import Mapping

    from assay.chaos.node import Nodes
    from assay.chaos.target import Target
    from assay.platform import Platform

#: A file system of a claim's size may be larger than that by this much, by how sizes are rounded.
_ROUNDED: Final = 1.1
_ROOT: Final = "/"
#: The annotation by which a StorageClass of an embedded cluster says why its volumes are no disks.
NO_DISKS: Final = "assay.dev/no-disks"


@dataclass
class Filled:
    """A volume of a container that is full.

    Attributes:
        platform: Where.
        nodes: The cluster's nodes.
        target: The container.
        path: Where the volume is mounted in it.
        chosen: How it was chosen.
    """

    platform: Platform
    nodes: Nodes
    target: Target
    path: str
    chosen: str = ""
    kind: str = "disk-full"
    _name: str = field(default="", init=False)

    def inject(self, name: str, seconds: float) -> None:
        """Fill it, if it is its own disk."""
        claimed, storage_class = capacity(self.platform, self.target, self.path)
        volume = self._ask("volume", path=self.path)
        refusal = why_not(volume, claimed)
        if refusal and volume["root"] != _ROOT:
            refusal += because(str(storage_class), _annotations(self.platform, storage_class))
        if refusal:
            raise UsageError(f"The volume at {self.path} of {self.target.pod} can't be filled: {refusal}.")
        self._name = name
        self._ask("fill", fault=name, path=self.path, seconds=seconds, at_most=int(claimed * _ROUNDED))

    def bites(self) -> str | None:
        """No byte is free on it."""
        held = self._ask("held", fault=self._name)
        return f"{held['total']} bytes, none free" if held["held"] and held["free"] == 0 else None

    def heal(self, name: str) -> None:
        """Give the space back."""
        self._ask("resume", fault=name)

    def healed(self) -> str | None:
        """Nothing is held, and the container is ready, if it died of it again."""
        if not self._name:
            return "nothing was filled"
        held = self._ask("held", fault=self._name)["held"]
        ready = target.find(self.platform, self.target.pod, self.target.container).ready
        return None if held or not ready else f"the space is free, and {self.target.pod} is ready"

    def _ask(self, do: str, **fields: str | float) -> dict[str, Any]:
        order = {"do": do, "pod": self.target.uid, "container": self.target.container_id, **fields}
        return self.nodes(self.target.node).ask(order)


def why_not(volume: dict[str, Any], claimed: float) -> str | None:
    """Why a volume must not be filled; None: it may be (pure).

    Args:
        volume: Which folder of its file system it is (`root`), and the bytes of that (`total`), as its node has them.
        claimed: The bytes that the claim asks for.
    """
    if volume["root"] != _ROOT:
        return "it is a folder of a disk that others use too, and has no size limit of its own"
    if volume["total"] > claimed * _ROUNDED:
        return (
            f"its file system of {volume['total']} bytes is larger than its claim of {claimed:.0f}: others use it too"
        )
    return None


def because(storage_class: str, annotations: Mapping[str, str]) -> str:
    """Why a StorageClass makes no disks, as embedded clusters note it, in brackets; else nothing (pure)."""
    return f" (StorageClass {storage_class}: {annotations[NO_DISKS]})" if NO_DISKS in annotations else ""


def _annotations(platform: Platform, storage_class: str | None) -> Mapping[str, str]:
    if not storage_class:
        return {}
    try:
        # Any: as of all the client's models, these fields are Optional, which the API server does not leave them.
        found: Any = client.StorageV1Api(platform.core.api_client).read_storage_class(storage_class)
    except client.ApiException:
        return {}  # who may not read classes, or finds it gone, is still told the rest
    return found.metadata.annotations or {}


def capacity(platform: Platform, of: Target, path: str) -> tuple[float, str | None]:
    """The bytes that the volume at a path of a container may have, and its StorageClass, if it is a claim's.

    Raises:
        UsageError: There is no volume, or it has no limit.
        AssayError: It can't be looked up.
    """
    try:
        spec = platform.core.read_namespaced_pod(of.pod, platform.namespace).spec
        mounts = next(one.volume_mounts or () for one in spec.containers if one.name == of.container)
        name = next((one.name for one in mounts if one.mount_path == path and not one.sub_path), None)
        volume = next((one for one in spec.volumes or () if one.name == name), None)
        if volume is None:
            raise UsageError(f"The container {of.container} of {of.pod} has no volume at {path}.")
        claim, storage_class = volume.persistent_volume_claim, None
        if claim is not None:
            found = platform.core.read_namespaced_persistent_volume_claim(claim.claim_name, platform.namespace)
            limit, storage_class = (found.status.capacity or {}).get("storage"), found.spec.storage_class_name
        else:
            limit = volume.empty_dir.size_limit if volume.empty_dir else None
    except client.ApiException as error:
        raise AssayError(f"The volume at {path} of {of.pod} can't be looked up: {reason(error)}.") from None
    if limit is None:
        raise UsageError(f"The volume at {path} of {of.pod} can't be filled: it has no size limit.")
    return float(parse_quantity(limit)), storage_class  # type: ignore[no-untyped-call]  # the client's own gap
