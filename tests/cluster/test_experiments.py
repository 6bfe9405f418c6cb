"""Experiments on a real platform, by plain `chaos run`: what they show, what they refuse, and how they end."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from kubernetes import client

from assay.chaos import consent, watch
from assay.chaos.lease import NAME, runs_out
from assay.chaos.node_pods import NAMESPACE
from assay.kafka.admin import Admin
from assay.platform import Platform
from assay.waiting import wait_until

from .conftest import steps, wait_until_whole

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from assay.clusters.embedded import EmbeddedCluster

HOUSE = Path(__file__).resolve().parents[2]
EXPERIMENTS = HOUSE / "experiments"
#: The other two of the mission are part of `assay validate`, which has its own test.
QUICK = ["pod-crash"]
OTHERS = sorted({path.stem for path in EXPERIMENTS.glob("*.yaml")} - {*QUICK})
WHOLE = ["inject-asked", "bites", "heal-asked", "healed"]
ACTIONS = "assay.chaos.actions"


@pytest.fixture
def platform(deployed: EmbeddedCluster) -> Iterator[Platform]:
    """The platform, which is whole before and after."""
    found = Platform(deployed.kubeconfig, deployed.context)
    _wait_until_whole(found)
    yield found
    _wait_until_whole(found)


@pytest.fixture
def surroundings(deployed: EmbeddedCluster, clusters_root: Path, tmp_path: Path) -> dict[str, str]:
    """The environment of a user who made this cluster, and wants the evidence in a folder of the test's."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("ASSAY_", "KUBE"))}
    kept = {name: os.environ[name] for name in ("ASSAY_CACHE", "ASSAY_HOME") if name in os.environ}
    return (
        ours
        | kept
        | {
            "ASSAY_STATE": str(clusters_root),
            "ASSAY_KUBECONFIG": str(deployed.kubeconfig),
            "ASSAY_RUN_FOLDER": str(tmp_path / f"run-{secrets.token_hex(2)}"),
            "PYTHONPATH": str(HOUSE),
        }
    )


def command(path: Path, *words: str) -> list[str]:
    """The command of a user."""
    return [str(Path(sys.executable).with_name("chaos")), "run", *words, str(path)]


def chaos(path: Path, environment: dict[str, str], cwd: Path, *words: str) -> tuple[int, str]:
    """The exit code of `chaos run`, and what it said."""
    done = subprocess.run(
        command(path, *words), env=environment, cwd=cwd, capture_output=True, text=True, timeout=400, check=False
    )
    return done.returncode, done.stdout + done.stderr


def tiny(folder: Path, func: str, pause: float = 0, **arguments: Any) -> Path:
    """An experiment that only injects one fault and heals it, without a load."""
    document = yaml.safe_load((EXPERIMENTS / "pod-crash.yaml").read_text())
    provider = {"type": "python", "module": ACTIONS, "func": func, "arguments": arguments}
    healing = {"type": "python", "module": ACTIONS, "func": func.replace("inject", "heal")}
    document["method"] = [{"name": "inject", "type": "action", "provider": provider, "pauses": {"after": pause}}]
    document["rollbacks"] = [{"name": "heal", "type": "action", "provider": healing}]
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def pods(platform: Platform) -> list[tuple[str, str, int]]:
    """What would tell that a pod was harmed: its name, uid and restarts."""
    found = platform.core.list_namespaced_pod(platform.namespace).items
    return sorted(
        (pod.metadata.name, pod.metadata.uid, sum(one.restart_count for one in pod.status.container_statuses or ()))
        for pod in found
        if pod.status.phase == "Running"
    )


def namespaces(platform: Platform) -> set[str]:
    """The cluster's namespaces that stay."""
    found = platform.core.list_namespace().items
    return {one.metadata.name for one in found if one.metadata.deletion_timestamp is None}


def verdict(folder: Path) -> dict[str, Any]:
    """What the judge wrote."""
    found: dict[str, Any] = json.loads((folder / "verdict.json").read_text())
    return found


@pytest.mark.parametrize("name", [*QUICK, *(pytest.param(one, marks=[pytest.mark.endurance]) for one in OTHERS)])
def test_an_experiment_passes(platform: Platform, surroundings: dict[str, str], tmp_path: Path, name: str) -> None:
    """Its fault bites and is healed, service is back in its time, nothing is lost, and the exit code says so."""
    folder = Path(surroundings["ASSAY_RUN_FOLDER"])
    code, said = chaos(EXPERIMENTS / f"{name}.yaml", surroundings, tmp_path)
    assert code == 0, said
    found = verdict(folder)
    assert found["verdict"] == "pass", found["sentence"]
    assert [row["step"] for row in steps(folder)] == WHOLE
    (back,) = found["recoveries"]
    assert back["verdict"] == "pass"
    assert json.loads((folder / "experiment.json").read_text())["title"].endswith("?")
    assert json.loads((tmp_path / "journal.json").read_text())["assay"] == {"amiss": [], "run_folder": str(folder)}
    assert NAMESPACE not in namespaces(platform)


#: A fault that is in force and does nothing: an extension of its own, as anybody may write one.
TOOTHLESS = """
from assay.chaos import session

class Nothing:
    kind, target, chosen = "nothing", "pod/kafka-0", ""
    inject = heal = lambda self, *_: None
    bites = lambda self: None
    healed = lambda self: "nothing was done"

def inject():
    session.current().inject_fault("nothing", Nothing(), 30, {"bite_seconds": 3, "heal_seconds": 3})
"""


def test_a_fault_that_does_nothing_shows_nothing(
    platform: Platform, surroundings: dict[str, str], tmp_path: Path
) -> None:
    """It is never seen to bite, so that nothing is shown, however well all goes; the run says why."""
    (tmp_path / "toothless.py").write_text(TOOTHLESS)
    document = yaml.safe_load((EXPERIMENTS / "pod-crash.yaml").read_text())
    method = [one for one in document["method"] if one["name"] not in ("await-steady", "heal")]
    method[1]["provider"] = {"type": "python", "module": "toothless", "func": "inject"}
    path = tmp_path / "toothless.yaml"
    path.write_text(yaml.safe_dump(document | {"method": method}))
    paths = os.pathsep.join([str(tmp_path), surroundings["PYTHONPATH"]])
    code, said = chaos(path, surroundings | {"PYTHONPATH": paths}, tmp_path)
    assert code == 1
    assert "The fault nothing (nothing of pod/kafka-0) was not seen to bite within 3 s." in said
    found = verdict(Path(surroundings["ASSAY_RUN_FOLDER"]))
    assert found["verdict"] == "unknown"
    (vacuous,) = [one for one in found["findings"] if one["check"] == "vacuous"]
    assert "the fault nothing on pod/kafka-0 was never seen to bite" in vacuous["summary"]
    assert "the run stopped early" in vacuous["summary"]
    assert NAMESPACE not in namespaces(platform)


def test_what_did_not_consent_is_not_touched(platform: Platform, surroundings: dict[str, str], tmp_path: Path) -> None:
    """Neither a context that nobody named, nor a namespace or a pod that does not say so; one sentence each."""
    path = tiny(tmp_path, "inject_consumer_sigkill")
    before = pods(platform), namespaces(platform)
    code, said = chaos(path, surroundings | {"ASSAY_STATE": str(tmp_path / "nothing")}, tmp_path)
    assert code == 1
    assert f"ASSAY_CHAOS_CONTEXTS={platform.context}." in said
    consumers = [pod.metadata.name for pod in platform.pods("analytics")]
    try:
        for name in consumers:
            _label(platform.core.patch_namespaced_pod, "refused", name, platform.namespace)
        code, said = chaos(path, surroundings, tmp_path)
        assert code == 1
        assert "does not consent to be harmed" in said
        _label(platform.core.patch_namespace, "refused", platform.namespace)
        code, said = chaos(path, surroundings, tmp_path)
        assert code == 1
        assert f"The namespace {platform.namespace} of {platform.context} does not consent" in said
    finally:
        _label(platform.core.patch_namespace, "allowed", platform.namespace)
        for name in consumers:
            _label(platform.core.patch_namespaced_pod, "allowed", name, platform.namespace)
    assert "Traceback" not in said
    wait_until(lambda: (pods(platform), namespaces(platform)) == before, 60, "something was touched")
    assert not Path(surroundings["ASSAY_RUN_FOLDER"]).exists()


def test_an_action_that_is_not_there_is_a_sentence(
    platform: Platform, surroundings: dict[str, str], tmp_path: Path
) -> None:
    """Chaos Toolkit's own, before anything is asked of the cluster."""
    before = pods(platform)
    code, said = chaos(tiny(tmp_path, "inject_broker_sigkil"), surroundings, tmp_path)
    assert code == 1
    assert "inject_broker_sigkil" in said
    assert "Traceback" not in said
    assert pods(platform) == before


@pytest.mark.parametrize("words", [["--dry", "actions"], []], ids=["by-option", "by-variable"])
def test_a_dry_run_says_whom_it_would_hit(
    platform: Platform, surroundings: dict[str, str], tmp_path: Path, words: Sequence[str]
) -> None:
    """And hits nobody, leaves no folder, and takes no lease."""
    before = pods(platform), namespaces(platform)
    environment = surroundings | ({} if words else {"ASSAY_DRY_RUN": "1"})
    code, said = chaos(EXPERIMENTS / "pod-crash.yaml", environment, tmp_path, *words)
    assert code == 0, said
    assert "Dry run: inject would hit pod/commodity-analytics-consumer-" in said
    assert (pods(platform), namespaces(platform)) == before
    assert not Path(surroundings["ASSAY_RUN_FOLDER"]).exists()


def test_one_at_a_time_and_whole_again_though_the_runner_is_killed(
    platform: Platform, surroundings: dict[str, str], tmp_path: Path
) -> None:
    """While one runs a second one is refused; when the first is killed, its fault ends by itself, and its lease too."""
    path = tiny(tmp_path, "inject_consumer_pause", pause=60, role="owner:0", seconds=25)
    folder = Path(surroundings["ASSAY_RUN_FOLDER"])
    with subprocess.Popen(
        command(path), env=surroundings, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as runner:
        wait_until(lambda: _bites(folder), 60, "the fault does not bite", every=0.2)
        began = time.monotonic()
        before = pods(platform)
        code, said = chaos(path, surroundings | {"ASSAY_RUN_FOLDER": str(tmp_path / "second")}, tmp_path)
        assert code == 1
        assert "Another experiment runs on this cluster" in said
        assert pods(platform) == before
        assert not (tmp_path / "second").exists()
        assert NAMESPACE in namespaces(platform)
        runner.send_signal(signal.SIGKILL)
    assert [row["step"] for row in steps(folder)] == WHOLE[:2]
    left = client.CoordinationV1Api(platform.core.api_client).read_namespaced_lease(NAME, NAMESPACE)
    try:
        _wait_until_whole(platform)
        assert time.monotonic() - began < 25 + 60
        # Nobody else may begin while the fault of a dead maker can last.
        assert runs_out(left) >= left.spec.acquire_time + timedelta(seconds=25)
    finally:
        platform.core.delete_namespace(NAMESPACE)


def _bites(folder: Path) -> bool:
    return (folder / "faults.arrows").exists() and [row["step"] for row in steps(folder)] == WHOLE[:2]


def _label(patch: Any, value: str, *named: str) -> None:
    patch(*named, {"metadata": {"labels": {consent.LABEL: value}}})


def _wait_until_whole(platform: Platform) -> None:
    """Whole, and each consumer with a partition."""
    wait_until_whole(platform)
    admin = Admin(platform.bootstrap())
    wait_until(lambda: watch.unwhole(platform, admin, 3) is None, 120, "not every consumer has a partition")
