"""What people and machines are told."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from assay.cli import cli
from assay.errors import UsageError
from assay.posture.probe import Finding, Probe, Result, unverifiable
from assay.posture.report import remedies, show
from assay.verdict import Verdict

if TYPE_CHECKING:
    from pathlib import Path

PROBE = Probe("family/one", "do [it]", ("a standard", "another one"), "Forbid it.")
OTHER = Probe("family/two", "do more", ("a standard",), "Forbid it.")
REFUSED = Finding(PROBE, Result.REFUSED, "refused", "the other thing is allowed")
ALLOWED = Finding(OTHER, Result.ALLOWED, "allowed", remedy="Forbid it.")


def shown(*findings: Finding) -> tuple[Verdict, str]:
    """The verdict, and what is printed where nobody watches."""
    out = io.StringIO()
    return show(findings, Console(file=out)), out.getvalue()


def test_the_worst_is_the_verdict_of_all() -> None:
    """A fail beats an unknown beats a pass."""
    unknown = unverifiable(OTHER, "nobody answered")
    assert shown(REFUSED)[0] is Verdict.PASS
    assert shown(REFUSED, unknown)[0] is Verdict.UNKNOWN
    assert shown(REFUSED, unknown, ALLOWED)[0] is Verdict.FAIL
    assert shown()[0] is Verdict.UNKNOWN


def test_a_row_says_what_was_tried_what_happened_and_who_asks() -> None:
    """With the control; brackets are text."""
    printed = shown(REFUSED)[1]
    for words in ("family/one", "do [it]", "control: the other thing", "a standard", "another one", "pass"):
        assert words in printed
    assert "1 probes: 1 pass, 0 fail, 0 unknown." in printed


def test_what_to_do_is_said_once() -> None:
    """For all probes that need it, and for none that passed."""
    twice = Finding(PROBE, Result.ALLOWED, "allowed", remedy="Forbid it.")
    assert remedies([REFUSED]) == []
    assert remedies([twice, ALLOWED]) == ["family/one, family/two: Forbid it."]


def test_a_file_that_can_not_be_written_is_said_before_anything_is_tried(tmp_path: Path) -> None:
    """In one sentence, as wrong usage."""
    with pytest.raises(UsageError, match="make it first"):
        cli.main(["posture", "--json", str(tmp_path / "nowhere" / "posture.json")], standalone_mode=False)
