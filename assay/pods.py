"""Running something inside the platform: a command in a pod that is there, or a short-lived pod made like another one.

A short-lived pod is a copy of a workload's own pod template with another command: same image, account, volumes and
network policies, so that what it can reach is what the workload can reach. It ends by itself after a few minutes though
its maker was killed.
"""

from __future__ import annotations

import copy
import secrets
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from kubernetes import client
from kubernetes.stream import stream

from assay.errors import AssayError
from assay.platform import reason
from assay.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from assay.platform import Platform

#: A short-lived pod is ended by its kubelet after this time (seconds), whatever became of its maker.
LIFETIME_SECONDS: Final = 300
#: What such a pod with Python does in which other programs are to be run.
WAIT: Final = ("python3", "-c", f"import time; time.sleep({LIFETIME_SECONDS})")
_FINISHED: Final = frozenset({"Succeeded", "Failed"})


@dataclass(frozen=True)
class ExecResult:
    """What a command in a container printed (text) and its exit code."""

    stdout: str
    stderr: str
    exit_code: int


def execute(
    platform: Platform, pod: str, command: Sequence[str], timeout: float = 30.0, container: str | None = None
) -> ExecResult:
    """Run a command (program and arguments, no shell) in a pod's container, for at most `timeout` seconds.

    The container is the first one if none is named.

    Raises:
        AssayError: It can't be started, or is not done in time.
    """
    try:
        session = stream(
            platform.connection().connect_get_namespaced_pod_exec,
            pod,
            platform.namespace,
            command=list(command),
            **({} if container is None else {"container": container}),
            stdin=False,
            stdout=True,
            stderr=True,
            tty=False,
            _preload_content=False,
        )
    except client.ApiException as error:
        raise AssayError(f"A command can't be run in the pod {pod}: {reason(error)}.") from None
    session.run_forever(timeout=timeout)
    if session.is_open():
        session.close()
        raise AssayError(f"The command {command[0]} in the pod {pod} was not done within {timeout:.0f} s.")
    return ExecResult(session.read_stdout() or "", session.read_stderr() or "", int(session.returncode or 0))


@contextmanager
def temporary_pod(
    platform: Platform,
    template: dict[str, Any],
    command: Sequence[str],
    labels: dict[str, str] | None = None,
    timeout: float = 90.0,
) -> Iterator[str]:
    """A pod made from `template` that runs `command`; yields its name once it runs or has ended, then deletes it.

    Args:
        platform: Where.
        template: A pod template (`Platform.template`); its network policies and account apply as long as its labels do.
        command: Program and arguments, in place of the first container's own.
        labels: Labels to set over the template's.
        timeout: Seconds to wait for the start.

    Raises:
        AssayError: It is refused, or does not start in time.
    """
    name = f"assay-{secrets.token_hex(4)}"
    body = _pod(name, template, command, labels or {})
    try:
        platform.core.create_namespaced_pod(platform.namespace, body)
    except client.ApiException as error:
        raise AssayError(f"A short-lived pod is refused in {platform.namespace}: {reason(error)}.") from None
    try:
        _wait(platform, name, timeout, frozenset({"Running"}) | _FINISHED)
        yield name
    finally:
        platform.core.delete_namespaced_pod(name, platform.namespace, grace_period_seconds=0)


def output(platform: Platform, pod: str, timeout: float = 60.0) -> str:
    """What a pod's container printed, once it has ended.

    Raises:
        AssayError: It has not ended within `timeout` seconds.
    """
    _wait(platform, pod, timeout, _FINISHED)
    return str(platform.core.read_namespaced_pod_log(pod, platform.namespace))


def _pod(name: str, template: dict[str, Any], command: Sequence[str], labels: dict[str, str]) -> dict[str, Any]:
    """The manifest of a short-lived pod: the template without what belongs to a lasting service."""
    spec = copy.deepcopy(template["spec"])
    spec |= {"restartPolicy": "Never", "activeDeadlineSeconds": LIFETIME_SECONDS}
    # It must fit wherever there is room: the workload's own spread is not its concern.
    for key in ("affinity", "topologySpreadConstraints"):
        spec.pop(key, None)
    container = spec["containers"][0]
    container["command"] = list(command)
    for key in ("args", "livenessProbe", "readinessProbe", "startupProbe", "lifecycle", "ports"):
        container.pop(key, None)
    spec["containers"] = [container]
    metadata = {"name": name, "labels": template["metadata"].get("labels", {}) | labels}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def _wait(platform: Platform, name: str, timeout: float, phases: frozenset[str]) -> None:
    wait_until(
        lambda: platform.core.read_namespaced_pod(name, platform.namespace).status.phase in phases,
        timeout,
        f"The pod {name} did not get there within {timeout:.0f} s: "
        f"see `kubectl --namespace {platform.namespace} describe pod {name}`.",
        every=0.3,
    )
