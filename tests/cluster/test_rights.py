"""What `assay rights` prints is enough for a whole validation, and each rule of it is missed by name.

A service account of a namespace of its own, on a cluster that has nothing of ours yet, is given what is printed and
nothing else; the cluster is one that others made, as far as the commands know.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml
from kubernetes import client, config, dynamic

from assay import audit
from assay.rbac import Right, allow_list, compare
from assay.rights import needed, text

from .conftest import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from assay.clusters.embedded import EmbeddedCluster
    from assay.rights import Needed

pytestmark = [pytest.mark.endurance, pytest.mark.timeout(1800)]

NAMESPACE: Final = "production"
HOME: Final = "assay-tester"
USER: Final = f"system:serviceaccount:{HOME}:assay"
JOB: Final = "validate"
ROLE: Final = f"assay-{JOB}"
#: How fast a machine is that runs tests decides nothing here.
SPEED: Final = {"throughput", "etl throughput"}
RULES: Final = needed([JOB])
ALWAYS: Final = [rule for rule in RULES if not rule.only]
WRITTEN: Final = ("verdict.json", "posture.json", "settings.json", "manifest.json")


class Account:
    """The account, and how it reaches the cluster."""

    def __init__(self, cluster: EmbeddedCluster, state: Path) -> None:
        """Make it, without any right."""
        self.cluster = cluster
        self.state = state
        self.api = config.new_client_from_config(str(cluster.kubeconfig), cluster.context)
        self.dynamic = dynamic.DynamicClient(self.api)
        core = client.CoreV1Api(self.api)
        core.create_namespace({"metadata": {"name": HOME}})
        core.create_namespaced_service_account(HOME, {"metadata": {"name": "assay"}})
        asked = {"spec": {"expirationSeconds": 6 * 3600}}
        token = core.create_namespaced_service_account_token("assay", HOME, asked).status.token
        document = yaml.safe_load(cluster.kubeconfig.read_text())
        document["users"] = [{"name": "narrow", "user": {"token": token}}]
        of = {"cluster": document["clusters"][0]["name"], "user": "narrow"}
        document |= {"contexts": [{"name": "narrow", "context": of}], "current-context": "narrow"}
        self.kubeconfig = state / "narrow.kubeconfig"
        self.kubeconfig.write_text(yaml.safe_dump(document))
        self.kubeconfig.chmod(0o600)

    def allow(self, rules: Iterable[Needed]) -> None:
        """Give it these rights, and take every other one of ours away; returns when the API server knows."""
        rules = list(rules)
        for kind in ("Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"):
            resource = self.dynamic.resources.get(api_version="rbac.authorization.k8s.io/v1", kind=kind)
            for found in resource.get().items:
                if found.metadata.name == ROLE:
                    resource.delete(name=ROLE, namespace=found.metadata.namespace)
        for document in yaml.safe_load_all(text(rules, [JOB], NAMESPACE, USER)):
            resource = self.dynamic.resources.get(api_version=document["apiVersion"], kind=document["kind"])
            where = document["metadata"].get("namespace")
            name = document["metadata"]["name"]
            self.dynamic.server_side_apply(
                resource, body=document, name=name, namespace=where, field_manager="test", force_conflicts=True
            )
        given = {right for rule in rules for right in rule.rule(NAMESPACE).rights()}
        taken = {right for rule in RULES for right in rule.rule(NAMESPACE).rights()} - given
        until(lambda: all(map(self.may, given)) and not any(map(self.may, taken)), "the rights are in force", 30)

    def may(self, right: Right) -> bool:
        """Whether it has a right."""
        resource, _, subresource = right.resource.partition("/")
        asked = {"namespace": right.namespace, "group": right.group, "resource": resource, "verb": right.verb}
        name = {"name": right.namespace} if resource == "namespaces" else {}
        attributes = asked | name | {"subresource": subresource}
        groups = ["system:serviceaccounts", f"system:serviceaccounts:{HOME}", "system:authenticated"]
        body = {"spec": {"user": USER, "groups": groups, "resourceAttributes": attributes}}
        return bool(client.AuthorizationV1Api(self.api).create_subject_access_review(body).status.allowed)

    def validate(self, folder: Path) -> subprocess.CompletedProcess[str]:
        """Run `assay validate` as it."""
        where = ["--cluster", "existing", "--kubeconfig", str(self.kubeconfig), "--context", "narrow"]
        words = ["validate", *where, "--no-faults", "--messages", "2000", "--folder", str(folder)]
        return subprocess.run(
            ["env", f"ASSAY_STATE={self.state}", sys.executable, "-m", "assay.cli", *words],
            capture_output=True,
            text=True,
            check=False,
            timeout=900,
        )


@pytest.fixture(scope="module")
def account(new_cluster: Callable[..., EmbeddedCluster], tmp_path_factory: pytest.TempPathFactory) -> Account:
    """The account, on a cluster of its own."""
    cluster = new_cluster(f"rights-{os.getpid()}")
    cluster.create()
    return Account(cluster, tmp_path_factory.mktemp("rights"))


@pytest.fixture(scope="module")
def validated(account: Account, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, datetime]:
    """A whole validation with just these rights, and when it began."""
    account.allow(ALWAYS)
    since = datetime.now(UTC)
    folder = tmp_path_factory.mktemp("runs") / "narrow"
    done = account.validate(folder)
    assert (folder / "verdict.json").exists(), done.stdout + done.stderr
    return folder, since


def verdict(folder: Path) -> dict[str, Any]:
    """What was judged."""
    document: dict[str, Any] = json.loads((folder / "verdict.json").read_text())
    return document


def test_it_is_enough_for_a_whole_validation(validated: tuple[Path, datetime]) -> None:
    """Everything but the machine's speed passes; what the control plane alone could show is said to be left open."""
    found = verdict(validated[0])
    amiss = {one["check"]: one["summary"] for one in found["findings"] if one["verdict"] != "pass"}
    assert {check: words for check, words in amiss.items() if check not in SPEED} == {}
    assert "Left out on request: faults." in found["sentence"]
    assert "secrets/at-rest" in found["sentence"]
    assert "audit/found" in found["sentence"]


def test_nothing_was_asked_for_in_vain_and_every_rule_was_used(
    account: Account, validated: tuple[Path, datetime]
) -> None:
    """By the API server's audit log. A `create` that a server-side apply makes is not told apart from its `patch`."""
    log = account.cluster.audit_log
    assert log is not None
    events = audit.read_events(log, validated[1])
    asked = allow_list(events, USER, refused=True)
    # Whether Pod Security is enforced is asked by offering a namespace: who may make none is told that it is not known
    asked = [rule for rule in asked if rule.namespace != f"{NAMESPACE}-offered"]
    rules = [rule.rule(NAMESPACE) for rule in ALWAYS]
    assert compare(rules, asked)[0] == ()
    used = {right._replace(name="") for rule in asked for right in rule.rights()}
    applied = {right._replace(verb="create") for right in used if right.verb == "patch"}
    acting = {Right(NAMESPACE, "", "serviceaccounts", "impersonate")}  # the log has whose rights were used then
    granted = {right for rule in rules for right in rule.rights()}
    assert granted - used - applied - acting == set()


@pytest.mark.usefixtures("validated")
@pytest.mark.parametrize(
    "rule", [pytest.param(one, id=f"{one.place}-{one.resources[0]}-{one.verbs[0]}") for one in ALWAYS]
)
def test_each_rule_is_missed_by_name(account: Account, tmp_path: Path, rule: Needed) -> None:
    """Without it there is a plain sentence that says what may not be done, and never a crash or a pass unsaid."""
    account.allow(one for one in ALWAYS if one is not rule)
    others = {right for one in ALWAYS if one is not rule for right in one.rule(NAMESPACE).rights()}
    lacking = rule.rule(NAMESPACE).rights() - others
    assert lacking
    folder = tmp_path / "run"
    done = account.validate(folder)
    told = done.stdout + done.stderr
    assert "Traceback" not in told
    assert done.returncode in {0, 1, 2, 254}, told
    written = [(folder / name).read_text() for name in WRITTEN if (folder / name).exists()]
    sentences = " ".join(" ".join((told, *written)).replace("\\", "").split())
    refusals = "|".join(f'cannot {re.escape(one.verb)} resource "{re.escape(one.resource)}"' for one in lacking)
    assert re.search(refusals, sentences), told
