"""A campaign in the terminal: one line a run, and a table of how recovery spread at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table
from rich.text import Text

from assay.campaign.page import PAGE, spreads
from assay.campaign.series import SHARES
from assay.report.templates import figure
from assay.report.terminal import SIGNS

if TYPE_CHECKING:
    from rich.console import Console

    from assay.campaign.outcome import Outcome
    from assay.campaign.record import Record
    from assay.campaign.series import Series


def tell(outcome: Outcome, console: Console) -> None:
    """How one run ended."""
    sign, style = SIGNS[outcome.verdict]
    seconds = outcome.recovery_seconds
    took = f"recovery {seconds:.2f} s" if seconds is not None else "recovery unknown"
    line = Text.assemble(
        (f"{sign} {outcome.name}", style), f" {outcome.target or 'nobody hit'}: {took}. {outcome.sentence}"
    )
    console.print(line, highlight=False, soft_wrap=True)


def summary(record: Record, series: Series, console: Console) -> None:
    """What all runs amount to; how sure one can be of the quantiles stands in the page."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("", *SHARES, "max", "runs"):
        table.add_column(heading, justify="left" if not heading else "right", no_wrap=not heading)
    for words, spread in spreads(series).items():
        told = [figure(spread.quantiles[share].value) for share in SHARES]
        table.add_row(words, *told, figure(spread.most), str(len(spread.values)))
    console.print(table)
    sign, style = SIGNS[series.verdict]
    console.print()
    console.print(
        f"[{style}]{sign} {series.verdict.value.upper()}[/]: {escape(series.sentence)}", highlight=False, soft_wrap=True
    )
    console.print(f"Evidence and report: {record.folder / PAGE}", highlight=False, soft_wrap=True)
