"""The pages' templates: HTML in which everything is escaped, and figures are written as people read them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment


def figure(value: float | str) -> str:
    """A number as people read it: thousands parted, no more digits than it deserves."""
    if isinstance(value, str):
        return value
    if isinstance(value, int) or value == int(value) or abs(value) >= 1000:  # noqa: PLR2004  # from here on digits after the point say nothing
        return f"{value:,.0f}"
    return f"{value:,.1f}" if abs(value) >= 10 else f"{value:.3g}"  # noqa: PLR2004  # as above


def templates() -> Environment:
    """The templates of this package, by their paths below it; what is not given to one is an error."""
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415  # only a report should cost it

    environment = Environment(
        loader=PackageLoader("assay", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["figure"] = figure
    return environment
