"""Kafka with certificates on a real cluster: what is forbidden is tried and refused, beside what works."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Final

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from handmade import HandmadeRun, acked, read_plainly
from rich.console import Console

from assay import credentials, pods, run
from assay.deploy import deploy, known, rotate
from assay.errors import UsageError
from assay.kafka import quorum
from assay.kafka.admin import Admin
from assay.kafka.authorization import Asker
from assay.kafka.identity import Identity
from assay.manifest import Objectives, Plan
from assay.pki import Authority
from assay.platform import DEAD_LETTERS, GROUP, PARTITIONS, REJECTS, TOPIC, Platform
from assay.progress import Phases
from assay.report import judged
from assay.validation import record
from assay.verdict import Verdict

from .conftest import wait_until_whole

if TYPE_CHECKING:
    from pathlib import Path

    from assay.clusters.embedded import EmbeddedCluster

PRINCIPALS: Final = ("admin", "producer", "consumer", "etl")
SECONDS: Final = 15
REFUSED: Final = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    }
)


@pytest.fixture(scope="module")
def secured(deployed: EmbeddedCluster) -> Platform:
    """The platform as it is shipped, whole."""
    platform = Platform(deployed.kubeconfig, deployed.context)
    wait_until_whole(platform)
    return platform


def client(platform: Platform, who: Identity | None, **more: Any) -> dict[str, Any]:
    """The settings of a client that is `who`; None: nobody."""
    told = {} if who is None else who.client()
    return {"bootstrap.servers": platform.bootstrap(), "log_level": 0, **told, **more}


def write(platform: Platform, who: Identity | None, topic: str) -> KafkaError | None:
    """Send a message; why it was not acknowledged, if it was not."""
    found: list[KafkaError | None] = []
    producer = Producer(client(platform, who) | {"enable.idempotence": True, "message.timeout.ms": SECONDS * 1000})
    producer.produce(topic, b"tried", on_delivery=lambda error, _: found.append(error))
    producer.flush(SECONDS + 5)
    assert found, "no report"
    return found[0]


def read(platform: Platform, who: Identity | None, topic: str, group: str) -> KafkaError | None:
    """Read a record from the beginning of a partition that has one, in a group's name; why none came, if none did."""
    consumer = Consumer(client(platform, who) | {"group.id": group, "enable.auto.commit": False})
    try:
        consumer.assign([TopicPartition(topic, number, 0) for number in range(PARTITIONS)])
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            message = consumer.poll(0.5)
            if message is not None:
                return message.error()
        # An assigned topic that may not even be looked at is not told of by the poll: the brokers' metadata says it
        told = consumer.list_topics(topic, SECONDS).topics[topic].error
    finally:
        consumer.close()
    return told or KafkaError(KafkaError._TIMED_OUT)  # noqa: SLF001  # librdkafka's local error codes are named so


def delete(platform: Platform, who: Identity, topic: str) -> KafkaError | None:
    """Delete a topic; why it could not be."""
    admin = AdminClient(client(platform, who))
    try:
        admin.delete_topics([topic], operation_timeout=SECONDS)[topic].result(SECONDS + 5)
    except KafkaException as error:
        return error.args[0]
    return None


def listed(platform: Platform, who: Identity | None) -> bool:
    """Whether the brokers answer at all."""
    try:
        return bool(AdminClient(client(platform, who)).list_topics(timeout=SECONDS).brokers)
    except KafkaException:
        return False


@pytest.fixture(scope="module")
def who(secured: Platform) -> dict[str, Identity]:
    """The principals' certificates; every topic has a record, so that reading is not refused for want of one."""
    found = {name: credentials.fetch(secured, name) for name in PRINCIPALS}
    for topic in (TOPIC, DEAD_LETTERS, REJECTS):
        for _ in range(PARTITIONS * 5):
            assert write(secured, found["admin"], topic) is None
    return found


@pytest.mark.endurance
def test_without_a_certificate_nobody_answers(secured: Platform, who: dict[str, Identity], tmp_path: Path) -> None:
    """In plain text, or with one of another authority by the admin's very name; with the right one they do."""
    assert listed(secured, who["admin"])
    assert not listed(secured, None)
    certificate, key = Authority("somebody else").issue("admin").write(tmp_path, "admin")
    assert not listed(secured, Identity(who["admin"].authorities, certificate, key))


@pytest.mark.endurance
@pytest.mark.parametrize("port", [9091, 9093])
def test_brokers_take_no_plain_text_from_each_other(secured: Platform, port: int) -> None:
    """Replication's listener and the controllers', asked with Kafka's tool in a broker's pod: refused, or served."""
    pod = secured.pods("kafka")[0].metadata.name
    at = "--bootstrap-controller" if port == 9093 else "--bootstrap-server"
    command = ["timeout", "30", "kafka-metadata-quorum.sh", at, f"localhost:{port}"]
    known = ["--command-config", "/tmp/kafka/client.properties"]  # noqa: S108  # in the pod
    asked = ["describe", "--status"]
    assert pods.execute(secured, pod, [*command, *asked], 60).exit_code != 0
    allowed = pods.execute(secured, pod, [*command, *known, *asked], 60)
    assert allowed.exit_code == 0, allowed.stderr
    assert "LeaderId" in allowed.stdout


#: In a consumer's pod: whether brokers answer in plain text, and as who the pod is.
_WITHIN: Final = """
import os
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from workloads.identity import KafkaIdentity
brokers = {"bootstrap.servers": os.environ["ANALYTICS_BOOTSTRAP_SERVERS"], "log_level": 0}
for who in ({}, KafkaIdentity().client()):
    try:
        print(len(AdminClient({**brokers, **who}).list_topics(timeout=10).brokers))
    except KafkaException:
        print("refused")
"""


def test_brokers_take_no_plain_text_from_pods(secured: Platform) -> None:
    """From a consumer's pod: refused in plain text, served with the certificate that is mounted there."""
    pod = secured.pods("analytics")[0].metadata.name
    said = pods.execute(secured, pod, ["python3", "-c", _WITHIN], 60)
    assert said.stdout.split() == ["refused", "3"], said.stderr


ALLOWED: Final = {
    ("producer", "write", TOPIC),
    ("consumer", "read", TOPIC),
    ("consumer", "write", DEAD_LETTERS),
    ("etl", "write", TOPIC),
    ("etl", "write", REJECTS),
    *(("admin", verb, topic) for verb in ("read", "write") for topic in (TOPIC, DEAD_LETTERS, REJECTS)),
}


@pytest.mark.parametrize("principal", PRINCIPALS)
def test_each_may_do_what_it_is_for_and_no_more(secured: Platform, who: dict[str, Identity], principal: str) -> None:
    """Every principal, verb and topic: allowed where it should be, else refused for want of the right."""
    wrong = []
    for topic in (TOPIC, DEAD_LETTERS, REJECTS):
        for verb, error in (
            ("read", read(secured, who[principal], topic, GROUP)),
            ("write", write(secured, who[principal], topic)),
        ):
            right = error is None if (principal, verb, topic) in ALLOWED else error and error.code() in REFUSED
            if not right:
                wrong.append(f"{verb} {topic}: {error}")
    assert wrong == []


def test_a_group_is_its_own_consumers(secured: Platform, who: dict[str, Identity]) -> None:
    """The consumer may read in its group's name, and do nothing in any other's."""
    consumer = Asker(secured.bootstrap(), who["consumer"])
    assert consumer.operations([TOPIC], GROUP)[GROUP] == {"READ", "DESCRIBE"}
    assert consumer.operations([TOPIC], "another")["another"] == frozenset()


@pytest.mark.endurance
@pytest.mark.parametrize("principal", ["producer", "consumer", "etl"])
def test_only_the_admin_deletes(secured: Platform, who: dict[str, Identity], principal: str) -> None:
    """A principal that may use a topic can't delete it; the topic is there afterwards."""
    refused = delete(secured, who[principal], TOPIC)
    assert refused is not None
    assert refused.code() in REFUSED
    assert len(Admin(secured.bootstrap()).partitions(TOPIC)) == PARTITIONS


@pytest.mark.usefixtures("who")
def test_the_active_controller_is_asked_over_tls(secured: Platform) -> None:
    """By our own client of that request, too."""
    assert quorum.active_controller(secured.bootstrap()) in range(3)


@pytest.mark.endurance
def test_a_second_deployment_changes_nothing(deployed: EmbeddedCluster, secured: Platform) -> None:
    """No certificate is made anew, in check mode or not, and no pod restarted."""
    before = {pod.metadata.uid for pod in secured.pods("kafka")}
    assert deploy(deployed.kubeconfig, deployed.context, known(deployed), check=True).changed == 0
    assert deploy(deployed.kubeconfig, deployed.context, known(deployed)).changed == 0
    assert {pod.metadata.uid for pod in secured.pods("kafka")} == before


@pytest.mark.usefixtures("secured")
def test_it_is_not_turned_off_under_the_brokers(deployed: EmbeddedCluster) -> None:
    """Brokers that speak differently are no quorum: refused in a sentence, before anything is touched."""
    with pytest.raises(UsageError, match="brokers can't change over one by one"):
        deploy(deployed.kubeconfig, deployed.context, {"platform_kafka_security": "plaintext"})


@pytest.mark.endurance
@pytest.mark.timeout(900)
def test_a_whole_run_leaves_no_key_in_its_evidence(
    deployed: EmbeddedCluster, secured: Platform, tmp_path: Path
) -> None:
    """Pre-flight, ETL, load, drain and the judge: it passes, and nobody's private key is in a file of it."""
    folder = run.claim(tmp_path / "run")
    plan = Plan(messages=20_000, rate_per_second=2000, seed=1, topic=TOPIC, group=GROUP, partitions=PARTITIONS)
    objectives = Objectives(throughput_per_second=1500)
    recorded = run.begin(folder, plan, objectives, {"kind": "embedded", "name": deployed.name})
    record(secured, recorded, Phases(Console(quiet=True)), deployed.audit_log)
    recorded.seal()
    judgement, _ = judged(folder)
    assert judgement.verdict is Verdict.PASS, judgement.sentence
    private = [path.read_bytes() for path in credentials.folder(secured.kubeconfig, secured.namespace).rglob("tls.key")]
    kept = [path for path in folder.rglob("*") if path.is_file()]
    assert private
    assert [path for path in kept for key in private if key in path.read_bytes()] == []


@pytest.mark.endurance
@pytest.mark.timeout(2400)
def test_a_rotation_under_load_loses_nothing(deployed: EmbeddedCluster, secured: Platform, tmp_path: Path) -> None:
    """First all trust both authorities and show new certificates, then, in a second run, the old one is dropped.

    A load goes on through each; all that it sends is acknowledged, and in the log. Who began before, and knows the old
    authority alone, is served until that is dropped, and refused from then on.
    """
    old = _copy(credentials.fetch(secured, "admin"), tmp_path / "old")
    assert listed(secured, old)
    for name, drop in (("before", False), ("after", True)):
        credentials.provide(secured)
        load = HandmadeRun(tmp_path / name, secured.bootstrap(), TOPIC, {})
        load.start_sending(500)
        try:
            given = known(deployed) | {"platform_certificates_drop": drop}
            rotate(deployed.kubeconfig, deployed.context, given, parts=["certificates"])
        finally:
            load.stop_sending()
        assert listed(secured, old) is not drop
        credentials.provide(secured)
        wait_until_whole(secured)
        assert load.judged().findings["lost"].verdict == "pass"
        sent = acked(load.folder)
        assert len(sent) > 1000
        assert len(sent) == json.loads((load.folder / "manifest.json").read_text())["plan"]["messages"]
        assert sent <= read_plainly(secured.bootstrap(), TOPIC, load.name)
    secret = secured.core.read_namespaced_secret("production-kafka-authority", secured.namespace)
    assert secret.data.keys() == {"tls.crt", "tls.key"}
    assert deploy(deployed.kubeconfig, deployed.context, known(deployed)).changed == 0


def _copy(identity_now: Identity, folder: Path) -> Identity:
    """The same files elsewhere, where no rotation changes them."""
    folder.mkdir()
    files = (identity_now.authorities, identity_now.certificate, identity_now.key)
    for file in files:
        (folder / file.name).write_bytes(file.read_bytes())
    return Identity(*(folder / file.name for file in files))
