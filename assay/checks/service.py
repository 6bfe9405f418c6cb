"""The service that clients had, second by second: acknowledged sends and consumed records of each partition, and lag.

Acknowledgements come from the producers' ledgers. A record counts as consumed once it was durable and its offset
committed: when a sample of the brokers' offsets shows it, or when the consumer's own word of the commit arrived,
whichever is earlier. All of it is on the one clock of the observer.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from assay.checks.columns import filled
from assay.checks.finding import UndecidedError
from assay.checks.tally import Tally
from assay.ledger import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from assay.checks.history import History
    from assay.checks.shards import SendsShard

    Array = np.ndarray[Any, Any]

#: Acknowledgements are told apart by this much.
TICK_NS: Final = 10_000_000
_ACKED: Final = "acked"


@dataclass(frozen=True, eq=False)
class Service:
    """What clients had; times in nanoseconds of the observer's clock, growing.

    Attributes:
        acked: By partition, the times at which sends were acknowledged, to `TICK_NS`; each once.
        consumed: By partition, the times at which the group's committed offset was seen to have grown.
        lag_at: Times of the samples of lag.
        lag: Messages that waited at these times, over all partitions.
        ends_ns: When the load's last acknowledgement was learnt: what comes after proves nothing.
    """

    acked: Mapping[int, Array]
    consumed: Mapping[int, Array]
    lag_at: Array
    lag: Array
    ends_ns: int


def acknowledgements(shard: SendsShard) -> Tally:
    """Acknowledgements by tick since the load began, for each partition of the topic."""
    began, ended = shard.history.time_bounds
    ticks = (ended - began) // TICK_NS + 1
    bins = {f"{_ACKED} {number}": np.zeros(ticks, dtype=np.int64) for number in shard.history.partitions}
    for sends in shard.sends:
        acked = sends.having(Outcome.OK)
        places = np.clip((sends.ended_ns - began) // TICK_NS, 0, ticks - 1)
        for number in shard.history.partitions:
            mine = acked & (sends.acked_partition == number)
            bins[f"{_ACKED} {number}"] += np.bincount(places[mine], minlength=ticks)
    return Tally(Counter(), bins=bins)


def service_of(history: History, tally: Tally) -> Service:
    """The service during a run.

    Args:
        history: The run.
        tally: The sum of its `acknowledgements`.

    Raises:
        UndecidedError: Sends or lag were not recorded, or nothing was acknowledged.
    """
    began, _ = history.time_bounds
    acked = {
        number: began + np.flatnonzero(tally.bins.get(f"{_ACKED} {number}", np.empty(0))) * TICK_NS
        for number in history.partitions
    }
    lasts = [int(times[-1]) for times in acked.values() if len(times)]
    if not lasts:
        raise UndecidedError("no send was acknowledged")
    lag = history.lag
    sampled = {
        number: lag.at_ns[1:][np.diff(lag.end[line] - lag.waiting[line]) > 0]
        for line, number in enumerate(lag.partitions)
    }
    said = _commits(history)
    consumed = {number: np.union1d(sampled.get(number, _NONE), said.get(number, _NONE)) for number in acked}
    return Service(acked, consumed, lag.at_ns, lag.waiting.sum(axis=0), max(lasts))


_NONE: Final[Any] = np.empty(0, dtype=np.int64)


def _commits(history: History) -> dict[int, Array]:
    """By partition, when the consumers' word of commits arrived; empty where nobody listened."""
    try:
        table = history.table("events")
    except UndecidedError:
        return {}
    table = table.filter(np.array([kind == "committed" for kind in table["kind"].to_pylist()], dtype=bool))
    partition, seen = filled(table["partition"]), filled(table["seen_ns"])
    return {number: np.unique(seen[(partition == number) & (seen >= 0)]) for number in np.unique(partition).tolist()}


def gaps(times: Array, first_ns: int, last_ns: int) -> Sequence[tuple[int, int]]:
    """The stretches between neighbouring times that overlap [first, last]; the ends count as times."""
    inside = times[(times > first_ns) & (times < last_ns)]
    before = times[times <= first_ns]
    after = times[times >= last_ns]
    points = np.r_[before[-1:] if len(before) else [first_ns], inside, after[:1] if len(after) else [last_ns]]
    return list(zip(points[:-1].tolist(), points[1:].tolist(), strict=True))


def longest_stretch(times: Array, first_ns: int, last_ns: int) -> tuple[int, int]:
    """The first of the longest of them."""
    return max(gaps(times, first_ns, last_ns), key=_length, default=(first_ns, first_ns))


def longest_gap(times: Array, first_ns: int, last_ns: int) -> float:
    """How long that is, in seconds."""
    return _length(longest_stretch(times, first_ns, last_ns)) / 1e9


def _length(stretch: tuple[int, int]) -> int:
    first, last = stretch
    return last - first
