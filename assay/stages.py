"""The stages of a run, in the order in which `assay validate` goes through them; each is also a command of its own.

Each takes the platform and the run, records facts, notes them in the run's manifest, and judges nothing.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

from assay import etl, preflight, sink
from assay.errors import AssayError
from assay.kafka import lag, reader
from assay.kafka.admin import Admin
from assay.load import run_load
from assay.manifest import Partition, Replica
from assay.platform import ETL, GROUP, REJECTS, TOPIC

if TYPE_CHECKING:
    from pathlib import Path

    from assay.manifest import Check
    from assay.platform import Platform
    from assay.progress import Phases
    from assay.run import Run

ETL_SECONDS: Final = 600.0
DRAIN_SECONDS: Final = 180.0
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


def run_etl(platform: Platform, run: Run, phases: Phases) -> None:
    """Run the ETL once, and read back where every row ended up: the ETL ledger."""
    bootstrap = platform.bootstrap()
    admin = Admin(bootstrap)
    before = {topic: admin.watermarks(topic) for topic in (TOPIC, REJECTS)}
    served, real = etl.feed_counts(platform)  # a feed that is down is said now, not after the Job's retries
    phases.tell("a Job made from the CronJob")
    job = etl.start(platform, f"{ETL}-{run.manifest.run_id}"[:63])
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


def load(platform: Platform, run: Run, phases: Phases) -> None:
    """Note where the partitions stand, and send the plan's messages through Locust; its producers write the ledgers."""
    plan = run.manifest.plan
    bootstrap = platform.bootstrap()
    admin = Admin(bootstrap)
    run.note(
        partitions=tuple(
            Partition(partition=number, log_start=low, start=high, end=high, log_start_after=low, committed=None)
            for number, (low, high) in sorted(admin.watermarks(TOPIC).items())
        )
    )
    with lag.sampler(bootstrap, TOPIC, GROUP, run.folder / "lag-load.arrows"):
        run_load(
            plan,
            bootstrap,
            run.folder,
            run.manifest.run_id,
            on_progress=lambda progress: phases.advance(progress.ok, plan.messages, "messages acknowledged"),
        )
    ends = admin.watermarks(TOPIC)
    run.note(
        partitions=tuple(one.model_copy(update={"end": ends[one.partition][1]}) for one in run.manifest.partitions)
    )


def drain(platform: Platform, run: Run, phases: Phases) -> None:
    """Wait until the group's committed offsets have reached the ends; note them, and who consumed."""
    if not run.manifest.partitions:
        raise AssayError(f"The run in {run.folder} has sent nothing yet: `assay load` comes before.")
    bootstrap = platform.bootstrap()
    admin = Admin(bootstrap)
    ends = {one.partition: one.end for one in run.manifest.partitions}
    total = sum(one.end - one.start for one in run.manifest.partitions)
    with lag.sampler(bootstrap, TOPIC, GROUP, run.folder / "lag-drain.arrows"):
        outcome = lag.wait_for_drain(
            admin,
            GROUP,
            TOPIC,
            ends,
            timeout_seconds=DRAIN_SECONDS,
            on_progress=lambda left: phases.advance(total - sum(left.values()), total, "messages consumed"),
        )
    committed = admin.committed(GROUP, TOPIC)
    marks = admin.watermarks(TOPIC)
    run.note(
        drained=outcome.drained,
        partitions=tuple(
            one.model_copy(update={"log_start_after": marks[one.partition][0], "committed": committed[one.partition]})
            for one in run.manifest.partitions
        ),
        replicas=replicas(platform, admin),
    )


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


def collect(platform: Platform, run: Run, phases: Phases) -> None:
    """Read Kafka's log and the Iceberg sink back, side by side, each by its own reader; then seal the evidence."""
    bootstrap = platform.bootstrap()
    ranges = {one.partition: (one.start, one.end) for one in run.manifest.partitions}
    if not ranges:
        raise AssayError(f"The run in {run.folder} has no offsets: `assay load` has not been run into it.")
    phases.tell("reading Kafka's log and the Iceberg table back")
    with ThreadPoolExecutor(2) as pool:
        log = pool.submit(reader.read_log, bootstrap, TOPIC, ranges, run.folder / "log.arrows")
        rows = pool.submit(sink.record, platform, ranges, run.folder / "sink.arrows")
        log.result()
        rows.result()
    own = (run.manifest.etl.run_id,) if run.manifest.etl else ()
    run.note(other_runs=tuple(sorted({*etl.runs(platform), *own})))


def seal(run: Run, phases: Phases, peak_memory_bytes: int | None) -> Path:
    """Note times and peak memory (bytes), hash every file, and return the folder: from here on it is evidence."""
    run.note(peak_memory_bytes=peak_memory_bytes)
    run.phases(phases.seconds)
    run.seal()
    return run.folder
