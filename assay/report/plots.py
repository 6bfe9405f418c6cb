"""The report's plots, as SVG to be inlined: text stays text, and neutral colours follow the page's light or dark theme.

Each plot bins the run into a fixed number of intervals, so that a report of 100 million messages is as small as one of
a thousand.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from assay.checks.finding import UndecidedError, counted
from assay.checks.objectives import latencies_ms, load_window
from assay.checks.records import Origin
from assay.ledger import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from assay.checks import History

    Array = np.ndarray[Any, Any]

#: At most so many intervals in a plot over time; each is a round number of milliseconds.
_INTERVALS: Final = 120
_ROUND_MS: Final = (10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 30_000, 60_000, 300_000, 600_000, 3_600_000)
#: Stand-ins in the SVG for colours of the page's theme.
_INK, _GRID = "#010203", "#040506"
_THEME: Final = {_INK: "currentColor", _GRID: "var(--grid)"}
#: Told apart with any colour vision, on white and on near-black (after Okabe and Ito).
BLUE, ORANGE, GREEN, PINK, SKY = "#2f7fc1", "#d9822b", "#1f9d74", "#c05f9b", "#5aa9d6"
_SERIES: Final = (BLUE, ORANGE, GREEN, PINK, SKY, "#a68a1f")

_STYLE: Final[dict[Any, Any]] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "assay",
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _GRID,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.facecolor": "none",
    "grid.color": _GRID,
    "grid.linewidth": 0.7,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "ytick.minor.size": 0,
    "path.simplify": True,
}


@dataclass(frozen=True)
class Plot:
    """A plot: its title, what it shows in words (also for who can't see it), and its SVG; or why there is none."""

    title: str
    words: str
    svg: str


def plots(history: History) -> list[Plot]:
    """Every plot that the evidence allows; one that it doesn't allow says why in its place."""
    import matplotlib as mpl  # noqa: PLC0415  # half a second that only a report should cost

    with mpl.rc_context(_STYLE):
        return [_plot(history, title, f"plot{index}-") for index, title in enumerate(_PLOTS)]


def throughput(history: History) -> tuple[str, Figure]:
    """Messages a second: acknowledged, and as intended."""
    began, ended = load_window(history)
    edges, width = _edges(began, ended)
    acked = _histogram(edges, [sends.ended_ns[sends.having(Outcome.OK)] for sends in history.sends]) / width
    intended = _histogram(edges, [sends.intended_ns[sends.attempted] for sends in history.sends]) / width
    figure, (axes,) = _figure(1)
    seconds = _seconds(edges, began)
    axes.stairs(intended, seconds, color=ORANGE, linewidth=1.4, label="intended", linestyle=(0, (4, 2)))
    axes.stairs(acked, seconds, color=BLUE, fill=True, alpha=0.25)
    axes.stairs(acked, seconds, color=BLUE, linewidth=1.6, label="acknowledged")
    objective = history.manifest.objectives.throughput_per_second
    axes.axhline(objective, color=_INK, linewidth=0.9, linestyle=":", label=f"objective {objective:,.0f}/s")
    _finish(axes, "messages/s", "seconds since the load began")
    axes.set_ylim(bottom=0)
    total = acked.sum() * width
    words = (
        f"{total:,.0f} messages acknowledged in {(ended - began) / 1e9:.1f} s; the busiest {width:g} s reached "
        f"{acked.max():,.0f} messages/s."
    )
    return words, figure


def latency_over_time(history: History) -> tuple[str, Figure]:
    """Percentiles of latency by the time at which messages should have been sent."""
    began, ended = load_window(history)
    edges, width = _edges(began, ended)
    values = latencies_ms(history)
    times = np.concatenate([sends.intended_ns[sends.having(Outcome.OK)] for sends in history.sends])
    order = np.argsort(times, kind="stable")
    values, bounds = values[order], np.searchsorted(times[order], edges)
    figure, (axes,) = _figure(1)
    middle = (_seconds(edges[:-1], began) + _seconds(edges[1:], began)) / 2
    for name, quantile, colour in (("p99", 0.99, PINK), ("p90", 0.9, ORANGE), ("p50", 0.5, BLUE)):
        line = [
            np.quantile(values[first:last], quantile) if last > first else np.nan
            for first, last in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)
        ]
        axes.plot(middle, line, color=colour, linewidth=1.6, label=name)
    _log(axes, values)
    _finish(axes, "milliseconds", "seconds since the load began, by intended time of sending")
    return f"Percentiles of each {width:g} s. The slowest message took {values.max():,.0f} ms.", figure


def latency_curve(history: History) -> tuple[str, Figure]:
    """The whole distribution, its tail stretched: each step to the right is ten times rarer."""
    values = latencies_ms(history)
    if not len(values):
        raise UndecidedError("no send was acknowledged")
    nines = np.linspace(0, max(np.log10(len(values)), 1), 160)
    quantiles = 1 - 10.0**-nines
    line = np.quantile(values, quantiles)
    figure, (axes,) = _figure(1)
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
    _log(axes, values)
    _finish(axes, "milliseconds", "share of messages that were faster")
    p50, p99, p999 = np.quantile(values, [0.5, 0.99, 0.999])
    return f"p50 {p50:,.1f} ms, p99 {p99:,.1f} ms, p99.9 {p999:,.1f} ms, from the intended time of sending.", figure


def lag(history: History) -> tuple[str, Figure]:
    """End and committed offsets of each partition, and what waits between them."""
    samples = history.lag
    began = int(samples.at_ns[0])
    seconds = _seconds(samples.at_ns, began)
    figure, (top, bottom) = _figure(2)
    for line, number in enumerate(samples.partitions):
        colour = _SERIES[line % len(_SERIES)]
        base = samples.end[line, 0]
        top.plot(seconds, samples.end[line] - base, color=colour, linewidth=1.2, linestyle=(0, (4, 2)))
        top.plot(seconds, samples.end[line] - samples.waiting[line] - base, color=colour, linewidth=1.6)
        bottom.plot(seconds, samples.waiting[line], color=colour, linewidth=1.6, label=f"partition {number}")
    top.plot([], [], color=_INK, linewidth=1.2, linestyle=(0, (4, 2)), label="end of the log")
    top.plot([], [], color=_INK, linewidth=1.6, label="committed")
    _finish(top, "offset, from the first", "")
    _finish(bottom, "messages waiting", "seconds since the first sample")
    bottom.set_ylim(0, max(1.0, float(samples.waiting.max()) * 1.08))
    total = samples.waiting.sum(axis=0)
    at = int(total.argmax())
    words = (
        f"At most {int(total[at]):,} messages waited, {seconds[at]:.1f} s after the first sample; "
        f"{int(total[-1]):,} at the last."
    )
    return words, figure


def partitions(history: History) -> tuple[str, Figure]:
    """How many messages each partition had at each station: attempted, acknowledged, in the log, in the sink."""
    numbers = sorted(history.partitions)
    log, sink = history.log, history.sink
    stations = {
        "attempted": [sends.partition[sends.attempted] for sends in history.sends],
        "acknowledged": [sends.acked_partition[sends.having(Outcome.OK)] for sends in history.sends],
        "in the log": [log.partition[log.origin == Origin.OWN]],
        "in the sink": [sink.partition[sink.origin == Origin.OWN]],
    }
    figure, (axes,) = _figure(1)
    width = 0.8 / len(stations)
    words = []
    for place, (name, parts) in enumerate(stations.items()):
        counts = np.array([sum(int(np.count_nonzero(part == number)) for part in parts) for number in numbers])
        axes.bar(
            np.arange(len(numbers)) + (place - 1.5) * width, counts, width * 0.92, color=_SERIES[place], label=name
        )
        words.append(f"{int(counts.sum()):,} {name}")
    axes.set_xticks(range(len(numbers)), [f"partition {number}" for number in numbers])
    _finish(axes, "messages", "")
    axes.grid(visible=False, axis="x")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4, frameon=False, fontsize=9)
    return f"{counted(len(numbers), 'partition')}: {', '.join(words)}.", figure


_PLOTS: Final[dict[str, Callable[[History], tuple[str, Figure]]]] = {
    "Throughput": throughput,
    "Latency over time": latency_over_time,
    "Latency, whole distribution": latency_curve,
    "Consumer lag": lag,
    "Messages by partition": partitions,
}


def _plot(history: History, title: str, prefix: str) -> Plot:
    try:
        words, figure = _PLOTS[title](history)
    except UndecidedError as reason:
        return Plot(title, f"Not drawn: {reason}.", "")
    except Exception as error:  # noqa: BLE001  # a plot that can't be drawn must not cost the reader the verdict
        return Plot(title, f"Not drawn ({type(error).__name__}: {error}).", "")
    return Plot(title, words, _svg(figure, prefix))


def _edges(began: int, ended: int) -> tuple[Array, float]:
    """Edges of the intervals, in nanoseconds, and their width in seconds."""
    span_ms = max((ended - began) / 1e6, 1)
    width = next((width for width in _ROUND_MS if span_ms / width <= _INTERVALS), span_ms / _INTERVALS)
    count = int(np.ceil(span_ms / width))
    return began + (np.arange(count + 1) * width * 1e6).astype(np.int64), width / 1e3


def _histogram(edges: Array, parts: list[Array]) -> Array:
    width = edges[1] - edges[0]
    total = np.zeros(len(edges) - 1)
    for part in parts:
        place = (part - edges[0]) // width
        inside = (place >= 0) & (place < len(total))
        total += np.bincount(place[inside], minlength=len(total))
    return total


def _seconds(times_ns: Array, began: int) -> Array:
    seconds: Array = (times_ns - began) / 1e9
    return seconds


def _figure(rows: int) -> tuple[Figure, list[Axes]]:
    from matplotlib.figure import Figure  # noqa: PLC0415  # half a second that only a report should cost

    figure = Figure(figsize=(7.2, 2.5 + 1.1 * rows), layout="constrained")
    axes = figure.subplots(rows, 1, sharex=True, squeeze=False)[:, 0]
    return figure, list(axes)


def _log(axes: Axes, values: Array) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter  # noqa: PLC0415  # see `_figure`

    axes.set_yscale("log")
    axes.set_ylim(max(float(values.min()) * 0.7, 0.05), max(float(values.max()) * 1.6, 0.1))
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _finish(axes: Axes, vertical: str, horizontal: str) -> None:
    from matplotlib.ticker import FuncFormatter  # noqa: PLC0415  # see `_figure`

    if axes.get_yscale() == "linear":
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.set_ylabel(vertical)
    axes.set_xlabel(horizontal)
    axes.margins(x=0.01)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4, frameon=False, fontsize=9)


def _svg(figure: Figure, prefix: str) -> str:
    """The figure as an SVG element whose ids are its own and whose neutral colours are the page's."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r'\bid="', f'id="{prefix}', text)
    text = re.sub(r'(href="#|url\(#)', rf"\g<1>{prefix}", text)
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'width="[\d.]+pt" height="[\d.]+pt"', 'aria-hidden="true"', text, count=1)
    for stand_in, colour in _THEME.items():
        text = text.replace(stand_in, colour)
    return text.strip()
