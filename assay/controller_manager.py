"""The flags that a cluster's controller manager runs with; no API tells them.

kubeadm, kind and minikube run it as a pod, whose command line the API server has. Where it is a process of this
machine, as with the embedded cluster, it is the one whose own kubeconfig lies beside the cluster's.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import psutil

from assay.errors import AssayError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from assay.platform import Platform

_NAME: Final = "kube-controller-manager"


def flags(platform: Platform) -> dict[str, str]:
    """The flags by name, without their dashes; those that have no value are `true`.

    Raises:
        AssayError: No controller manager can be seen.
    """
    found = platform.core.list_namespaced_pod("kube-system", label_selector=f"component={_NAME}").items
    for pod in found:
        container = pod.spec.containers[0]
        return parsed([*(container.command or ()), *(container.args or ())])
    beside = platform.kubeconfig.resolve().parent
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if _runs(words, beside):
            return parsed(words)
    raise AssayError(
        f"The controller manager of {platform.context!r} is no pod of kube-system and no process of this machine, so "
        "its flags can't be read."
    )


def parsed(words: Iterable[str]) -> dict[str, str]:
    """Flags of a command line, `--name=value` or `--name` (pure)."""
    pairs = [word.removeprefix("--").partition("=") for word in words if word.startswith("--")]
    return {name: value if equals else "true" for name, equals, value in pairs}


def _runs(words: Sequence[str], beside: Path) -> bool:
    """Whether a command line is of a controller manager whose kubeconfig lies below `beside`."""
    if not any(Path(word).name == _NAME for word in words[:2]):
        return False
    own = parsed(words).get("kubeconfig")
    return own is not None and Path(own).is_relative_to(beside)
