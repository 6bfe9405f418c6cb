"""The commands as a person runs them: from a cluster to a verdict, and one clear sentence for what goes wrong.

Each command is a process of its own; what it must leave alone, and what it must not leave behind, is looked for on the
machine.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import psutil
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from kubernetes import client, config
from leftovers import found_of, read_record

from assay import audit, sealed
from assay.kafka import identity
from assay.platform import Platform
from assay.posture import document
from assay.posture.probe import FAMILIES
from assay.validation import EXPERIMENTS
from assay.waiting import wait_until

from .conftest import known_to_kafka

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from assay.clusters.embedded import EmbeddedCluster

MESSAGES = 20_000
#: Checks of speed: how fast a machine is that runs tests, and perhaps much else, decides nothing here.
SPEED = {"throughput", "etl throughput"}
#: What zero loss stands on, read live at the run.
SAFE = {
    "producer acks": "all",
    "producer enable.idempotence": "true",
    "topic min.insync.replicas": "2",
    "topic unclean.leader.election.enable": "false",
    "topic replication.factor": "3",
}


def command(root: Path, *words: str) -> list[str]:
    """The command line of `assay`, with clusters in `root`."""
    return ["env", f"ASSAY_STATE={root}", sys.executable, "-m", "assay.cli", *words]


def assay(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(command(root, *words), capture_output=True, text=True, check=False, timeout=600)


@pytest.fixture(scope="module")
def validated(cluster: EmbeddedCluster, clusters_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The evidence folder of one whole validation on the session's cluster, which passed but for how fast it was."""
    folder = tmp_path_factory.mktemp("runs") / "validated"
    done = assay(
        clusters_root, "validate", "--name", cluster.name, "--messages", str(MESSAGES), "--folder", str(folder)
    )
    verdict = json.loads((folder / "verdict.json").read_text())
    slow = {f"experiment: {name}" for name in EXPERIMENTS if complaints(folder / "experiments" / name) <= SPEED}
    assert complaints(folder) <= SPEED | slow, done.stdout + done.stderr
    assert done.returncode == verdict["exit_code"]
    return folder


def complaints(folder: Path) -> set[str]:
    """The checks that did not pass, by a run's verdict."""
    verdict = json.loads((folder / "verdict.json").read_text())
    return {one["check"] for one in verdict["findings"] if one["verdict"] != "pass"}


def test_everything_is_accounted_for(validated: Path) -> None:
    """It is about what was asked for: each message, each row, each replica."""
    manifest = json.loads((validated / "manifest.json").read_text())
    assert sum(one["end"] - one["start"] for one in manifest["partitions"]) == MESSAGES
    assert manifest["etl"]["real_rows"] == 18_402
    assert manifest["etl"]["extracted"] == manifest["etl"]["produced"] + manifest["etl"]["rejected"]
    assert sorted(one["partitions"] for one in manifest["replicas"]) == [[0], [1], [2]]
    assert {check["verdict"] for check in manifest["preflight"]} == {"pass"}
    assert manifest["settings"].items() >= SAFE.items()
    assert {"Kafka", "Kubernetes", "Python", "kernel", "librdkafka"} <= set(manifest["versions"])
    kinds = {path.name.split(".")[0].split("-")[0] for path in validated.glob("*.parquet")}
    assert kinds >= {"attempts", "outcomes", "log", "sink", "lag", "leaders", "events", "deadletters", "etl"}
    assert (validated / "report.html").stat().st_size > 10_000


def test_the_evidence_says_who_touched_what(validated: Path) -> None:
    """Of the run and of each experiment: the ETL's Job of the administrator's is there, under the manifest's hashes."""
    for folder in (validated, *(validated / "experiments" / name for name in EXPERIMENTS)):
        assert {"audit.json", "audit.jsonl"} <= set(json.loads((folder / "manifest.json").read_text())["files"])
        table = audit.read(folder)
        assert (table.unavailable, table.gaps) == ("", ())
        assert any(one.user == "assay-admin" and one.changes for one in table.touched)
    rows = audit.read(validated).touched
    assert [one.count for one in rows if (one.verb, one.resource, one.namespace) == ("create", "jobs", "production")]


def test_the_posture_is_a_part_of_it(validated: Path) -> None:
    """Every family passed, the evidence holds no secret of the platform's, and the report has the table."""
    found = {one["check"]: one["verdict"] for one in json.loads((validated / "verdict.json").read_text())["findings"]}
    families = {f"posture: {family}" for family in FAMILIES}
    assert {check: verdict for check, verdict in found.items() if check.startswith("posture")} == dict.fromkeys(
        families, "pass"
    )
    assert document.FILE in json.loads((validated / "manifest.json").read_text())["files"]
    tried = {one.probe.name: one for one in document.read(validated)}
    files = sum(path.is_file() for path in (validated / "experiments").rglob("*"))
    assert int(tried["secrets/evidence"].happened.split()[0]) > files > 0
    assert "<h2>Posture</h2>" in (validated / "report.html").read_text()


def test_a_pod_a_broker_and_the_network_were_broken(validated: Path) -> None:
    """Each in an experiment of its own: it bit and was healed, and service came back, in phases that add up."""
    manifest = json.loads((validated / "manifest.json").read_text())
    assert tuple(manifest["experiments"]) == EXPERIMENTS
    for name in EXPERIMENTS:
        folder = validated / "experiments" / name
        (back,) = json.loads((folder / "verdict.json").read_text())["recoveries"]
        assert back["verdict"] == "pass", back["summary"]
        assert sum(back["phases"].values()) == pytest.approx(back["measured"]["recovery_seconds"], abs=0.001)
        assert back["measured"]["recovery_seconds"] >= back["measured"]["floor_least_seconds"]
        assert "whole_after_heal_seconds" in back["measured"], "it ended before every replica was in sync"
        assert (folder / "report.html").exists()


def test_the_verdict_is_the_same_offline(validated: Path, clusters_root: Path) -> None:
    """`assay report` on the folder alone writes the same verdict, byte for byte."""
    before = (validated / "verdict.json").read_bytes()
    (validated / "verdict.json").unlink()
    assert assay(clusters_root, "report", str(validated)).returncode == json.loads(before)["exit_code"]
    assert (validated / "verdict.json").read_bytes() == before


@pytest.mark.usefixtures("validated")
def test_load_and_drain_are_commands_of_their_own(
    cluster: EmbeddedCluster, clusters_root: Path, tmp_path: Path
) -> None:
    """Load, drain and judge one after another account for each message; without an ETL run that is not yet a pass."""
    folder = tmp_path / "steps"
    where = ["--name", cluster.name]
    loaded = assay(clusters_root, "load", *where, "--messages", "3001", "--rate", "0", "--folder", str(folder))
    assert loaded.returncode == 0, loaded.stderr
    assert loaded.stdout.strip() == str(folder)
    assert assay(clusters_root, "drain", *where, str(folder)).returncode == 0
    judged = assay(clusters_root, "judge", str(folder))
    assert "0 of 3,001 acknowledged messages are missing" in " ".join(judged.stdout.split())
    assert assay(clusters_root, "report", str(folder)).returncode == judged.returncode
    verdict = json.loads((folder / "verdict.json").read_text())
    found = {one["check"]: one["verdict"] for one in verdict["findings"]}
    # How fast so short a load was is not the question here.
    accounted = ("evidence", "lost", "lost downstream", "duplicate", "corrupt", "conservation", "unseen")
    assert {name: found[name] for name in accounted} == dict.fromkeys(accounted, "pass")
    assert found["vacuous"] == "unknown"
    assert judged.returncode == verdict["exit_code"] != 0


@pytest.mark.usefixtures("validated")
@pytest.mark.parametrize("alone", [True, False], ids=["the command alone", "Locust too"])
def test_a_load_that_was_killed_is_judged_as_far_as_it_goes(
    cluster: EmbeddedCluster, clusters_root: Path, tmp_path: Path, alone: bool
) -> None:
    """SIGKILL mid-run: Locust ends by itself, drain and judge take what there is, and the verdict is never a pass."""
    folder, where = tmp_path / "killed", ["--name", cluster.name]
    words = ["load", *where, "--messages", "1000000", "--rate", "5000", "--folder", str(folder)]
    running = psutil.Popen(command(clusters_root, *words), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    outcomes = folder / "outcomes.load-0.arrows"
    wait_until(lambda: outcomes.exists() and outcomes.stat().st_size > 100_000, 120, "the load never sent anything")
    locust = running.children()
    for process in [running] if alone else [running, *locust]:
        process.kill()
    running.wait()
    drained = assay(clusters_root, "drain", *where, str(folder))
    assert drained.returncode == 0, drained.stderr
    assert not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in locust)
    attempts, ends = (sealed.read(folder / f"{kind}.load-0.parquet") for kind in ("attempts", "outcomes"))
    assert attempts.complete == ends.complete == alone
    assert 0 < attempts.rows < 1_000_000
    assert assay(clusters_root, "report", str(folder)).returncode in (1, 2)
    verdict = json.loads((folder / "verdict.json").read_text())
    found = {one["check"]: one for one in verdict["findings"]}
    assert verdict["verdict"] != "pass"
    assert {
        name: found[name]["verdict"] for name in ("lost", "lost downstream", "duplicate", "phantom")
    } == dict.fromkeys(("lost", "lost downstream", "duplicate", "phantom"), "pass")
    assert (found["vacuous"]["verdict"], found["incomplete"]["verdict"]) == ("unknown", "unknown")
    assert found["conservation"]["measured"]["unknown"] == attempts.rows - ends.rows


@pytest.fixture
def brokers(cluster: EmbeddedCluster, validated: Path) -> Iterator[str]:  # noqa: ARG001  # it deploys the platform
    """The addresses of the platform's brokers, who know this process."""
    platform = Platform(cluster.kubeconfig, cluster.context)
    with known_to_kafka(platform):
        yield platform.bootstrap()


def test_an_unsafe_load_to_a_topic_of_its_own_is_recorded_as_what_it_is(
    cluster: EmbeddedCluster, brokers: str, clusters_root: Path, tmp_path: Path
) -> None:
    """acks=0: no offset is known; nobody consumes the topic, so nobody is waited for and its log alone is read."""
    admin = AdminClient({"bootstrap.servers": brokers, **identity.settings()})
    (made,) = admin.create_topics([NewTopic("unsafe", 2, 3)]).values()
    made.result()
    folder, where = tmp_path / "unsafe", ["--name", cluster.name]
    unsafe = ["--topic", "unsafe", "--producer-setting", "acks=0", "--producer-setting", "enable.idempotence=false"]
    loaded = assay(clusters_root, "load", *where, *unsafe, "--messages", "3000", "--folder", str(folder))
    assert loaded.returncode == 0, loaded.stderr
    drained = assay(clusters_root, "drain", *where, str(folder))
    assert drained.returncode == 0, drained.stderr
    manifest = json.loads((folder / "manifest.json").read_text())
    assert (manifest["plan"]["topic"], manifest["plan"]["group"], manifest["plan"]["partitions"]) == ("unsafe", "", 2)
    assert manifest["plan"]["producer_settings"] == {"acks": "0", "enable.idempotence": "false"}
    assert (manifest["settings"]["producer acks"], manifest["drained"]) == ("0", False)
    outcomes = sealed.read(folder / "outcomes.load-0.parquet").whole()
    assert (outcomes.num_rows, outcomes["offset"].null_count) == (3000, 3000)
    assert sealed.read(folder / "log.parquet").rows == 3000
    assert not list(folder.glob("sink.*"))


def test_a_poison_message_is_found_among_the_dead_letters(
    cluster: EmbeddedCluster, brokers: str, clusters_root: Path, tmp_path: Path
) -> None:
    """The consumers give it up, and the ledger says which one it was, and why."""
    folder, where = tmp_path / "poisoned", ["--name", cluster.name]
    assert assay(clusters_root, "load", *where, "--messages", "300", "--folder", str(folder)).returncode == 0
    places: list[tuple[int, int]] = []
    producer = Producer({"bootstrap.servers": brokers, **identity.settings()})
    producer.produce(
        "commodity-prices", b"no price", on_delivery=lambda _, sent: places.append((sent.partition(), sent.offset()))
    )
    assert producer.flush(30) == 0
    assert assay(clusters_root, "drain", *where, str(folder)).returncode == 0
    letters = sealed.read(folder / "deadletters.parquet")
    rows = letters.whole().to_pylist()
    assert [(row["partition"], row["offset"]) for row in rows] == places
    assert letters.complete
    assert all(row["reason"] for row in rows)


@pytest.fixture
def without_feed(cluster: EmbeddedCluster) -> Iterator[None]:
    """The feed is down for as long as this lasts."""
    apps = client.AppsV1Api(config.new_client_from_config(str(cluster.kubeconfig), cluster.context))
    core = client.CoreV1Api(apps.api_client)

    def replicas(count: int) -> None:
        apps.patch_namespaced_deployment_scale("commodity-feed", "production", {"spec": {"replicas": count}})
        wait_until(
            lambda: (
                len(core.list_namespaced_pod("production", label_selector="app.kubernetes.io/component=feed").items)
                == count
            ),
            60,
            f"the feed does not have {count} pods",
        )

    replicas(0)
    yield
    replicas(1)


@pytest.mark.usefixtures("validated", "without_feed")
def test_a_feed_that_is_down_is_one_sentence(cluster: EmbeddedCluster, clusters_root: Path, tmp_path: Path) -> None:
    """The ETL is not even started; what is missing is named, and where to look."""
    done = assay(clusters_root, "etl", "--name", cluster.name, "--folder", str(tmp_path / "run"))
    assert done.returncode == 2
    assert "assay: The feed has no running pod in production" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["load", "--messages", "0"], 254, "0 is not in the range"),
        (["load", "--rate", "-1"], 254, "-1.0 is not in the range"),
        (["load", "--producer-setting", "acks"], 254, "is not NAME=VALUE"),
        (["load", "--producer-setting", "acks=0"], 254, "--producer-setting acks=0 can't be used"),
        (["load", "--producer-setting", "no.such=1"], 254, "No such configuration property"),
        (["load", "--name", "{name}", "--topic", "no-such"], 2, "the topic no-such up failed: there is no such topic"),
        (["preflight", "--name", "absent"], 254, "There is no cluster 'absent' here"),
        (["deploy", "--name", "{name}", "-e", "platform_bogus=1"], 254, "platform_bogus"),
        (["deploy", "--name", "{name}", "-e", "platform_bogus"], 254, "is not NAME=VALUE"),
        (["up", "--name", "other", "--range", "127.0.0.0/16"], 254, "127.0.0.0/16"),
        (["up", "--name", "other", "--range", "{taken}"], 254, "{taken}"),
        (["status", "--context", "nowhere", "--kubeconfig", "{kubeconfig}"], 254, "nowhere"),
        (["judge", "/nonexistent"], 254, "is not a folder"),
    ],
)
def test_wrong_usage_is_one_sentence_and_makes_nothing(
    cluster: EmbeddedCluster, clusters_root: Path, words: list[str], code: int, sentence: str
) -> None:
    """What is wrong is named; no cluster, no folder, no traceback."""
    octet = read_record(cluster.kubeconfig.parent)["octet"]
    known = {"name": cluster.name, "taken": f"10.{octet}.0.0/16", "kubeconfig": str(cluster.kubeconfig)}
    before = {path.name for path in clusters_root.iterdir()}
    done = assay(clusters_root, *(word.format(**known) for word in words))
    assert done.returncode == code, done.stdout + done.stderr
    assert sentence.format(**known) in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert {path.name for path in clusters_root.iterdir()} == before


@pytest.mark.parametrize("moment", ["deploy", pytest.param("preflight", marks=[pytest.mark.endurance])])
def test_down_after_a_killed_validation_leaves_nothing(clusters_root: Path, tmp_path: Path, moment: str) -> None:
    """`assay validate` gets SIGKILL while it provisions, or later; `assay down` removes everything it had made."""
    name, folder = f"{moment}-{os.getpid()}", tmp_path / "run"
    log = tmp_path / "log"
    with log.open("w") as output:
        running = subprocess.Popen(
            command(clusters_root, "validate", "--name", name, "--nodes", "3", "--folder", str(folder)),
            stdout=output,
            stderr=output,
        )
    before = {"deploy": "✓ up", "preflight": "✓ deploy"}[moment]
    wait_until(
        lambda: before in log.read_text() or running.poll() is not None, 400, f"it never said {before}", every=0.1
    )
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert before in log.read_text(), log.read_text()
    record = read_record(clusters_root / name)
    assert found_of(clusters_root / name, record)["processes"]
    assert assay(clusters_root, "down", "--name", name).returncode == 0
    left = found_of(clusters_root / name, record)
    assert not any(left.values()), left
    wait_until(lambda: not _orphans(str(clusters_root / name)), 30, "a playbook of the killed run is still running")


def _orphans(mark: str) -> list[str]:
    """Processes whose environment or command line names the cluster's folder: what a killed command had started."""
    listing = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout.splitlines()
    return [line for line in listing if mark in line]
