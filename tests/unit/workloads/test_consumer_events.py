"""What the consumer tells of itself, in orders of events that are had at will with a group in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from node import GOOD, Node
from structlog.testing import capture_logs

from workloads.analytics import sink as sink_module
from workloads.analytics.sink import SinkError

if TYPE_CHECKING:
    from collections.abc import Iterator, MutableMapping

    import pyarrow as pa
    from lake import Lake
    from memory_kafka import Group
    from pyiceberg.table import Table

POISON = b"not json"


class Crash(BaseException):
    """The end of a process: nothing catches it."""


@pytest.fixture
def lines() -> Iterator[list[MutableMapping[str, Any]]]:
    """All that is logged."""
    with capture_logs() as found:
        yield found


def told(lines: list[MutableMapping[str, Any]], instance: str = "a") -> list[tuple[str, list[list[int | None]]]]:
    """An instance's events and their ranges; none is missing."""
    events = [line for line in lines if line.get("instance") == instance]
    assert [line["n"] for line in events] == list(range(len(events)))
    return [(line["event"].removeprefix("consumer."), line["ranges"]) for line in events]


def nothing() -> None:
    """Another turn."""


def test_a_whole_life(group: Group, lake: Lake, lines: list[MutableMapping[str, Any]]) -> None:
    """Two partitions, of which one was committed before; a poison message is written too; one goes, one stays."""
    node = Node("a", group, lake)
    group.logs = {0: [GOOD, POISON, GOOD], 1: [GOOD] * 6}
    group.committed = {1: 4}
    node.live(
        lambda: group.give(node.member, 0, 1),
        nothing,
        lambda: group.logs[0].append(POISON),
        lambda: group.revoke(1),
        nothing,
    )
    assert told(lines) == [
        ("started", []),
        ("assigned", [[0, None, None, None], [1, None, 4, None]]),
        ("polled", [[0, 0, 3, 3], [1, 4, 6, 2]]),
        ("written", [[0, 0, 3, 3], [1, 4, 6, 2]]),
        ("committed", [[0, None, 3, None], [1, 4, 6, None]]),
        ("polled", [[0, 3, 4, 1]]),
        ("written", [[0, 3, 4, 1]]),
        ("committed", [[0, 3, 4, None]]),
        ("revoked", [[1, None, None, None]]),
        ("revoked", [[0, None, None, None]]),
        ("stopped", []),
    ]
    assert group.committed == {0: 4, 1: 6}
    assert node.letters.settled == {(0, 1), (0, 3)}
    assert lake.places() == [(0, 0), (0, 2), (1, 4), (1, 5)]


def test_what_is_buffered_is_written_before_a_revocation_and_at_the_end(
    group: Group, lake: Lake, lines: list[MutableMapping[str, Any]]
) -> None:
    """Polled in several turns is one run; it is told when it is flushed."""
    node = Node("a", group, lake, flush_seconds=60.0, batch_size=2)
    group.logs = {0: [GOOD] * 4, 1: [GOOD]}
    node.live(lambda: group.give(node.member, 0, 1), nothing, nothing, lambda: group.revoke(0))
    assert told(lines)[2:] == [
        ("polled", [[0, 0, 4, 4], [1, 0, 1, 1]]),
        ("written", [[0, 0, 4, 4], [1, 0, 1, 1]]),
        ("committed", [[0, None, 4, None], [1, None, 1, None]]),
        ("revoked", [[0, None, None, None]]),
        ("revoked", [[1, None, None, None]]),
        ("stopped", []),
    ]


def test_a_hole_and_a_step_back_are_seen(group: Group, lake: Lake, lines: list[MutableMapping[str, Any]]) -> None:
    """Within a batch and between polls; what came again is polled again, and neither written nor committed again."""
    node = Node("a", group, lake, flush_seconds=60.0)
    group.logs = {0: [GOOD] * 10, 1: []}

    def within() -> None:
        group.give(node.member, 0)
        node.member.extra = [node.member.message(0, offset) for offset in (0, 1, 4)]
        node.member.hears(lambda: node.member.positions.update({0: 6}))

    node.live(within, lambda: node.member.positions.update({0: 8}))
    assert told(lines)[2:-2] == [
        ("polled", [[0, 0, 2, 2], [0, 4, 5, 1], [0, 6, 10, 4], [0, 8, 10, 2]]),
        ("written", [[0, 0, 2, 2], [0, 4, 5, 1], [0, 6, 10, 4]]),
        ("committed", [[0, None, 10, None]]),
    ]
    assert lake.places() == [(0, offset) for offset in (0, 1, 4, 6, 7, 8, 9)]
    assert [line["messages"] for line in lines if line["event"] == "consumer.stepped_back"] == [2]


def test_a_message_of_a_partition_that_was_given_up_is_polled_and_not_taken(
    group: Group, lake: Lake, lines: list[MutableMapping[str, Any]]
) -> None:
    """A batch can hold one from before the revocation: whoever has the partition now reads it."""
    node = Node("a", group, lake)
    group.logs = {0: [GOOD], 1: []}

    def left_over() -> None:
        group.revoke(0)
        group.logs[0] += [GOOD, POISON]
        node.member.extra = [node.member.message(0, 1), node.member.message(0, 2)]

    node.live(lambda: group.give(node.member, 0, 1), left_over)
    assert told(lines)[5:] == [
        ("revoked", [[0, None, None, None]]),
        ("polled", [[0, 1, 3, 2]]),
        ("revoked", [[1, None, None, None]]),
        ("stopped", []),
    ]
    assert (group.committed, lake.places(), node.letters.sent) == ({0: 1}, [(0, 0)], [])


def test_what_was_lost_is_polled_and_never_written(
    group: Group, lake: Lake, lines: list[MutableMapping[str, Any]]
) -> None:
    """The group went on without it; the successor reads all of it again."""
    zombie, successor = (Node(name, group, lake, flush_seconds=60.0) for name in ("a", "b"))
    group.logs = {0: [GOOD] * 3, 1: []}
    zombie.live(
        lambda: group.give(zombie.member, 0),
        lambda: group.expel(zombie.member),
        lambda: successor.live(lambda: group.give(successor.member, 0)),
        lambda: zombie.member.hears(zombie.member.lost),
    )
    assert told(lines)[1:] == [
        ("assigned", [[0, None, None, None]]),
        ("polled", [[0, 0, 3, 3]]),
        ("lost", [[0, None, None, None]]),
        ("stopped", []),
    ]
    assert told(lines, "b")[1:] == [
        ("assigned", [[0, None, None, None]]),
        ("polled", [[0, 0, 3, 3]]),
        ("written", [[0, 0, 3, 3]]),
        ("committed", [[0, None, 3, None]]),
        ("revoked", [[0, None, None, None]]),
        ("stopped", []),
    ]
    assert lake.places() == [(0, 0), (0, 1), (0, 2)]


def test_what_the_sink_refuses_is_lost_and_the_rest_is_written(
    group: Group, lake: Lake, lines: list[MutableMapping[str, Any]]
) -> None:
    """One that was thought dead flushes before it hears of that; then it leaves, and joins again."""
    zombie, successor = Node("a", group, lake, flush_rows=4, flush_seconds=60.0), Node("b", group, lake)
    group.logs = {0: [GOOD] * 2, 1: [GOOD]}

    def taken_over() -> None:
        successor.analytics.start()
        group.give(successor.member, 0)
        successor.analytics.turn()

    zombie.live(
        lambda: group.give(zombie.member, 0, 1),
        taken_over,
        lambda: group.logs[1].append(GOOD),
        lambda: group.give(zombie.member, 1),
    )
    assert told(lines)[2:] == [
        ("polled", [[0, 0, 2, 2], [1, 0, 2, 2]]),
        ("lost", [[0, None, None, None]]),
        ("written", [[1, 0, 2, 2]]),
        ("committed", [[1, None, 2, None]]),
        ("revoked", [[1, None, None, None]]),
        ("assigned", [[1, None, 2, None]]),
        ("revoked", [[1, None, None, None]]),
        ("stopped", []),
    ]
    assert lake.places() == [(0, 0), (0, 1), (1, 0), (1, 1)]


def test_where_the_sink_is_ahead_it_commits_before_it_begins(
    group: Group, lake: Lake, lines: list[MutableMapping[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash between the append and the commit: written is told, committed is not; the successor commits first."""
    group.logs = {0: [GOOD] * 3, 1: []}
    dying, successor = Node("a", group, lake), Node("b", group, lake)

    def crash(*_: object, **__: object) -> None:
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr("memory_kafka.Member.commit", crash)
        patch.setattr("memory_kafka.Member.close", lambda _: None)
        with pytest.raises(Crash):
            dying.live(lambda: group.give(dying.member, 0))
    group.expel(dying.member)
    successor.live(lambda: group.give(successor.member, 0))
    assert told(lines)[2:] == [("polled", [[0, 0, 3, 3]]), ("written", [[0, 0, 3, 3]])]
    assert told(lines, "b")[1:3] == [("committed", [[0, None, 3, None]]), ("assigned", [[0, None, 3, None]])]
    assert lake.places() == [(0, 0), (0, 1), (0, 2)]


def test_what_the_sink_did_not_take_is_polled_only(
    group: Group, lake: Lake, lines: list[MutableMapping[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends with the sink's error: no false `written`, no false `committed`, no `stopped`."""
    group.logs = {0: [GOOD, POISON], 1: []}
    node = Node("a", group, lake, flush_rows=1, flush_seconds=60.0)

    def failing(*_: object) -> None:
        raise OSError(28, "No space left on device")

    def full() -> None:
        monkeypatch.setattr(sink_module, "_append", failing)
        group.give(node.member, 0)

    node.sink.claim({0})
    with pytest.raises(SinkError):
        node.live(full)
    assert told(lines)[2:] == [("polled", [[0, 0, 2, 2]]), ("revoked", [[0, None, None, None]])]
    assert group.committed == {}


@pytest.mark.parametrize(
    ("refused", "committed"),
    [({0, 1}, [[[0, None, 2, None], [1, None, 1, None]]]), ({0}, [[[1, None, 1, None]], [[0, None, 2, None]]])],
    ids=["of all", "of one"],
)
def test_a_commit_that_is_refused_is_not_told_and_made_up_for(
    group: Group,
    lake: Lake,
    lines: list[MutableMapping[str, Any]],
    refused: set[int],
    committed: list[list[list[int | None]]],
) -> None:
    """The next one moves from where the group really is, though no message came in between."""
    group.logs = {0: [GOOD] * 2, 1: [GOOD]}
    group.refusing = refused
    node = Node("a", group, lake)
    node.live(lambda: group.give(node.member, 0, 1), lambda: setattr(group, "refusing", set()))
    assert [ranges for event, ranges in told(lines) if event == "committed"] == committed
    assert group.committed == {0: 2, 1: 1}


def test_an_assignment_commits_nothing_that_is_only_buffered(
    group: Group, lake: Lake, lines: list[MutableMapping[str, Any]]
) -> None:
    """A refused commit is made up for when another partition comes, as far as the sink has the rows and no further."""
    group.logs = {0: [GOOD] * 2, 1: []}
    group.refusing = {0}
    node = Node("a", group, lake, flush_rows=2, flush_seconds=60.0)

    def more() -> None:
        group.logs[0].append(GOOD)
        group.refusing = set()

    node.live(lambda: group.give(node.member, 0), more, lambda: group.give(node.member, 1))
    assert told(lines)[2:8] == [
        ("polled", [[0, 0, 2, 2]]),
        ("written", [[0, 0, 2, 2]]),
        ("committed", [[0, None, 2, None]]),
        ("assigned", [[1, None, None, None]]),
        ("polled", [[0, 2, 3, 1]]),
        ("written", [[0, 2, 3, 1]]),
    ]


def test_rows_whose_windows_are_refused_are_written_and_not_committed(
    group: Group, lake: Lake, lines: list[MutableMapping[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another claims the partition between the two appends: the rows are durable, the rest is the other's."""
    node = Node("a", group, lake, window_seconds=1.0, lateness_seconds=0.0)
    group.logs = {0: [GOOD] * 3, 1: []}
    original = sink_module._append  # noqa: SLF001  # the moment between the appends has no other door

    def overtaken(table: Table, rows: pa.Table, summary: dict[str, str]) -> None:
        original(table, rows, summary)
        if len(rows):
            monkeypatch.setattr(sink_module, "_append", original)
            lake.sink("b").claim({0})

    monkeypatch.setattr(sink_module, "_append", overtaken)
    node.live(lambda: group.give(node.member, 0))
    assert told(lines)[2:] == [
        ("polled", [[0, 0, 3, 3]]),
        ("written", [[0, 0, 3, 3]]),
        ("lost", [[0, None, None, None]]),
        ("stopped", []),
    ]
    assert (group.committed, lake.rows("commodity.windows")) == ({}, [])
