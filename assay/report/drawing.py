"""How plots are drawn: as SVG to be inlined, whose text stays text and whose neutral colours are the page's theme."""

from __future__ import annotations

import io
import re
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    Array = np.ndarray[Any, Any]

#: Stand-ins in the SVG for colours of the page's theme.
INK, GRID = "#010203", "#040506"
_THEME: Final = {INK: "currentColor", GRID: "var(--grid)"}
#: Told apart with any colour vision, on white and on near-black (after Okabe and Ito).
BLUE, ORANGE, GREEN, PINK, SKY = "#2f7fc1", "#d9822b", "#1f9d74", "#c05f9b", "#5aa9d6"
SERIES: Final = (BLUE, ORANGE, GREEN, PINK, SKY, "#a68a1f")

_STYLE: Final[dict[Any, Any]] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "assay",
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": GRID,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.facecolor": "none",
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "xtick.color": INK,
    "ytick.color": INK,
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


@contextmanager
def styled() -> Iterator[None]:
    """Draw in the report's style while the block runs."""
    import matplotlib as mpl  # noqa: PLC0415  # half a second that only a report should cost

    with mpl.rc_context(_STYLE):
        yield


def new_figure(rows: int, tall: int = 1) -> tuple[Figure, list[Axes]]:
    """A figure of so many plots, one below the other with one horizontal axis.

    Args:
        rows: How many plots.
        tall: As tall as a figure of so many, where that is more.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415  # half a second that only a report should cost

    figure = Figure(figsize=(7.2, 2.5 + 1.1 * max(rows, tall)), layout="constrained")
    axes = figure.subplots(rows, 1, sharex=True, squeeze=False)[:, 0]
    return figure, list(axes)


def logarithmic(axes: Axes, values: Array) -> None:
    """Make the vertical axis logarithmic, and wide enough for the values."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter  # noqa: PLC0415  # see `new_figure`

    axes.set_yscale("log")
    axes.set_ylim(max(float(values.min()) * 0.7, 0.05), max(float(values.max()) * 1.6, 0.1))
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def finish(axes: Axes, vertical: str, horizontal: str) -> None:
    """Label the axes, and put the legend above, where there is one."""
    from matplotlib.ticker import FuncFormatter  # noqa: PLC0415  # see `new_figure`

    if axes.get_yscale() == "linear":
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.set_ylabel(vertical)
    axes.set_xlabel(horizontal)
    axes.margins(x=0.01)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4, frameon=False, fontsize=9)


def svg(figure: Figure, prefix: str) -> str:
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
