"""The pre-flight of recovery on a real platform: what is read live refuses nothing as shipped, and defaults do.

The defaults are put back on the consumers and their group: pods are made anew with librdkafka's and Kubernetes' own
values, and the brokers are told Kafka's.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType
from rich.console import Console

from assay import run as runs
from assay import settings, stages
from assay.cli import cli
from assay.kafka import identity
from assay.manifest import Objectives, Plan
from assay.platform import ANALYTICS, GROUP, PARTITIONS, TOPIC, Platform
from assay.progress import Phases
from assay.recovery.feasibility import judge
from assay.recovery.floors import Fault
from assay.recovery.reading import settings_of
from assay.recovery.table import show
from assay.verdict import Verdict

from .conftest import until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from assay.clusters.embedded import EmbeddedCluster
    from assay.recovery.feasibility import Judged

PLAN = Plan(messages=1, rate_per_second=0, seed=1, topic=TOPIC, group=GROUP, partitions=PARTITIONS)
#: librdkafka's, by the variables that set them, and what Kubernetes adds to pods that do not say otherwise.
DEFAULTS = {
    "KAFKA_CLIENT_SOCKET_TIMEOUT_MS": "60000",
    "KAFKA_CLIENT_RETRY_BACKOFF_MAX_MS": "1000",
}
TOLERATION_SECONDS = 300
#: Kafka's, for a group with the protocol of KIP-848: the brokers have them, by group.
GROUP_DEFAULTS = {"consumer.session.timeout.ms": "45000", "consumer.heartbeat.interval.ms": "5000"}


@pytest.fixture(scope="module")
def platform(deployed: EmbeddedCluster) -> Platform:
    """The platform as it is shipped."""
    return Platform(deployed.kubeconfig, deployed.context)


def told(judged: tuple[Judged, ...]) -> Mapping[Fault, Judged]:
    """By fault; and printed, for whoever reads the log."""
    show(judged, Console())
    return {one.fault: one for one in judged}


@contextmanager
def group_with_defaults(bootstrap: str) -> Iterator[None]:
    """The group has Kafka's default session while this lasts."""
    admin = AdminClient({"bootstrap.servers": bootstrap, **identity.settings()})

    def change(operation: AlterConfigOpType) -> None:
        entries = [ConfigEntry(name, value, incremental_operation=operation) for name, value in GROUP_DEFAULTS.items()]
        resource = ConfigResource(ResourceType.GROUP, GROUP, incremental_configs=entries)
        for answer in admin.incremental_alter_configs([resource]).values():
            answer.result(20)

    change(AlterConfigOpType.SET)
    try:
        yield
    finally:
        change(AlterConfigOpType.DELETE)


@contextmanager
def consumers_with_defaults(platform: Platform) -> Iterator[None]:
    """The consumers' pods made anew with default settings, and as they were again afterwards."""
    plain = platform.core.api_client.sanitize_for_serialization
    before = plain(platform.apps.read_namespaced_deployment(ANALYTICS, platform.namespace).spec.template)
    template = json.loads(json.dumps(before))
    for toleration in template["spec"]["tolerations"]:
        toleration["tolerationSeconds"] = TOLERATION_SECONDS
    template["spec"]["containers"][0]["env"] = [{"name": name, "value": value} for name, value in DEFAULTS.items()]
    try:
        roll_out(platform, template)
        yield
    finally:
        roll_out(platform, before)


def roll_out(platform: Platform, template: dict[str, Any]) -> None:
    """Give the consumers this pod template, and wait until all of them have it and no other is left."""
    patch = [{"op": "replace", "path": "/spec/template", "value": template}]
    changed = platform.apps.patch_namespaced_deployment(ANALYTICS, platform.namespace, patch).metadata.generation

    def done() -> bool:
        found = platform.apps.read_namespaced_deployment(ANALYTICS, platform.namespace)
        status, wanted = found.status, found.spec.replicas
        new = (status.observed_generation or 0) >= changed
        return new and status.updated_replicas == status.replicas == status.available_replicas == wanted

    until(done, "all consumers run with the new settings", 150)


def test_the_platform_as_shipped_can_keep_every_objective(platform: Platform, tmp_path: Path) -> None:
    """Every setting is read live, none is unknown, and the run's evidence gives the same answer offline."""
    run = runs.begin(tmp_path, PLAN, Objectives(), {})
    judged = stages.note_recovery(platform, run, Phases(Console(quiet=True)))
    by_fault = told(judged)
    assert {one.verdict for one in judged if one.objective} == {"possible", "not in use"}
    replaced = by_fault[Fault.NODE_REPLACED].floor
    assert [str(one) for phase in replaced.phases[:2] for one in phase.settings] == [
        "controller manager: node-monitor-grace-period = 20 s",
        "controller manager: node-monitor-period = 2 s",
        "nodes: nodeLeaseDurationSeconds = 20 s",
        "consumer pods: tolerationSeconds = 10 s",
    ]
    controller = by_fault[Fault.CONTROLLER_KILLED].floor
    assert [str(one) for one in controller.phases[1].settings] == [
        "brokers: controller.quorum.fetch.timeout.ms = 1000 ms (broker 0)",
        "brokers: controller.quorum.fetch.timeout.ms = 1300 ms (broker 2)",
        "brokers: controller.quorum.election.timeout.ms = 600 ms",
    ]
    document = json.loads((tmp_path / settings.FILE).read_text())
    assert judge(settings_of(document), Objectives().recovery_seconds) == judged
    assert len(run.manifest.feasibility) == len(judged)


def test_defaults_are_refused_with_what_to_change(platform: Platform) -> None:
    """A killed consumer, an isolated broker and a lost node: each by its setting, from the value that was found."""
    options = ["--cluster", "existing", "--kubeconfig", str(platform.kubeconfig), "--context", platform.context]
    with group_with_defaults(platform.bootstrap()), consumers_with_defaults(platform):
        _, judged = stages.check_recovery(platform, PLAN, Objectives(), Phases(Console(quiet=True)))
        answer = CliRunner().invoke(cli, ["preflight", *options], standalone_mode=False)
    assert answer.return_value == Verdict.FAIL, answer.output
    assert "change group: consumer.session.timeout.ms" in answer.output
    by_fault = told(judged)
    for fault, verdict, setting in (
        (Fault.CONSUMER_KILLED, "impossible", "group: consumer.session.timeout.ms from 45000 ms to"),
        (Fault.BROKER_ISOLATED, "not guaranteed", "consumers: KAFKA_CLIENT_SOCKET_TIMEOUT_MS from 60000 ms to"),
        (Fault.NODE_REPLACED, "impossible", "consumer pods: tolerationSeconds from 300 s to"),
    ):
        assert by_fault[fault].verdict == verdict
        assert setting in str(by_fault[fault])
    assert {one.objective for one in judged if one.refused} == {"pod crash", "network partition", "node loss"}
