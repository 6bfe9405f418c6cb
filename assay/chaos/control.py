"""Strictness for Chaos Toolkit, as a control that every experiment of ours names.

By itself Chaos Toolkit ends with success where an action raised, where the steady state was missing from the beginning,
and where a probe of the method saw what it must not see; and a run that is interrupted leaves its faults in place. With
this control:

- nothing is touched unless context and namespace consent and no other experiment runs;
- an action or probe that fails, or misses its tolerance, ends the method there;
- rollbacks are played however it ends, and what they left is healed after them;
- whatever was amiss makes the run fail, and so the exit code of `chaos run`.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any, Final

from chaoslib import substitute  # type: ignore[import-untyped]  # theirs
from chaoslib.exceptions import InterruptExecution  # type: ignore[import-untyped]  # theirs
from chaoslib.hypothesis import within_tolerance  # type: ignore[import-untyped]  # theirs
from chaoslib.run import RunEventHandler  # type: ignore[import-untyped]  # theirs
from chaoslib.types import Dry  # type: ignore[import-untyped]  # theirs

from assay.chaos import actions, consent, session
from assay.errors import AssayError, UsageError

if TYPE_CHECKING:
    from chaoslib.run import EventHandlerRegistry

    from assay.chaos.foreign import Watching

__all__ = [
    "after_activity_control",
    "after_experiment_control",
    "before_activity_control",
    "before_experiment_control",
    "cleanup_control",
    "configure_control",
]
_LOGGER: Final = logging.getLogger("chaostoolkit")
#: What Chaos Toolkit's `--dry` may be: with `probes` it would do the harm and skip what watches it.
_DRY: Final = (None, Dry.ACTIONS, Dry.ACTIVITIES, Dry.PAUSE)


#: The extension whose actions are watched, as far as they remove pods; others of it only need consent.
_FOREIGN: Final = "chaosk8s."
_OF_NODES: Final = ".node."
_REMOVING: Final = ("terminate_", "delete_", "drain_", "rollout_")
INTERRUPTED: Final = "The experiment was interrupted."
_CLASSES: Final = re.compile(r"^(?:[\w.]*(?:Error|Failed|Exception|Execution)\w*: )+")


class _Strict(RunEventHandler):  # type: ignore[misc]  # the base has no types
    """Hears of what controls are not told: the settings before they are used, and a Ctrl-C."""

    def running(self, *told: Any) -> None:
        """Rollbacks are always played, whatever was asked for; the settings are the last thing that is told."""
        rollbacks = told[-1].setdefault("runtime", {}).setdefault("rollbacks", {})
        if rollbacks.get("strategy") != "always":
            _LOGGER.warning(
                "Rollbacks are always played: the strategy %r would leave faults.", rollbacks.get("strategy")
            )
        rollbacks["strategy"] = "always"

    def signal_exit(self) -> None:
        """Whoever presses Ctrl-C does not want to wait for a drain."""
        _amiss.append(INTERRUPTED)
        _fail(INTERRUPTED, hurried=True)

    def interrupted(self, experiment: dict[str, Any], journal: dict[str, Any]) -> None:  # noqa: ARG002  # see above
        """Also by SIGTERM between two activities; within one, Chaos Toolkit takes it for a failure of that."""
        if not (_amiss or _deviated):
            self.signal_exit()


#: What was amiss in the experiment that runs, in sentences, and whether the system itself was.
_amiss: list[str] = []
_deviated: list[str] = []
#: What is watched beside the activity that runs.
_watched: list[Watching] = []


def configure_control(event_registry: EventHandlerRegistry) -> None:
    """Before anything: listen."""
    _amiss.clear()
    _deviated.clear()
    _watched.clear()
    event_registry.register(_Strict())


def before_experiment_control(context: dict[str, Any]) -> None:
    """Ask for consent, take the lease, and keep the experiment as evidence.

    Where it is refused, nothing is touched, by rollbacks neither.

    Raises:
        InterruptExecution: It is refused.
    """
    try:
        experiment = _let_in(context.get("dry"))
    except Exception as error:  # noqa: BLE001  # whatever it is, an experiment that was not let in does nothing
        _skip(context, "steady-state-hypothesis", "method", "rollbacks")
        _amiss.append(str(error))
        raise InterruptExecution(str(error)) from None
    experiment.document = {name: context[name] for name in context if name != "dry"}
    if experiment.environment.dry_run:
        _skip(context, "method", "rollbacks")


def before_activity_control(
    context: dict[str, Any], experiment: dict[str, Any], configuration: dict[str, Any], secrets: dict[str, Any]
) -> None:
    """In a dry run, say what would be hit; and watch beside what chaosk8s is about to do.

    Raises:
        InterruptExecution: Somebody whom chaosk8s could hit does not consent.
    """
    here = session.opened()
    provider = context.get("provider", {})
    module, func = str(provider.get("module")), str(provider.get("func"))
    if here is None:
        return
    if here.environment.dry_run:
        _foretell(context["name"], module, func, provider.get("arguments", {}))
    elif context["type"] == "action" and module.startswith(_FOREIGN) and _is_in(experiment, "method", context):
        arguments = substitute(provider.get("arguments", {}), configuration, secrets)
        # What it does to a node can hit any pod.
        namespaces = frozenset[str]() if _OF_NODES in module else frozenset({str(arguments.get("ns", "default"))})
        try:
            consent.check_everybody(here.platform, namespaces)
            if func.startswith(_REMOVING):
                _watched.append(here.watch_foreign(context["name"], func))
        except AssayError as error:
            _amiss.append(str(error))
            _fail(str(error))
            raise InterruptExecution(str(error)) from None


def after_activity_control(
    context: dict[str, Any],
    state: dict[str, Any] | None,
    experiment: dict[str, Any],
    configuration: dict[str, Any],
    secrets: dict[str, Any],
) -> None:
    """End the method where an activity failed, or missed its tolerance; rollbacks go on.

    Raises:
        InterruptExecution: It did.
    """
    if _watched:
        state = _seen(_watched.pop(), state)
    in_method = _is_in(experiment, "method", context)
    if state is None or not (in_method or _is_in(experiment, "rollbacks", context)):
        return  # the hypothesis is Chaos Toolkit's own affair
    sentence = None
    if state["status"] != "succeeded":
        stopped = any("InterruptExecution" in line for line in state.get("exception") or ())
        sentence = INTERRUPTED if stopped else _sentence(state)
        _amiss.append(sentence)
        _fail(sentence, hurried=stopped)
    elif (
        "tolerance" in context
        and "dry" not in context
        and not within_tolerance(context["tolerance"], state["output"], configuration=configuration, secrets=secrets)
    ):
        sentence = f"{context['name']} is {state['output']}, and should be {context['tolerance']}."
        _deviated.append(sentence)
        _fail(sentence)
    if sentence is not None and in_method:
        raise InterruptExecution(sentence)


def after_experiment_control(context: dict[str, Any], state: dict[str, Any]) -> None:
    """Make the run fail for whatever was amiss: what a journal says decides the exit code of `chaos run`.

    The journal's `assay` says why, and where the evidence is.
    """
    before = (state.get("steady_states") or {}).get("before")
    if before is not None and not before["steady_state_met"]:
        missed = before["probes"][-1]
        _amiss.append(
            f"The steady state was not there to begin with: {missed['activity']['name']} was {missed['output']}."
        )
    if _amiss and state["status"] == "completed":
        state["status"] = "failed"
    if _deviated:
        state["deviated"] = True
    experiment = session.opened()
    state["assay"] = {
        "amiss": [*_amiss, *_deviated],
        "run_folder": str(experiment.run.folder) if experiment is not None and experiment.run is not None else None,
    }
    for sentence in [*_amiss, *_deviated]:
        _LOGGER.error(sentence)
    _unmark(context, state)


def cleanup_control() -> None:
    """After everything: what the rollbacks left is healed and ended here."""
    try:
        session.close()
    except AssayError as error:
        _LOGGER.error("%s", error)  # noqa: TRY400  # a sentence, no crash


def _foretell(name: str, module: str, func: str, arguments: dict[str, Any]) -> None:
    """Say whom an injection would hit now."""
    if module != actions.__name__:
        return
    try:
        hit = actions.would_hit(func, arguments)
    except AssayError as error:
        _LOGGER.warning("Dry run: %s would be refused: %s", name, error)
    else:
        if hit:
            _LOGGER.info("Dry run: %s would hit %s", name, hit)


def _is_in(experiment: dict[str, Any], part: str, activity: dict[str, Any]) -> bool:
    return any(activity is one for one in experiment.get(part, ()))


def _seen(watching: Watching, state: dict[str, Any] | None) -> dict[str, Any] | None:
    """What a function of chaosk8s did, with what was seen of it: what nobody saw has failed."""
    try:
        watching.end()
    except AssayError as error:
        if state is not None and state["status"] == "succeeded":
            state |= {"status": "failed", "exception": [str(error)]}
    return state


def _let_in(dry: Dry | None) -> session.Session:
    if dry not in _DRY:
        raise UsageError(f"--dry {dry.value} would do the harm unwatched: give --dry actions or --dry activities.")
    return session.current(dry=dry in (Dry.ACTIONS, Dry.ACTIVITIES))


def _fail(sentence: str, *, hurried: bool = False) -> None:
    experiment = session.opened()
    if experiment is not None:
        experiment.failed = experiment.failed or sentence
        experiment.hurried = experiment.hurried or hurried


def _skip(experiment: dict[str, Any], *parts: str) -> None:
    """Have Chaos Toolkit pass over these parts."""
    for activity in _activities(experiment, *parts):
        activity["dry"] = Dry.ACTIVITIES


def _unmark(experiment: dict[str, Any], journal: dict[str, Any]) -> None:
    """Take the marks away again: a journal with them can't be written as JSON."""
    for activity in _activities(experiment, "steady-state-hypothesis", "method", "rollbacks"):
        activity.pop("dry", None)
    for run in [*journal.get("run", ()), *journal.get("rollbacks", ())]:
        run["activity"].pop("dry", None)


def _activities(experiment: dict[str, Any], *parts: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for part in parts:
        value = experiment.get(part) or []
        found += value.get("probes", []) if isinstance(value, dict) else value
    return found


def _sentence(state: dict[str, Any]) -> str:
    """What an activity failed of, without the names of exceptions."""
    lines = [line for line in state.get("exception") or [] if line.strip()]
    said = _CLASSES.sub("", lines[-1].strip()) if lines else "it failed"
    return said or f"{state['activity']['name']} failed"
