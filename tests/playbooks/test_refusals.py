"""Wrong input is refused in one sentence with its remedy: by the real playbooks alone, and by way of `assay deploy`.

Nothing is made up but the API server, where one is needed: wrong input is refused before anything is changed.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import apiserver
import pytest
import yaml

from assay.deploy import deploy
from assay.errors import AssayError, UsageError
from assay.target import Target

if TYPE_CHECKING:
    from collections.abc import Mapping

    from apiserver import Admission

ROOT: Final = Path(__file__).parents[2]
SECRET: Final = "sesame-open-42"  # noqa: S105  # made up


@dataclass(frozen=True)
class Wrong:
    """Something wrong.

    Attributes:
        said: What the sentence must say: what is wrong, and what to do.
        variables: Variables of the platform.
        environment: Variables of the process; `{folder}` is the test's own.
        admission: What the cluster does; None: there is no cluster, nor a kubeconfig.
        context: The context.
    """

    said: str
    variables: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    admission: Admission | None = None
    context: str = apiserver.CONTEXT


WRONG: Final = {
    "vault password": Wrong(
        r"platform_credentials can't be read: Decryption failed.*ASSAY_VAULT_PASSWORD_FILE",
        environment={"ASSAY_VAULT_PASSWORD_FILE": "{folder}/password"},
    ),
    "no vault password": Wrong(
        r"nowhere.*ASSAY_VAULT_PASSWORD_FILE|ASSAY_VAULT_PASSWORD_FILE names .*nowhere.*write the password",
        environment={"ASSAY_VAULT_PASSWORD_FILE": "{folder}/nowhere"},
    ),
    "credentials": Wrong(
        r"platform_credentials lacks feed-admin-token, iceberg-catalog-password: add it .* ansible-vault edit",
        {"platform_credentials": {"feed-token": SECRET}},
    ),
    "credentials of a wrong type": Wrong(
        r"platform_credentials can't be read: .*ansible-vault view", {"platform_credentials": SECRET}
    ),
    "name": Wrong(
        r"No role knows the variable platform_kafka_replica: correct its name", {"platform_kafka_replica": 2}
    ),
    "type": Wrong(
        r"platform_kafka_replicas.*unable to convert to int.*explained in playbooks/roles",
        {"platform_kafka_replicas": "many"},
    ),
    "choice": Wrong(r"platform_chaos must be one of.*explained in playbooks/roles", {"platform_chaos": "perhaps"}),
    "undefined": Wrong(r"'my_tag' is undefined.*explained in", {"platform_image_tag": "{{ my_tag }}"}),
    "limits": Wrong(
        r"missing required arguments: limits found in platform_kafka_resources.*explained in",
        {"platform_kafka_resources": {"requests": {"cpu": 1, "memory": "1Gi"}}},
    ),
    "replicas": Wrong(r"no more in-sync replicas than brokers", {"platform_kafka_min_insync_replicas": 4}),
    "addresses": Wrong(
        r"10\.0\.0\.0/40, which is no address range: write it like", {"platform_external_cidrs": ["10.0.0.0/40"]}
    ),
    "kubeconfig": Wrong(r"There is no kubeconfig file .*nowhere: name one.*platform_kubeconfig or KUBECONFIG"),
    "context": Wrong(
        r"The cluster elsewhere of .* can't be used: .*elsewhere.*See that it is up",
        admission="judges",
        context="elsewhere",
    ),
    "no Pod Security": Wrong(
        r"The cluster enforces no Pod Security.*switch the API server's admission plugin PodSecurity on",
        admission="takes",
    ),
}


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that temporary files are made in, by us and by Ansible."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


def play(*arguments: str) -> tuple[int, str]:
    """Run ansible-playbook by itself: its exit code, and all that it printed."""
    ran = subprocess.run(
        [Path(sys.executable).with_name("ansible-playbook"), *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return ran.returncode, ran.stdout


#: What is tried with ansible-playbook alone, too; the others take the same ways.
ALONE: Final = (
    "vault password",
    "no vault password",
    "credentials of a wrong type",
    "type",
    "kubeconfig",
    "no Pod Security",
)


@pytest.mark.parametrize("what", WRONG)
def test_it_is_refused_in_one_sentence(
    what: str, tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever starts it; nothing is written to the cluster, no secret shown, and nothing left behind."""
    wrong = WRONG[what]
    (tmp_path / "password").write_text("not-this-one\n")
    for name, value in wrong.environment.items():
        monkeypatch.setenv(name, value.format(folder=tmp_path))
    nowhere = tmp_path / "nowhere", apiserver.Store("judges")
    with apiserver.serving(tmp_path, wrong.admission) if wrong.admission else nullcontext(nowhere) as (file, kept):
        given = {**wrong.variables, "platform_kubeconfig": str(file), "platform_context": wrong.context}
        with pytest.raises(UsageError, match=wrong.said) as refused:
            deploy(file, wrong.context, wrong.variables)
        # The Kubernetes client keeps what an API server knows in a file of its own
        assert [path for path in temporary.iterdir() if path.suffix != ".json"] == []
        code, printed = (
            play("playbooks/site.yml", "-e", json.dumps(given)) if what in ALONE else (1, str(refused.value))
        )
    assert code != 0
    assert [line for line in printed.splitlines() if re.search(wrong.said, line)], printed
    assert "\n" not in str(refused.value)
    assert "Traceback" not in printed
    assert SECRET not in printed + str(refused.value)
    assert kept.written == []


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            apiserver.status(403, "Forbidden", 'secrets "x" is forbidden: User "us" cannot patch resource "secrets"'),
            'secrets "x" is forbidden: User "us" cannot patch.*`assay rights` prints',
        ),
        (apiserver.status(422, "Invalid", f"data.password: Invalid value: {SECRET}"), "can't all be applied: Invalid"),
    ],
)
def test_a_secret_that_is_refused_is_said_with_the_reason_and_without_the_secret(
    tmp_path: Path, temporary: Path, answer: tuple[int, dict[str, Any]], said: str
) -> None:
    """The API server's sentence may quote what it refuses, so only that somebody may not write is told in its words."""
    assert temporary.is_dir()
    with apiserver.serving(tmp_path, "judges") as (file, kept):
        kept.refused["Secret"] = answer
        given = {"platform_certificates_external_addresses": ["192.0.2.1"]}
        with pytest.raises(AssayError, match=said) as refused:
            deploy(file, apiserver.CONTEXT, given, parts=("namespace", "access"))
    assert SECRET not in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_variable_that_an_inventory_lacks_is_named(tmp_path: Path) -> None:
    """Of an inventory of one's own, copied as its README says."""
    own = shutil.copytree(ROOT / "playbooks/inventory", tmp_path / "own")
    shared = own / "group_vars/all/platform.yml"
    shared.write_text(re.sub(r"(?m)^platform_image_tag:.*\n", "", shared.read_text()))
    code, printed = play("-i", str(own / "hosts.yml"), "playbooks/site.yml")
    assert code != 0
    assert "missing required arguments: platform_image_tag. Set it right in the inventory" in printed


def test_a_platform_is_removed_without_the_vaults_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only who needs the credentials opens the vault: what stops this is the missing kubeconfig."""
    (tmp_path / "password").write_text("not-this-one\n")
    monkeypatch.setenv("ASSAY_VAULT_PASSWORD_FILE", str(tmp_path / "password"))
    code, printed = play("playbooks/teardown.yml", "-e", f"platform_kubeconfig={tmp_path}/nowhere")
    assert code != 0
    assert "There is no kubeconfig file" in printed
    assert "Decryption" not in printed


@pytest.mark.parametrize(
    ("admission", "more", "told"),
    [("forbids", "", True), ("takes", "-eplatform_unenforced=accepted", False)],
)
def test_a_cluster_is_used_unless_it_is_seen_to_enforce_nothing(
    tmp_path: Path, temporary: Path, admission: Admission, more: str, told: bool
) -> None:
    """Where we may not ask it is said that it is not known; and one may insist."""
    with apiserver.serving(tmp_path, admission) as (kubeconfig, kept):
        # It has no nodes whose addresses would be asked for
        given = {"platform_kubeconfig": str(kubeconfig), "platform_certificates_external_addresses": ["192.0.2.1"]}
        arguments = ["-e", json.dumps(given), *([more] if more else [])]
        _, printed = play("playbooks/site.yml", "--tags", "namespace", *arguments)
    assert temporary.is_dir()
    assert "enforces no Pod Security, so" not in printed
    assert ("Whether the cluster enforces Pod Security is not known" in printed) is told
    # Then it goes on to apply, where it may
    assert bool(kept.written) is (admission != "forbids")


@pytest.mark.parametrize(
    ("answers", "code", "said"),
    [
        (["open", "open"], 2, "The cluster enforces no network policies: a broker reaches commodity-feed"),
        (["open", "shut"], 0, ""),
        (["shut", "shut"], 0, "is not known"),
        (["open", "no such name"], 0, "is not known"),
        ([], 0, 'is not known.*pods "kafka-0" is forbidden'),
    ],
)
def test_a_cluster_without_a_policy_engine_is_told_by_a_brokers_answers(
    answers: list[str], code: int, said: str
) -> None:
    """What is forbidden must be refused beside what is allowed; else it is not known, which refuses nobody."""
    ended, printed = play("tests/playbooks/enforcement.yml", "-e", json.dumps({"platform_answers": answers}))
    assert ended == code, printed
    printed = " ".join(printed.split())
    if said:
        assert re.search(said, printed)
    else:
        assert "network policies is not known" not in printed
        assert "The cluster enforces no" not in printed
    assert ("install a network plugin" in printed.lower()) is bool(code)


def test_a_broker_tells_open_from_shut_and_from_no_such_name() -> None:
    """By the very command that the playbook runs in its pod, here against ports of this machine."""
    (tried, *_) = yaml.safe_load((ROOT / "playbooks/roles/platform_network/tasks/enforced.yml").read_text())
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.create_server(("127.0.0.1", 0)) as closed:
        port, shut = listening.getsockname()[1], closed.getsockname()[1]
        closed.close()
        command = tried["kubernetes.core.k8s_exec"]["command"]
        command = command.replace("{{ _platform_network_allowed }}", f"localhost/{port} localhost/{shut}")
        command = command.replace("{{ _platform_network_forbidden }}", "no-such-name.invalid/1")
        assert "{{" not in command
        ran = subprocess.run(shlex.split(command), capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines() == ["open", "shut", "no such name"]


def test_a_cluster_that_was_not_made_is_said_before_anything_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`assay deploy` names the command that makes it."""
    monkeypatch.setenv("ASSAY_STATE", str(tmp_path))
    for name in [name for name in os.environ if name.startswith("KUBE")]:
        monkeypatch.delenv(name)
    with pytest.raises(UsageError, match=r"There is no cluster 'absent' here: make it with `assay up`"):
        Target("embedded", "absent", None, None, None, None).made()
