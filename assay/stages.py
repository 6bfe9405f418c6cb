"""The stages of a run, in the order in which `assay validate` goes through them; each is also a command of its own.

Each takes the platform and the run, records facts, notes them in the run's manifest, and judges nothing.
"""

from __future__ import annotations

import contextlib
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import urllib3
from kubernetes import client

from assay import audit, etl, leaks, preflight, secret_values, settings, sink
from assay.errors import AssayError
from assay.kafka import dead_letters, lag, reader
from assay.kafka.admin import Admin
from assay.load import await_end, run_load
from assay.manifest import Feasibility, Partition, Replica
from assay.platform import DEAD_LETTERS, GROUP, REJECTS, TOPIC, reason
from assay.posture import document as postures
from assay.posture.survey import survey
from assay.recovery import feasibility, reading
from assay.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from assay.load import Brake
    from assay.manifest import Check, Objectives, Plan
    from assay.platform import Platform
    from assay.posture.scene import Scene
    from assay.progress import Phases
    from assay.recovery.feasibility import Judged
    from assay.run import Run

ETL_SECONDS: Final = 600.0
DRAIN_SECONDS: Final = 180.0
#: How long consumers may take to be all there again after the drain, in seconds.
SETTLE_SECONDS: Final = 60.0
_BROKERS: Final = 3


def check_platform(platform: Platform, replicas: int, phases: Phases) -> tuple[Check, ...]:
    """Every pre-flight check; see `assay.preflight`."""
    phases.tell("trying every path from the workloads' own pods")
    expected = preflight.paths(platform.namespace, _BROKERS)
    workload_pods = [pod for component in ("kafka", "feed", "analytics", "catalog") for pod in platform.pods(component)]
    with ThreadPoolExecutor(2) as pool:
        answers = pool.submit(preflight.try_paths, platform, expected)
        topic = pool.submit(preflight.check_topic, Admin(platform.bootstrap()), TOPIC)
        return (
            preflight.check_resources(workload_pods),
            preflight.check_readiness(platform, replicas),
            *preflight.judge_paths(expected, answers.result()),
            topic.result(),
        )


def check_recovery(
    platform: Platform, plan: Plan, objectives: Objectives, phases: Phases
) -> tuple[dict[str, Any], tuple[Judged, ...]]:
    """The live settings, and what of the objectives of recovery they allow; see `assay.recovery`."""
    phases.tell("reading the settings that decide recovery")
    document = settings.read(platform, Admin(platform.bootstrap()), plan)
    return document, feasibility.judge(reading.settings_of(document), objectives.recovery_seconds)


def note_recovery(platform: Platform, run: Run, phases: Phases) -> tuple[Judged, ...]:
    """The same for a run: what was read goes into its folder, and what follows from it into its manifest."""
    document, judged = check_recovery(platform, run.manifest.plan, run.manifest.objectives, phases)
    (run.folder / settings.FILE).write_text(settings.text(document))
    run.note(feasibility=_noted(judged))
    return judged


def _noted(judged: Sequence[Judged]) -> tuple[Feasibility, ...]:
    return tuple(
        Feasibility(
            fault=str(one.fault),
            objective=one.objective,
            objective_seconds=one.objective_seconds,
            least_seconds=one.floor.least_seconds,
            most_seconds=one.floor.most_seconds,
            verdict=one.verdict,
            detail=str(one),
        )
        for one in judged
    )


def run_etl(platform: Platform, run: Run, phases: Phases) -> None:
    """Run the ETL once, and read back where every row ended up: the ETL ledger."""
    bootstrap = platform.bootstrap()
    admin = Admin(bootstrap)
    before = {topic: admin.watermarks(topic) for topic in (TOPIC, REJECTS)}
    served, real = etl.feed_counts(platform)  # a feed that is down is said now, not after the Job's retries
    phases.tell("a Job made from the CronJob")
    job = etl.start(platform)
    outcome = etl.wait(platform, job, ETL_SECONDS)
    phases.tell("reading the topic and the rejects back")
    ranges = {
        fate: (
            topic,
            {partition: (before[topic][partition][1], end) for partition, (_, end) in admin.watermarks(topic).items()},
        )
        for fate, topic in (("topic", TOPIC), ("rejects", REJECTS))
    }
    reader.read_etl(bootstrap, ranges, [job], run.folder / "etl.arrows")
    run.note(etl=outcome.model_copy(update={"feed_rows": served, "real_rows": real}))


def elsewhere(platform: Platform, topic: str) -> dict[str, Any]:
    """What is different about a plan that sends to `topic`: nobody consumes one that is not the platform's own.

    Raises:
        AssayError: There is no such topic, or Kafka does not answer.
    """
    if topic == TOPIC:
        return {}
    return {"topic": topic, "group": "", "partitions": len(Admin(platform.bootstrap()).topic(topic).partitions)}


def load(platform: Platform, run: Run, phases: Phases, brake: Brake | None = None) -> None:
    """Note where the partitions stand, and send the plan's messages through Locust; its producers write the ledgers.

    `brake` can end the load before all is sent.
    """
    plan = run.manifest.plan
    bootstrap = platform.bootstrap()
    admin = Admin(bootstrap)
    letters = admin.watermarks(DEAD_LETTERS) if plan.group else {}
    run.note(
        partitions=tuple(
            Partition(
                partition=number,
                log_start=low,
                start=high,
                end=high,
                log_start_after=low,
                committed=None,
                end_asked=False,
                committed_asked=False,
            )
            for number, (low, high) in sorted(admin.watermarks(plan.topic).items())
        ),
        dead_letters_from={number: high for number, (_, high) in letters.items()},
    )
    ended_after = run_load(
        plan,
        bootstrap,
        run.folder,
        run.manifest.run_id,
        on_progress=lambda progress: phases.advance(progress.ok, plan.messages, "messages acknowledged"),
        brake=brake,
    )
    run.note(ended_after=ended_after)
    note_ends(admin, run)


def note_settings(platform: Platform, run: Run) -> None:
    """Read the live settings into the run's folder; into its manifest the decisive ones, versions and floors."""
    plan, objectives = run.manifest.plan, run.manifest.objectives
    document = settings.read(platform, Admin(platform.bootstrap()), plan)
    (run.folder / settings.FILE).write_text(settings.text(document))
    run.note(
        settings=run.manifest.settings | settings.decisive(document, plan),
        versions=run.manifest.versions | settings.versions(document),
        feasibility=_noted(feasibility.judge(reading.settings_of(document), objectives.recovery_seconds)),
    )


def note_ends(admin: Admin, run: Run) -> None:
    """Note where the partitions end now."""
    ends = admin.watermarks(run.manifest.plan.topic)
    run.note(
        partitions=tuple(
            one.model_copy(update={"end": ends[one.partition][1], "end_asked": True}) for one in run.manifest.partitions
        )
    )


def expect_load(run: Run) -> None:
    """Make sure that a load was begun into a run's folder.

    Raises:
        AssayError: None was.
    """
    if not run.manifest.partitions:
        raise AssayError(f"The run in {run.folder} has sent nothing yet: `assay load` comes before.")


def drain(platform: Platform, run: Run, phases: Phases) -> None:
    """Wait until the group's committed offsets have reached the ends; note them, and who consumed.

    The ends are asked for anew: a load that was killed did not note them, and what it had sent arrived all the same. A
    topic that no group consumes is not waited for.
    """
    expect_load(run)
    phases.tell("waiting until the load has ended")
    await_end(run.folder)
    plan = run.manifest.plan
    admin = Admin(platform.bootstrap())
    note_ends(admin, run)
    if plan.group:
        total = sum(one.end - one.start for one in run.manifest.partitions)
        outcome = lag.wait_for_drain(
            admin,
            plan.group,
            plan.topic,
            {one.partition: one.end for one in run.manifest.partitions},
            timeout_seconds=DRAIN_SECONDS,
            on_progress=lambda left: phases.advance(total - sum(left.values()), total, "messages consumed"),
        )
        phases.tell("waiting for every consumer to be there")
        run.note(drained=outcome.drained, replicas=_settled(platform, admin, run.manifest.objectives.replicas))
    committed = admin.committed(plan.group, plan.topic) if plan.group else {}
    marks = admin.watermarks(plan.topic)
    run.note(
        partitions=tuple(
            one.model_copy(
                update={
                    "log_start_after": marks[one.partition][0],
                    "committed": committed.get(one.partition),
                    "committed_asked": True,
                }
            )
            for one in run.manifest.partitions
        )
    )


def _settled(platform: Platform, admin: Admin, wanted: int) -> tuple[Replica, ...]:
    """The consumers, once so many are ready and have a partition, or as they are when that takes too long.

    After a fault, one may just be coming back.
    """

    def whole() -> bool:
        return sum(one.ready and bool(one.partitions) for one in replicas(platform, admin)) >= wanted

    with contextlib.suppress(AssayError):
        wait_until(whole, SETTLE_SECONDS, "not yet")
    return replicas(platform, admin)


def replicas(platform: Platform, admin: Admin) -> tuple[Replica, ...]:
    """The consumers, with the partitions that the group gave each; a member is known by its pod's address."""
    assigned = {member.host.lstrip("/"): member.partitions.get(TOPIC, ()) for member in admin.group(GROUP).members}
    return tuple(
        Replica(
            pod=pod.metadata.name,
            node=pod.spec.node_name or "",
            ready=preflight.is_ready(pod),
            partitions=assigned.get(pod.status.pod_ip, ()),
        )
        for pod in platform.pods("analytics")
    )


def collect(platform: Platform, run: Run, phases: Phases, audit_log: Path | None) -> None:
    """Read Kafka's log, the Iceberg sink and the dead letters back, side by side, each by its own reader.

    What comes of a topic that no group consumes is its log alone. Beside that the live settings are read: not while the
    load runs, which would feel it. Last is who touched what since the run began, by the cluster's audit log; None: it
    gives none, which the evidence says.
    """
    expect_load(run)
    plan, folder = run.manifest.plan, run.folder
    bootstrap = platform.bootstrap()
    ranges = {one.partition: (one.start, one.end) for one in run.manifest.partitions}
    phases.tell("reading Kafka's log and the Iceberg table back")
    with ThreadPoolExecutor(4) as pool:
        reading: list[Future[Any]] = [
            pool.submit(reader.read_log, bootstrap, plan.topic, ranges, folder / "log.arrows"),
            pool.submit(note_settings, platform, run),
        ]
        if plan.group:
            ends = Admin(bootstrap).watermarks(DEAD_LETTERS)
            letters = {number: (first, ends[number][1]) for number, first in run.manifest.dead_letters_from.items()}
            path = folder / "deadletters.arrows"
            reading += [
                pool.submit(sink.record, platform, ranges, folder / "sink.arrows"),
                pool.submit(dead_letters.read, bootstrap, DEAD_LETTERS, letters, plan.topic, path),
            ]
        for one in reading:
            one.result()
    own = (run.manifest.etl.run_id,) if run.manifest.etl else ()
    run.note(other_runs=tuple(sorted({*etl.runs(platform), *own})))
    phases.tell("reading the audit log")
    audit.record(audit_log, folder, datetime.fromisoformat(run.manifest.created_at))


def try_posture(scene: Scene, run: Run, phases: Phases) -> None:
    """Try every probe of posture, and write what became of each into the run's folder; see `assay.posture`.

    It makes pods, opens connections to every port and asks the API server a thousand things: while a load is measured,
    that would be a part of the measurement.
    """
    postures.write(run.folder, survey(scene, phases.tell))


def search_evidence(platform: Platform, run: Run, phases: Phases) -> None:
    """Look for the platform's secrets in all evidence there is by now, and add what was found to what posture says.

    Whatever is written from here on has nothing from the cluster.

    Raises:
        AssayError: Posture was not tried.
    """
    phases.tell("looking for the platform's secrets in the evidence")
    tried = postures.read(run.folder)
    plain = platform.core.api_client.sanitize_for_serialization
    try:
        listed = platform.core.list_namespaced_secret(platform.namespace).items
    except (client.ApiException, urllib3.exceptions.HTTPError) as error:
        found = leaks.judge(AssayError(f"The platform's Secrets can't be read: {reason(error)}."))
    else:
        secret = secret_values.values(plain(one) for one in listed)
        found = leaks.judge(leaks.scan(run.folder, secret), secret)
    postures.write(run.folder, (*tried, found))


def seal(run: Run, phases: Phases, peak_memory_bytes: int | None) -> Path:
    """Note times and peak memory (bytes), hash every file, and return the folder: from here on it is evidence."""
    run.note(peak_memory_bytes=peak_memory_bytes)
    run.phases(phases.seconds)
    run.seal()
    return run.folder
