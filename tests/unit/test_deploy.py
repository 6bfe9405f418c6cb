"""A playbook's run: its tasks told as they begin, what changed counted and named, and its failure one sentence."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from assay.deploy import Listener, cause, deploy, known
from assay.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path


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


def test_seconds_are_kept_by_role() -> None:
    """A skipped task takes time, too."""
    listener = Listener(lambda _: None)
    listener.hear(finished("runner_on_ok"))
    listener.hear(finished("runner_on_ok"))
    listener.hear(finished("runner_on_skipped", role="platform_etl"))
    assert dict(listener.seconds) == {"platform_kafka": 3.0, "platform_etl": 1.5}


def test_what_changed_is_counted_though_nothing_may_be_shown_of_it() -> None:
    """A task with `no_log` hides in its own event whether it changed something; Ansible's statistics count it."""
    listener = Listener(lambda _: None)
    listener.hear(finished("runner_on_ok", res={"censored": "hidden"}))
    assert listener.changed == 0
    listener.hear({"event": "playbook_on_stats", "event_data": {"changed": {"localhost": 1}}})
    assert listener.changed == 1


def test_what_changed_is_named_by_the_playbook() -> None:
    """In its statistics, as it ends; a playbook that notes nothing changed nothing that has a name."""
    listener = Listener(lambda _: None)
    listener.hear({"event": "playbook_on_stats", "event_data": {"artifact_data": {}}})
    assert listener.objects == []
    noted = {"platform_changed": ["Service kafka", "Secret production-credentials"]}
    listener.hear({"event": "playbook_on_stats", "event_data": {"artifact_data": noted}})
    assert listener.objects == ["Service kafka", "Secret production-credentials"]


def test_only_a_cluster_that_knows_its_clients_narrows_who_may_reach_the_brokers() -> None:
    """Elsewhere the inventory's ranges stay: connections may arrive with other addresses than we leave with."""
    assert known(SimpleNamespace(clients=("10.201.255.2/32",))) == {"platform_external_cidrs": ["10.201.255.2/32"]}  # type: ignore[arg-type]  # all that is asked of it
    assert known(SimpleNamespace(clients=())) == {}  # type: ignore[arg-type]  # all that is asked of it


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
