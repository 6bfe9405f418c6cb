"""What an experiment does: its load, its faults and their healing, waiting, and gathering the evidence.

For each fault of the catalogue there are `inject_...` and `heal_...`, with the fault's own arguments.

Each can be asked for twice and does its work once, so that the same healing stands in the method and among the
rollbacks. What can't be done raises one sentence; `assay.chaos.control` then ends the experiment.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Final

from assay import stages
from assay.chaos import session, watch
from assay.chaos.catalogue import CATALOGUE
from assay.chaos.injection import LIMIT_SECONDS
from assay.errors import AssayError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from assay.chaos.catalogue import Entry
    from assay.chaos.session import Session
    from assay.run import Run

__all__ = [
    "await_recovery",
    "await_service",
    "await_steady",
    "check_platform",
    "collect_evidence",
    "finish_load",
    "run_etl",
    "start_load",
]
#: Messages a second, where nothing else is said: what two cores bear beside a cluster, also while a broker starts.
RATE: Final = 5000.0
#: A load ends by itself after so long, should nobody end it, in seconds.
LOAD_SECONDS: Final = 300.0
_SECONDS: Final = "seconds"


def check_platform() -> str:
    """The whole pre-flight, as part of this run: paths, policies, resources and settings; returns the run's folder."""
    experiment = session.current()
    run = experiment.part("preflight")
    if not run.manifest.preflight:
        with experiment.phases.phase("preflight"):
            replicas = run.manifest.objectives.replicas
            run.note(preflight=stages.check_platform(experiment.platform, replicas, experiment.phases))
    failed = [check.detail for check in run.manifest.preflight if check.verdict == "fail"]
    if failed:
        raise AssayError(f"The pre-flight failed: {'; '.join(failed)}.")
    return str(run.folder)


def run_etl() -> str:
    """One run of the ETL, as part of this run; returns the run's folder."""
    experiment = session.current()
    run = experiment.part("etl")
    if run.manifest.etl is None:
        with experiment.phases.phase("etl"):
            stages.run_etl(experiment.platform, run, experiment.phases)
    return str(run.folder)


def start_load(rate: float = RATE, seconds_at_most: float = LOAD_SECONDS) -> str:
    """Start sending messages through Locust beside the experiment, and recording; returns the run's folder.

    Args:
        rate: Messages a second.
        seconds_at_most: It ends by itself after so long; `finish_load` ends it before.
    """
    rate, seconds_at_most = float(rate), float(seconds_at_most)
    if rate <= 0 or seconds_at_most <= 0:
        raise UsageError(f"A load of {rate:g} messages/s for {seconds_at_most:g} s sends nothing: give more than 0.")
    experiment = session.current()
    if experiment.load is None:
        with experiment.phases.phase("start"):
            experiment.start_load(round(rate * seconds_at_most), rate)
    return str(experiment.folder)


def await_steady(seconds_at_most: float = 90) -> str:
    """Wait until service was steady for 10 s: each partition's sends acknowledged and consumed, all replicas there."""
    experiment, run = _loaded()
    with experiment.phases.phase("steady"):
        watch.await_steady(experiment.platform, run, float(seconds_at_most))
    return "steady"


def await_service(seconds_at_most: float = 90) -> str:
    """Wait until there is full service again, and lasts for 5 s, though the fault may still be there."""
    return _await_service(float(seconds_at_most), whole=False)


def await_recovery(seconds_at_most: float = 90) -> str:
    """As `await_service`, with every replica in sync and every consumer there again."""
    return _await_service(float(seconds_at_most), whole=True)


def finish_load() -> str:
    """End the load, on purpose and before its time, and learn how every send ended."""
    experiment = session.opened()
    if experiment is not None:
        experiment.finish_load()
    return "finished"


def collect_evidence() -> str | None:
    """Heal what is left, end the load, wait for the consumers, read Kafka and the sink back, and seal it all."""
    experiment = session.opened()
    if experiment is None or experiment.run is None:
        return None
    experiment.collect()
    return str(experiment.folder)


def _await_service(seconds: float, *, whole: bool) -> str:
    experiment, run = _loaded()
    with experiment.phases.phase("recovery" if whole else "service"):
        watch.await_service(experiment.platform, run, seconds, whole=whole)
    return "served"


def _loaded() -> tuple[Session, Run]:
    experiment = session.current()
    if experiment.run is None or experiment.load is None:
        raise UsageError("There is no load to watch: start_load comes before.")
    if not experiment.load.sending:
        experiment.load.check()
        raise AssayError("The load has ended already, so nothing can be watched: give start_load more seconds_at_most.")
    return experiment, experiment.run


def would_hit(func: str, arguments: dict[str, Any]) -> str | None:
    """Whom an injection of this module would hit now; None: it is no injection.

    Raises:
        UsageError: It would be refused.
        AssayError: Nobody can say.
    """
    name = _NAMES.get(func)
    if name is None:
        return None
    given = {key: value for key, value in arguments.items() if key != _SECONDS}
    return str(session.current().build(name, **given).target)


def _injecting(name: str, entry: Entry) -> Callable[..., str]:
    """The action that injects a fault, with the fault's own arguments in its signature, for Chaos Toolkit to check."""
    parameters = [
        *(
            _parameter(one.name, None if one.name == "seed" else one.default, type(one.default))
            for one in entry.arguments
        ),
        _parameter(_SECONDS, LIMIT_SECONDS, float),
    ]
    signature = inspect.Signature(parameters, return_annotation=str)

    def act(*args: Any, **kwargs: Any) -> str:
        given = dict(signature.bind(*args, **kwargs).arguments)
        seconds = float(given.pop(_SECONDS, LIMIT_SECONDS))
        experiment = session.current()
        with experiment.phases.phase(name):
            return experiment.inject(name, seconds, **{key: value for key, value in given.items() if value is not None})

    lines = [f"    {one.name}: {one.meaning[0].upper()}{one.meaning[1:]}." for one in entry.arguments]
    lines.append(f"    {_SECONDS}: After how long it ends by itself, whoever dies.")
    what = f"{entry.description[0].upper()}{entry.description[1:]}; waits until that is seen."
    return _named(act, f"inject_{_word(name)}", "\n".join([what, "", "Args:", *lines]), signature)


def _healing(name: str) -> Callable[..., str]:
    """The action that heals a fault."""

    def act() -> str:
        experiment = session.opened()
        if experiment is not None:
            experiment.heal(name)
        return "healed"

    what = f"Heal {name}, and wait until that is seen; where it is healed, or never was, nothing is done."
    return _named(act, f"heal_{_word(name)}", what, inspect.Signature(return_annotation=str))


def _named(act: Callable[..., str], name: str, doc: str, signature: inspect.Signature) -> Callable[..., str]:
    act.__name__ = act.__qualname__ = name
    act.__doc__, act.__module__ = doc, __name__
    act.__signature__ = signature  # type: ignore[attr-defined]  # what inspect.signature reads, and so Chaos Toolkit
    return act


def _parameter(name: str, default: Any, kind: type) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default, annotation=kind)


def _word(name: str) -> str:
    return name.replace("-", "_")


#: Each injection's fault, by the action's name.
_NAMES: Final = {f"inject_{_word(name)}": name for name in CATALOGUE}
for _name, _entry in CATALOGUE.items():
    for _action in (_injecting(_name, _entry), _healing(_name)):
        globals()[_action.__name__] = _action
        __all__ += [_action.__name__]  # noqa: PLE0604  # names, as text
