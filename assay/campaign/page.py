"""The campaign's page: what was shown, how recovery spread, and every run with a link to its own report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from assay import __version__
from assay.campaign.series import SHARES
from assay.checks.finding import counted
from assay.recovery.phases import PHASES
from assay.report.drawing import BLUE, INK, ORANGE, SERIES, Plot, finish, new_figure, styled, svg
from assay.report.templates import templates
from assay.report.terminal import SIGNS
from assay.report.verdict_file import write_text

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure

    from assay.campaign.record import Record
    from assay.campaign.series import Series, Spread

PAGE: Final = "campaign.html"
#: What is told of all runs together: name in the verdict, and in words.
FIGURES: Final[dict[str, str]] = {
    "recovery_seconds": "recovery (s)",
    **{phase: f"· {phase} (s)" for phase in PHASES},
    "longest_ack_gap_seconds": "longest gap between acknowledgements (s)",
    "longest_consume_gap_seconds": "longest gap between consumed records (s)",
    "whole_after_heal_seconds": "whole again after healing was asked for (s)",
    "peak_lag_messages": "peak lag (messages)",
    "floor_least_seconds": "the least that the settings allow (s)",
    "floor_most_seconds": "the most that the settings allow (s)",
    "over_floor": "recovery ÷ the most that the settings allow",
}


def spreads(series: Series) -> dict[str, Spread]:
    """What is known of each figure, in words, in the order of `FIGURES`."""
    found = {words: series.spread(name) for name, words in FIGURES.items()}
    return {words: spread for words, spread in found.items() if spread is not None}


def write_page(record: Record, series: Series) -> Path:
    """Write the page into the campaign's folder; returns its path.

    Raises:
        UsageError: It can't be written.
    """
    return write_text(record.folder, PAGE, page(record, series))


def page(record: Record, series: Series) -> str:
    """The campaign as HTML, the same for the same verdicts."""
    return (
        templates()
        .get_template("campaign/page.html.j2")
        .render(
            asked=record.asked,
            series=series,
            signs={verdict: sign for verdict, (sign, _) in SIGNS.items()},
            shares=list(SHARES),
            spreads=spreads(series),
            plots=_plots(series),
            release=__version__,
        )
    )


def _plots(series: Series) -> list[Plot]:
    spread = series.spread("recovery_seconds")
    if spread is None:
        return []
    with styled():
        drawn = [("Recovery", _histogram(series, spread)), ("Phases, run by run", _phases(series))]
        return [
            Plot(title, words, svg(drawing, f"campaign{place}-"))
            for place, (title, (words, drawing)) in enumerate(drawn)
        ]


def _histogram(series: Series, spread: Spread) -> tuple[str, Figure]:
    """How often recovery took so long, with its quantiles and the objective."""
    drawing, (axes,) = new_figure(1)
    axes.hist(spread.values, bins="auto" if len(set(spread.values)) > 1 else 1, color=BLUE, alpha=0.5, rwidth=0.96)
    axes.plot(spread.values, [0] * len(spread.values), "|", color=INK, markersize=12)
    for place, (name, quantile) in enumerate(spread.quantiles.items()):
        axes.axvline(quantile.value, color=SERIES[place + 1], linewidth=1.4, label=f"{name} {quantile.value:.2f} s")
    axes.axvline(spread.most, color=ORANGE, linewidth=1, linestyle=":", label=f"max {spread.most:.2f} s")
    objectives = {one.measured["objective_seconds"] for one in series.outcomes if "objective_seconds" in one.measured}
    words = f"Of {counted(len(spread.values), 'run')} the slowest took {spread.most:.2f} s."
    if objectives:
        words += f" The objective is {min(objectives):g} s."
    finish(axes, "runs", "seconds from bite to full service")
    axes.set_xlim(left=0)
    return words, drawing


def _phases(series: Series) -> tuple[str, Figure]:
    """Each run as a bar of its phases."""
    known = [one for one in series.outcomes if one.phases]
    drawing, (axes,) = new_figure(1, len(known) // 5)
    left = [0.0] * len(known)
    for place, phase in enumerate(PHASES):
        widths = [one.phases.get(phase, 0.0) for one in known]
        axes.barh(range(len(known)), widths, left=left, color=SERIES[place], height=0.75, label=phase)
        left = [sum(pair) for pair in zip(left, widths, strict=True)]
    axes.invert_yaxis()
    finish(axes, "", "seconds since the fault bit")
    axes.set_yticks(range(len(known)), [one.name for one in known], fontsize=8)
    axes.grid(visible=False, axis="y")
    return "Where the time of each run went.", drawing
