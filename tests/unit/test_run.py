"""A run being recorded: its folder and its manifest."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from assay import manifest, run
from assay.errors import UsageError
from assay.manifest import Objectives, Plan

if TYPE_CHECKING:
    from pathlib import Path

PLAN = Plan(messages=10, rate_per_second=0, seed=1, topic="prices", group="analytics", partitions=3)


def test_every_note_is_on_disk_at_once(tmp_path: Path) -> None:
    """A run that is killed leaves what was noted by then, and it can be resumed from there."""
    recorded = run.begin(run.claim(tmp_path / "run-1"), PLAN, Objectives(), {"kind": "embedded"})
    recorded.note(drained=True)
    assert run.resume(tmp_path / "run-1").manifest.drained
    assert manifest.read(tmp_path / "run-1").run_id == "run-1"


def test_a_folder_in_use_is_refused_and_left_alone(tmp_path: Path) -> None:
    """Facts are never written over: a folder that holds anything belongs to somebody else."""
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="not empty"):
        run.claim(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_phases_of_several_commands_add_up(tmp_path: Path) -> None:
    """Load and drain may be two commands; the manifest keeps the times of both."""
    recorded = run.begin(run.claim(tmp_path / "r"), PLAN, Objectives(), {})
    recorded.phases({"load": 10.0004})
    recorded.phases({"drain": 1.0})
    assert recorded.manifest.phases == {"load": 10.0, "drain": 1.0}


def test_a_sealed_run_names_every_file(tmp_path: Path) -> None:
    """After sealing, each file of evidence has its hash in the manifest."""
    recorded = run.begin(run.claim(tmp_path / "r"), PLAN, Objectives(), {})
    (tmp_path / "r" / "log.arrows").write_bytes(b"facts")
    recorded.seal()
    assert list(recorded.manifest.files) == ["log.arrows"]


def test_a_run_names_the_versions_of_all_that_it_uses(tmp_path: Path) -> None:
    """Each direct dependency, with Python and the kernel: what a result may depend on."""
    versions = run.begin(run.claim(tmp_path / "r"), PLAN, Objectives(), {}).manifest.versions
    assert {"assay", "confluent-kafka", "kubernetes", "locust", "pyarrow", "numpy", "Python", "kernel"} <= set(versions)
    assert versions["Python"].startswith("3.")
    assert all(versions.values())


def test_notes_from_several_threads_are_all_kept(tmp_path: Path) -> None:
    """Settings are read beside the load; neither's notes undo the other's."""
    recorded = run.begin(run.claim(tmp_path / "r"), PLAN, Objectives(), {})
    fields = [("drained", True), ("stopped", "why"), ("other_runs", ("a",)), ("unobserved", ("b",))]
    with ThreadPoolExecutor(len(fields)) as pool:
        for _ in range(20):
            list(pool.map(lambda field: recorded.note(**dict([field])), fields))
    found = manifest.read(tmp_path / "r")
    assert (found.drained, found.stopped, found.other_runs, found.unobserved) == (True, "why", ("a",), ("b",))


def test_run_ids_fit_kubernetes_names() -> None:
    """A run id becomes part of a Job's name: lower-case letters, digits and dashes."""
    name = run.new_id()
    assert name.replace("-", "").isalnum()
    assert name == name.lower()
    assert run.new_id() != name
