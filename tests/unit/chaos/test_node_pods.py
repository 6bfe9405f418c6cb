"""The privileged pod: as much power as it needs, where it is needed, and no longer."""

from __future__ import annotations

from assay.chaos import node
from assay.chaos.node_pods import manifest


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
