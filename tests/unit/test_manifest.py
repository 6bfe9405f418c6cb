"""Specifications of the manifest: what it vouches for, and how it refuses."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import pytest
from runs import Run

from assay import manifest
from assay.errors import AssayError
from assay.manifest import Manifest

if TYPE_CHECKING:
    from pathlib import Path


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    """Unchanged."""
    written = Manifest.model_validate(Run().manifest)
    written.write(tmp_path)
    assert manifest.read(tmp_path) == written


def test_a_plan_is_a_table_of_plain_values() -> None:
    """What was set over the producer's settings is shown like the rest; most plans set nothing."""
    plan = Manifest.model_validate(Run().manifest).plan
    usual = dict(plan)
    assert "producer_settings" not in usual
    unsafe = plan.model_copy(update={"producer_settings": {"acks": "0"}})
    assert dict(unsafe) == usual | {"producer acks": "0"}
    assert type(plan).model_validate_json(unsafe.model_dump_json()) == unsafe


def test_it_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    """No draft is left behind."""
    Manifest.model_validate(Run().manifest).write(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.json"]


def test_digests_are_of_evidence_only(tmp_path: Path) -> None:
    """Ledgers in folders too; nothing that is written from the evidence."""
    for name in (
        "log.arrows",
        "producers/attempts.arrows",
        "manifest.json",
        "verdict.json",
        "report.html",
        "junit.xml",
        "findings/lost.csv",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    digests = manifest.digests(tmp_path)
    assert set(digests) == {"log.arrows", "producers/attempts.arrows"}
    assert digests["log.arrows"].sha256 == "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"schema_version": 1}, "schema version 1"),
        ({"schema_version": None}, "schema_version"),
        ({"plan": {}}, "plan.messages"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_damaged_manifest_says_where(tmp_path: Path, change: dict[str, object], reason: str) -> None:
    """Another version, a missing field, an unknown one."""
    (tmp_path / "manifest.json").write_text(json.dumps(Run().manifest | change))
    with pytest.raises(AssayError, match=reason):
        manifest.read(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"null"])
def test_what_is_no_manifest(tmp_path: Path, content: bytes) -> None:
    """One sentence, whatever it is."""
    (tmp_path / "manifest.json").write_bytes(content)
    with pytest.raises(AssayError, match=r"manifest\.json"):
        manifest.read(tmp_path)


def test_evidence_of_an_earlier_release_keeps_its_seal(tmp_path: Path) -> None:
    """What that release did not know is read as by default, and does not count under its seal."""
    document = Manifest.model_validate(Run().manifest).model_dump(mode="json")
    del document["feasibility"], document["objectives"]["recovery_seconds"], document["seal"]
    text = json.dumps(document, sort_keys=True, separators=(",", ":"))
    sealed = document | {"seal": hashlib.sha256(text.encode()).hexdigest()}
    (tmp_path / "manifest.json").write_text(json.dumps(sealed))
    found = manifest.read(tmp_path)
    assert manifest.seal_of(found) == found.seal
    assert (found.feasibility, found.objectives.recovery_seconds) == ((), manifest.RECOVERY_SECONDS)


def test_objectives_are_a_table_of_plain_values() -> None:
    """Each class of fault has a line of its own."""
    table = dict(manifest.Objectives(recovery_seconds={"pod crash": 30.0}))
    assert table["recovery_seconds pod crash"] == 30
    assert "recovery_seconds" not in table
