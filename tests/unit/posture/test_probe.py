"""What a refusal shows, and what looking shows: expected against seen."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from assay.errors import AssayError
from assay.posture.probe import Attempt, Finding, Probe, Result, denied, denied_all, held
from assay.posture.survey import FAMILIES, findings_of
from assay.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

PROBE = Probe("family/thing", "do the thing", ("a standard",), "Forbid the thing.")
REFUSED = Attempt(Result.REFUSED, "no")
ALLOWED = Attempt(Result.ALLOWED)
SILENT = Attempt(Result.UNVERIFIABLE, "nobody answered")


@pytest.mark.parametrize(
    ("forbidden", "control", "verdict"),
    [
        (REFUSED, ALLOWED, Verdict.PASS),
        (ALLOWED, ALLOWED, Verdict.FAIL),
        (ALLOWED, REFUSED, Verdict.FAIL),
        (REFUSED, REFUSED, Verdict.UNKNOWN),
        (REFUSED, SILENT, Verdict.UNKNOWN),
        (SILENT, ALLOWED, Verdict.UNKNOWN),
    ],
)
def test_a_refusal_shows_nothing_without_its_control(forbidden: Attempt, control: Attempt, verdict: Verdict) -> None:
    """Refused beside allowed passes, allowed fails, and everything else is unknown."""
    assert denied(PROBE, forbidden, control, "the other thing").verdict is verdict


def test_one_that_was_allowed_among_many_fails() -> None:
    """The finding names who, and says what to do."""
    found = denied_all(PROBE, {"one": REFUSED, "two": ALLOWED}, {"one": ALLOWED, "two": ALLOWED}, "the other thing")
    assert (found.verdict, found.offenders, found.remedy) == (Verdict.FAIL, ("two",), "Forbid the thing.")


def test_nothing_that_was_tried_shows_nothing() -> None:
    """An empty table is unknown."""
    assert denied_all(PROBE, {}, {}, "").verdict is Verdict.UNKNOWN


def test_one_without_a_control_among_many_is_unknown() -> None:
    """Each refusal needs its own."""
    assert denied_all(PROBE, {"one": REFUSED, "two": REFUSED}, {"one": ALLOWED}, "").verdict is Verdict.UNKNOWN


@pytest.mark.parametrize(
    ("looked_at", "broken", "unseen", "verdict"),
    [
        (3, [], [], Verdict.PASS),
        (0, [], [], Verdict.UNKNOWN),
        (3, [], ["one could not be seen"], Verdict.UNKNOWN),
        (3, ["one is not so"], ["one could not be seen"], Verdict.FAIL),
    ],
)
def test_what_looking_shows(looked_at: int, broken: list[str], unseen: list[str], verdict: Verdict) -> None:
    """Nothing seen is unknown, something unseen is unknown, and something broken fails whatever was unseen."""
    assert held(PROBE, looked_at, "things", broken, unseen).verdict is verdict


def family(error: Exception | None) -> Any:
    """Two probes, of which the first passes; then comes the error, or nothing."""
    second = Probe("family/second", "", (), "")

    def look(_: Any) -> Iterator[Finding]:
        yield held(PROBE, 1, "things", [])
        if error is not None:
            raise error

    return SimpleNamespace(PROBES=(PROBE, second), look=look)


@pytest.mark.parametrize("error", [None, AssayError("No such thing."), KeyError("spec"), ZeroDivisionError()])
def test_a_probe_that_crashed_is_unknown(error: Exception | None) -> None:
    """With its reason, and what was found before it stays; a probe that gave no finding is unknown too."""
    first, second = findings_of(family(error), scene=SimpleNamespace())  # type: ignore[arg-type]  # it looks at nothing
    assert (first.verdict, second.verdict) == (Verdict.PASS, Verdict.UNKNOWN)
    assert (str(error) or "Error" if error else "no finding") in second.happened


def test_every_probe_says_who_asks_and_what_to_do() -> None:
    """And has a name of its own, with its family's before it."""
    probes = [probe for one in FAMILIES.values() for probe in one.PROBES]
    assert len({probe.name for probe in probes}) == len(probes) > 70
    assert [probe.name for probe in probes if not (probe.tried and probe.authorities and probe.remedy)] == []
    assert [
        probe.name for name, one in FAMILIES.items() for probe in one.PROBES if not probe.name.startswith(f"{name}/")
    ] == []
