"""The good system, again and again: whole runs while a consumer is killed in the middle of each, and nothing is lost.

One run is in every build; ten in a row are an environment of their own (`tox run -e endurance`). No repeat in a million
rows bounds their rate by three in a million at 95 % (the rule of three), and no failing run in ten by three in ten.
"""

from __future__ import annotations

import secrets
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from assay import run as runs
from assay import stages
from assay.chaos import target
from assay.chaos.faults import Killed
from assay.chaos.injection import injected
from assay.chaos.node import on_this_machine
from assay.kafka.admin import Admin
from assay.ledger import LedgerWriter
from assay.manifest import Objectives, Plan
from assay.platform import GROUP, PARTITIONS, TOPIC, Platform
from assay.progress import Phases
from assay.report import judged
from assay.validation import record
from assay.verdict import Verdict
from assay.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from assay.clusters.embedded import EmbeddedCluster
    from assay.run import Run

MESSAGES = 100_000
#: A consumer that starts again takes a whole core for seconds, and brokers that have just started are slow: the full
#: rate is what a machine without a fault shows. Here it is about loss.
RATE = 6000
OBJECTIVES = Objectives(throughput_per_second=2000, etl_records_per_second=2000)
#: The consumer dies once a third of the messages has arrived.
MOMENT = MESSAGES // 3


@pytest.mark.parametrize(
    "times", [1, pytest.param(10, marks=[pytest.mark.endurance, pytest.mark.timeout(2400)])], ids=["once", "ten-times"]
)
def test_nothing_is_lost_or_repeated_while_a_consumer_is_killed(
    deployed: EmbeddedCluster, tmp_path: Path, times: int
) -> None:
    """Every run of 100,000 messages passes every check; the fault bit and healed, and Iceberg has each offset once."""
    platform = Platform(deployed.kubeconfig, deployed.context)
    for number in range(times):
        holders = wait_until(lambda: _holders(platform), 180, "the consumers do not have one partition each")
        folder = runs.claim(tmp_path / f"run-{number}-{secrets.token_hex(2)}")
        plan = Plan(
            messages=MESSAGES, rate_per_second=RATE, seed=number, topic=TOPIC, group=GROUP, partitions=PARTITIONS
        )
        recorded = runs.begin(folder, plan, OBJECTIVES, {"kind": "embedded", "name": deployed.name})
        with ThreadPoolExecutor(1) as beside:
            killing = beside.submit(_kill, platform, recorded, holders[number % PARTITIONS])
            record(platform, recorded, Phases(Console(quiet=True)), deployed.audit_log)
            killing.result()
        recorded.seal()
        judgement, _ = judged(folder)
        found = {one.check: (one.verdict, one.summary) for one in judgement.findings}
        assert {check: summary for check, (verdict, summary) in found.items() if verdict is not Verdict.PASS} == {}
        assert judgement.verdict is Verdict.PASS, judgement.sentence
        assert found["redelivered"][1].startswith("0 rows")
        assert judgement.history is not None
        assert [fault.kind for fault in judgement.history.faults] == ["process-sigkill"]


def _kill(platform: Platform, recorded: Run, pod: str) -> None:
    """Kill a consumer in the middle of the load, and see it come back."""
    wait_until(lambda: recorded.manifest.partitions, 120, "the load did not begin", every=0.05)
    starts = {one.partition: one.start for one in recorded.manifest.partitions}
    admin = Admin(platform.bootstrap())
    wait_until(lambda: _arrived(admin, starts) >= MOMENT, 60, "the messages did not arrive", every=0.05)
    consumer = target.find(platform, pod)
    with (
        LedgerWriter(recorded.folder / "faults.arrows", "faults") as ledger,
        injected(Killed(platform, on_this_machine, consumer), ledger, "consumer-kill"),
    ):
        pass


def _arrived(admin: Admin, starts: dict[int, int]) -> int:
    return sum(end - starts[number] for number, (_, end) in admin.watermarks(TOPIC).items())


def _holders(platform: Platform) -> dict[int, str] | None:
    """The pod that consumes each partition, if each of three has one."""
    held = {
        number: one.pod
        for one in stages.replicas(platform, Admin(platform.bootstrap()))
        if one.ready
        for number in one.partitions
    }
    return held if len(held) == len(set(held.values())) == PARTITIONS else None
