"""Runs the playbooks: prepares this machine, provisions the platform, removes it. The only user of ansible-runner.

What the playbooks do is theirs to say; here a run is started, watched task by task, and its failure put into one
sentence. Variables go by a file only their owner can read, never by a command line that others could see, and nothing
of a run is left afterwards.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import tempfile
import threading
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import ansible_runner  # type: ignore[import-untyped]  # it ships no types

from assay.errors import AssayError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from types import FrameType

    from assay.clusters.cluster import Cluster

#: The repository's root: the playbooks are data beside the package, not a part of it.
ROOT: Final = Path(__file__).resolve().parents[1]
#: How the API server says that a right is lacking.
_REFUSED: Final = " is forbidden: User "
#: What fails in this role was found wrong before anything was touched.
_PREFLIGHT: Final = "platform_preflight"
_OURS: Final = frozenset({"platform_kubeconfig", "platform_context"})


@dataclass(frozen=True)
class DeployResult:
    """What a run of a playbook did.

    Attributes:
        changed: How many tasks changed something (or would, in check mode).
        objects: What they changed (or would), as `Kind name`.
        seconds: How long each role's tasks took, by role, in the order in which they began.
    """

    changed: int
    objects: tuple[str, ...]
    seconds: Mapping[str, float]


def known(cluster: Cluster) -> dict[str, Any]:
    """Variables that are known of a cluster, better than the inventory does; what the user gives goes above them."""
    return {"platform_external_cidrs": list(cluster.clients)} if cluster.clients else {}


def deploy(
    kubeconfig: Path,
    context: str,
    variables: Mapping[str, Any] | None = None,
    on_event: Callable[[str], None] = lambda _: None,
    *,
    check: bool = False,
    parts: Iterable[str] = (),
) -> DeployResult:
    """Provision the platform with playbooks/site.yml and wait until it is ready. A second run changes nothing.

    Args:
        kubeconfig: The cluster's kubeconfig file.
        context: The context in it.
        variables: Variables of the roles (`platform_…`), above those of the inventory.
        on_event: Told `role: task` when a task begins.
        check: Only find out what would change.
        parts: Only these parts, by the tags of their roles; by default all.

    Raises:
        UsageError: A variable is unknown or wrong, or the cluster can't be used; nothing was changed.
        AssayError: A task failed; the sentence names it and the cause.
    """
    given = _platform_variables(kubeconfig, context, variables)
    return _play("site.yml", given, on_event, check=check, tags=tuple(parts))


def teardown(
    kubeconfig: Path,
    context: str,
    variables: Mapping[str, Any] | None = None,
    on_event: Callable[[str], None] = lambda _: None,
    *,
    check: bool = False,
) -> DeployResult:
    """Remove the platform, and only what is ours, with playbooks/teardown.yml; arguments and errors as of `deploy`."""
    return _play("teardown.yml", _platform_variables(kubeconfig, context, variables), on_event, check=check)


def rotate(
    kubeconfig: Path,
    context: str,
    variables: Mapping[str, Any] | None = None,
    on_event: Callable[[str], None] = lambda _: None,
    *,
    check: bool = False,
    parts: Iterable[str] = (),
) -> DeployResult:
    """Give the platform new certificates, passwords and tokens with playbooks/rotate.yml; arguments as of `deploy`.

    `parts` are certificates and secrets; by default all that the platform has.

    Raises:
        UsageError: As of `deploy`.
        AssayError: A task failed, or there is no platform. A rotation that was cut off goes on with the next call.
    """
    given = _platform_variables(kubeconfig, context, variables)
    return _play("rotate.yml", given, on_event, check=check, tags=tuple(parts))


def prepare_host(on_event: Callable[[str], None] = lambda _: None) -> DeployResult:
    """Install and build with playbooks/host.yml what the embedded cluster needs on this machine.

    Raises:
        AssayError: A task failed; the sentence names it and the cause.
    """
    return _play("host.yml", {}, on_event)


def _platform_variables(kubeconfig: Path, context: str, variables: Mapping[str, Any] | None) -> dict[str, Any]:
    given = dict(variables or {})
    if foreign := sorted(name for name in given if not name.startswith("platform_")):
        raise UsageError(
            f"No role knows the variable {', '.join(foreign)}: the platform's begin with platform_ "
            "(playbooks/roles/platform_*/meta/argument_specs.yml)."
        )
    if clash := sorted(_OURS & given.keys()):
        raise UsageError(f"The variable {', '.join(clash)} can't be set here: name the cluster with --context instead.")
    return {**given, "platform_kubeconfig": str(kubeconfig.absolute()), "platform_context": context}


def _play(
    playbook: str,
    variables: Mapping[str, Any],
    on_event: Callable[[str], None],
    *,
    check: bool = False,
    tags: tuple[str, ...] = (),
) -> DeployResult:
    password = os.environ.get("ASSAY_VAULT_PASSWORD_FILE")
    if password and not Path(password).is_file():
        raise UsageError(
            f"ASSAY_VAULT_PASSWORD_FILE names {password}, which is no file: write the password of the inventory's "
            "vault into it, or unset the variable where the vault is the sample inventory's."
        )
    folder = ROOT / "playbooks"
    if not (folder / playbook).is_file():
        raise AssayError(f"There is no {folder / playbook}: run assay from a checkout of its repository.")
    listener = Listener(on_event)
    with _cancelling() as cancelled, tempfile.TemporaryDirectory(prefix="assay-play-") as private:
        given = Path(private) / "variables.json"
        given.touch(mode=0o600)
        given.write_text(json.dumps(variables), encoding="utf-8")
        temporary = Path(private) / "tmp"
        temporary.mkdir(mode=0o700)
        run = ansible_runner.interface.run(
            private_data_dir=private,
            project_dir=str(ROOT),
            playbook=str(folder / playbook),
            inventory=str(folder / "inventory" / "hosts.yml"),
            cmdline=f"--extra-vars @{given}{' --check' if check else ''}",
            tags=",".join(tags) or None,
            envvars={
                "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
                "ANSIBLE_LOCAL_TEMP": str(temporary),
                "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
                "TMPDIR": str(temporary),
            },
            suppress_env_files=True,
            quiet=True,
            event_handler=listener.hear,
            cancel_callback=cancelled.is_set,
        )
    if run.status != "successful" and not cancelled.is_set():
        raise listener.failure(playbook)
    return DeployResult(listener.changed, tuple(sorted(set(listener.objects))), dict(listener.seconds))


@contextmanager
def _cancelling() -> Iterator[threading.Event]:
    """Turn SIGINT and SIGTERM into a request to stop the play, and deliver them once it has stopped."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    received: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        received.append(number)
        asked.set()

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if received:
            signal.raise_signal(received[0])


@dataclass
class Listener:
    """Hears ansible-runner's events and keeps what a result or an error sentence needs.

    Attributes:
        on_event: Told `role: task` when a task begins.
        changed: Tasks that changed something.
        objects: What the playbook says that they changed, as `Kind name`.
        seconds: By role.
    """

    on_event: Callable[[str], None]
    changed: int = 0
    objects: list[str] = field(default_factory=list)
    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    _failed: Mapping[str, Any] | None = None
    _failed_item: Mapping[str, Any] | None = None
    _errors: list[str] = field(default_factory=list)

    def hear(self, event: Mapping[str, Any]) -> bool:
        """Take one event in; True tells ansible-runner to keep it in its (private, temporary) folder."""
        kind, data = event["event"], event.get("event_data", {})
        if kind == "playbook_on_task_start":
            self.on_event(": ".join(part for part in (data.get("role"), data.get("task")) if part))
        elif kind in {"runner_on_ok", "runner_on_skipped", "runner_on_failed", "runner_on_unreachable"}:
            self.seconds[data.get("role") or data["play"]] += float(data.get("duration") or 0.0)
            if kind not in {"runner_on_ok", "runner_on_skipped"} and not data.get("ignore_errors"):
                self._failed = data
        elif kind == "playbook_on_stats":
            # Ansible's own count: events about tasks with `no_log` do not say whether they changed something.
            self.changed += sum(data.get("changed", {}).values())
            self.objects += data.get("artifact_data", {}).get("platform_changed", [])
        elif kind == "runner_item_on_failed":
            self._failed_item = data
        elif "[ERROR]" in (text := event.get("stdout") or ""):
            self._errors.append(text)
        return True

    def failure(self, playbook: str) -> AssayError:
        """The error of a run that did not succeed, as one sentence: which task of which role, and why."""
        if self._failed is None:
            text = self._errors[0] if self._errors else "it gave no reason"
            return AssayError(f"playbooks/{playbook} can't be run: {cause(text)}")
        told = self._failed
        if self._failed_item is not None and self._failed_item.get("task_uuid") == told.get("task_uuid"):
            told = self._failed_item
        said = cause(str(told.get("res", {}).get("msg") or "it gave no reason"))
        if told.get("role") == _PREFLIGHT:
            return UsageError(said)
        if _REFUSED in said:
            said = f"{said.rstrip('.')}. `assay rights` prints which rights are needed."
        where = ": ".join(part for part in (told.get("role"), told.get("task")) if part)
        return AssayError(f"playbooks/{playbook} failed at “{where}”: {said}")


def cause(message: str) -> str:
    """The part of Ansible's message that a person needs, on one line."""
    message = re.sub(r"\x1b\[[0-9;]*m", "", message)
    if "output has been hidden" in message:
        return "it handles secrets, so Ansible keeps its output to itself; run the playbook by hand with -vvv."
    # The API server's own sentence, out of its JSON
    if (start := message.find('{"kind":"Status"')) >= 0:
        try:
            status, _ = json.JSONDecoder().raw_decode(message[start:])
            message = str(status["message"])
        except (ValueError, KeyError):
            pass
    message = re.split(r"\n\s*(?:Origin:|<<< caused by >>>)", message)[0]
    message = re.sub(
        r"^(?:\[ERROR\]:\s*)?(?:(?:Task|Action|Module|Validation of arguments) failed:\s*)*", "", message.strip()
    )
    return " ".join(message.split())
