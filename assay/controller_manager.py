"""The flags that a cluster's controller manager runs with; no API tells them.

kubeadm, kind and minikube run it as a pod, whose command line the API server has. Where it is a process of this
machine, as with the embedded cluster, it is the one that hands out the certificate by which we know the cluster.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import psutil

from assay.errors import AssayError

if TYPE_CHECKING:
    from collections.abc import Iterable

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
    authority = _content(Path(str(platform.core.api_client.configuration.ssl_ca_cert)))
    for process in psutil.process_iter(["pid", "cmdline"]):
        words = process.info["cmdline"] or []
        if any(Path(word).name == _NAME for word in words[:2]):
            given = parsed(words)
            # As the process itself sees its files: it may have a mount namespace of its own.
            known = _content(Path(f"/proc/{process.info['pid']}/root{given.get('root-ca-file')}"))
            if authority is not None and known == authority:
                return given
    raise AssayError(
        f"The controller manager of {platform.context!r} is no pod of kube-system and no process of this machine, so "
        "its flags can't be read."
    )


def parsed(words: Iterable[str]) -> dict[str, str]:
    """Flags of a command line, `--name=value` or `--name` (pure)."""
    pairs = [word.removeprefix("--").partition("=") for word in words if word.startswith("--")]
    return {name: value if equals else "true" for name, equals, value in pairs}


def _content(certificate: Path) -> bytes | None:
    """What stands in a file; None if it can't be read."""
    try:
        return certificate.read_bytes().strip()
    except OSError:
        return None
