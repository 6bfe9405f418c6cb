"""Disruption budgets: an eviction below the minimum is refused, and every broker and consumer has a budget.

No pod of the platform is evicted for it. That the cluster refuses is tried on a pod of our own: without a budget its
eviction is allowed, with one that needs it, it is refused. That brokers and consumers are under such a budget, and what
it leaves, is read; and a trial eviction (dry run) of each must agree with it: refused where the budget is spent, and
allowed where it is not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from kubernetes import client

from assay import pods
from assay.errors import AssayError
from assay.platform import ANALYTICS, reason
from assay.posture import policies
from assay.posture.probe import Attempt, Finding, Probe, Result, denied, held
from assay.preflight import is_ready
from assay.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from assay.posture.scene import Scene

_TOO_MANY: Final = 429
_ABSENT: Final = 404
_STAND_IN: Final = {"app.kubernetes.io/name": "posture-stand-in", "app.kubernetes.io/component": "posture"}
_SYNC_SECONDS: Final = 30.0
#: How many of three must stay (docs/platform.md): what is acknowledged needs two brokers in sync.
MINIMUM: Final = 2
#: No standard asks for a budget; the Eviction API is Kubernetes' own safeguard for what must not all go at once.
_BUDGET: Final = ("Kubernetes documentation: Disruptions; API-initiated Eviction",)

REFUSED: Final = Probe(
    name="eviction/refused",
    tried="evict a pod of our own whose budget needs it, by dry run of the Eviction API",
    authorities=_BUDGET,
    remedy="The cluster evicts against a budget: look at its disruption controller and API server.",
)
BUDGETS: Final[Mapping[str, Probe]] = {
    component: Probe(
        name=f"eviction/{name}",
        tried=f"look at the budget of the {name}, and evict each by dry run of the Eviction API",
        authorities=_BUDGET,
        remedy=f"Give the {name} a PodDisruptionBudget that keeps {MINIMUM} of them: `assay deploy` does.",
    )
    for component, name in (("kafka", "brokers"), ("analytics", "consumers"))
}
PROBES: Final = (REFUSED, *BUDGETS.values())


@dataclass(frozen=True)
class Seen:
    """A component as seen.

    Attributes:
        labels: The labels of its pods, by name.
        attempts: What became of the trial eviction of each that is ready, by name: one that is not may be evicted
            while enough others are.
    """

    labels: Mapping[str, Mapping[str, str]]
    attempts: Mapping[str, Attempt]


def judge(probe: Probe, seen: Seen, budgets: Sequence[Mapping[str, Any]]) -> Finding:
    """Hold a component's pods against the budgets (plain data) of its namespace."""
    wrong, unseen = [], []
    for name, labels in seen.labels.items():
        mine = [one for one in budgets if policies.selects(one["spec"].get("selector") or {}, labels)]
        if len(mine) != 1:
            names = ", ".join(one["metadata"]["name"] for one in mine)
            wrong.append(f"{name} has {f'several budgets ({names}), which nobody can keep' if mine else 'no budget'}")
            continue
        (budget,) = mine
        status = budget.get("status") or {}
        if (
            status.get("observedGeneration", 0) < budget["metadata"].get("generation", 0)
            or "desiredHealthy" not in status
        ):
            unseen.append(f"{name}: the budget {budget['metadata']['name']} is still being worked out")
            continue
        if status["desiredHealthy"] < MINIMUM:
            wrong.append(
                f"{name}: its budget keeps only {status['desiredHealthy']} of {status.get('expectedPods', '?')}"
            )
            continue
        attempt = seen.attempts.get(name)
        if attempt is None:
            continue
        if attempt.result is Result.UNVERIFIABLE:
            unseen.append(f"{name}: {attempt.said}")
        elif attempt.result is Result.ALLOWED and not status.get("disruptionsAllowed"):
            wrong.append(f"{name}: its eviction is allowed, though the budget is spent")
        elif attempt.result is Result.REFUSED and status.get("disruptionsAllowed"):
            wrong.append(f"{name}: its eviction is refused, though the budget is not spent: {attempt.said}")
    spent = sum(attempt.result is Result.REFUSED for attempt in seen.attempts.values())
    what = f"pods have a budget that keeps {MINIMUM}" + (
        f"; it is spent now, and {spent} evictions are refused" if spent else ""
    )
    return held(probe, len(seen.labels), what, wrong, unseen)


def look(scene: Scene) -> Iterator[Finding]:
    """Read the budgets, and try."""
    budgets = scene.api(client.PolicyV1Api)
    found = [scene.plain(one) for one in budgets.list_namespaced_pod_disruption_budget(scene.namespace).items]
    for component, probe in BUDGETS.items():
        running = [pod for pod in scene.platform.pods(component) if pod.status.phase == "Running"]
        labels = {pod.metadata.name: dict(pod.metadata.labels) for pod in running}
        attempts = {pod.metadata.name: _evict(scene, pod.metadata.name) for pod in running if is_ready(pod)}
        yield judge(probe, Seen(labels, attempts), found)
    yield _stand_in(scene, budgets)


def _stand_in(scene: Scene, budgets: Any) -> Finding:
    """Try it on a pod of our own, before and after it has a budget."""
    template = scene.platform.template("Deployment", ANALYTICS)
    with pods.temporary_pod(scene.platform, template, pods.WAIT, dict(_STAND_IN)) as pod:
        control = _evict(scene, pod)
        labels = {**scene.core.read_namespaced_pod(pod, scene.namespace).metadata.labels}
        selector = {"matchLabels": {name: labels[name] for name in _STAND_IN}}
        body = {
            "metadata": {"name": pod, "labels": {"app.kubernetes.io/managed-by": "assay"}},
            "spec": {"minAvailable": 1, "selector": selector},
        }
        try:
            budgets.create_namespaced_pod_disruption_budget(scene.namespace, body)
        except client.ApiException as error:
            raise AssayError(f"A disruption budget can't be made in {scene.namespace}: {reason(error)}.") from None
        try:
            wait_until(
                lambda: _counted(budgets.read_namespaced_pod_disruption_budget(pod, scene.namespace)),
                _SYNC_SECONDS,
                f"The disruption controller did not count the pod of the budget {pod} within {_SYNC_SECONDS:.0f} s.",
                every=0.2,
            )
            forbidden = _evict(scene, pod)
        finally:
            budgets.delete_namespaced_pod_disruption_budget(pod, scene.namespace)
    return denied(REFUSED, forbidden, control, "the same pod without a budget may be evicted")


def _counted(budget: Any) -> bool:
    status = budget.status
    return bool(status and status.observed_generation == budget.metadata.generation and status.current_healthy)


def _evict(scene: Scene, pod: str) -> Attempt:
    """Ask for an eviction by dry run: nothing is evicted."""
    body = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": pod, "namespace": scene.namespace},
        "deleteOptions": {"dryRun": ["All"]},
    }
    try:
        scene.core.create_namespaced_pod_eviction(pod, scene.namespace, body, dry_run="All")
    except client.ApiException as error:
        if error.status == _TOO_MANY:
            return Attempt(Result.REFUSED, reason(error))
        gone = "it went away meanwhile" if error.status == _ABSENT else reason(error)
        return Attempt(Result.UNVERIFIABLE, gone)
    return Attempt(Result.ALLOWED)
