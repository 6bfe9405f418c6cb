"""Short-lived pods: a workload's own template with another command."""

from __future__ import annotations

from typing import Any

from assay.pods import LIFETIME_SECONDS, _pod

TEMPLATE: dict[str, Any] = {
    "metadata": {"labels": {"app.kubernetes.io/component": "analytics", "app.kubernetes.io/part-of": "x"}},
    "spec": {
        "affinity": {"podAntiAffinity": {}},
        "serviceAccountName": "analytics",
        "containers": [
            {
                "name": "analytics",
                "image": "workloads",
                "command": ["serve"],
                "args": ["--now"],
                "readinessProbe": {"httpGet": {}},
                "securityContext": {"readOnlyRootFilesystem": True},
                "volumeMounts": [{"name": "warehouse", "mountPath": "/warehouse"}],
            }
        ],
        "volumes": [{"name": "warehouse"}],
    },
}


def test_the_pod_keeps_what_decides_its_reach() -> None:
    """Image, account, volumes and security context stay the workload's own; its command does not."""
    spec = _pod("assay-1", TEMPLATE, ["read"], {})["spec"]
    container = spec["containers"][0]
    assert (container["image"], container["command"]) == ("workloads", ["read"])
    assert container["securityContext"] == {"readOnlyRootFilesystem": True}
    assert spec["serviceAccountName"] == "analytics"
    assert spec["volumes"] == [{"name": "warehouse"}]


def test_the_pod_is_no_lasting_service() -> None:
    """Arguments, probes and spread go, and the kubelet ends the pod by itself."""
    spec = _pod("assay-1", TEMPLATE, ["read"], {})["spec"]
    assert not {"args", "readinessProbe"} & spec["containers"][0].keys()
    assert "affinity" not in spec
    assert (spec["restartPolicy"], spec["activeDeadlineSeconds"]) == ("Never", LIFETIME_SECONDS)


def test_labels_are_set_over_the_templates() -> None:
    """Another component label takes the pod out of the workload's services; the template itself is untouched."""
    labels = _pod("assay-1", TEMPLATE, ["read"], {"app.kubernetes.io/component": "sink-reader"})["metadata"]["labels"]
    assert labels == {"app.kubernetes.io/component": "sink-reader", "app.kubernetes.io/part-of": "x"}
    assert TEMPLATE["metadata"]["labels"]["app.kubernetes.io/component"] == "analytics"
