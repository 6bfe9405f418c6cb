"""The documents say what the code does."""

from __future__ import annotations

from pathlib import Path

from assay.chaos.catalogue import CATALOGUE
from assay.chaos.roles import BROKERS, CONSUMERS
from assay.checks import CHECKS, rule
from assay.cli import cli

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


def test_every_command_stands_in_the_readme() -> None:
    """A newcomer finds each command of `assay` in the README."""
    text = (ROOT / "README.md").read_text()
    assert [name for name in cli.commands if f"assay {name}" not in text] == []
