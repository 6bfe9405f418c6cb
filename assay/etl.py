"""One run of the ETL, started as a person would start it: a Job made from the CronJob.

What the run says of itself (the summary line of its log) is recorded beside what is found in the topics, never instead.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from kubernetes import client

from assay import pods
from assay.errors import AssayError
from assay.manifest import EtlRun
from assay.platform import ETL, reason
from assay.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Mapping

    from assay.platform import Platform

#: Asks the feed, from inside its own pod, what it serves; its tokens are where the feed itself reads them, one a line.
_FEED_COUNT: Final = """
import json, os, pathlib, urllib.request
token = pathlib.Path(os.environ["FEED_TOKEN_FILE"]).read_text().splitlines()[0].strip()
request = urllib.request.Request("http://127.0.0.1:8080/v1/series", headers={"Authorization": "Bearer " + token})
print(urllib.request.urlopen(request, timeout=10).read().decode())
"""


def start(platform: Platform) -> str:
    """Make a Job from the platform's CronJob, and return its name, which nothing had before: the ETL's run id.

    Raises:
        AssayError: There is no such CronJob, or the Job is refused.
    """
    api = platform.batch
    try:
        cron_job = api.read_namespaced_cron_job(ETL, platform.namespace)
        template = platform.core.api_client.sanitize_for_serialization(cron_job.spec.job_template)
        metadata = template.get("metadata", {})
        owner = {
            "apiVersion": "batch/v1",
            "kind": "CronJob",
            "name": ETL,
            "uid": cron_job.metadata.uid,
            "controller": True,
        }
        job: Any = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {
                "generateName": f"{ETL}-",
                "labels": metadata.get("labels", {}),
                "annotations": metadata.get("annotations", {}) | {"cronjob.kubernetes.io/instantiate": "manual"},
                "ownerReferences": [owner],
            },
            "spec": template["spec"],
        }
        made = api.create_namespaced_job(platform.namespace, job)
    except client.ApiException as error:
        raise AssayError(f"The ETL can't be started in {platform.namespace}: {reason(error)}.") from None
    return str(made.metadata.name)


def wait(platform: Platform, job: str, timeout: float) -> EtlRun:
    """Wait until a Job has ended and read its summary.

    Raises:
        AssayError: It has not ended within `timeout` seconds, or ended without a summary (the log's end is quoted).
    """
    wait_until(
        lambda: _ended(platform.batch.read_namespaced_job_status(job, platform.namespace).status),
        timeout,
        f"The ETL run {job} has not ended within {timeout:.0f} s: see `kubectl describe job {job}`.",
    )
    log, exit_code, attempts = _last_log(platform, job)
    summary = summary_line(log)
    if summary is None:
        last = log.strip().splitlines()[-1:] or ["it printed nothing"]
        raise AssayError(f"The ETL run {job} ended with exit code {exit_code} and no summary: {last[0][:400]}")
    return EtlRun(
        run_id=job,
        extracted=summary["extracted"],
        accepted=summary["accepted"],
        produced=summary["produced"],
        rejected=summary["rejected"],
        unaccounted=summary["unaccounted"],
        produce_records_per_second=summary["stages"]["produce"]["records_per_s"],
        exit_code=exit_code,
        attempts=attempts,
    )


def feed_counts(platform: Platform) -> tuple[int, int]:
    """How many rows the feed serves: in all, and of real series.

    Raises:
        AssayError: The feed can't be asked.
    """
    running = [pod for pod in platform.pods("feed") if pod.status.phase == "Running"]
    if not running:
        raise AssayError(f"The feed has no running pod in {platform.namespace}: see `kubectl get pods`.")
    result = pods.execute(platform, running[0].metadata.name, ["python3", "-c", _FEED_COUNT])
    try:
        answer = json.loads(result.stdout)
        return int(answer["total"]), sum(one["count"] for one in answer["series"] if not one["synthetic"])
    except (ValueError, KeyError, TypeError):
        raise AssayError(f"The feed does not say what it serves: {(result.stderr or result.stdout)[-300:]}") from None


def runs(platform: Platform) -> tuple[str, ...]:
    """The run ids of all ETL runs whose Jobs still exist, by name."""
    jobs = platform.batch.list_namespaced_job(platform.namespace, label_selector="app.kubernetes.io/component=etl")
    return tuple(sorted(str(job.metadata.name) for job in jobs.items))


def summary_line(log: str) -> Mapping[str, Any] | None:
    """The last line of a log that is the ETL's summary, or None."""
    for line in reversed(log.splitlines()):
        try:
            document = json.loads(line)
        except ValueError:
            continue
        if isinstance(document, dict) and document.get("event") == "etl.summary":
            return document
    return None


def _last_log(platform: Platform, job: str) -> tuple[str, int, int]:
    """The log and exit code of the Job's newest pod that ended, and how many pods the Job needed."""
    found = platform.core.list_namespaced_pod(
        platform.namespace, label_selector=f"batch.kubernetes.io/job-name={job}"
    ).items
    ended = [
        (status.state.terminated.finished_at, status.state.terminated.exit_code, pod.metadata.name)
        for pod in found
        for status in pod.status.container_statuses or ()
        if status.state.terminated is not None
    ]
    if not ended:
        raise AssayError(f"The ETL run {job} left no pod that ended: see `kubectl describe job {job}`.")
    _, exit_code, name = max(ended)
    return str(platform.core.read_namespaced_pod_log(name, platform.namespace)), int(exit_code), len(found)


def _ended(status: Any) -> bool:
    """Whether a Job has come to an end, good or bad."""
    met = {condition.type for condition in status.conditions or () if condition.status == "True"}
    return bool(met & {"Complete", "Failed"})
