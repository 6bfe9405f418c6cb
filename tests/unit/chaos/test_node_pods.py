"""The privileged pod: as much power as it needs, where it is needed, and no longer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import answering
import pytest
from answering import Refusing

from assay.chaos import node, node_pods
from assay.chaos.node_pods import NAMESPACE, NodePods, manifest
from assay.errors import AssayError, UsageError

if TYPE_CHECKING:
    from pathlib import Path


def test_the_pod_sees_its_node_and_nothing_of_the_api() -> None:
    """Bound to the one node whatever its taints, ended by the kubelet in the end, and without a token."""
    spec = manifest("node-1", "worker-1", "image")["spec"]
    (container,) = spec["containers"]
    assert (spec["nodeName"], spec["hostPID"], spec["automountServiceAccountToken"]) == ("worker-1", True, False)
    assert spec["tolerations"] == [{"operator": "Exists"}]
    assert spec["restartPolicy"] == "Never"
    assert spec["activeDeadlineSeconds"] > 0
    assert container["securityContext"] == {"privileged": True, "runAsUser": 0, "runAsNonRoot": False}
    assert container["env"] == [{"name": node.VARIABLE, "value": node.program()}]


def test_kubernetes_expands_nothing_in_the_program() -> None:
    """`$(NAME)` in a pod's environment or command would be replaced."""
    assert "$(" not in node.program()
    assert "$(" not in " ".join(node.command({"do": "stay", "seconds": 1}))


class Narrow(Refusing):
    """An API server that lets us work in the namespace, and neither make nor remove one."""

    asked: ClassVar[list[str]] = []
    labels: ClassVar[dict[str, str] | None] = {}

    def answer(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        """The namespace as it is."""
        self.asked.append(f"{method} {path}")
        if method == "GET" and path.endswith(f"/namespaces/{NAMESPACE}"):
            if self.labels is None:
                return 404, {"kind": "Status", "message": "there is no such namespace", "code": 404}
            return 200, {"metadata": {"name": NAMESPACE, "labels": self.labels}}
        if method == "GET":
            return 200, {"items": []}
        return super().answer(method, path, body)


def test_a_namespace_that_was_made_for_us_is_used_and_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By whoever may make one: its Role would be gone with it."""
    monkeypatch.setattr(Narrow, "labels", node_pods._LABELS)  # noqa: SLF001  # as `assay rights` prints them
    monkeypatch.setattr(Narrow, "asked", [])
    with answering.platform(tmp_path, Narrow) as platform, NodePods(platform):
        pass
    assert f"GET /api/v1/namespaces/{NAMESPACE}" in Narrow.asked
    assert [one for one in Narrow.asked if one.startswith("DELETE")] == []


@pytest.mark.parametrize(
    ("labels", "error", "words"),
    [(None, AssayError, "assay rights --for chaos"), ({"owner": "somebody"}, UsageError, "is not ours")],
)
def test_a_namespace_that_nobody_made_for_us_is_said(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    labels: dict[str, str] | None,
    error: type[AssayError],
    words: str,
) -> None:
    """Missing, or somebody else's."""
    monkeypatch.setattr(Narrow, "labels", labels)
    with answering.platform(tmp_path, Narrow) as platform, pytest.raises(error, match=words), NodePods(platform):
        pass
