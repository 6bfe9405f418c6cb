"""Kubernetes' own end-to-end suite judges the embedded cluster: its NetworkPolicy specs, and a sample of conformance.

The suite is upstream's, compiled unchanged at the version of the cluster's components (`playbooks/conformance.yml`);
conformance/specs.yml says which specs run, which do not and why, and explains each failure. It takes long, so it is an
environment of its own: `tox run -e conformance`. What it leaves is in runs/conformance: the JUnit report, the log with
what each failed spec saw, and a summary.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from specs import CONFORMANCE, POLICIES, Outcome, Selection, listed, results, setup_failures

from assay.clusters import prepared
from assay.deploy import ROOT

if TYPE_CHECKING:
    from assay.clusters.embedded import EmbeddedCluster

#: The sample's least size.
SAMPLE: Final = 100
#: How long Ginkgo may take before it stops the suite and reports what it has, and how long it may take to stop.
SUITE_SECONDS: Final = 3 * 3600
STOP_SECONDS: Final = 600

pytestmark = [pytest.mark.conformance, pytest.mark.timeout(SUITE_SECONDS + 2 * STOP_SECONDS)]


@dataclass(frozen=True)
class Programs:
    """What `playbooks/conformance.yml` has prepared.

    Attributes:
        bin: the folder of `e2e.test`, `ginkgo` and `kubectl`.
        archives: the images' docker-archives.
        images: their names.
        kubernetes: the version of them all.
    """

    bin: Path
    archives: tuple[Path, ...]
    images: tuple[str, ...]
    kubernetes: str

    def suite(self, *arguments: str) -> str:
        """What the suite prints when it is asked about itself."""
        argv = [str(self.bin / "e2e.test"), *arguments]
        return subprocess.run(argv, env=environment(self), capture_output=True, text=True, check=True).stdout


def environment(programs: Programs) -> dict[str, str]:
    """The suite's: images by our names, our kubectl, and no proxy between it and a cluster on this machine."""
    own = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return own | {
        "KUBE_TEST_REPO_LIST": str(ROOT / "conformance" / "registries.yml"),
        "PATH": os.pathsep.join([str(programs.bin), os.environ.get("PATH", os.defpath)]),
    }


@pytest.fixture(scope="session")
def programs() -> Programs:
    """The compiled suite, of the same version as the cluster's components."""
    path = prepared.cache() / "conformance" / "current.json"
    if not path.is_file():
        pytest.fail(f"There is no {path}: run tox run -e conformance, or ansible-playbook playbooks/conformance.yml.")
    fields = json.loads(path.read_text())
    archives = tuple(Path(one) for one in fields["archives"])
    return Programs(Path(fields["bin"]), archives, tuple(fields["images"]), fields["kubernetes"])


@pytest.fixture(scope="session")
def selection() -> Selection:
    """What is to run."""
    return Selection.read(ROOT / "conformance" / "specs.yml")


@pytest.fixture(scope="session")
def names(programs: Programs) -> tuple[str, ...]:
    """All specs that the suite has."""
    return tuple(listed(programs.suite("--list-tests")))


@pytest.fixture(scope="session")
def report(cluster: EmbeddedCluster, programs: Programs, selection: Selection) -> str:
    """The JUnit report of a run of the selected specs on a cluster that nothing else uses."""
    folder = ROOT / "runs" / "conformance"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    cluster.load_images(programs.archives)
    log = folder / "ginkgo.log"
    print(f"\nThe suite runs; it tells what it does in {log}")  # noqa: T201  # it takes long
    run_suite(cluster, programs, selection, folder, log)
    # The suite's own name for it, whatever the number of processes: test/e2e/framework/test_context.go.
    written = folder / "junit_01.xml"
    assert written.is_file(), f"the suite wrote no report; the last it said:\n{log.read_text()[-4000:]}"
    return written.read_text()


def run_suite(cluster: EmbeddedCluster, programs: Programs, selection: Selection, folder: Path, log: Path) -> None:
    """Run the selected specs: two at a time for each core, since they mostly wait; those marked Serial alone."""
    processes = os.environ.get("ASSAY_CONFORMANCE_PROCS") or str(2 * (os.cpu_count() or 1))
    ginkgo = [f"--procs={processes}", f"--timeout={SUITE_SECONDS}s", "--no-color", "--silence-skips"]
    suite = {
        "kubeconfig": cluster.kubeconfig,
        "context": cluster.context,
        "kubectl-path": programs.bin / "kubectl",
        "provider": "skeleton",  # no cloud
        "report-dir": folder,
        "e2e-output-dir": folder,
        "disable-log-dump": "true",  # of machines, over SSH
    }
    argv = [
        *[str(programs.bin / "ginkgo"), "run", *ginkgo, *selection.arguments(), str(programs.bin / "e2e.test"), "--"],
        *(f"--{name}={value}" for name, value in suite.items()),
    ]
    with (
        log.open("wb") as output,
        subprocess.Popen(
            argv, cwd=folder, env=environment(programs), stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        ) as process,
    ):
        try:
            # Its exit code says only that some spec failed; the report says which.
            process.wait(SUITE_SECONDS + STOP_SECONDS)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture(scope="session")
def outcome(report: str, selection: Selection, names: tuple[str, ...], programs: Programs) -> Outcome:
    """How it went, told and kept beside the report."""
    found = Outcome(selection, names, results(report))
    text = f"Kubernetes {programs.kubernetes}, its own end-to-end specs\n\n{found.summary()}"
    (ROOT / "runs" / "conformance" / "summary.md").write_text(text)
    print(f"\n{text}")  # noqa: T201  # the pass rate and each failure, also when all is well
    return found


@pytest.mark.usefixtures("cluster")
def test_the_suite_is_of_the_clusters_version(programs: Programs) -> None:
    """Components are judged by the specs of their own release."""
    parts = prepared.find(prepared.cache())
    assert parts is not None
    assert programs.kubernetes == parts.kubernetes


def test_the_images_are_those_that_the_suite_asks_for(programs: Programs) -> None:
    """Names and tags of what we built are among those that upstream's list has, with our registry before them."""
    assert sorted(set(programs.images) - set(programs.suite("--list-images").split())) == []


def test_every_pattern_means_a_spec(selection: Selection, names: tuple[str, ...]) -> None:
    """An area, a skip or an explanation that means nothing hides that upstream has moved on."""
    assert selection.stale(names) == []


def test_every_network_policy_spec_passes(outcome: Outcome) -> None:
    """All of upstream's, but for the skips that say why."""
    found = outcome.of_area(POLICIES)
    assert found
    assert {name: (one.state, one.message) for name, one in found.items() if not one.passed} == {}


def test_the_sample_of_conformance_ran(outcome: Outcome, report: str) -> None:
    """At least a hundred, some of every area, and everything that was to run: none left itself out unsaid."""
    assert setup_failures(report) == []
    assert outcome.not_run() == {}
    sample = outcome.conformance()
    assert len(sample) >= SAMPLE
    for area in outcome.selection.areas:
        marked = [name for name in outcome.of_area(area) if CONFORMANCE in name]
        assert area == POLICIES or set(marked) & sample.keys(), f"no {CONFORMANCE} spec of the area {area} ran"


def test_every_failure_is_explained(outcome: Outcome) -> None:
    """A spec that fails without an explanation fails this, and so does an explanation of one that passes."""
    assert outcome.unexplained() == {}
    assert outcome.healed() == []
