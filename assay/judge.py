"""The judge: a folder of evidence → every check → one verdict, the same on every machine that has the folder.

Nothing but the folder is looked at: no clock, no network, no environment. A check that crashes is `unknown`, with the
reason, and the others go on.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Final

from assay import evidence
from assay.checks import CHECKS, History, UndecidedError
from assay.checks.causes import traced
from assay.checks.context import placed
from assay.checks.examine import Failure, countable, examine, pieces
from assay.checks.finding import counted, finding
from assay.checks.posture import limits, posture
from assay.checks.recovery import Recovered, recoveries
from assay.checks.survey import SHARD_ROWS
from assay.checks.tally import Tally
from assay.checks.timeline import Timeline
from assay.checks.vacuity import preflight
from assay.engine import Inline
from assay.ledger import Recorded
from assay.manifest import EXPERIMENTS
from assay.verdict import Finding, Verdict, worst

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import pyarrow as pa

    from assay.audit import Audit
    from assay.checks import Check
    from assay.checks.recovery import Recovery
    from assay.engine import Engine
    from assay.evidence import Evidence
    from assay.manifest import Experiment, Manifest
    from assay.posture.probe import Finding as Tried

#: What the findings on experiments that belong to a run begin with.
EXPERIMENT: Final = "experiment: "


@dataclass(frozen=True)
class Judgement:
    """What the judge says.

    Attributes:
        verdict: The worst of the findings' verdicts.
        findings: One a check, in the order of the report.
        manifest: The run's manifest; None if it could not be read.
        history: What the checks saw, for plots; None if there is no manifest.
        timeline: How the load went over time (see `assay.checks.timeline`), for plots.
        recoveries: How the service came back from each fault.
        experiments: The judgements of the experiments that belong to the run, by name; what could be judged.
        audit: Who touched what during the run, for the report; no verdict comes from it. None: nothing was said.
        posture: What became of each probe of posture, for the report.
        limits: What the verdict does not speak of, in sentences.
    """

    verdict: Verdict
    findings: tuple[Finding, ...]
    manifest: Manifest | None
    history: History | None
    timeline: Tally
    recoveries: tuple[Recovery, ...] = ()
    experiments: Mapping[str, Judgement] = field(default_factory=dict)
    audit: Audit | None = None
    posture: tuple[Tried, ...] = ()
    limits: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """The verdict in one sentence, and what it does not speak of."""
        return " ".join((self._said, *self.limits))

    @property
    def _said(self) -> str:
        failed = [found.check for found in self.findings if found.verdict is Verdict.FAIL]
        unshown = [found.check for found in self.findings if found.verdict is Verdict.UNKNOWN]
        if self.manifest is None:
            return self.findings[0].summary
        if failed:
            return f"{counted(len(failed), 'check')} failed: {', '.join(failed)}."
        if unshown:
            return f"Nothing failed, but {counted(len(unshown), 'check')} could not be decided: {', '.join(unshown)}."
        return "No acknowledged message was lost, in the log or on the way to the sink, and every objective was met."

    @property
    def exit_code(self) -> int:
        """The exit code that says the verdict."""
        return self.verdict.exit_code


def judge(
    folder: Path,
    engine: Engine | None = None,
    on_offenders: Callable[[str, pa.Table], None] = lambda *_: None,
    shard_rows: int = SHARD_ROWS,
) -> Judgement:
    """Judge a run's folder, with the experiments that belong to it; nothing is written (`assay.report` does).

    Args:
        folder: The evidence.
        engine: Who does the work; this process by default.
        on_offenders: Is told all offenders of a check (its name), in their order, some rows at a time: a finding holds
            only the first few of them.
        shard_rows: About how many sends, or places, are looked at together.

    Raises:
        UsageError: There is no such folder.
    """
    engine = engine or Inline()
    judgement = consider(evidence.load(folder, engine), engine, on_offenders, shard_rows)
    if judgement.manifest is None or not judgement.manifest.experiments:
        return judgement
    found: dict[str, Judgement] = {}
    findings = list(judgement.findings)
    for name, experiment in judgement.manifest.experiments.items():
        part = folder / EXPERIMENTS / name
        if part.is_dir():
            found[name] = judge(part, engine, shard_rows=shard_rows)
        findings.append(_experiment(name, experiment, found.get(name)))
    verdict = worst(one.verdict for one in findings)
    return replace(judgement, verdict=verdict, findings=tuple(findings), experiments=found)


def consider(
    loaded: Evidence,
    engine: Engine | None = None,
    on_offenders: Callable[[str, pa.Table], None] = lambda *_: None,
    shard_rows: int = SHARD_ROWS,
) -> Judgement:
    """All checks on loaded evidence, and the verdict; arguments as of `judge`."""
    integrity = _integrity(loaded)
    if loaded.manifest is None:
        return Judgement(worst([integrity.verdict]), (integrity,), None, None, Tally())
    history = History(loaded.manifest, loaded.ledgers, shard_rows)
    if any(isinstance(ledger, Recorded) for ledger in loaded.ledgers):
        engine = Inline()  # what is in this process's memory is not handed around
    findings = [integrity]
    checks = {name: check for name, check in CHECKS.items() if check.applies(history)}
    totals, failures = _count(history, checks, engine or Inline(), on_offenders)
    for name, check in checks.items():
        found = _conclude(check, totals[name], failures.get(name), history)
        if found.listing is not None:
            on_offenders(name, found.listing)
        findings.append(found)
    findings += preflight(history)
    findings += posture(loaded.manifest, loaded.posture)
    verdict = worst(found.verdict for found in findings)
    back: tuple[Recovery, ...] = ()
    if Recovered.name in checks:
        with suppress(Exception):  # what it dies of, the check of it has said
            back = recoveries(history, totals[Recovered.name])
    timeline = totals[Timeline.name]
    return Judgement(
        verdict,
        tuple(findings),
        loaded.manifest,
        history,
        timeline,
        back,
        audit=loaded.audit,
        posture=loaded.posture or (),
        limits=limits(loaded.manifest, loaded.posture),
    )


def _count(
    history: History, checks: Mapping[str, Check], engine: Engine, on_offenders: Callable[[str, pa.Table], None]
) -> tuple[dict[str, Tally], dict[str, Failure]]:
    """Each check's sum over all pieces, and why some could not be counted."""
    totals = dict.fromkeys([*checks, Timeline.name], Tally())
    history.survey(engine)
    able, lacking = countable(checks.values(), history)
    failures = {name: Failure(reason, crashed=False) for name, reason in lacking.items()}
    for tallies in engine.map(partial(examine, history, able), pieces(history)):
        for name, tally in tallies.items():
            if isinstance(tally, Failure):
                failures.setdefault(name, tally)
                continue
            if tally.rows is not None:
                on_offenders(name, tally.rows)
            totals[name] += tally
    return totals, failures


def _conclude(check: Check, tally: Tally, failure: Failure | None, history: History) -> Finding:
    try:
        if failure is None:
            found = check.conclude(tally, history)
            return replace(placed(found, history), cause=traced(found, history.manifest.settings))
    except UndecidedError as reason:
        failure = Failure(str(reason), crashed=False)
    except Exception as error:  # noqa: BLE001  # whatever a check dies of, the others are made, and it is unknown
        failure = Failure(f"{type(error).__name__}: {error}", crashed=True)
    text = (
        f"The check itself crashed ({failure.reason})."
        if failure.crashed
        else f"This could not be checked: {failure.reason}."
    )
    return finding(check.name, Verdict.UNKNOWN, text)


def _experiment(name: str, recorded: Experiment, found: Judgement | None) -> Finding:
    """An experiment that belongs to the run, from its own evidence: its verdict, and how service came back."""
    check = f"{EXPERIMENT}{name}"
    if found is None or found.manifest is None or not recorded.seal:
        why = recorded.amiss or ("there is no evidence of it" if found is None else found.sentence)
        return finding(check, Verdict.UNKNOWN, f"The experiment was not carried through: {why.rstrip('.')}.")
    if found.manifest.seal != recorded.seal:
        return finding(check, Verdict.UNKNOWN, "Its evidence is not what was recorded with this run.")
    told = " ".join(one.summary for one in found.recoveries)
    measured = {name: value for one in found.recoveries for name, value in one.measured.items()}
    return finding(check, found.verdict, f"{found.sentence} {told}".strip(), measured)


def _integrity(loaded: Evidence) -> Finding:
    """Every file of evidence is there and is what was recorded, by size and SHA-256."""
    late = {"file": [name for name, _ in loaded.problems], "problem": [problem for _, problem in loaded.problems]}
    if not loaded.problems:
        text = f"{counted(loaded.files, 'file')} of evidence are what the manifest says."
        return finding("evidence", Verdict.PASS, text, {"files": loaded.files})
    name, problem = loaded.problems[0]
    text = (
        f"The evidence is not whole: {problem}"
        if loaded.manifest is None
        else (f"The evidence is not whole: {name} {problem}")
    )
    more = len(loaded.problems) - 1
    text = text.rstrip(".") + (f"; and {counted(more, 'more problem')}." if more else ".")
    return finding("evidence", Verdict.UNKNOWN, text, {"files": loaded.files, "problems": more + 1}, late=late)
