"""Pods that violate `restricted` are refused, one field of the standard at a time; a conforming pod is accepted.

Every pod is offered by server-side dry run: admission decides, and nothing is made. Each violating pod is the
conforming one with one field changed (two where the API holds one alone for invalid), so that a refusal can only be
about that field.
"""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from kubernetes import client

from assay.platform import reason
from assay.posture.authorities import cis, nsa, pss
from assay.posture.probe import Attempt, Finding, Probe, Result, denied, unverifiable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from assay.posture.scene import Scene

#: A field's new value that takes the field away.
GONE: Final = object()
_FORBIDDEN: Final = 403
_LABEL: Final = "pod-security.kubernetes.io/enforce"
#: Offered and never run: dry run pulls no image.
_IMAGE: Final = "registry.k8s.io/pause:3.10"


@dataclass(frozen=True)
class Violation:
    """A pod that must be refused.

    Attributes:
        probe: The probe.
        changes: New values by path from the pod; the path's first word is `pod`, or `container` for its container.
        mark: What Pod Security admission says of it (`ForbiddenReason` in k8s.io/pod-security-admission).
        since: The first minor version of Kubernetes 1 whose standard has this control.
    """

    probe: Probe
    changes: Mapping[tuple[str, ...], Any]
    mark: str
    since: int = 25


def _violation(name: str, tried: str, changes: Mapping[str, Any], mark: str, *asked: str, since: int = 25) -> Violation:
    probe = Probe(
        name=f"pods/{name}",
        tried=f"create a pod {tried}, by server-side dry run",
        authorities=(*asked, nsa("Pod security enforcement")),
        remedy="Enforce Pod Security `restricted` on the namespace: `assay deploy` labels it.",
    )
    return Violation(probe, {tuple(path.split(".")): value for path, value in changes.items()}, mark, since)


VIOLATIONS: Final = (
    _violation(
        "privileged",
        "with a privileged container",
        {"container.securityContext.privileged": True, "container.securityContext.allowPrivilegeEscalation": GONE},
        "privileged",
        pss("Privileged Containers"),
        cis("5.2.2", "Minimize the admission of privileged containers"),
    ),
    _violation(
        "host-network",
        "in the node's network",
        {"pod.spec.hostNetwork": True},
        "host namespaces",
        pss("Host Namespaces"),
        cis("5.2.5", "Minimize the admission of containers wishing to share the host network namespace"),
    ),
    _violation(
        "host-pid",
        "that sees the node's processes",
        {"pod.spec.hostPID": True},
        "host namespaces",
        pss("Host Namespaces"),
        cis("5.2.3", "Minimize the admission of containers wishing to share the host process ID namespace"),
    ),
    _violation(
        "host-ipc",
        "in the node's IPC namespace",
        {"pod.spec.hostIPC": True},
        "host namespaces",
        pss("Host Namespaces"),
        cis("5.2.4", "Minimize the admission of containers wishing to share the host IPC namespace"),
    ),
    _violation(
        "host-path",
        "with a folder of the node",
        {"pod.spec.volumes": [{"name": "node", "hostPath": {"path": "/etc"}}]},
        "hostPath",
        pss("HostPath Volumes"),
        cis("5.2.11", "Minimize the admission of HostPath volumes"),
    ),
    _violation(
        "host-port",
        "on a port of the node",
        {"container.ports": [{"containerPort": 8080, "hostPort": 8080}]},
        "hostPort",
        pss("Host Ports"),
        cis("5.2.12", "Minimize the admission of containers which use HostPorts"),
    ),
    _violation(
        "probe-host",
        "whose liveness probe asks another host",
        {"container.livenessProbe": {"httpGet": {"host": "127.0.0.1", "port": 10250}}},
        "probe or lifecycle host",
        pss("Host Probes / Lifecycle Hooks (v1.34+)"),
        since=34,
    ),
    _violation(
        "capability-added",
        "with the capability NET_RAW",
        {"container.securityContext.capabilities.add": ["NET_RAW"]},
        "capabilities",
        pss("Capabilities"),
        cis("5.2.8", "Minimize the admission of containers with the NET_RAW capability"),
        cis("5.2.9", "Minimize the admission of containers with capabilities assigned"),
    ),
    _violation(
        "capabilities-kept",
        "that drops no capability",
        {"container.securityContext.capabilities": GONE},
        "unrestricted capabilities",
        pss("Capabilities (v1.22+)"),
        cis("5.2.9", "Minimize the admission of containers with capabilities assigned"),
    ),
    _violation(
        "privilege-escalation",
        "that may gain privileges",
        {"container.securityContext.allowPrivilegeEscalation": GONE},
        "allowPrivilegeEscalation",
        pss("Privilege Escalation (v1.8+)"),
        cis("5.2.6", "Minimize the admission of containers with allowPrivilegeEscalation"),
    ),
    _violation(
        "non-root-missing",
        "that does not ask to run as non-root",
        {"pod.spec.securityContext.runAsNonRoot": GONE},
        "runAsNonRoot",
        pss("Running as Non-root"),
        cis("5.2.7", "Minimize the admission of root containers"),
    ),
    _violation(
        "run-as-root",
        "with user id 0",
        {"pod.spec.securityContext.runAsUser": 0},
        "runAsUser=0",
        pss("Running as Non-root user (v1.23+)"),
        cis("5.2.7", "Minimize the admission of root containers"),
    ),
    _violation(
        "seccomp-missing",
        "without a seccomp profile",
        {"pod.spec.securityContext.seccompProfile": GONE},
        "seccompProfile",
        pss("Seccomp (v1.19+)"),
        cis("5.6.2", "Ensure that the seccomp profile is set to docker/default in your Pod definitions"),
    ),
    _violation(
        "seccomp-unconfined",
        "with seccomp off",
        {"container.securityContext.seccompProfile": {"type": "Unconfined"}},
        "seccompProfile",
        pss("Seccomp"),
        cis("5.6.2", "Ensure that the seccomp profile is set to docker/default in your Pod definitions"),
    ),
    _violation(
        "apparmor-unconfined",
        "with AppArmor off",
        {"container.securityContext.appArmorProfile": {"type": "Unconfined"}},
        "AppArmor",
        pss("AppArmor"),
        since=30,
    ),
    _violation(
        "selinux-type",
        "with an SELinux type of its own",
        {"container.securityContext.seLinuxOptions": {"type": "spc_t"}},
        "seLinuxOptions",
        pss("SELinux"),
    ),
    _violation(
        "sysctl",
        "that sets kernel.msgmax",
        {"pod.spec.securityContext.sysctls": [{"name": "kernel.msgmax", "value": "65536"}]},
        "forbidden sysctls",
        pss("Sysctls"),
    ),
    _violation(
        "proc-mount",
        "with all of /proc",
        # The API accepts `Unmasked` only in a user namespace of the pod's own
        {"container.securityContext.procMount": "Unmasked", "pod.spec.hostUsers": False},
        "procMount",
        pss("/proc Mount Type"),
        since=33,
    ),
    _violation(
        "volume-type",
        "with an NFS volume",
        {"pod.spec.volumes": [{"name": "remote", "nfs": {"server": "192.0.2.1", "path": "/"}}]},
        "restricted volume types",
        pss("Volume Types"),
    ),
)
PROBES: Final = tuple(violation.probe for violation in VIOLATIONS)


def conforming() -> dict[str, Any]:
    """A pod that `restricted` accepts, with requests and limits within any sensible quota."""
    resources = {"cpu": "10m", "memory": "16Mi"}
    container = {
        "name": "main",
        "image": _IMAGE,
        "resources": {"requests": dict(resources), "limits": dict(resources)},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    security = {"runAsNonRoot": True, "runAsUser": 10001, "seccompProfile": {"type": "RuntimeDefault"}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": "assay-posture-", "labels": {"app.kubernetes.io/managed-by": "assay"}},
        "spec": {"automountServiceAccountToken": False, "securityContext": security, "containers": [container]},
    }


def changed(pod: Mapping[str, Any], changes: Mapping[tuple[str, ...], Any]) -> dict[str, Any]:
    """A copy of a pod with these fields changed; see `Violation.changes`."""
    made: dict[str, Any] = copy.deepcopy(dict(pod))
    for (root, *path), value in changes.items():
        place = made["spec"]["containers"][0] if root == "container" else made
        for step in path[:-1]:
            place = place.setdefault(step, {})
        if value is GONE:
            place.pop(path[-1], None)
        else:
            place[path[-1]] = value
    return made


def answer(status: int | None, message: str, mark: str) -> Attempt:
    """What an answer of the API server to a pod means.

    A pod that the API holds for invalid (422) was not refused by a policy. A refusal by Pod Security must be about the
    field; one by another policy engine (a webhook) is told by the control alone.

    Args:
        status: The HTTP status of the refusal; None: the pod was accepted.
        message: What the server said.
        mark: See `Violation.mark`.
    """
    if status is None:
        return Attempt(Result.ALLOWED)
    if status != _FORBIDDEN:
        return Attempt(Result.UNVERIFIABLE, f"not refused by a policy: {message}")
    if "violates PodSecurity" in message and mark not in message:
        return Attempt(Result.UNVERIFIABLE, f"refused for something else: {message}")
    return Attempt(Result.REFUSED, re.sub(r'^pods "[^"]*" is forbidden: ', "", message))


def remedy(labels: Mapping[str, str]) -> str:
    """What to do about a namespace with these labels that accepted a violating pod."""
    level = labels.get(_LABEL)
    if level == "restricted":
        return (
            f"The namespace is labelled {_LABEL}=restricted, but the cluster does not enforce it: switch the API "
            "server's PodSecurity admission plugin on, and look for exemptions in its configuration."
        )
    said = f"{_LABEL}={level}" if level else f"no label {_LABEL}"
    return f"The namespace has {said}: label it {_LABEL}=restricted, as `assay deploy` does."


def judge(violation: Violation, forbidden: Attempt, control: Attempt, minor: int, advice: str) -> Finding:
    """What a violating pod's fate shows, in a cluster of Kubernetes 1.`minor`."""
    if minor < violation.since:
        return unverifiable(
            violation.probe, f"Kubernetes 1.{minor} does not know this field or control, 1.{violation.since} does"
        )
    return denied(violation.probe, forbidden, control, "the same pod without that is accepted", advice)


def offer(scene: Scene, pod: Mapping[str, Any], mark: str = "") -> Attempt:
    """Offer a pod by server-side dry run."""
    try:
        scene.core.create_namespaced_pod(scene.namespace, pod, dry_run="All")
    except client.ApiException as error:
        return answer(error.status, reason(error), mark)
    return answer(None, "", mark)


def look(scene: Scene) -> Iterator[Finding]:
    """Offer them all."""
    labels = scene.core.read_namespace(scene.namespace).metadata.labels or {}
    version = client.VersionApi(scene.core.api_client).get_code()
    minor = int(re.sub(r"\D.*", "", version.minor))
    control = offer(scene, conforming())
    for violation in VIOLATIONS:
        forbidden = offer(scene, changed(conforming(), violation.changes), violation.mark)
        yield judge(violation, forbidden, control, minor, remedy(labels))
