"""Floors and objectives as a person reads them in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.table import Table

from assay.recovery.feasibility import REFUSED
from assay.recovery.phases import PHASES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from assay.recovery.feasibility import Feasible, Judged

#: As many columns as the table takes with its phases.
WIDE: Final = 165
_STYLES: Final[dict[Feasible, str]] = dict.fromkeys(REFUSED, "red") | {"possible": "green", "unknown": "yellow"}


def show(judged: Sequence[Judged], console: Console) -> None:
    """Print the floors, with their phases unless it is a terminal too narrow for them, and a line for each remark."""
    if not console.is_terminal:
        console = Console(file=console.file, width=WIDE)  # a log has no edge
    console.print(floors_table(judged, phases=console.width >= WIDE))
    for remark in remarks(judged):
        console.print(remark, highlight=False, markup=False, soft_wrap=True)


def floors_table(judged: Sequence[Judged], *, phases: bool = True) -> Table:
    """One row a fault: its phases and the whole, each from least to most in seconds, the objective and the verdict."""
    shown = Table(title="What recovery the settings allow, in seconds", title_justify="left")
    shown.add_column("fault", no_wrap=phases)
    for heading in (*(PHASES if phases else ()), "in all", "objective"):
        shown.add_column(heading, justify="right", no_wrap=True)
    shown.add_column("verdict", no_wrap=True)
    for one in judged:
        parts = [_span(phase.least_seconds, phase.most_seconds) for phase in one.floor.phases] if phases else []
        whole = _span(one.floor.least_seconds, one.floor.most_seconds)
        objective = "" if one.objective_seconds is None else f"{one.objective_seconds:g}"
        style = "dim" if one.floor.not_in_use else None
        verdict = f"[{_STYLES[one.verdict]}]{one.verdict}" if one.verdict in _STYLES else one.verdict
        shown.add_row(str(one.fault), *parts, whole, objective, verdict, style=style)
    return shown


def remarks(judged: Sequence[Judged]) -> list[str]:
    """A sentence for each objective that is refused, with the settings to change, and for each unknown floor."""
    refused = [str(one) for one in judged if one.refused]
    unknown = [f"{one.fault}: {one.floor.unknown}." for one in judged if one.verdict == "unknown"]
    return refused + unknown


def _span(least: float | None, most: float | None) -> str:
    if least is None or most is None:
        return "?"
    return f"{least:.1f}-{most:.1f}" if most else "-"
