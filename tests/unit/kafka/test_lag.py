"""What a group is still short of, by broker offsets."""

from __future__ import annotations

from assay.kafka.lag import remaining


def test_a_group_that_committed_the_ends_is_short_of_nothing() -> None:
    """Committed offsets name the next record, as end offsets do; being beyond is being there."""
    assert remaining({0: 10, 1: 0, 2: 7}, {0: 10, 1: None, 2: 9}) == {}


def test_each_partition_counts_by_itself() -> None:
    """One healthy partition does not stand for three."""
    assert remaining({0: 10, 1: 20, 2: 7}, {0: 10, 1: 15, 2: 6}) == {1: 5, 2: 1}


def test_a_group_that_never_committed_has_all_of_the_log_before_it() -> None:
    """From the first offset that exists: with nothing in the log it is short of nothing."""
    assert remaining({0: 10, 1: 30}, {0: None, 1: None}, starts={0: 4, 1: 30}) == {0: 6}
    assert remaining({0: 10}, {0: None}) == {0: 10}


def test_a_partition_that_the_group_does_not_know_is_not_forgotten() -> None:
    """What is missing from the answer counts as never committed."""
    assert remaining({0: 3}, {}) == {0: 3}
