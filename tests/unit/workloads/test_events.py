"""Runs of offsets, and the lines of the journal."""

from __future__ import annotations

import json
import logging
from io import StringIO
from typing import TYPE_CHECKING

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from workloads import log
from workloads.analytics.events import Event, Range, Runs
from workloads.analytics.journal import Journal, name_instance

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def _json_lines() -> Iterator[None]:
    """Logs as the program writes them, and as they were afterwards."""
    handlers, level = logging.getLogger().handlers[:], logging.getLogger().level
    yield
    structlog.reset_defaults()
    logging.basicConfig(handlers=handlers, level=level, force=True)


class Stream(StringIO):
    """Remembers each write."""

    def __init__(self) -> None:
        """Nothing was written."""
        super().__init__()
        self.written: list[str] = []

    def write(self, text: str) -> int:
        """Keep it apart."""
        self.written.append(text)
        return super().write(text)


def runs_of(*messages: tuple[int, int]) -> list[tuple[int | None, ...]]:
    """The runs of messages, each a partition and an offset."""
    runs = Runs()
    for partition, offset in messages:
        runs.add(partition, offset)
    return [tuple(one) for one in runs.take()]


def test_what_is_contiguous_is_one_run() -> None:
    """Of each partition, however they are mixed; in the order in which they began."""
    assert runs_of((1, 7), (0, 0), (1, 8), (0, 1), (0, 2)) == [(1, 7, 9, 2), (0, 0, 3, 3)]


@pytest.mark.parametrize(
    ("offsets", "found"),
    [
        ((0, 1, 4, 5), [(0, 0, 2, 2), (0, 4, 6, 2)]),
        ((3, 4, 3, 4), [(0, 3, 5, 2), (0, 3, 5, 2)]),
        ((3, 3), [(0, 3, 4, 1), (0, 3, 4, 1)]),
        ((9, 0), [(0, 9, 10, 1), (0, 0, 1, 1)]),
    ],
    ids=["a hole", "a step back", "the same again", "a step back to the start"],
)
def test_what_is_not_contiguous_is_another_run(offsets: tuple[int, ...], found: list[tuple[int, ...]]) -> None:
    """So that nobody who reads runs can miss it."""
    assert runs_of(*[(0, offset) for offset in offsets]) == found


def test_runs_are_taken_once_and_those_of_a_partition_can_be_left_out() -> None:
    """The next message begins another run either way."""
    runs = Runs()
    runs.add(0, 5)
    assert runs.take() == [Range(0, 5, 6, 1)]
    assert runs.take() == []
    runs.add(0, 6)
    runs.add(1, 0)
    runs.forget({0})
    runs.add(0, 7)
    assert runs.take() == [Range(1, 0, 1, 1), Range(0, 7, 8, 1)]


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 4))))
def test_runs_say_each_message_in_its_partitions_order_and_nothing_else(messages: list[tuple[int, int]]) -> None:
    """Spelt out again, they are what came."""
    for partition in range(3):
        spelt = [
            offset
            for number, first, after, _ in runs_of(*messages)
            if number == partition and first is not None and after is not None
            for offset in range(first, after)
        ]
        assert spelt == [offset for number, offset in messages if number == partition]


@pytest.mark.usefixtures("_json_lines")
def test_an_event_is_one_json_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """With these fields and structlog's own, numbered from 0; in one write, so that no other thread's comes between."""
    stream = Stream()
    monkeypatch.setattr("sys.stderr", stream)
    log.configure("info")
    journal = Journal("pod/1", clock=iter([50, 60]).__next__)
    journal.tell(Event.STARTED)
    journal.tell(Event.ASSIGNED, [Range(2, None, 7, None)])
    assert all(text.count("\n") == 1 and text.endswith("\n") for text in stream.written)
    lines = [json.loads(text) for text in stream.written]
    assert all(line.pop("timestamp") and line.pop("level") == "info" for line in lines)
    assert lines == [
        {"event": "consumer.started", "instance": "pod/1", "n": 0, "monotonic_ns": 50, "ranges": []},
        {
            "event": "consumer.assigned",
            "instance": "pod/1",
            "n": 1,
            "monotonic_ns": 60,
            "ranges": [[2, None, 7, None]],
        },
    ]


def test_every_process_has_another_name_and_the_host_is_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pod's host name is its name."""
    monkeypatch.setattr("socket.gethostname", lambda: "analytics-abc")
    one, two = name_instance(), name_instance()
    assert one != two
    host, digits = one.split("/")
    assert host == "analytics-abc"
    assert len(digits) == 8
    assert int(digits, 16) >= 0
