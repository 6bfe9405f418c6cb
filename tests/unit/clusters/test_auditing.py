"""What the embedded cluster's API server writes into its audit log."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
import yaml

from assay.clusters import auditing, control_plane
from assay.clusters.addresses import Addresses
from assay.clusters.embedded import EmbeddedCluster
from assay.clusters.existing import ExistingCluster
from assay.clusters.prepared import Prepared
from assay.clusters.state import State

ADMIN = ("assay-admin", ("system:masters", "system:authenticated"))
WORKLOAD = ("system:serviceaccount:production:etl", ("system:serviceaccounts:production", "system:authenticated"))
KUBELET = ("system:node:x-node-1", ("system:nodes", "system:authenticated"))
CONTROLLER = ("system:serviceaccount:kube-system:job-controller", ("system:serviceaccounts:kube-system",))


def level(who: tuple[str, tuple[str, ...]], path: str | None = None) -> str:
    """How much of a request is written, by Kubernetes' rule that the first match counts; a path is no resource."""
    user, groups = who
    for rule in auditing.policy()["rules"]:
        if "users" in rule and user not in rule["users"]:
            continue
        if "userGroups" in rule and not set(groups) & set(rule["userGroups"]):
            continue
        if "nonResourceURLs" in rule and not any(fnmatchcase(path or "", one) for one in rule["nonResourceURLs"]):
            continue
        return str(rule["level"])
    return "None"


def test_no_rule_writes_what_was_sent_or_answered() -> None:
    """So nothing that a Secret holds can get into the log, whoever reads or writes it."""
    assert {rule["level"] for rule in auditing.policy()["rules"]} == {"None", "Metadata"}


@pytest.mark.parametrize("who", [ADMIN, WORKLOAD, ("system:anonymous", ("system:unauthenticated",))])
def test_whoever_is_not_a_part_of_kubernetes_is_written_down(who: tuple[str, tuple[str, ...]]) -> None:
    """Reads too: which rights an account needs is computed from them."""
    assert level(who) == "Metadata"
    assert level(who, "/metrics") == "Metadata"


@pytest.mark.parametrize("who", [KUBELET, CONTROLLER, *((name, ("system:authenticated",)) for name in auditing.PARTS)])
def test_what_kubernetes_own_parts_do_is_left_out(who: tuple[str, tuple[str, ...]]) -> None:
    """Leases, events and status updates at a steady pace: most of what an API server hears."""
    assert level(who) == "None"


@pytest.mark.parametrize("path", ["/healthz", "/readyz/etcd", "/livez", "/version", "/api/v1", "/apis", "/openapi/v3"])
def test_health_and_discovery_are_left_out(path: str) -> None:
    """Whoever asks."""
    assert level(ADMIN, path) == "None"


def test_the_api_server_is_told(tmp_path: Path) -> None:
    """The policy lies where its flag says, and log and policy in the state folder, which `down` removes."""
    state = State(tmp_path)
    auditing.write_policy(state)
    prepared = Prepared(tmp_path / "bin", tmp_path / "store", (), "v1.36.3", "pause")
    programs = control_plane.specification(state, Addresses(201), prepared, [])["programs"]
    argv: dict[str, Any] = {program["name"]: program["argv"] for program in programs}
    given = dict(one.split("=", 1) for one in argv["kube-apiserver"] if "=" in one)
    assert yaml.safe_load(Path(given["--audit-policy-file"]).read_text()) == auditing.policy()
    assert Path(given["--audit-log-path"]).is_relative_to(tmp_path)
    assert (given["--audit-log-maxsize"], given["--audit-log-maxbackup"]) == ("50", "5")


def test_a_cluster_has_a_log_once_its_api_server_wrote_one(tmp_path: Path) -> None:
    """Not before, and not one of an earlier release, which had none: that is None, never an empty log."""
    cluster = EmbeddedCluster("x", root=tmp_path)
    assert cluster.audit_log is None
    auditing.write_policy(State(tmp_path / "x"))
    assert cluster.audit_log is None
    auditing.log(State(tmp_path / "x")).touch()
    assert cluster.audit_log == tmp_path / "x" / "audit" / "audit.log"


def test_an_existing_cluster_gives_no_log(tmp_path: Path) -> None:
    """It is its operator's."""
    config = tmp_path / "config"
    entry = {"name": "a", "cluster": {"server": "http://127.0.0.1:1"}}
    context = {"name": "a", "context": {"cluster": "a", "user": "a"}}
    users = [{"name": "a", "user": {}}]
    config.write_text(yaml.safe_dump({"clusters": [entry], "users": users, "contexts": [context]}))
    assert ExistingCluster((config,), "a", tmp_path / "contexts").audit_log is None
