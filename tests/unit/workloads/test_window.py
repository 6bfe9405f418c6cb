"""Windows per commodity, by literal numbers and by comparison with the definition."""

from __future__ import annotations

import math
import statistics
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workloads.analytics.decode import Row
from workloads.analytics.window import WindowRow, Windows

SECOND = 1_000_000
#: So long after everything that every partition is idle.
LATER = 1000.0


def row(second: float, price: float, commodity: str = "gold", partition: int = 0, volume: float | None = None) -> Row:
    """A record with this Kafka timestamp."""
    time = int(second * SECOND)
    return Row(None, None, None, partition, 0, time, "", commodity, "s", 0, price, volume, False, time)


def windows() -> Windows:
    """Windows of 5 seconds, open one second longer."""
    return Windows(5 * SECOND, SECOND)


def test_a_window_by_hand() -> None:
    """Prices 100, 110, 99, 108.9: log returns ln 1.1, ln 0.9, ln 1.1."""
    open_windows = windows()
    open_windows.add([row(10, 100.0, volume=1.0), row(11, 110.0), row(12, 99.0, volume=2.5), row(14.9, 108.9)], now=0.0)
    open_windows.add([row(16, 50.0)], now=0.1)
    (closed,) = open_windows.closed(now=0.1)
    returns = [math.log(1.1), math.log(0.9), math.log(1.1)]
    assert closed._replace(mean=round(closed.mean, 9), volatility=round(closed.volatility, 9)) == WindowRow(
        commodity="gold",
        window_start=10 * SECOND,
        window_end=15 * SECOND,
        kafka_partition=0,
        count=4,
        open=100.0,
        high=110.0,
        low=99.0,
        close=108.9,
        mean=104.475,
        volatility=round(statistics.stdev(returns), 9),
        volume=3.5,
    )


def test_windows_begin_at_multiples_of_their_length_and_exclude_their_end() -> None:
    """A record at the end belongs to the next window."""
    open_windows = windows()
    open_windows.add([row(9.999999, 1.0), row(10, 2.0)], now=0.0)
    found = {one.window_start // SECOND: one.count for one in open_windows.closed(LATER)}
    assert found == {5: 1, 10: 1}


def test_a_window_waits_for_late_records() -> None:
    """It closes when the partition's newest timestamp is past its end by the lateness, not before."""
    open_windows = windows()
    open_windows.add([row(10, 1.0), row(15.9, 2.0)], now=0.0)
    assert open_windows.closed(now=0.0) == []
    open_windows.add([row(14, 3.0), row(16, 4.0)], now=0.0)
    assert [(one.count, one.close) for one in open_windows.closed(now=0.0)] == [(2, 3.0)]


def test_the_windows_of_an_idle_partition_close() -> None:
    """After a window's length and the lateness by this process's clock; a busy partition's stay open."""
    open_windows = windows()
    open_windows.add([row(10, 1.0, partition=0)], now=0.0)
    open_windows.add([row(10, 1.0, partition=1)], now=1.0)
    assert open_windows.closed(now=5.9) == []
    assert [one.kafka_partition for one in open_windows.closed(now=6.1)] == [0]


def test_a_partition_that_is_given_up_is_forgotten() -> None:
    """Only that one."""
    open_windows = windows()
    open_windows.add([row(10, 1.0, partition=0), row(10, 1.0, partition=1)], now=0.0)
    open_windows.give_up({0, 7})
    assert [one.kafka_partition for one in open_windows.closed(LATER)] == [1]


def test_windows_that_are_already_written_are_not_restored() -> None:
    """The state is older than the last windows that were closed from it."""
    before, after = windows(), windows()
    before.add([row(10, 1.0), row(15, 2.0)], now=0.0)
    after.restore(0, before.state(0), written_until=15 * SECOND, now=0.0)
    assert [one.window_start // SECOND for one in after.closed(LATER)] == [15]


def test_windows_of_another_length_are_not_restored() -> None:
    """The setting was changed between two deployments."""
    before, after = Windows(3 * SECOND, SECOND), windows()
    before.add([row(10, 1.0)], now=0.0)
    after.restore(0, before.state(0), written_until=0, now=0.0)
    assert after.closed(LATER) == []


def test_fewer_than_two_returns_have_no_volatility() -> None:
    """One record, then two: 0."""
    for prices in ([100.0], [100.0, 200.0]):
        open_windows = windows()
        open_windows.add([row(10, price) for price in prices], now=0.0)
        assert open_windows.closed(LATER)[0].volatility == 0.0


def test_a_record_without_timestamp_counts_at_its_ingestion() -> None:
    """Old log formats have none."""
    open_windows = windows()
    open_windows.add([row(12, 1.0)._replace(kafka_timestamp=None)], now=0.0)
    assert open_windows.closed(LATER)[0].window_start == 10 * SECOND


prices = st.floats(0.01, 1e6)
ticks = st.lists(
    st.tuples(st.integers(0, 30), prices, st.sampled_from(["gold", "oil"]), st.integers(0, 2), st.floats(0, 10)),
    min_size=1,
    max_size=60,
)


@given(ticks, st.integers(1, 7))
def test_every_record_is_in_exactly_one_window_whatever_the_batches(
    found: list[tuple[int, float, str, int, float]], size: int
) -> None:
    """Counts and volumes add up, highs and lows bound, and the batches' sizes do not matter."""
    open_windows, closed = windows(), []
    rows = [row(second, price, commodity, partition, volume) for second, price, commodity, partition, volume in found]
    for start in range(0, len(rows), size):
        open_windows.add(rows[start : start + size], now=0.0)
        closed += open_windows.closed(now=0.0)
    closed += open_windows.closed(LATER)
    assert sum(one.count for one in closed) == len(rows)
    assert sum(one.volume for one in closed) == pytest.approx(sum(one.volume or 0.0 for one in rows))
    for one in closed:
        assert one.low <= min(one.open, one.close) <= max(one.open, one.close) <= one.high
        assert one.low <= one.mean * (1 + 1e-9)
        assert one.mean <= one.high * (1 + 1e-9)


@given(ticks, st.integers(0, 60))
def test_a_change_of_owner_changes_no_window(found: list[tuple[int, float, str, int, float]], at: int) -> None:
    """Wherever the partitions move, the rows are those of one consumer that saw everything."""
    rows = [row(second, price, commodity, partition, volume) for second, price, commodity, partition, volume in found]
    alone, before, after = windows(), windows(), windows()
    expected = []
    for part in (rows[:at], rows[at:]):
        alone.add(part, now=0.0)
        expected += alone.closed(now=0.0)
    expected += alone.closed(LATER)
    before.add(rows[:at], now=0.0)
    closed = before.closed(now=0.0)
    for partition in range(3):
        after.restore(partition, before.state(partition), written_until=0, now=0.0)
    after.add(rows[at:], now=0.0)
    closed += after.closed(now=0.0) + after.closed(LATER)
    assert sorted(closed) == sorted(expected)


@given(st.lists(prices, min_size=3, max_size=50))
def test_volatility_is_the_sample_deviation_of_log_returns(found: list[float]) -> None:
    """As the statistics module computes it from all returns at once."""
    open_windows = windows()
    open_windows.add([row(10, price) for price in found], now=0.0)
    returns = [math.log(after / before) for before, after in pairwise(found)]
    assert open_windows.closed(LATER)[0].volatility == pytest.approx(statistics.stdev(returns), abs=1e-9)
