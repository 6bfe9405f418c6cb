"""One experiment, run from Python into a run folder, exactly as `chaos run` runs it."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from chaoslib.exceptions import ChaosException  # type: ignore[import-untyped]  # theirs
from chaoslib.experiment import (  # type: ignore[import-untyped]  # theirs
    ensure_experiment_is_valid,
    run_experiment,
)
from chaoslib.loader import load_experiment  # type: ignore[import-untyped]  # theirs
from rich.console import Console

from assay.chaos import actions, session
from assay.chaos.environment import Environment
from assay.errors import UsageError
from assay.progress import Phases

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assay.platform import Platform

#: The experiments that come with a checkout.
FOLDER: Final = Path(__file__).resolve().parents[1] / "experiments"
Status = Literal["completed", "deviated", "failed", "aborted", "interrupted"]


@dataclass(frozen=True)
class Ended:
    """How an experiment ended.

    Attributes:
        status: In Chaos Toolkit's words: `completed`: nothing was amiss, and the verdict was pass; `deviated`: it ran,
            and the system was not as it should be; `failed`, `interrupted`, `aborted`: it could not be carried through.
        folder: The run's folder; sealed evidence, unless nothing was recorded.
        reason: What was amiss, in sentences; empty: nothing.
    """

    status: Status
    folder: Path
    reason: str


def run_once(
    experiment_path: Path,
    platform: Platform,
    folder: Path,
    seed: int,
    progress: Phases,
    *,
    allowed_contexts: frozenset[str] = frozenset(),
) -> Ended:
    """Run an experiment once; call it from the main thread, since Chaos Toolkit listens to signals meanwhile.

    Args:
        experiment_path: Its YAML or JSON file.
        platform: What it is about: its kubeconfig, context and namespace.
        folder: Where the evidence goes: a new or empty folder.
        seed: Of the made-up prices, and of choosing among several targets that fit.
        progress: Shows progress and keeps times.
        allowed_contexts: Contexts that may be harmed, beside our own and those that ASSAY_CHAOS_CONTEXTS names.

    Raises:
        UsageError: The file is no experiment.
    """
    contexts = ",".join(sorted(Environment().allowed_contexts() | allowed_contexts))
    asked = _asked(platform, seed, run_folder=folder, chaos_contexts=contexts)
    experiment = load(experiment_path)
    with session.configured(asked, progress), _quietly():
        journal: dict[str, Any] = run_experiment(
            experiment, settings={"runtime": {"rollbacks": {"strategy": "always"}}}
        )
    status: Status = "deviated" if journal["deviated"] else journal["status"]
    return Ended(status, folder, " ".join(journal.get("assay", {}).get("amiss", ())))


def _asked(platform: Platform, seed: int, **more: Any) -> Environment:
    """What the environment asks for, but about this platform, with this seed and whatever else is given."""
    where = {"kubeconfig": platform.kubeconfig, "context": platform.context, "namespace": platform.namespace}
    return Environment().model_copy(update={**where, "seed": seed, **more})


@contextmanager
def _quietly() -> Iterator[None]:
    """Chaos Toolkit's own words go to nobody but its journal while the block runs, but for errors."""
    logger = logging.getLogger("chaostoolkit")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def find(name: str) -> Path:
    """The file of an experiment, given as a path or by the name of one in `experiments/`.

    Raises:
        UsageError: There is neither.
    """
    path = Path(name)
    if path.is_file():
        return path
    known = {one.stem: one for one in sorted(FOLDER.glob("*.yaml"))}
    if name not in known:
        raise UsageError(f"There is no experiment {name}: give a file, or one of {', '.join(known) or 'none here'}.")
    return known[name]


def rehearse(path: Path, platform: Platform, seed: int) -> list[str]:
    """Whom the injections of an experiment would hit now, in sentences; nothing is touched.

    Raises:
        UsageError: The file is no experiment, or a target does not consent.
        AssayError: Cluster or Kafka do not answer.
    """
    experiment, told = load(path), []
    asked = _asked(platform, seed, dry_run=True)
    with session.configured(asked, Phases(Console(quiet=True))):
        try:
            for activity in experiment["method"]:
                given = activity.get("provider", {})
                if given.get("module") == actions.__name__:
                    target = actions.would_hit(given["func"], given.get("arguments", {}))
                    if target is not None:
                        told.append(f"{activity['name']} would hit {target}.")
                elif activity["type"] == "action":
                    told.append(f"{activity['name']} is {given.get('module', given.get('path'))}: see its arguments.")
        finally:
            session.close()
    return told


def load(path: Path) -> dict[str, Any]:
    """An experiment, read and checked: its form, that its actions exist, and that they take such arguments.

    Raises:
        UsageError: It is none; the sentence is Chaos Toolkit's.
    """
    try:
        experiment: dict[str, Any] = load_experiment(str(path))
        ensure_experiment_is_valid(experiment)
    except ChaosException as error:
        raise UsageError(f"{path} is no experiment that can be run: {error}.") from None
    return experiment
