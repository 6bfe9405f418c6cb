"""A playbook's run: its tasks told as they begin, its failure one sentence, and nothing of it left behind.

The refusals are those of the real playbook; they need no cluster, since wrong input is refused before any is asked.
"""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING, Any

import pytest

from assay.deploy import Listener, cause, deploy
from assay.errors import AssayError, UsageError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that temporary files are made in."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def finished(kind: str, **data: Any) -> dict[str, Any]:
    """An event of ansible-runner about a task of the role platform_kafka that took 1.5 s."""
    return {
        "event": kind,
        "event_data": {"role": "platform_kafka", "task": "Apply", "task_uuid": "1", "duration": 1.5, "res": {}, **data},
    }


def test_tasks_are_told_as_they_begin() -> None:
    """`role: task`, or the task alone outside of roles."""
    told: list[str] = []
    listener = Listener(told.append)
    listener.hear({"event": "playbook_on_task_start", "event_data": {"role": "platform_kafka", "task": "Apply"}})
    listener.hear({"event": "playbook_on_task_start", "event_data": {"task": "Look"}})
    assert told == ["platform_kafka: Apply", "Look"]


def test_changes_and_seconds_are_kept_by_role() -> None:
    """A task counts once, whether it changed one thing or many; a skipped one takes time, too."""
    listener = Listener(lambda _: None)
    listener.hear(finished("runner_on_ok", res={"changed": True}))
    listener.hear(finished("runner_on_ok", res={"changed": False}))
    listener.hear(finished("runner_on_skipped", role="platform_etl"))
    assert listener.changed == 1
    assert dict(listener.seconds) == {"platform_kafka": 3.0, "platform_etl": 1.5}


def test_a_failure_names_task_and_cause() -> None:
    """The API server's own words, not the JSON around them."""
    listener = Listener(lambda _: None)
    status = (
        '{"kind":"Status","apiVersion":"v1","message":"Service \\"kafka\\" is invalid: spec.ports: Required value"}'
    )
    listener.hear(finished("runner_on_failed", res={"msg": f"Failed to apply object: {status}\n"}))
    failure = listener.failure("site.yml")
    assert not isinstance(failure, UsageError)
    assert str(failure) == (
        'playbooks/site.yml failed at “platform_kafka: Apply”: Service "kafka" is invalid: spec.ports: Required value'
    )


def test_a_lack_of_rights_names_the_command_that_says_which() -> None:
    """Not so where something else is forbidden."""
    lacking = 'services is forbidden: User "jane" cannot create resource "services" in API group ""'
    for message, named in ((lacking, True), ('pods "x" is forbidden: violates PodSecurity "restricted"', False)):
        listener = Listener(lambda _: None)
        listener.hear(finished("runner_on_failed", res={"msg": f"Failed to apply object: {message}"}))
        assert ("`assay rights`" in str(listener.failure("site.yml"))) is named


def test_a_failed_item_speaks_for_its_task() -> None:
    """A loop says only that one of its items failed."""
    listener = Listener(lambda _: None)
    listener.hear(finished("runner_item_on_failed", res={"msg": "the port is taken"}))
    listener.hear(finished("runner_on_failed", res={"msg": "One or more items failed"}))
    assert str(listener.failure("site.yml")).endswith("the port is taken")


def test_an_ignored_failure_is_none() -> None:
    """What the playbook itself shrugs off is not what stopped it."""
    listener = Listener(lambda _: None)
    listener.hear(finished("runner_on_failed", ignore_errors=True, res={"msg": "never mind"}))
    assert "never mind" not in str(listener.failure("site.yml"))


def test_what_the_preflight_refuses_is_wrong_usage() -> None:
    """Nothing was changed, so the user can just correct it."""
    listener = Listener(lambda _: None)
    listener.hear(finished("runner_on_failed", role="platform_preflight", res={"msg": "No role knows it."}))
    failure = listener.failure("site.yml")
    assert isinstance(failure, UsageError)
    assert str(failure) == "No role knows it."


def test_a_playbook_that_does_not_even_start_says_why() -> None:
    """Ansible's first error, on one line."""
    listener = Listener(lambda _: None)
    listener.hear({"event": "verbose", "stdout": "[ERROR]: Decryption failed\nOrigin: vault.yml\n"})
    listener.hear({"event": "verbose", "stdout": "[ERROR]: and so on"})
    assert str(listener.failure("site.yml")) == "playbooks/site.yml can't be run: Decryption failed"


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("Task failed: Action failed: the disk is full", "the disk is full"),
        ("\x1b[0;31m[ERROR]: two\n  lines\x1b[0m", "two lines"),
        ('Failed: {"kind":"Status" cut off', 'Failed: {"kind":"Status" cut off'),
    ],
)
def test_causes_are_plain(message: str, said: str) -> None:
    """Without Ansible's prefixes, colours and line breaks; what can't be understood is shown as it is."""
    assert cause(message) == said


def test_a_hidden_cause_says_how_to_see_it() -> None:
    """Tasks with secrets show nothing of their output."""
    assert "-vvv" in cause("the output has been hidden due to the fact that 'no_log: true' was specified")


def test_other_peoples_variables_are_refused(tmp_path: Path) -> None:
    """A misspelt prefix would otherwise be ignored without a word."""
    with pytest.raises(UsageError, match="plattform_context"):
        deploy(tmp_path / "kubeconfig", "any", {"plattform_context": "x"})


def test_the_cluster_is_named_once(tmp_path: Path) -> None:
    """Not a second time by a variable."""
    with pytest.raises(UsageError, match="platform_kubeconfig can't be set here"):
        deploy(tmp_path / "kubeconfig", "any", {"platform_kubeconfig": "elsewhere"})


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"platform_kafka_replica": 2}, r"No role knows the variable platform_kafka_replica"),
        ({"platform_kafka_replicas": "many"}, r"platform_kafka_replicas.*unable to convert to int"),
        ({"platform_kafka_min_insync_replicas": 4}, r"no more in-sync replicas than brokers"),
        ({"platform_external_cidrs": ["10.0.0.0/40"]}, r"10\.0\.0\.0/40, which is no address range"),
        ({}, r"There is no kubeconfig file .*nowhere"),
    ],
)
def test_wrong_input_is_refused_in_one_sentence(temporary: Path, variables: dict[str, Any], said: str) -> None:
    """By the real playbook, before any cluster is asked; its private folder is gone afterwards."""
    with pytest.raises(UsageError, match=said) as refused:
        deploy(temporary / "nowhere", "any", variables)
    assert "\n" not in str(refused.value)
    assert list(temporary.iterdir()) == []


def test_a_wrong_vault_password_is_said(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rather than a traceback about variables that are not there."""
    password = temporary / "password"
    password.write_text("not-this-one\n")
    monkeypatch.setenv("ASSAY_VAULT_PASSWORD_FILE", str(password))
    with pytest.raises(AssayError, match=r"Decryption failed|vault secrets"):
        deploy(temporary / "nowhere", "any")
