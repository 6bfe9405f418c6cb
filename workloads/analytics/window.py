"""Tumbling windows per commodity: count, open, high, low, close, mean, volatility and volume.

Time is Kafka's record timestamp, so a replay of the log gives the same windows (processing time would not), and the
history that the ETL sends on one day falls into that day's windows rather than one a year.

A window [start, start + length) of a partition closes when the partition's newest timestamp is past its end by the
allowed lateness, or when nothing has come for a window's length and the lateness. It becomes one row. A record that
comes later still makes another row for the same window, and a reader adds them up (counts and volumes add, the highest
high, the lowest low).

Open windows outlive their consumer: their state goes into the sink with the rows that made it (`state`), and whoever
gets the partition next continues from there (`restore`).

Volatility is the sample standard deviation of the natural log returns between consecutive records of the window, in
the order of their offsets; 0 where there are fewer than two returns. Records without volume add none.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterable

    from workloads.analytics.decode import Row


_STATE: Final = ("close", "count", "high", "low", "open", "return_mean", "return_squares", "total", "volume")


class WindowRow(NamedTuple):
    """A row of `commodity.windows`, field for field; times in microseconds since 1970, UTC."""

    commodity: str
    window_start: int
    window_end: int
    kafka_partition: int
    count: int  # type: ignore[assignment]  # the column's name; a tuple's own `count` is of no use here
    open: float
    high: float
    low: float
    close: float
    mean: float
    volatility: float
    volume: float


class _Window:
    """A window in the making: sums that are updated record by record (Welford's for the variance of returns)."""

    __slots__ = _STATE

    def __init__(self, price: float) -> None:
        self.count = 0
        self.open = self.high = self.low = self.close = price
        self.total = self.volume = self.return_mean = self.return_squares = 0.0

    def add(self, price: float, volume: float) -> None:
        if self.count:
            change = math.log(price / self.close)
            distance = change - self.return_mean
            self.return_mean += distance / self.count
            self.return_squares += distance * (change - self.return_mean)
            if price > self.high:
                self.high = price
            elif price < self.low:
                self.low = price
            self.close = price
        self.count += 1
        self.total += price
        self.volume += volume

    def volatility(self) -> float:
        returns = self.count - 1
        return math.sqrt(self.return_squares / (returns - 1)) if returns > 1 else 0.0


class Windows:
    """All open windows of one consumer."""

    def __init__(self, length_us: int, lateness_us: int) -> None:
        """No window is open.

        Args:
            length_us: Length of a window in microseconds.
            lateness_us: How long after its end a window stays open, in microseconds.
        """
        self._length = length_us
        self._lateness = lateness_us
        self._open: dict[tuple[int, int, str], _Window] = {}
        self._newest: dict[int, int] = {}
        self._seen: dict[int, float] = {}

    def add(self, rows: Iterable[Row], now: float) -> None:
        """Count rows, each in its window; `now` in seconds of a monotonic clock."""
        for row in rows:
            time = row.kafka_timestamp if row.kafka_timestamp is not None else row.ingested_at
            key = (row.kafka_partition, time - time % self._length, row.commodity)
            window = self._open.get(key)
            if window is None:
                window = self._open[key] = _Window(row.price)
            window.add(row.price, row.volume or 0.0)
            if time > self._newest.get(row.kafka_partition, -1):
                self._newest[row.kafka_partition] = time
            self._seen[row.kafka_partition] = now

    def closed(self, now: float) -> list[WindowRow]:
        """The windows that are over, which are then no longer open; `now` as for `add`."""
        limit = (self._length + self._lateness) / 1e6
        idle = {partition for partition, seen in self._seen.items() if now - seen > limit}
        return self._take(
            key
            for key in self._open
            if key[0] in idle or self._newest[key[0]] >= key[1] + self._length + self._lateness
        )

    def state(self, partition: int) -> str:
        """All that is known of a partition's open windows, as text; `restore` takes it."""
        found = [
            [start, commodity, [getattr(window, name) for name in _STATE]]
            for (number, start, commodity), window in self._open.items()
            if number == partition
        ]
        return orjson.dumps([self._length, self._newest.get(partition, -1), found]).decode()

    def restore(self, partition: int, state: str, written_until: int, now: float) -> None:
        """Continue a partition from another consumer's state.

        Args:
            partition: Its number; nothing is known of it yet.
            state: What `state` gave. Windows of another length (the setting was changed) are left out.
            written_until: Windows that end here or before, in microseconds, are already written.
            now: As for `add`.
        """
        length, newest, found = orjson.loads(state)
        if length != self._length:
            return
        self._newest[partition] = newest
        self._seen[partition] = now
        for start, commodity, values in found:
            if start + length > written_until:
                window = self._open[partition, start, commodity] = _Window(0.0)
                for name, value in zip(_STATE, values, strict=True):
                    setattr(window, name, value)

    def give_up(self, partitions: set[int]) -> None:
        """Forget these partitions."""
        self._open = {key: window for key, window in self._open.items() if key[0] not in partitions}
        for partition in partitions:
            self._newest.pop(partition, None)
            self._seen.pop(partition, None)

    def _take(self, keys: Iterable[tuple[int, int, str]]) -> list[WindowRow]:
        rows = []
        for key in sorted(keys):
            window = self._open.pop(key)
            partition, start, commodity = key
            rows.append(
                WindowRow(
                    commodity,
                    start,
                    start + self._length,
                    partition,
                    window.count,
                    window.open,
                    window.high,
                    window.low,
                    window.close,
                    window.total / window.count,
                    window.volatility(),
                    window.volume,
                )
            )
        return rows
