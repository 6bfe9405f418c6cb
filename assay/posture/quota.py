"""Quota and limits: a pod that would go over them is refused, and a container that names none gets some.

All by server-side dry run: the quota is evaluated and not charged. The pod over the quota is made of as many containers
as it takes, each within the limit range, so that only the quota can refuse it.
"""

from __future__ import annotations

import copy
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from kubernetes import client
from kubernetes.utils import quantity

from assay.platform import reason
from assay.posture import admission
from assay.posture.authorities import nsa
from assay.posture.probe import Attempt, Finding, Probe, Result, denied, held

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from assay.posture.scene import Scene

_POLICIES: Final = (nsa("Resource policies"),)
_FORBIDDEN: Final = 403
#: The most that the limit range lets one container have, and what the quota should be where none is there to be read
#: (workloads/manifests/namespace.yaml.j2).
LARGEST: Final = {"cpu": "8", "memory": "16Gi"}
INTENDED: Final = {"cpu": "200", "memory": "400Gi"}
_TOO_LARGE: Final = {"cpu": "9", "memory": "16Mi"}
_SMALL: Final = {"cpu": "10m", "memory": "16Mi"}

QUOTAS: Final[Mapping[str, Probe]] = {
    resource: Probe(
        name=f"quota/{resource}",
        tried=f"create a pod that asks for more {resource} than the namespace's quota, by server-side dry run",
        authorities=_POLICIES,
        remedy=f"Make a ResourceQuota with limits.{resource} and requests.{resource}: `assay deploy` does.",
    )
    for resource in ("cpu", "memory")
}
MAXIMUM: Final = Probe(
    name="quota/largest-container",
    tried=f"create a pod whose container asks for {_TOO_LARGE['cpu']} CPUs, by server-side dry run",
    authorities=_POLICIES,
    remedy="Make a LimitRange with a maximum for containers: `assay deploy` does.",
)
DEFAULT: Final = Probe(
    name="quota/defaults",
    tried="create a pod that names neither requests nor limits, by server-side dry run, and look at what it gets",
    authorities=_POLICIES,
    remedy="Make a LimitRange with default and defaultRequest for containers: `assay deploy` does.",
)
PROBES: Final = (*QUOTAS.values(), MAXIMUM, DEFAULT)


def asking(resources: Mapping[str, str] | None, containers: int = 1) -> dict[str, Any]:
    """A conforming pod of so many containers, each of which asks for these resources; None: for nothing."""
    pod = admission.conforming()
    (template,) = pod["spec"]["containers"]
    made = []
    for number in range(containers):
        container = copy.deepcopy(template) | {"name": f"main-{number}"}
        del container["resources"]
        if resources is not None:
            container["resources"] = {"requests": dict(resources), "limits": dict(resources)}
        made.append(container)
    pod["spec"]["containers"] = made
    return pod


def over(resource: str, hard: str) -> dict[str, Any]:
    """A pod that asks for more than `hard` of a resource in all, and in each container for no more than the largest."""
    containers = int(_amount(hard) // _amount(LARGEST[resource])) + 1
    return asking(_SMALL | {resource: LARGEST[resource]}, containers)


def hard(quotas: Sequence[Mapping[str, Any]], resource: str) -> str:
    """The smallest quota (plain data) of a resource; the intended one where there is none."""
    limits = [
        value
        for quota in quotas
        for name, value in quota["spec"].get("hard", {}).items()
        if name in {f"limits.{resource}", f"requests.{resource}", resource}
    ]
    return min(limits, key=_amount, default=INTENDED[resource])


def answer(status: int | None, message: str, mark: str) -> Attempt:
    """What an answer of the API server to a pod means; a refusal that does not say `mark` was for something else."""
    if status is None:
        return Attempt(Result.ALLOWED)
    if status != _FORBIDDEN or mark not in message:
        return Attempt(Result.UNVERIFIABLE, f"refused for something else: {message}")
    return Attempt(Result.REFUSED, message.partition("is forbidden: ")[2] or message)


def judge_default(containers: Sequence[Mapping[str, Any]] | str) -> Finding:
    """What containers (plain data) got that named nothing; or why the pod was refused."""
    if isinstance(containers, str):
        return held(DEFAULT, 1, "", [f"the pod was refused: {containers}"])
    lacking = [
        f"no {group}.{resource} was given"
        for container in containers
        for group in ("requests", "limits")
        for resource in ("cpu", "memory")
        if resource not in ((container.get("resources") or {}).get(group) or {})
    ]
    return held(DEFAULT, len(containers), "containers got requests and limits", lacking)


def look(scene: Scene) -> Iterator[Finding]:
    """Offer the pods."""
    quotas = [scene.plain(one) for one in scene.core.list_namespaced_resource_quota(scene.namespace).items]
    control = _offer(scene, asking(_SMALL), "")
    for resource, probe in QUOTAS.items():
        forbidden = _offer(scene, over(resource, hard(quotas, resource)), "exceeded quota")
        yield denied(probe, forbidden, control, "a small pod is accepted")
    forbidden = _offer(scene, asking(_TOO_LARGE), "maximum cpu usage per Container")
    yield denied(MAXIMUM, forbidden, control, "a small container is accepted")
    try:
        made = scene.core.create_namespaced_pod(scene.namespace, asking(None), dry_run="All")
    except client.ApiException as error:
        if error.status != _FORBIDDEN:
            raise
        yield judge_default(reason(error))
    else:
        yield judge_default(scene.plain(made)["spec"]["containers"])


def _amount(text: str) -> Decimal:
    """A quantity of Kubernetes, such as `400Gi`."""
    return Decimal(quantity.parse_quantity(text))  # type: ignore[no-untyped-call]  # the client's own gap


def _offer(scene: Scene, pod: Mapping[str, Any], mark: str) -> Attempt:
    try:
        scene.core.create_namespaced_pod(scene.namespace, pod, dry_run="All")
    except client.ApiException as error:
        return answer(error.status, reason(error), mark)
    return answer(None, "", mark)
