"""The documents say what the code does."""

from __future__ import annotations

from pathlib import Path

from recovery_settings import defaults, tuned

from assay import leaks
from assay.chaos.catalogue import CATALOGUE
from assay.chaos.roles import BROKERS, CONSUMERS
from assay.checks import CHECKS, rule
from assay.cli import cli
from assay.manifest import RECOVERY_SECONDS
from assay.posture import secrecy
from assay.posture.survey import FAMILIES
from assay.recovery.floors import Fault, floors_of

ROOT = Path(__file__).resolve().parents[2]


def test_every_check_stands_in_the_documents_with_its_rule() -> None:
    """docs/checks.md has each check once, in the words of its docstring, and no other."""
    text = (ROOT / "docs" / "checks.md").read_text()
    rows = [line for line in text.partition("## Checks")[2].splitlines() if line.startswith("| ")]
    assert rows[2:] == [f"| {name} | {rule(name)} |" for name in CHECKS]


def test_every_fault_stands_in_the_documents_with_its_arguments() -> None:
    """docs/faults.md has each fault of the catalogue once, in its words, and no other."""
    text = (ROOT / "docs" / "faults.md").read_text().partition("## Whom")[0]
    assert [line for line in text.splitlines() if line.startswith("| ")][2:] == [
        f"| {name} | {one.description} | {', '.join(f'`{of.name}={of.default}`' for of in one.arguments)} |"
        for name, one in CATALOGUE.items()
    ]


def test_every_role_stands_in_the_documents() -> None:
    """Of brokers and of consumers."""
    text = (ROOT / "docs" / "faults.md").read_text()
    assert [role for role in (*BROKERS, *CONSUMERS) if f"`{role}`" not in text] == []


def test_every_probe_stands_in_the_documents() -> None:
    """docs/posture.md has each probe once, with what it tries and who asks for it, and no other."""
    text = (ROOT / "docs" / "posture.md").read_text().partition("## Probes")[2]
    assert [line for line in text.splitlines() if line.startswith("| ")][2:] == [
        f"| {probe.name} | {probe.tried} | {'; '.join(probe.authorities)} |"
        for family in FAMILIES.values()
        for probe in (*family.PROBES, *((leaks.PROBE,) if family is secrecy else ()))
    ]


def test_every_command_stands_in_the_readme() -> None:
    """A newcomer finds each command of `assay` in the README."""
    text = (ROOT / "README.md").read_text()
    assert [name for name in cli.commands if f"assay {name}" not in text] == []


def test_every_floor_stands_in_the_documents() -> None:
    """docs/recovery.md has each fault's floor with defaults and as shipped, as the formulas give them."""
    text = (ROOT / "docs" / "recovery.md").read_text()
    for fault in Fault:
        protocol = "CONSUMER" if fault == Fault.CONSUMER_KILLED else "CLASSIC"
        floors = [floors_of(settings(protocol))[fault] for settings in (defaults, tuned)]
        spans = " | ".join(f"{floor.least_seconds:.1f} to {floor.most_seconds:.1f}" for floor in floors)
        assert f"| {fault} | {spans} |" in text


def test_every_objective_of_recovery_stands_in_the_documents() -> None:
    """As it is used."""
    text = (ROOT / "docs" / "recovery.md").read_text()
    assert [name for name, seconds in RECOVERY_SECONDS.items() if f"| {name} | {seconds:g} s |" not in text] == []
