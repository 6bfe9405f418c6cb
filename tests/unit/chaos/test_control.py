"""The strict control, with Chaos Toolkit running tiny experiments: what is amiss makes them fail, and is healed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from chaoslib.experiment import run_experiment

from assay.chaos import session
from assay.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

CONTROL = {"name": "strict", "provider": {"type": "python", "module": "assay.chaos.control"}}
HERE = Path(__file__).stem
#: What the experiments' functions did, in order.
did: list[str] = []


def harm() -> str:
    """Do harm."""
    did.append("harm")
    return "harmed"


def heal() -> str:
    """Undo it."""
    did.append("heal")
    return "healed"


def gather() -> str:
    """Gather evidence."""
    did.append("gather")
    return "gathered"


def fail() -> None:
    """Not be possible."""
    raise UsageError("It can't be done: do something else.")


def interrupt() -> None:
    """Be stopped by a user."""
    os.kill(os.getpid(), signal.SIGINT)


def terminate() -> None:
    """Be stopped by a system."""
    os.kill(os.getpid(), signal.SIGTERM)


def say(word: str) -> str:
    """Say something."""
    return word


class Session:
    """An experiment that may do anything, or nothing."""

    def __init__(self, asked: Any, phases: object) -> None:  # noqa: ARG002  # as the real one is made
        """Be let in."""
        if REFUSES:
            raise UsageError("The context 'x' is not one that may be harmed.")
        self.environment = SimpleNamespace(dry_run=asked.dry_run)
        self.run = self.failed = None
        self.hurried = False
        did.append("opened")

    def close(self) -> None:
        """End."""
        did.append(f"closed, failed: {self.failed}" if self.failed else "closed")


REFUSES: list[bool] = []


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """This module can be named in an experiment, and experiments open a session of ours."""
    did.clear()
    REFUSES.clear()
    monkeypatch.setitem(sys.modules, HERE, sys.modules[__name__])
    monkeypatch.setattr(session, "Session", Session)


def activity(func: Callable[..., object], kind: str = "action", **more: Any) -> dict[str, Any]:
    """An activity that calls a function of this module."""
    arguments = more.pop("arguments", {})
    provider = {"type": "python", "module": HERE, "func": func.__name__, "arguments": arguments}
    return {"name": func.__name__, "type": kind, "provider": provider, **more}


def experiment(*method: dict[str, Any], steady: str = "yes", **more: Any) -> dict[str, Any]:
    """An experiment that does this, and heals."""
    probe = activity(say, "probe", arguments={"word": steady}, tolerance="yes")
    return {
        "title": "Is it so?",
        "description": "Tiny.",
        "controls": [CONTROL],
        "steady-state-hypothesis": {"title": "It is", "probes": [probe]},
        "method": list(method),
        "rollbacks": [activity(heal), activity(gather)],
        **more,
    }


def run(document: dict[str, Any], **settings: Any) -> dict[str, Any]:
    """Its journal, by Chaos Toolkit's library, as it would be written."""
    journal: dict[str, Any] = run_experiment(document, settings=settings)
    json.dumps(journal)
    return journal


def test_what_goes_well_is_completed_and_rolled_back() -> None:
    """Nothing is amiss."""
    journal = run(experiment(activity(harm), activity(say, "probe", arguments={"word": "pass"}, tolerance="pass")))
    assert (journal["status"], journal["deviated"]) == ("completed", False)
    assert journal["assay"]["amiss"] == []
    assert did == ["opened", "harm", "heal", "gather", "closed"]


@pytest.mark.parametrize("strategy", ["default", "never", "deviated"])
def test_an_action_that_fails_ends_the_method_and_is_healed(strategy: str) -> None:
    """Whatever the rollbacks' strategy is said to be: what comes after is not done, and the sentence is told."""
    document = experiment(activity(harm), activity(fail), activity(harm))
    journal = run(document, runtime={"rollbacks": {"strategy": strategy}})
    assert journal["status"] == "interrupted"
    assert journal["assay"]["amiss"] == ["It can't be done: do something else."]
    sentence = "It can't be done: do something else."
    assert did == ["opened", "harm", "heal", "gather", f"closed, failed: {sentence}"]


def test_a_rollback_that_fails_does_not_keep_the_others_from_being_played() -> None:
    """But the experiment has failed."""
    document = experiment(activity(harm))
    document["rollbacks"].insert(0, activity(fail))
    journal = run(document)
    assert journal["status"] == "failed"
    assert did[:4] == ["opened", "harm", "heal", "gather"]


def test_a_verdict_that_is_not_pass_is_a_deviation() -> None:
    """Chaos Toolkit looks at the tolerance of no probe of the method."""
    journal = run(experiment(activity(say, "probe", arguments={"word": "unknown"}, tolerance="pass")))
    assert journal["deviated"]
    assert journal["status"] != "completed"
    assert journal["assay"]["amiss"] == ["say is unknown, and should be pass."]


def test_a_steady_state_that_was_never_there_fails() -> None:
    """Chaos Toolkit calls that completed, and no deviation."""
    journal = run(experiment(activity(harm), steady="no"))
    assert journal["status"] == "failed"
    assert journal["assay"]["amiss"] == ["The steady state was not there to begin with: say was no."]
    assert "harm" not in did


def test_what_is_not_let_in_does_nothing_at_all() -> None:
    """Not even its rollbacks are played: they may be somebody else's tools."""
    REFUSES.append(True)
    journal = run(experiment(activity(harm)))
    assert journal["status"] == "interrupted"
    assert journal["assay"]["amiss"] == ["The context 'x' is not one that may be harmed."]
    assert did == []


def test_a_dry_run_does_nothing_and_fails_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """By our variable: the steady state is looked at, the method is not done."""
    monkeypatch.setenv("ASSAY_DRY_RUN", "1")
    journal = run(experiment(activity(harm), activity(say, "probe", arguments={"word": "no"}, tolerance="pass")))
    assert (journal["status"], journal["deviated"], journal["assay"]["amiss"]) == ("completed", False, [])
    assert did == ["opened", "closed"]


@pytest.mark.parametrize("func", [interrupt, terminate])
def test_who_is_stopped_heals_first(func: Callable[..., object]) -> None:
    """By Ctrl-C or SIGTERM alike, and is in a hurry."""
    # What runs in a shell's background has inherited that SIGINT is ignored: nobody at a terminal has.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        journal = run(experiment(activity(harm), activity(func), activity(harm)))
    finally:
        signal.signal(signal.SIGINT, before)
    assert journal["status"] == "interrupted"
    assert did == ["opened", "harm", "heal", "gather", "closed, failed: The experiment was interrupted."]


@pytest.mark.parametrize(
    ("words", "method", "code"),
    [
        ([], ["harm"], 0),
        ([], ["harm", "fail"], 1),
        (["--dry", "activities"], ["harm", "fail"], 0),
        (["--dry", "actions"], ["harm", "fail"], 0),
        (["--dry", "probes"], ["harm"], 1),
        (["--rollback-strategy", "never"], ["fail"], 1),
    ],
)
def test_the_exit_code_of_chaos_run_says_it(tmp_path: Path, words: list[str], method: list[str], code: int) -> None:
    """Through the command itself, whose journal can be written."""
    functions = {"harm": harm, "fail": fail}
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(experiment(*(activity(functions[name]) for name in method))))
    program = (
        f"import sys; sys.path[:0] = [{str(Path(__file__).parent)!r}]\n"
        f"import {HERE}\n"
        "from assay.chaos import session\n"
        f"session.Session = {HERE}.Session\n"
        "from chaostoolkit.__main__ import cli\n"
        f"cli(['run', *{words!r}, 'tiny.yaml'], obj={{}})\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    if code:
        assert "heal" not in done.stderr or "Rollback: heal" in done.stderr
    assert json.loads((tmp_path / "journal.json").read_text())["assay"]["run_folder"] is None
