"""The rights that Assay prints are those that it asks for: no right is missing, and none too many.

What is asked for is read from the sources: every call of the Kubernetes client in `assay`, every document that the
playbooks apply, and every question of theirs.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml
from click.testing import CliRunner
from kubernetes import client

from assay.cli import cli
from assay.rbac import Right, compare, rules_of
from assay.rights import CHAOS, JOBS, needed, text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from assay.rights import Job

ROOT: Final = Path(__file__).resolve().parents[2]
#: A right without its place: group, resource, verb.
Kind = tuple[str, str, str]
GROUPS: Final = {
    **dict.fromkeys(("deployments", "statefulsets", "daemonsets"), "apps"),
    **dict.fromkeys(("jobs", "cronjobs", "jobs/status"), "batch"),
    "selfsubjectrulesreviews": "authorization.k8s.io",
    **dict.fromkeys(("roles", "rolebindings"), "rbac.authorization.k8s.io"),
    "networkpolicies": "networking.k8s.io",
    "poddisruptionbudgets": "policy",
    "priorityclasses": "scheduling.k8s.io",
    "leases": "coordination.k8s.io",
    "storageclasses": "storage.k8s.io",
    "subjectaccessreviews": "authorization.k8s.io",
}
VERBS: Final = {
    **{verb: verb for verb in ("list", "create", "delete", "patch")},
    "read": "get",
    "connect_get": "get",
    "replace": "update",
}
#: Whatever the client can be called for.
METHODS: Final = {name for api in dir(client) if api.endswith("Api") for name in dir(getattr(client, api))}
CALL: Final = re.compile(
    r"(read|list|create|delete|patch|replace|connect_get)_(?:namespaced_)?([a-z_]+?)(?:_for_all_namespaces)?"
)
SUBRESOURCES: Final = {
    "pod_log": "pods/log",
    "pod_exec": "pods/exec",
    "pod_eviction": "pods/eviction",
    "job_status": "jobs/status",
}
#: KEP-4006: who may only `get` a WebSocket is refused.
CONVERSATION: Final = {("", "pods/exec", verb) for verb in ("create", "get")}
#: Everybody may review his own rules; the last are this machine's alone: its etcd and its audit log.
NOT_ASKED: Final = {
    ("authorization.k8s.io", "selfsubjectrulesreviews", "create"): "everybody may, by the role system:basic-user",
    ("", "secrets", "create"): "secrets/at-rest writes a canary where etcd can be read: on the embedded cluster",
    ("", "secrets", "delete"): "the same",
    ("", "secrets", "get"): "audit/found asks for one where there is a log: on the embedded cluster",
    ("", "configmaps", "create"): "the canary's control",
    ("", "configmaps", "delete"): "the same",
    ("", "namespaces", "create"): "the namespace assay-chaos is made by whoever applies the rights",
    ("", "namespaces", "delete"): "and stays",
}


def plural(kind: str) -> str:
    """The resource of a kind in small letters."""
    if kind.endswith("cy"):
        return f"{kind[:-1]}ies"
    return f"{kind}es" if kind.endswith("ss") else f"{kind}s"


def called(paths: Iterable[Path]) -> set[Kind]:
    """What the Kubernetes client is called for in these files."""
    found = set()
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text())):
            match = CALL.fullmatch(node.attr) if isinstance(node, ast.Attribute) and node.attr in METHODS else None
            if match is not None:
                verb, rest = match.groups()
                resource = SUBRESOURCES.get(rest) or plural(rest.replace("_", ""))
                found.add((GROUPS.get(resource, ""), resource, VERBS[verb]))
    return found


def sources(*, chaos: bool) -> list[Path]:
    """The files that ask the API server: of experiments alone, or all others but of clusters that are ours."""
    files = sorted((ROOT / "assay").rglob("*.py"))
    return [path for path in files if ("chaos" in path.parts) == chaos and "clusters" not in path.parts]


def applied(documents: list[dict[str, Any]]) -> set[Kind]:
    """What it takes to apply these documents."""
    found = set()
    for document in documents:
        group = document["apiVersion"].rpartition("/")[0]
        resource = plural(document["kind"].lower())
        verbs = {"get", "patch"} if resource == "namespaces" else {"create", "get", "patch"}
        found |= {(group, resource, verb) for verb in verbs}
    return found


def asked() -> set[Kind]:
    """What the roles ask for: one object by its name, all that bear a label, or a conversation with a pod."""
    found = set()
    for path in (ROOT / "playbooks" / "roles").glob("platform_*/tasks/*.yml"):
        if path.parts[-3] == "platform_teardown":
            continue
        for task in yaml.safe_load(path.read_text()):
            if "postgres_password" in task:
                found |= CONVERSATION
            given = task.get("kubernetes.core.k8s_info")
            if given is None:
                continue
            kinds = ["Deployment", "StatefulSet"] if "{{" in given["kind"] else [given["kind"]]
            name = given.get("name")
            verbs = ["list"] if name is None else ["get", "list"] if "omit" in name else ["get"]
            resources = [plural(kind.lower()) for kind in kinds]
            found |= {(GROUPS.get(resource, ""), resource, verb) for resource in resources for verb in verbs}
    return found


def granted(*jobs: Job) -> set[Kind]:
    """What is printed for these jobs."""
    return {
        (group, resource, verb)
        for rule in needed(jobs)
        for group in rule.groups
        for resource in rule.resources
        for verb in rule.verbs
    }


def test_the_sources_are_read() -> None:
    """A comparison with nothing would be empty."""
    assert ("", "pods/exec", "get") in called(sources(chaos=False))
    assert ("coordination.k8s.io", "leases", "update") in called(sources(chaos=True))
    assert asked() >= {
        ("", "namespaces", "get"),
        ("", "nodes", "list"),
        ("apps", "statefulsets", "list"),
        *CONVERSATION,
    }


def test_provisioning_is_allowed_what_it_does_and_nothing_else(shipped: list[dict[str, Any]]) -> None:
    """Each document is looked up and applied, and what the roles ask is answered."""
    pods_too = {("", "pods", "list")}
    assert granted("deploy") == applied(shipped) | asked() | pods_too


def test_validation_is_allowed_what_it_does_and_nothing_else(shipped: list[dict[str, Any]]) -> None:
    """What the deployment needs, and every call of the client outside experiments."""
    own = called(sources(chaos=False)) - NOT_ASKED.keys()
    acting = {("", "serviceaccounts", "impersonate")}
    assert granted("deploy", "validate") == applied(shipped) | asked() | own | CONVERSATION | acting


def test_experiments_are_allowed_what_they_do() -> None:
    """Every call of the client in them."""
    assert called(sources(chaos=True)) - NOT_ASKED.keys() - granted("chaos") == set()


def test_experiments_are_allowed_nothing_that_nobody_calls() -> None:
    """Neither in them, nor in what records and collects."""
    everything = called([*sources(chaos=True), *sources(chaos=False)]) | CONVERSATION
    assert granted("chaos") - everything == set()


def documents(*jobs: Job, user: str = "") -> list[dict[str, Any]]:
    """What is printed, as plain data."""
    return list(yaml.safe_load_all(text(needed(jobs), jobs, "elsewhere", user)))


@pytest.mark.parametrize("job", JOBS)
def test_what_is_printed_says_the_same_as_the_data(job: Job) -> None:
    """Role by role, without a wildcard."""
    roles = [one for one in documents(job) if one["kind"] in {"Role", "ClusterRole"}]
    printed = [rule for role in roles for rule in rules_of(role)]
    assert compare(printed, [rule.rule("elsewhere") for rule in needed([job])]) == ((), ())
    assert not [one for rule in printed for one in rule.rights() if "*" in one]
    assert {role["metadata"]["name"] for role in roles} == {f"assay-{job}"}


def test_only_what_is_in_no_namespace_is_granted_everywhere() -> None:
    """And, to drain a node, the sight of all pods."""
    everywhere = {one for rule in needed(JOBS) for one in rule.rule("elsewhere").rights() if not one.namespace}
    of_the_cluster = {"nodes", "priorityclasses", "storageclasses", "subjectaccessreviews"}
    assert {one for one in everywhere if one.resource not in of_the_cluster} == {Right("", "", "pods", "list")}
    assert {one.verb for one in everywhere if one.resource == "nodes"} == {"get", "list", "patch"}


def test_every_role_is_bound_to_whom_was_named() -> None:
    """Where it is; without a name nothing is bound."""
    found = documents("validate", "chaos", user="jane")
    roles = [one["metadata"] for one in found if one["kind"] in {"Role", "ClusterRole"}]
    bindings = [one for one in found if one["kind"].endswith("Binding")]
    assert [one["metadata"] for one in bindings] == roles
    assert {one["subjects"][0]["name"] for one in bindings} == {"jane"}
    assert all(one["roleRef"]["kind"] + "Binding" == one["kind"] for one in bindings)
    assert not [one for one in documents("validate") if one["kind"].endswith("Binding")]


def test_the_namespaces_come_first() -> None:
    """Ours by their labels, so that a Role can stand in them before anything is provisioned."""
    first, second = documents("validate", "chaos")[:2]
    assert [one["metadata"]["name"] for one in (first, second)] == ["elsewhere", CHAOS]
    assert all(one["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "assay" for one in (first, second))
    assert documents("deploy")[0]["kind"] == "Namespace"


def test_the_command_prints_it() -> None:
    """All jobs by default; an unknown one is wrong usage."""
    runner = CliRunner()
    assert runner.invoke(cli, ["rights"], standalone_mode=False).output == text(needed(JOBS), JOBS, "production")
    one = runner.invoke(cli, ["rights", "--for", "deploy", "--namespace", "elsewhere"], standalone_mode=False).output
    assert one == text(needed(["deploy"]), ["deploy"], "elsewhere")
    assert "is not one of" in str(runner.invoke(cli, ["rights", "--for", "holiday"]).output)
