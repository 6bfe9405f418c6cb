"""The report's plots, as SVG to be inlined: text stays text, and neutral colours follow the page's light or dark theme.

Each plot bins the run into a fixed number of intervals, so that a report of 100 million messages is as small as one of
a thousand.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from assay.checks.finding import UndecidedError, counted
from assay.checks.timeline import COARSE, intervals
from assay.report.drawing import (
    BLUE,
    GREEN,
    INK,
    ORANGE,
    PINK,
    SERIES,
    Plot,
    finish,
    logarithmic,
    new_figure,
    styled,
    svg,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from assay.checks import History
    from assay.checks.recovery import Recovery
    from assay.checks.tally import Tally

    Array = np.ndarray[Any, Any]

_OBJECTIVE: Final = "objective_seconds"
#: The percentiles of latency over time: name, quantile, colour.
_BANDS: Final = (("p99", 0.99, PINK), ("p90", 0.9, ORANGE), ("p50", 0.5, BLUE))


def plots(history: History, counts: Tally, recoveries: Sequence[Recovery] = ()) -> list[Plot]:
    """Every plot that the evidence allows; one that it doesn't allow says why in its place.

    Args:
        history: The run.
        counts: Its timeline (`assay.checks.timeline`).
        recoveries: How the service came back from its faults.
    """
    wanted: dict[str, Callable[[], tuple[str, Figure]]] = {}
    if recoveries:
        wanted["Recovery by phase"] = partial(recovery, recoveries)
    wanted |= {title: partial(draw, history, counts) for title, draw in _PLOTS.items()}
    with styled():
        return [_plot(draw, title, f"plot{index}-") for index, (title, draw) in enumerate(wanted.items())]


def throughput(history: History, counts: Tally) -> tuple[str, Figure]:
    """Messages a second: acknowledged, and as intended."""
    scale = intervals(history)
    width = scale.width_ns / 1e9
    acked, intended = (counts.bins[name] / width for name in ("acked", "intended"))
    figure, (axes,) = new_figure(1)
    seconds = scale.edges_seconds
    axes.stairs(intended, seconds, color=ORANGE, linewidth=1.4, label="intended", linestyle=(0, (4, 2)))
    axes.stairs(acked, seconds, color=BLUE, fill=True, alpha=0.25)
    axes.stairs(acked, seconds, color=BLUE, linewidth=1.6, label="acknowledged")
    objective = history.manifest.objectives.throughput_per_second
    axes.axhline(objective, color=INK, linewidth=0.9, linestyle=":", label=f"objective {objective:,.0f}/s")
    _shade(axes, history, history.began_ns)
    finish(axes, "messages/s", "seconds since the load began")
    axes.set_ylim(bottom=0)
    words = (
        f"{int(counts.bins['acked'].sum()):,} messages acknowledged in {width * scale.count:.1f} s; the busiest "
        f"{width:g} s reached {acked.max():,.0f} messages/s."
    )
    return words, figure


def latency_over_time(history: History, counts: Tally) -> tuple[str, Figure]:
    """Percentiles of latency by the time at which messages should have been sent."""
    scale = intervals(history)
    table = counts.bins["latency"].reshape(scale.count, COARSE.count)
    filled = table.sum(axis=1) > 0
    if not filled.any():
        raise UndecidedError("no send was acknowledged")
    figure, (axes,) = new_figure(1)
    middle = (scale.edges_seconds[:-1] + scale.edges_seconds[1:]) / 2
    lines = np.full((len(_BANDS), scale.count), np.nan)
    for column in np.flatnonzero(filled).tolist():
        lines[:, column] = COARSE.quantiles(table[column], [quantile for _, quantile, _ in _BANDS]) / 1e6
    for (name, _, colour), line in zip(_BANDS, lines, strict=True):
        axes.plot(middle, line, color=colour, linewidth=1.6, label=name)
    logarithmic(axes, lines[np.isfinite(lines)])
    _shade(axes, history, history.began_ns)
    finish(axes, "milliseconds", "seconds since the load began, by intended time of sending")
    return f"Percentiles of each {scale.width_ns / 1e9:g} s, within 3 %.", figure


def latency_curve(history: History, counts: Tally) -> tuple[str, Figure]:
    """The whole distribution, its tail stretched: each step to the right is ten times rarer."""
    scale = intervals(history)
    whole = counts.bins["latency"].reshape(scale.count, COARSE.count).sum(axis=0)
    total = int(whole.sum())
    if not total:
        raise UndecidedError("no send was acknowledged")
    nines = np.linspace(0, max(np.log10(total), 1), 160)
    line = COARSE.quantiles(whole, 1 - 10.0**-nines) / 1e6
    figure, (axes,) = new_figure(1)
    axes.plot(nines, line, color=BLUE, linewidth=1.8)
    axes.fill_between(nines, line, color=BLUE, alpha=0.15)
    marks = [(0, "0 %"), (0.30103, "50 %"), (1, "90 %"), (2, "99 %"), (3, "99.9 %"), (4, "99.99 %"), (5, "99.999 %")]
    marks = [(place, name) for place, name in marks if place <= nines[-1]]
    axes.set_xticks([place for place, _ in marks], [name for _, name in marks])
    objective = history.manifest.objectives.latency_p99_ms
    if objective is not None:
        axes.plot(
            [2], [objective], marker="v", color=PINK, linestyle="none", label=f"objective p99 {objective:,.0f} ms"
        )
    logarithmic(axes, line)
    finish(axes, "milliseconds", "share of messages that were faster")
    p50, p99, p999 = COARSE.quantiles(whole, [0.5, 0.99, 0.999]) / 1e6
    return f"p50 {p50:,.1f} ms, p99 {p99:,.1f} ms, p99.9 {p999:,.1f} ms, from the intended time of sending.", figure


def lag(history: History, _: Tally) -> tuple[str, Figure]:
    """End and committed offsets of each partition, and what waits between them."""
    samples = history.lag
    began = int(samples.at_ns[0])
    seconds = _seconds(samples.at_ns, began)
    figure, (top, bottom) = new_figure(2)
    for line, number in enumerate(samples.partitions):
        colour = SERIES[line % len(SERIES)]
        base = samples.end[line, 0]
        top.plot(seconds, samples.end[line] - base, color=colour, linewidth=1.2, linestyle=(0, (4, 2)))
        top.plot(seconds, samples.end[line] - samples.waiting[line] - base, color=colour, linewidth=1.6)
        bottom.plot(seconds, samples.waiting[line], color=colour, linewidth=1.6, label=f"partition {number}")
    top.plot([], [], color=INK, linewidth=1.2, linestyle=(0, (4, 2)), label="end of the log")
    top.plot([], [], color=INK, linewidth=1.6, label="committed")
    for axes in (top, bottom):
        _shade(axes, history, began)
    finish(top, "offset, from the first", "")
    finish(bottom, "messages waiting", "seconds since the first sample")
    bottom.set_ylim(0, max(1.0, float(samples.waiting.max()) * 1.08))
    total = samples.waiting.sum(axis=0)
    at = int(total.argmax())
    words = (
        f"At most {int(total[at]):,} messages waited, {seconds[at]:.1f} s after the first sample; "
        f"{int(total[-1]):,} at the last."
    )
    return words, figure


def partitions(history: History, counts: Tally) -> tuple[str, Figure]:
    """How many messages each partition had at each station: attempted, acknowledged, in the log, in the sink."""
    numbers = sorted(history.partitions)
    stations = ("attempted", "acknowledged", "in the log", "in the sink")
    figure, (axes,) = new_figure(1)
    width = 0.8 / len(stations)
    words = []
    for place, name in enumerate(stations):
        times = np.array([counts.counts[f"{name} {number}"] for number in numbers])
        axes.bar(np.arange(len(numbers)) + (place - 1.5) * width, times, width * 0.92, color=SERIES[place], label=name)
        words.append(f"{int(times.sum()):,} {name}")
    axes.set_xticks(range(len(numbers)), [f"partition {number}" for number in numbers])
    finish(axes, "messages", "")
    axes.grid(visible=False, axis="x")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4, frameon=False, fontsize=9)
    return f"{counted(len(numbers), 'partition')}: {', '.join(words)}.", figure


_PLOTS: Final[dict[str, Callable[[History, Tally], tuple[str, Figure]]]] = {
    "Throughput": throughput,
    "Latency over time": latency_over_time,
    "Latency, whole distribution": latency_curve,
    "Consumer lag": lag,
    "Messages by partition": partitions,
}


def recovery(recoveries: Sequence[Recovery]) -> tuple[str, Figure]:
    """Each fault's recovery as a waterfall: its phases from the bite on, one after another, and the objective."""
    shown = [one for one in recoveries if one.outage is not None]
    if not shown:
        raise UndecidedError("no recovery could be measured")
    rows = [(one, phase) for one in shown for phase in one.phases]
    figure, (axes,) = new_figure(1, len(rows) // 4)
    began = {id(one): one.phases[0].first_ns for one in shown}
    names = []
    for place, (one, phase) in enumerate(rows):
        colour = SERIES[place % len(one.phases)]
        left = (phase.first_ns - began[id(one)]) / 1e9
        axes.barh(place, phase.seconds, left=left, color=colour, height=0.7)
        axes.annotate(
            f"{phase.seconds:.2f} s", (left + phase.seconds, place), (4, 0), textcoords="offset points", va="center"
        )
        names.append(phase.name if len(shown) == 1 else f"{one.fault.name}: {phase.name}")
    for objective in sorted({one.measured[_OBJECTIVE] for one in shown if _OBJECTIVE in one.measured}):
        axes.axvline(objective, color=INK, linewidth=0.9, linestyle=":", label=f"objective {objective:g} s")
    axes.invert_yaxis()
    finish(axes, "", "seconds since the fault bit")
    axes.set_yticks(range(len(rows)), names)
    axes.set_xlim(left=0, right=1.12 * max(axes.get_xlim()[1], 0.1))
    axes.grid(visible=False, axis="y")
    return " ".join(one.summary for one in shown), figure


def _plot(draw: Callable[[], tuple[str, Figure]], title: str, prefix: str) -> Plot:
    try:
        words, figure = draw()
    except UndecidedError as reason:
        return Plot(title, f"Not drawn: {reason}.", "")
    except Exception as error:  # noqa: BLE001  # a plot that can't be drawn must not cost the reader the verdict
        return Plot(title, f"Not drawn ({type(error).__name__}: {error}).", "")
    return Plot(title, words, svg(figure, prefix))


def _shade(axes: Axes, history: History, began_ns: int) -> None:
    """Shade the time of each fault, from its bite until it was seen healed, and mark when healing was asked for."""
    for fault in history.faults:
        if fault.bites_ns is None:
            continue
        first = (fault.bites_ns - began_ns) / 1e9
        last = (fault.healed_ns - began_ns) / 1e9 if fault.healed_ns is not None else axes.get_xlim()[1]
        axes.axvspan(first, last, color=PINK, alpha=0.13, linewidth=0, label=fault.name)
        axes.axvline(first, color=PINK, linewidth=1)
        if fault.heal_asked_ns is not None:
            axes.axvline((fault.heal_asked_ns - began_ns) / 1e9, color=GREEN, linewidth=1, linestyle=(0, (2, 2)))


def _seconds(times_ns: Array, began: int) -> Array:
    seconds: Array = (times_ns - began) / 1e9
    return seconds
