"""The service that clients had, second by second: acknowledged sends and consumed records of each partition, and lag.

Acknowledgements come from the producers' ledgers. A record counts as consumed when the brokers were seen to have the
group's commit of it, which is after it was durable: by the samples of one observer, on the clock of the producers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from assay.checks.finding import UndecidedError
from assay.ledger import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from assay.checks.history import History

    Array = np.ndarray[Any, Any]

#: Acknowledgements are told apart by this much.
TICK_NS: Final = 10_000_000
_COLUMNS: Final = ("outcome", "partition", "ended_ns")


@dataclass(frozen=True, eq=False)
class Service:
    """What clients had; times in nanoseconds of the observer's clock, growing.

    Attributes:
        acked: By partition, the times at which sends were acknowledged, to `TICK_NS`; each once.
        consumed: By partition, the times at which the group's committed offset was seen to have grown.
        lag_at: Times of the samples of lag.
        lag: Messages that waited at these times, over all partitions.
        ends_ns: When the load's last end was learnt: what comes after proves nothing.
    """

    acked: Mapping[int, Array]
    consumed: Mapping[int, Array]
    lag_at: Array
    lag: Array
    ends_ns: int


def service_of(history: History) -> Service:
    """The service during a run.

    Raises:
        UndecidedError: Sends or lag were not recorded, or nothing was acknowledged.
    """
    began, ended = history.time_bounds
    ticks = (ended - began) // TICK_NS + 1
    counts = {number: np.zeros(ticks, dtype=np.int64) for number in history.partitions}
    for sender in history.senders:
        if sender.outcomes is None:
            continue
        for index in range(sender.outcomes.chunks):
            table = sender.outcomes.chunk(index, _COLUMNS)
            acked = table["outcome"].to_numpy() == Outcome.OK
            partition = table["partition"].to_numpy()[acked]
            place = (table["ended_ns"].to_numpy()[acked] - began) // TICK_NS
            for number in counts:
                counts[number] += np.bincount(place[partition == number].clip(0, ticks - 1), minlength=ticks)
    times = {number: began + np.flatnonzero(bins) * TICK_NS for number, bins in counts.items()}
    lasts = [int(one[-1]) for one in times.values() if len(one)]
    if not lasts:
        raise UndecidedError("no send was acknowledged")
    lag = history.lag
    consumed = {
        number: lag.at_ns[1:][np.diff(lag.end[line] - lag.waiting[line]) > 0]
        for line, number in enumerate(lag.partitions)
    }
    return Service(times, consumed, lag.at_ns, lag.waiting.sum(axis=0), max(lasts))


def gaps(times: Array, first_ns: int, last_ns: int) -> Sequence[tuple[int, int]]:
    """The stretches between neighbouring times that overlap [first, last]; the ends count as times."""
    inside = times[(times > first_ns) & (times < last_ns)]
    before = times[times <= first_ns]
    after = times[times >= last_ns]
    points = np.r_[before[-1:] if len(before) else [first_ns], inside, after[:1] if len(after) else [last_ns]]
    return list(zip(points[:-1].tolist(), points[1:].tolist(), strict=True))


def longest_gap(times: Array, first_ns: int, last_ns: int) -> float:
    """The longest such stretch, in seconds."""
    return max((end - start for start, end in gaps(times, first_ns, last_ns)), default=0) / 1e9
