"""Exact shares of exact totals, on a schedule fixed beforehand."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from assay.pacing import Schedule, Slot, batch_size, share


@given(st.integers(1, 10**9), st.integers(1, 64))
def test_shares_sum_up_to_the_total(total: int, parts: int) -> None:
    """However many senders: together exactly the total, and none has more than one message above another."""
    shares = [share(total, parts, index) for index in range(parts)]
    assert sum(shares) == total
    assert max(shares) - min(shares) <= 1


@given(st.integers(1, 5000), st.integers(1, 700), st.sampled_from([0.0, 0.5, 7000.0, 1e6]))
def test_slots_cover_every_message_once(messages: int, size: int, rate: float) -> None:
    """Batches follow each other without hole or overlap, whatever the rate."""
    covered = [
        number
        for slot in Schedule(messages, rate, size).slots(0)
        for number in range(slot.first, slot.first + slot.count)
    ]
    assert covered == list(range(messages))


def test_a_batch_is_due_when_its_first_message_is() -> None:
    """Counted from the start and never from the batch before: a late batch does not move the next one."""
    second = 1_000_000_000
    assert list(Schedule(250, 100, 100).slots(5 * second)) == [
        Slot(0, 100, 5 * second),
        Slot(100, 100, 6 * second),
        Slot(200, 50, 7 * second),
    ]


def test_rounding_does_not_add_up() -> None:
    """The millionth message of a rate that divides badly is due when it should be."""
    *_, last = Schedule(1_000_001, 7153, 1000).slots(0)
    assert last.due_ns == round(1_000_000 / 7153 * 1e9)


def test_an_unpaced_schedule_has_no_times() -> None:
    """At rate 0 everything goes as fast as it goes."""
    assert [slot.due_ns for slot in Schedule(3, 0, 1).slots(99)] == [None, None, None]


def test_batches_suit_the_rate() -> None:
    """What is due in 10 ms; at least one; and the share of each sender."""
    assert batch_size(10_000) == 100
    assert batch_size(10_000, share_of=4) == 25
    assert batch_size(0.5) == 1
    assert batch_size(0) == 1000
    assert batch_size(10_000_000) == 1000
