"""Findings as a file: what is read back says as much as what was written, and no more than its results do."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from assay.errors import AssayError
from assay.posture.document import FILE, read, text, write
from assay.posture.probe import Finding, Probe, Result, unverifiable
from assay.verdict import Verdict

if TYPE_CHECKING:
    from pathlib import Path

PROBE = Probe("pods/one", "do [it]", ("a standard", "another one"), "Forbid it.")
REFUSED = Finding(PROBE, Result.REFUSED, "refused", "the other thing is allowed")
ALLOWED = Finding(PROBE, Result.ALLOWED, "allowed", offenders=("feed → kafka",), remedy="Forbid it.")
UNSEEN = unverifiable(PROBE, "nobody answered")


def test_machines_get_all_of_it() -> None:
    """One document, with the verdict and each finding."""
    found = json.loads(text([REFUSED, ALLOWED]))
    assert found["verdict"] == "fail"
    assert [one["result"] for one in found["findings"]] == ["refused", "allowed"]
    assert found["findings"][0]["authorities"] == ["a standard", "another one"]


def test_it_is_read_back_as_it_was(tmp_path: Path) -> None:
    """Written again it is the same to the byte."""
    write(tmp_path, [REFUSED, ALLOWED, UNSEEN])
    found = read(tmp_path)
    assert [one.plain() for one in found] == [one.plain() for one in (REFUSED, ALLOWED, UNSEEN)]
    assert text(found) == (tmp_path / FILE).read_text()


def test_a_verdict_follows_from_the_result(tmp_path: Path) -> None:
    """Whatever else the file says."""
    (tmp_path / FILE).write_text(text([ALLOWED]).replace('"verdict": "fail"', '"verdict": "pass"'))
    assert [one.verdict for one in read(tmp_path)] == [Verdict.FAIL]


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"findings": [{"probe": "pods/one", "result": "fine"}]}'])
def test_what_is_no_document_is_said(tmp_path: Path, content: str) -> None:
    """As is a missing one."""
    (tmp_path / FILE).write_text(content)
    with pytest.raises(AssayError, match="no document of posture"):
        read(tmp_path)
    with pytest.raises(AssayError, match="no document of posture"):
        read(tmp_path / "nowhere")
