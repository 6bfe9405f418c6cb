"""All probes against API servers that are made up: one refuses whatever it is asked, one accepts it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import answering
from answering import Refusing

from assay.posture.scene import Scene
from assay.posture.survey import FAMILIES, survey
from assay.verdict import Verdict

if TYPE_CHECKING:
    from pathlib import Path

    from assay.posture.probe import Finding


class Accepting(Refusing):
    """An API server that accepts every object as it is given, allows everybody everything, and enforces nothing."""

    objects: ClassVar[dict[str, Any]] = {}

    def answer(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        """Keep what is given, and give it back."""
        name = path.rpartition("/")[2]
        if method == "DELETE":
            gone = self.objects.pop(path, None)
            return 200, gone if "/pods/" in path else {"kind": "Status", "status": "Success"}
        if method == "GET":
            return self.found(path, name)
        if name == "selfsubjectrulesreviews":
            everything = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}
            status = {"incomplete": False, "resourceRules": [everything], "nonResourceRules": []}
            return 201, body | {"status": status}
        if name == "subjectaccessreviews":
            return 201, body | {"status": {"allowed": True}}
        body = self.filled(body, name)
        if "dryRun=All" not in self.path:
            self.objects[f"{path}/{body['metadata']['name']}"] = body
        return 201, body

    def filled(self, body: dict[str, Any], kind: str) -> dict[str, Any]:
        """An object with what a cluster would add to it."""
        if kind == "pods":
            return body | {"status": {"phase": "Running", "podIP": "192.0.2.9"}}
        if kind == "poddisruptionbudgets":
            counted = {"observedGeneration": 1, "currentHealthy": 1, "desiredHealthy": 1, "expectedPods": 1}
            return body | {
                "metadata": body["metadata"] | {"generation": 1},
                "status": counted | {"disruptionsAllowed": 0},
            }
        return body

    def found(self, path: str, name: str) -> tuple[int, Any]:
        """An object, or a list."""
        if path in self.objects:
            return 200, self.objects[path]
        if name in LISTS:
            return 200, {"items": []}
        known = THERE.get(name)
        return (200, known) if known is not None else (404, {"kind": "Status", "message": f"there is no {path}"})


VERSION = ("buildDate", "compiler", "gitCommit", "gitTreeState", "gitVersion", "goVersion", "platform")
LISTS = frozenset(
    {
        *("pods", "configmaps", "secrets", "resourcequotas", "networkpolicies", "poddisruptionbudgets"),
        *("deployments", "statefulsets", "daemonsets", "cronjobs"),
    }
)
TEMPLATE = {"metadata": {"labels": {}}, "spec": {"containers": [{"name": "main", "image": "one"}]}}
#: What is there, by the last word of its path.
THERE: dict[str, Any] = {
    "version": {"minor": "36", "major": "1", **dict.fromkeys(VERSION, "")},
    "production": {"metadata": {"name": "production"}},
    "kubernetes": {"metadata": {"name": "kubernetes"}, "spec": {"clusterIP": "192.0.2.1"}},
    "serviceaccounts": {"items": [{"metadata": {"name": "production-etl"}}]},
    "commodity-price-pipeline": {"spec": {"schedule": "", "jobTemplate": {"spec": {"template": TEMPLATE}}}},
    "commodity-analytics-consumer": {"spec": {"selector": {}, "template": TEMPLATE}},
}


def findings(folder: Path, handler: type[Refusing]) -> dict[str, Finding]:
    """The findings by name; none of them is of a crash."""
    with answering.platform(folder, handler) as made:
        found = survey(Scene(made))
    assert [one.probe for one in found] == [probe for family in FAMILIES.values() for probe in family.PROBES]
    assert [one.happened for one in found if "crashed" in one.happened] == []
    return {one.probe.name: one for one in found}


def test_who_may_do_nothing_learns_nothing(tmp_path: Path) -> None:
    """Where the API server refuses us everything, every probe is unknown, with its reason, and none passes."""
    found = findings(tmp_path, Refusing)
    assert {one.verdict for one in found.values()} == {Verdict.UNKNOWN}
    assert all("forbidden" in one.happened or "no audit log" in one.happened for one in found.values())


def test_a_cluster_that_allows_everything_is_red(tmp_path: Path) -> None:
    """Every forbidden thing that can be tried through the API is found allowed, and nothing passes."""
    found = findings(tmp_path, Accepting)
    names = {verdict: {name for name, one in found.items() if one.verdict is verdict} for verdict in Verdict}
    tried = {name for name in found if name.startswith(("pods/", "access/", "quota/", "policies/"))}
    assert names[Verdict.FAIL] == tried - {"policies/nothing-else"} | {"eviction/refused"}
    assert names[Verdict.PASS] == set()
    assert "no label pod-security.kubernetes.io/enforce" in found["pods/privileged"].remedy
    assert "production-etl may * *.*" in found["access/rules"].offenders
    # What was made for the occasion is gone again
    assert Accepting.objects.keys() == set()
