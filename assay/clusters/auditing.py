"""The API server's audit log: which requests stand in it, and where it lies.

Who did what is written down, never what was sent or answered, so nothing that a Secret or a ConfigMap holds gets into
it; an exec's command does, as a part of its URL. What Kubernetes' own parts do all the time is left out: on a small
machine that would be most of the log and of its price, and it tells nothing of who touched the platform.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import yaml

from assay.clusters.node import POLICY_USER

if TYPE_CHECKING:
    from pathlib import Path

    from assay.clusters.state import State

#: Kubernetes' own parts, by the names and groups that their certificates and tokens give them. Their leases, events and
#: status updates are theirs too; what others do to such objects is written down, since it needs a right of theirs.
PARTS: Final = (
    "system:apiserver",
    "system:kube-controller-manager",
    "system:kube-scheduler",
    "system:kube-proxy",
    POLICY_USER,
)
GROUPS: Final = ("system:nodes", "system:serviceaccounts:kube-system")
#: Health, versions and discovery: anybody may ask, and every client does before it asks for something.
PATHS: Final = ("/healthz*", "/livez*", "/readyz*", "/version", "/api*", "/openapi/*")
#: The log is at most this large, in MiB, before a new file is begun, and so many old files are kept.
MAX_SIZE, MAX_BACKUPS = 50, 5


def policy() -> dict[str, Any]:
    """The policy (audit.k8s.io/v1): the first rule that matches a request says how much of it is written.

    No rule says more than `Metadata`. That a request was received is not written: it is when it was answered, or, for
    one that takes long (a watch, an exec), when its answer began and when it ended.
    """
    return {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [
            {"level": "None", "users": list(PARTS)},
            {"level": "None", "userGroups": list(GROUPS)},
            {"level": "None", "nonResourceURLs": list(PATHS)},
            {"level": "Metadata"},
        ],
    }


def write_policy(state: State) -> None:
    """Write the policy into the cluster's state, where the log will be too."""
    state.audit.mkdir(parents=True, exist_ok=True, mode=0o700)
    _policy(state).write_text(yaml.safe_dump(policy(), sort_keys=False))


def log(state: State) -> Path:
    """Where the API server writes; old files lie beside it, as `audit-<when it was full>.log`."""
    return state.audit / "audit.log"


def flags(state: State) -> list[str]:
    """What the API server is told. By default it answers a request only once that is written: none is missing."""
    return [
        f"--audit-policy-file={_policy(state)}",
        f"--audit-log-path={log(state)}",
        f"--audit-log-maxsize={MAX_SIZE}",
        f"--audit-log-maxbackup={MAX_BACKUPS}",
    ]


def _policy(state: State) -> Path:
    return state.audit / "policy.yaml"
