"""How the load went over time, counted in pieces like a check: what the report's plots show. It judges nothing."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from assay.checks.finding import UndecidedError
from assay.checks.histogram import Buckets
from assay.checks.objectives import began, latencies_ns
from assay.checks.records import Origin
from assay.checks.tally import Tally
from assay.ledger import Outcome

if TYPE_CHECKING:
    from assay.checks.history import Array, History
    from assay.checks.shards import LogShard, SendsShard

#: At most so many intervals in a plot over time; each is a round number of milliseconds where that goes.
_INTERVALS: Final = 120
_ROUND_MS: Final = (10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 30_000, 60_000, 300_000, 600_000, 3_600_000)
#: Latencies of one interval are counted in buckets no wider than 1/32 of their values.
COARSE: Final = Buckets(32)


@dataclass(frozen=True, eq=False)
class Intervals:
    """Equal intervals of time from the load's beginning to its last end.

    Attributes:
        began_ns: Where the first one starts.
        width_ns: How long each is.
        count: How many there are.
    """

    began_ns: int
    width_ns: int
    count: int

    def place(self, times_ns: Array) -> Array:
        """The interval of each time; the first or the last one for times beyond them."""
        places: Array = np.clip((times_ns - self.began_ns) // self.width_ns, 0, self.count - 1)
        return places

    @property
    def edges_seconds(self) -> Array:
        """Where intervals start and end, in seconds after the beginning."""
        return np.arange(self.count + 1) * (self.width_ns / 1e9)


def intervals(history: History) -> Intervals:
    """The intervals of a run.

    Raises:
        UndecidedError: Nothing was sent.
    """
    first, last = history.time_bounds
    span_ms = max((last - first) / 1e6, 1)
    width = next((width for width in _ROUND_MS if span_ms / width <= _INTERVALS), span_ms / _INTERVALS)
    return Intervals(first, int(width * 1e6), int(np.ceil(span_ms / width)))


class Timeline:
    """Counts by interval and by partition; bins are `acked`, `intended` and `latency` (`COARSE` ones an interval)."""

    name: Final = "timeline"

    def of_sends(self, shard: SendsShard) -> Tally:
        """Sends by the time of their end and of their beginning, latencies by the latter."""
        scale = intervals(shard.history)
        acked, intended = (np.zeros(scale.count, dtype=np.int64) for _ in range(2))
        latency = np.zeros(scale.count * COARSE.count, dtype=np.int64)
        counts = Counter[str]()
        for sends in shard.sends:
            ok = sends.having(Outcome.OK)
            acked += np.bincount(scale.place(sends.ended_ns[ok]), minlength=scale.count)
            intended += np.bincount(scale.place(sends.intended_ns[sends.attempted]), minlength=scale.count)
            if ok.any():
                rows = scale.place(began(sends)[ok]) * COARSE.count + COARSE.place(np.maximum(latencies_ns(sends), 0))
                latency += np.bincount(rows, minlength=len(latency))
            _by_partition(counts, "attempted", sends.partition[sends.attempted])
            _by_partition(counts, "acknowledged", sends.acked_partition[ok])
        return Tally(counts, bins={"acked": acked, "intended": intended, "latency": latency})

    def of_log(self, shard: LogShard) -> Tally:
        """This run's records and rows, by partition."""
        counts = Counter[str]()
        for name, kind in (("in the log", "log"), ("in the sink", "sink")):
            try:
                records = shard.log if kind == "log" else shard.sink
            except UndecidedError:
                continue
            _by_partition(counts, name, records.partition[records.origin == Origin.OWN])
        return Tally(counts)


def _by_partition(counts: Counter[str], name: str, partition: Array) -> None:
    numbers, times = np.unique(partition, return_counts=True)
    for number, count in zip(numbers.tolist(), times.tolist(), strict=True):
        counts[f"{name} {number}"] += count
