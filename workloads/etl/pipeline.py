"""The pipeline: pages flow through the four stages one after the other, so memory does not grow with the history."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from workloads.etl import transform
from workloads.etl.validate import Accepted, Rejected, validate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from workloads.etl.extract import Feed
    from workloads.etl.produce import Outlet
    from workloads.etl.summary import Summary


class Outlets(NamedTuple):
    """Where rows end: the price topic and the rejects."""

    prices: Outlet
    rejects: Outlet


def run(feed: Feed, page_size: int, outlets: Outlets, drain: Callable[[], int], summary: Summary) -> None:
    """Take every row of the feed to one of the outlets and tell the summary; returns when all have their outcome.

    Args:
        feed: Where rows come from.
        page_size: Rows a request.
        outlets: Where they go.
        drain: Waits for all deliveries.
        summary: Gets the counts, also when the feed fails half-way.

    Raises:
        FeedError: The feed could not be read to its end; what was read is delivered and counted.
    """
    seen: set[str] = set()
    try:
        for commodity, rows in _pages(feed, page_size, summary):
            _page(commodity, rows, seen, outlets, summary)
    finally:
        with summary.stages["produce"].timing():
            drain()
        summary.produced = outlets.prices.acknowledged
        summary.rejected = outlets.rejects.acknowledged
        summary.errors = outlets.prices.errors + outlets.rejects.errors


def _pages(feed: Feed, page_size: int, summary: Summary) -> Iterator[tuple[str, list[object]]]:
    stage = summary.stages["extract"]
    with stage.timing():
        commodities = feed.commodities()
    for commodity in commodities:
        pages = feed.pages(commodity, page_size)
        while True:
            with stage.timing():
                rows = next(pages, None)
            if rows is None:
                break
            stage.rows += len(rows)
            yield commodity, rows


def _page(commodity: str, rows: list[object], seen: set[str], outlets: Outlets, summary: Summary) -> None:
    summary.extracted[commodity] += len(rows)
    accepted: list[Accepted] = []
    rejected: list[Rejected] = []
    with summary.stages["validate"].timing(len(rows)):
        for row in rows:
            judged = validate(row, seen)
            if isinstance(judged, Accepted):
                accepted.append(judged)
            else:
                rejected.append(judged)
    summary.accepted[commodity] += len(accepted)
    summary.reasons.update(row.reason.value for row in rejected)
    with summary.stages["transform"].timing(len(rows)):
        prices = [transform.price(row) for row in accepted]
        rejects = [transform.reject(row, commodity) for row in rejected]
    with summary.stages["produce"].timing(len(rows)):
        outlets.prices.send(prices)
        outlets.rejects.send(rejects)
