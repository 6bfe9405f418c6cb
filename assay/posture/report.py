"""Findings for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from assay.verdict import Verdict, worst

if TYPE_CHECKING:
    from collections.abc import Sequence

    from assay.posture.probe import Finding

#: Columns of a log, which has no edge.
_WIDE: Final = 180
_STYLES: Final = {Verdict.PASS: "green", Verdict.FAIL: "red", Verdict.UNKNOWN: "yellow"}


def show(findings: Sequence[Finding], console: Console) -> Verdict:
    """Print the table, what to do about what did not pass, and the count; the verdict of all."""
    if not console.is_terminal:
        console = Console(file=console.file, width=_WIDE)
    console.print(table(findings))
    for line in remedies(findings):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    counts = ", ".join(f"{sum(one.verdict is verdict for one in findings)} {verdict}" for verdict in Verdict)
    console.print(f"{len(findings)} probes: {counts}.", highlight=False)
    return worst(one.verdict for one in findings)


def table(findings: Sequence[Finding]) -> Table:
    """One row a probe."""
    shown = Table(title="Posture", title_justify="left")
    shown.add_column("probe", no_wrap=True)
    for heading in ("tried", "happened", "asked for by"):
        shown.add_column(heading, overflow="fold")
    shown.add_column("verdict", no_wrap=True)
    for one in findings:
        happened = one.happened + (f" (control: {one.control})" if one.control else "")
        words = [escape(text) for text in (one.probe.name, one.probe.tried, happened, "\n".join(one.probe.authorities))]
        shown.add_row(*words, f"[{_STYLES[one.verdict]}]{one.verdict}[/]")
    return shown


def remedies(findings: Sequence[Finding]) -> list[str]:
    """A line for each thing to do, with the probes that it is for."""
    by_remedy: dict[str, list[str]] = {}
    for one in findings:
        if one.remedy:
            by_remedy.setdefault(one.remedy, []).append(one.probe.name)
    return [f"{', '.join(names)}: {remedy}" for remedy, names in by_remedy.items()]
