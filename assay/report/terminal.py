"""The summary that stands at the end of a run in the terminal: a table of the checks and one closing sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.markup import escape
from rich.table import Table
from rich.text import Text

from assay.report.order import by_severity
from assay.verdict import Verdict

if TYPE_CHECKING:
    from rich.console import Console

    from assay.judge import Judgement
    from assay.verdict import Finding

#: Sign, so that a verdict can be read without colour, and colour.
SIGNS: Final = {Verdict.PASS: ("✓", "green"), Verdict.FAIL: ("✗", "bold red"), Verdict.UNKNOWN: ("?", "yellow")}
LIMIT: Final = (
    "Acknowledged messages survive process crash, node loss and partition; Kafka acknowledges from page cache, "
    "so this says nothing of power loss."
)


def _told(found: Finding) -> Text:
    cause = Text(f"\nWhat usually causes it: {found.cause}", style="dim") if found.cause else Text()
    return Text(found.summary) + cause


def summary(judgement: Judgement, console: Console) -> None:
    """Print the judgement: what failed first, then what could not be decided, then what passed."""
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for found in by_severity(judgement.findings):
        sign, style = SIGNS[found.verdict]
        table.add_row(Text(f"{sign} {found.verdict.value}", style=style), Text(found.check), _told(found))
    console.print(table)
    sign, style = SIGNS[judgement.verdict]
    run = f" {judgement.manifest.run_id}" if judgement.manifest else ""
    console.print()
    console.print(
        f"[{style}]{sign} {judgement.verdict.value.upper()}[/]{escape(run)}: {escape(judgement.sentence)}",
        highlight=False,
        soft_wrap=True,
    )
    if judgement.verdict is Verdict.PASS:
        console.print(LIMIT, style="dim", highlight=False, soft_wrap=True)
