"""The main job: from nothing to a verdict, in one command.

up → deploy → pre-flight → one ETL run → load → drain → collect → judge → report. What was recorded until a stage failed
is judged all the same: a run that stopped halfway is evidence too, and its verdict says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from assay import engine, report, run, stages
from assay.deploy import deploy
from assay.errors import AssayError
from assay.manifest import Objectives
from assay.memory import PeakMemory
from assay.platform import Platform
from assay.progress import Phases
from assay.recording import recording

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from assay.manifest import Plan
    from assay.run import Run
    from assay.target import Target
    from assay.verdict import Verdict


def validate(target: Target, plan: Plan, folder: Path | None, *, keep: bool, console: Console, out: Console) -> Verdict:
    """Go through all stages; a cluster that this call made is taken down at the end, whatever happened, unless `keep`.

    Raises:
        UsageError: The folder is in use, or no such cluster can be had.
        AssayError: Cluster or platform did not get there: nothing could be recorded.
    """
    phases = Phases(console)
    cluster = target.cluster(phases.tell)
    folder = run.claim(folder or run.default())
    was_up = cluster.status().state == "up"
    try:
        with PeakMemory() as memory:
            with phases.phase("up"):
                target.up(phases.tell)
            with phases.phase("deploy"):
                deploy(cluster.kubeconfig, cluster.context, {}, phases.tell)
            recorded = run.begin(folder, plan, Objectives(), target.facts())
            try:
                record(Platform(cluster.kubeconfig, cluster.context), recorded, phases)
            except AssayError as error:
                console.print(f"assay: {error}", style="red", highlight=False, markup=False, soft_wrap=True)
                recorded.note(stopped=str(error))
            stages.seal(recorded, phases, memory.bytes)
        with phases.phase("judge"), engine.local() as workers:
            judgement, _ = report.judged(folder, workers)
        with phases.phase("report"):
            report.write(folder, judgement)
        report.summary(judgement, out)
        out.print(f"Evidence and report: {folder}", highlight=False, soft_wrap=True)
        return judgement.verdict
    finally:
        if not keep and not was_up:
            with phases.phase("down"):
                cluster.delete()


def record(platform: Platform, recorded: Run, phases: Phases) -> None:
    """Record everything about a platform that is up; a failed pre-flight ends it before any load.

    Raises:
        AssayError: A stage could not be done.
    """
    platform.check()
    with phases.phase("preflight"):
        checks = stages.check_platform(platform, recorded.manifest.objectives.replicas, phases)
        recorded.note(preflight=checks)
        judged = stages.note_recovery(platform, recorded, phases)
    failed = [check.detail for check in checks if check.verdict == "fail"]
    failed += [str(one).rstrip(".") for one in judged if one.refused]
    if failed:
        raise AssayError(f"The pre-flight failed, so no load was sent: {'; '.join(failed)}.")
    with phases.phase("etl"):
        stages.run_etl(platform, recorded, phases)
    with recording(platform, recorded, "run"):
        with phases.phase("load"):
            stages.load(platform, recorded, phases)
        with phases.phase("drain"):
            stages.drain(platform, recorded, phases)
    with phases.phase("collect"):
        stages.collect(platform, recorded, phases)
