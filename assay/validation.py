"""The main job: from nothing to a verdict, in one command.

up → deploy → pre-flight → one ETL run → load → drain → collect → posture → three faults under load → judge → report.
What was recorded until a stage failed is judged all the same: a run that stopped halfway is evidence too, and its
verdict says so.

Posture is tried between two loads, on a platform that is whole: neither does it disturb what is measured, nor a fault
it. The evidence is searched for secrets last, when all of it is there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from assay import credentials, engine, experiment, manifest, report, run, stages
from assay.campaign.running import await_whole
from assay.checks.posture import PART
from assay.deploy import deploy, known
from assay.errors import AssayError
from assay.manifest import Experiment, Objectives
from assay.memory import PeakMemory
from assay.platform import Platform
from assay.progress import Phases
from assay.recording import recording

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from rich.console import Console

    from assay.manifest import Plan
    from assay.run import Run
    from assay.target import Target
    from assay.verdict import Verdict


#: The experiments whose answers a verdict on a platform needs: a pod, a broker, the network.
EXPERIMENTS: Final = ("pod-crash", "broker-failure", "network-partition")


def validate(
    target: Target,
    plan: Plan,
    folder: Path | None,
    *,
    keep: bool,
    console: Console,
    out: Console,
    experiments: Iterable[str] = EXPERIMENTS,
) -> Verdict:
    """Go through all stages; a cluster that this call made is taken down at the end, whatever happened, unless `keep`.

    `experiments` are those that belong to it, by name; whether posture does, the plan says.

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
                target.up(phases.tell, phases.warn)
            with phases.phase("deploy"):
                deploy(cluster.kubeconfig, cluster.context, known(cluster), phases.tell)
            recorded = run.begin(folder, plan, Objectives(), target.facts())
            platform, stopped = Platform(cluster.kubeconfig, cluster.context), ""
            try:
                record(platform, recorded, phases, cluster.audit_log)
            except AssayError as error:
                stopped = str(error)
                console.print(f"assay: {error}", style="red", highlight=False, markup=False, soft_wrap=True)
                recorded.note(stopped=stopped)
            postured = PART in plan.parts and not stopped
            if postured:
                with phases.phase("posture"):
                    stages.try_posture(target.scene(platform), recorded, phases)
            for name in experiments:
                part = Experiment(amiss=stopped) if stopped else _broken(name, platform, recorded, phases)
                recorded.note(experiments={**recorded.manifest.experiments, name: part})
            if postured:
                with phases.phase("search"):
                    stages.search_evidence(platform, recorded, phases)
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


def _broken(name: str, platform: Platform, recorded: Run, phases: Phases) -> Experiment:
    """Carry an experiment through, into a folder of its own within the run's, with its own verdict and report."""
    folder, seed = recorded.folder / manifest.EXPERIMENTS / name, recorded.manifest.plan.seed
    with phases.phase(name):
        try:
            phases.tell("waiting until the platform is whole")
            await_whole(platform)
            ended = experiment.run_once(experiment.find(name), platform, folder, seed, phases.inside())
            part = manifest.read(folder)
        except AssayError as error:
            return Experiment(amiss=str(error))
        judgement, _ = report.judged(folder)
        report.write(folder, judgement)
        return Experiment(seal=part.seal, amiss=ended.reason)


def record(platform: Platform, recorded: Run, phases: Phases, audit_log: Path | None) -> None:
    """Record everything about a platform that is up; a failed pre-flight ends it before any load.

    The cluster's audit log is read as far as there is one.

    Raises:
        AssayError: A stage could not be done.
    """
    platform.check()
    credentials.provide(platform)
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
        stages.collect(platform, recorded, phases, audit_log)
