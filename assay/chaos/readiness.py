"""Which pods are ready, by what owns them: a fault on pods is over when there are as many as before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import urllib3
from kubernetes import client

from assay import preflight
from assay.errors import AssayError
from assay.platform import reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from assay.platform import Platform


@dataclass(frozen=True)
class Readiness:
    """Ready pods at one moment: the uids of each owner's, by `Kind/name`. Pods that leave or have no owner are none."""

    ready: Mapping[str, frozenset[str]]

    def lacking(self, before: Readiness) -> list[str]:
        """The owners that have fewer ready pods than before, by name."""
        return sorted(
            owner for owner, pods in before.ready.items() if len(self.ready.get(owner, frozenset())) < len(pods)
        )

    def new(self, before: Readiness, owner: str) -> frozenset[str]:
        """The uids of an owner's ready pods that were not ready before."""
        return self.ready.get(owner, frozenset()) - before.ready.get(owner, frozenset())


def pods(platform: Platform) -> list[Any]:
    """All pods of a platform, as the Kubernetes client has them.

    Raises:
        AssayError: The API server does not answer.
    """
    try:
        return list(platform.core.list_namespaced_pod(platform.namespace).items)
    except (client.ApiException, urllib3.exceptions.HTTPError) as error:
        raise AssayError(f"The pods of {platform.namespace} can't be looked up: {reason(error)}.") from None


def of(pods: Iterable[Any]) -> Readiness:
    """The readiness of these pods (pure)."""
    found: dict[str, set[str]] = {}
    for pod in pods:
        named = owner(pod)
        if named is not None:
            uids = found.setdefault(named, set())
            if is_ready(pod):
                uids.add(str(pod.metadata.uid))
    return Readiness({name: frozenset(uids) for name, uids in found.items()})


def owner(pod: Any) -> str | None:
    """What makes the pod again when it is gone, as `Kind/name`; None: nobody does."""
    for reference in pod.metadata.owner_references or ():
        if reference.controller:
            return f"{reference.kind}/{reference.name}"
    return None


def is_ready(pod: Any) -> bool:
    """Whether a pod is ready and stays."""
    return pod.metadata.deletion_timestamp is None and preflight.is_ready(pod)
