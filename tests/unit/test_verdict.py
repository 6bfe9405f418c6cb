"""Specifications of verdicts: three values, worst wins."""

from __future__ import annotations

import pytest

from assay.verdict import Verdict, worst


@pytest.mark.parametrize(("verdict", "code"), [(Verdict.PASS, 0), (Verdict.FAIL, 1), (Verdict.UNKNOWN, 2)])
def test_exit_codes(verdict: Verdict, code: int) -> None:
    """What a shell and CI go by."""
    assert verdict.exit_code == code


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ([Verdict.PASS, Verdict.PASS], Verdict.PASS),
        ([Verdict.PASS, Verdict.UNKNOWN], Verdict.UNKNOWN),
        ([Verdict.UNKNOWN, Verdict.FAIL, Verdict.PASS], Verdict.FAIL),
        ([], Verdict.UNKNOWN),
    ],
)
def test_the_worst_wins(verdicts: list[Verdict], expected: Verdict) -> None:
    """A proven fault outweighs a missing proof; nothing at all proves nothing."""
    assert worst(verdicts) is expected
