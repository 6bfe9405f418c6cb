"""Passwords and tokens are rotated on a real cluster, under load and with the ETL running: nothing is lost."""

from __future__ import annotations

import base64
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

import pytest
from handmade import HandmadeRun, acked, read_plainly

from assay import etl, pods
from assay.chaos.readiness import is_ready
from assay.deploy import deploy, known, rotate
from assay.kafka.admin import Admin
from assay.platform import GROUP, TOPIC

from .conftest import until, wait_until_whole

if TYPE_CHECKING:
    from pathlib import Path

    from assay.clusters.embedded import EmbeddedCluster
    from assay.manifest import EtlRun
    from assay.platform import Platform

pytestmark = [pytest.mark.endurance, pytest.mark.timeout(2400)]

KEYS: Final = ("feed-token", "feed-admin-token", "iceberg-catalog-password")
#: What must hold of a load that went on through a rotation, besides that every send is in the log.
SOUND: Final = ("lost", "lost downstream", "duplicate", "corrupt in sink", "reordered", "redelivered")
#: In the feed's pod: what it answers to whoever shows a token.
_SHOW: Final = """
import sys, urllib.error, urllib.request
try:
    request = urllib.request.Request(sys.argv[1], headers={"Authorization": "Bearer " + sys.argv[2]})
    print(urllib.request.urlopen(request, timeout=10).status)
except urllib.error.HTTPError as error:
    print(error.code)
"""
#: In a consumer's pod: whether the catalog lets somebody in with a password.
_LOG_IN: Final = """
import sys, psycopg2
try:
    who = {"user": "iceberg", "dbname": "iceberg", "password": sys.argv[2]}
    psycopg2.connect(host=sys.argv[1], connect_timeout=10, **who).close()
    print("in")
except psycopg2.OperationalError as error:
    print("refused" if "password authentication failed" in str(error) else error)
"""


def held(platform: Platform) -> dict[str, str]:
    """What the platform's Secret holds."""
    data = platform.core.read_namespaced_secret("production-credentials", platform.namespace).data
    return {key: base64.b64decode(value).decode() for key, value in data.items()}


def answers(platform: Platform, secret: dict[str, str]) -> tuple[str, str, str]:
    """What the feed answers to both tokens, and the catalog to the password."""
    within = {"feed": _SHOW, "analytics": _LOG_IN}
    asked = (
        ("feed", "http://127.0.0.1:8080/v1/series", "feed-token"),
        ("feed", "http://127.0.0.1:8080/admin/faults", "feed-admin-token"),
        ("analytics", f"iceberg-catalog.{platform.namespace}.svc", "iceberg-catalog-password"),
    )
    said = []
    for component, where, key in asked:
        pod = next(one.metadata.name for one in platform.pods(component) if is_ready(one))
        done = pods.execute(platform, pod, ["python3", "-c", within[component], where, secret[key]], 60)
        said.append(done.stdout.strip() or done.stderr)
    return said[0], said[1], said[2]


def run_etl(platform: Platform, stop: threading.Event) -> list[EtlRun]:
    """Run the ETL again and again."""
    runs = []
    while not stop.is_set():
        runs.append(etl.wait(platform, etl.start(platform), 300))
    return runs


def test_a_rotation_of_secrets_under_load_loses_nothing(
    deployed: EmbeddedCluster, platform: Platform, tmp_path: Path
) -> None:
    """Load and ETL go on: no message is lost on its way to the table, and no run of the ETL refused or begun again.

    The old tokens and password work before, and are refused afterwards; the new ones work. They are in nobody's log.
    The next deployment leaves them.
    """
    old = held(platform)
    assert answers(platform, old) == ("200", "200", "in")
    rows, _ = etl.feed_counts(platform)
    load, stop = HandmadeRun(tmp_path / "load", platform.bootstrap(), TOPIC, {}), threading.Event()
    with ThreadPoolExecutor(1) as beside:
        running = beside.submit(run_etl, platform, stop)
        load.start_sending(500)
        try:
            rotate(deployed.kubeconfig, deployed.context, parts=["secrets"])
        finally:
            load.stop_sending()
            stop.set()
        runs = running.result()

    new = held(platform)
    assert not {old[key] for key in KEYS} & set(new.values())
    until(lambda: answers(platform, old) == ("401", "401", "refused"), "what was before is refused", 60)
    assert answers(platform, new) == ("200", "200", "in")

    assert len(runs) > 1
    wrong = [run for run in runs if (run.exit_code, run.attempts, run.unaccounted, run.extracted) != (0, 1, 0, rows)]
    assert wrong == []
    wait_until_whole(platform)
    admin = Admin(platform.bootstrap())

    def drained() -> bool:
        ends = {number: end for number, (_, end) in admin.watermarks(TOPIC).items()}
        return {number: admin.committed(GROUP, TOPIC)[number] for number in ends} == ends

    load.serve(5)
    until(drained, "the consumers are through", 180)
    found = load.judged(other_runs=tuple(run.run_id for run in runs), platform=platform).findings
    assert [check for check in SOUND if found[check].verdict != "pass"] == []
    sent = acked(load.folder)
    assert len(sent) > 1000
    assert sent <= read_plainly(platform.bootstrap(), TOPIC, load.name)

    log = deployed.audit_log
    assert log is not None
    # The test itself shows them as arguments to other pods
    lines = [line for path in log.parent.glob(f"{log.stem}*") for line in path.read_text().splitlines()]
    asked = [line for line in lines if "iceberg-catalog-0/exec" in line]
    assert any("psql" in line for line in asked)
    pod_log = platform.core.read_namespaced_pod_log("iceberg-catalog-0", platform.namespace)
    assert "password authentication failed" in pod_log
    assert not [key for key in KEYS if any(new[key] in text for text in (pod_log, *asked))]
    assert deploy(deployed.kubeconfig, deployed.context, known(deployed)).changed == 0
    assert held(platform) == new
