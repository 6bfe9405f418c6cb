"""The embedded cluster's audit log: what was asked for, and by whom, is in it at once, and nothing that a Secret holds.

Beside that the rights of an account are computed from it, and tried: they are enough, and each of them is needed.
"""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import pytest
from kubernetes import client, config
from kubernetes.stream import stream

from assay import audit
from assay.rbac import Right, Rule, allow_list, compare, rules_for, rules_of

from .conftest import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from assay.audit import Event
    from assay.clusters.embedded import EmbeddedCluster

    from .conftest import Pods

#: How long a request may take to stand in the log: it is written before the answer is complete.
WRITTEN_SECONDS: Final = 5
CANARY: Final = "hidden-7f3a9c"
TYPED: Final = "typed-7f3a9c"
NAME: Final = "worker"
IDLE: Final = "import time; time.sleep(3600)"


@pytest.fixture
def log(cluster: EmbeddedCluster) -> Path:
    """The cluster's audit log."""
    found = cluster.audit_log
    assert found is not None
    return found


def found(log: Path, since: datetime, fits: Callable[[Event], bool]) -> list[Event]:
    """The requests since then that fit, once there is one."""
    until(lambda: any(map(fits, audit.read_events(log, since))), "the request is in the log", WRITTEN_SECONDS)
    return [event for event in audit.read_events(log, since) if fits(event)]


def connection(cluster: EmbeddedCluster, **headers: str) -> client.ApiClient:
    """The administrator's connection, with headers."""
    api = config.new_client_from_config(str(cluster.kubeconfig), cluster.context)
    for name, value in headers.items():
        api.set_default_header(name.replace("_", "-"), value)
    return api


def test_a_request_is_in_the_log_within_seconds(cluster: EmbeddedCluster, pods: Pods, log: Path) -> None:
    """With who asked, from where, for what, and what the authorizer said."""
    since = datetime.now(UTC)
    pods.api.create_namespaced_config_map(pods.namespace, {"metadata": {"name": "seen"}})
    (event,) = found(log, since, lambda one: one.verb == "create" and one.resource == "configmaps")
    asked = event.object_ref
    assert asked is not None
    assert (asked.namespace, asked.name) == (pods.namespace, "seen")
    assert (event.user.username, event.decision, event.response_status.code) == ("assay-admin", "allow", 201)
    assert event.source
    assert since <= event.received <= datetime.now(UTC)
    assert not [one for one in audit.read_events(log) if "system:nodes" in one.user.groups]
    assert cluster.status().state == "up"


def test_a_refused_request_is_in_the_log_with_the_impersonated_user(
    cluster: EmbeddedCluster, pods: Pods, log: Path
) -> None:
    """Both names stand there: who asked, and as whom it was refused."""
    since = datetime.now(UTC)
    api = client.CoreV1Api(connection(cluster, Impersonate_User="jane"))
    with pytest.raises(client.ApiException) as refused:
        api.list_namespaced_secret(pods.namespace)
    assert refused.value.status == 403
    (event,) = found(log, since, lambda one: one.actor == "jane")
    assert (event.user.username, event.resource, event.decision) == ("assay-admin", "secrets", "forbid")
    (row,) = audit.touched([event])
    assert (row.user, row.impersonated, row.namespace, row.failed) == ("assay-admin", "jane", pods.namespace, 1)


def test_what_a_secret_holds_is_not_in_the_log(pods: Pods, log: Path, tmp_path: Path) -> None:
    """Made, read, listed and changed: its name is there each time, its value never, plain or in base 64."""
    since = datetime.now(UTC)
    document = {"metadata": {"name": "named-7f3a9c"}, "stringData": {"k": CANARY}}
    pods.api.create_namespaced_secret(pods.namespace, document)
    pods.api.read_namespaced_secret("named-7f3a9c", pods.namespace)
    pods.api.list_namespaced_secret(pods.namespace)
    pods.api.patch_namespaced_secret("named-7f3a9c", pods.namespace, {"stringData": {"k": f"new-{CANARY}"}})
    found(log, since, lambda one: one.verb == "patch" and one.resource == "secrets")
    audit.record(log, tmp_path, since)
    for folder, name in ((log.parent, "audit*.log"), (tmp_path, "audit.json*")):
        text = b"".join(one.read_bytes() for one in folder.glob(name))
        assert b"named-7f3a9c" in text
        assert CANARY.encode() not in text
        assert base64.b64encode(CANARY.encode())[:-4] not in text
        assert base64.b64encode(f"new-{CANARY}".encode())[:-4] not in text


def test_an_execs_command_is_not_in_the_evidence(pods: Pods, log: Path, tmp_path: Path) -> None:
    """Kubernetes writes it into the log, as a part of the URL: of an exec, the evidence says who did it, and where."""
    since = datetime.now(UTC)
    pods.run(NAME, IDLE)
    assert pods.python(NAME, f"print('{TYPED}')") == TYPED
    found(log, since, lambda one: one.resource == "pods/exec")
    assert TYPED in log.read_text()
    table = audit.record(log, tmp_path, since).touched
    assert [one.name for one in table if one.resource == "pods/exec"] == [NAME]
    assert TYPED not in "".join(one.read_text() for one in tmp_path.iterdir())


class Worker:
    """A service account that does three things, with the rights that its role gives it."""

    def __init__(self, cluster: EmbeddedCluster, pods: Pods) -> None:
        """Make the account, and bind it to a role that allows everything in its namespace."""
        self.pods = pods
        self.user = f"system:serviceaccount:{pods.namespace}:{NAME}"
        self.roles = client.RbacAuthorizationV1Api(pods.api.api_client)
        everything = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}
        pods.api.create_namespaced_service_account(pods.namespace, {"metadata": {"name": NAME}})
        self.roles.create_namespaced_role(pods.namespace, {"metadata": {"name": NAME}, "rules": [everything]})
        binding = {
            "metadata": {"name": NAME},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": NAME},
            "subjects": [{"kind": "ServiceAccount", "name": NAME, "namespace": pods.namespace}],
        }
        self.roles.create_namespaced_role_binding(pods.namespace, binding)
        token = pods.api.create_namespaced_service_account_token(NAME, pods.namespace, {"spec": {}}).status.token
        loaded = client.Configuration()
        config.load_kube_config(str(cluster.kubeconfig), cluster.context, client_configuration=loaded)
        self._own = client.Configuration(host=loaded.host, api_key={"authorization": f"Bearer {token}"})
        self._own.ssl_ca_cert = loaded.ssl_ca_cert

    def works(self) -> bool:
        """Do all three things; whether it was allowed to."""
        api = client.CoreV1Api(client.ApiClient(self._own))
        try:
            api.list_namespaced_pod(self.pods.namespace)
            api.read_namespaced_config_map("settings", self.pods.namespace)
            command = ["python3", "-c", "print(1)"]
            stream(api.connect_get_namespaced_pod_exec, NAME, self.pods.namespace, command=command, stdout=True)
        except client.ApiException as error:
            if "403" not in f"{error.status} {error.reason}":  # a WebSocket's refusal has its status in its reason
                raise
            return False
        return True

    def allow(self, rules: Iterable[Rule]) -> dict[str, Any]:
        """Give the role these rules, and no others; returns it."""
        written = [
            {
                "apiGroups": [*rule.api_groups],
                "resources": [*rule.resources],
                "verbs": [*rule.verbs],
                "resourceNames": [*rule.resource_names],
            }
            for rule in rules
        ]
        role = {"metadata": {"name": NAME}, "rules": written}
        changed = self.roles.replace_namespaced_role(NAME, self.pods.namespace, role)
        plain: dict[str, Any] = self.roles.api_client.sanitize_for_serialization(changed)
        return plain


def test_the_rights_in_the_log_are_enough_and_each_is_needed(cluster: EmbeddedCluster, pods: Pods, log: Path) -> None:
    """An account is narrowed to what it was seen to do: it still works, and without any one of the rights it does not.

    The comparison says the same: nothing missing and nothing too much, or just that one right.
    """
    pods.run(NAME, IDLE)
    pods.api.create_namespaced_config_map(pods.namespace, {"metadata": {"name": "settings"}})
    worker = Worker(cluster, pods)
    until(worker.works, "the account may do everything", 20)
    since = datetime.now(UTC)
    assert worker.works()
    found(log, since, lambda one: one.actor == worker.user and one.resource == "pods/exec")
    needed = allow_list(audit.read_events(log, since), worker.user)
    rights = {right for rule in needed for right in rule.rights()}
    assert rights == {
        Right(pods.namespace, "", "pods", "list"),
        Right(pods.namespace, "", "configmaps", "get", "settings"),
        Right(pods.namespace, "", "pods/exec", "get"),
        Right(pods.namespace, "", "pods/exec", "create"),
    }
    for lacking in sorted(rights):
        role = worker.allow(rules_for(rights - {lacking}))
        assert compare(rules_of(role), needed) == ((lacking,), ()), json.dumps(role)
        until(lambda: not worker.works(), f"it does not work without {lacking}", 20)
        role = worker.allow(needed)
        assert compare(rules_of(role), needed) == ((), ())
        until(worker.works, "the account works with what it needs", 20)
