"""The Iceberg sink, on a catalog and warehouse in a temporary folder: each row exactly once, whoever writes."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import CommitFailedException
from sqlalchemy.exc import OperationalError

from workloads.analytics import sink as under_test
from workloads.analytics.decode import Row
from workloads.analytics.sink import Appended, Resume, Sink, SinkError, SinkFencedError, open_sink
from workloads.analytics.window import WindowRow

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lake import Lake


class Crash(BaseException):
    """The end of a process: nothing catches it."""


def row(partition: int, offset: int, payload: str = "00") -> Row:
    """A row at this place of the log."""
    return Row("r", "p", offset, partition, offset, 1_700_000_000_000_000, payload, "gold", "s", -1, 1.5, None, True, 5)


def window(partition: int, end: int) -> WindowRow:
    """A closed window that ends at this second."""
    return WindowRow("gold", (end - 5) * 10**6, end * 10**6, partition, 4, 1.0, 3.0, 0.5, 2.0, 1.5, 0.1, 7.0)


def rows(partition: int, *offsets: int) -> list[Row]:
    """Rows of one partition."""
    return [row(partition, offset) for offset in offsets]


def owning(lake: Lake, *partitions: int, owner: str = "one", topic_id: str = "topic") -> Sink:
    """A writer of the sink that claimed these partitions."""
    sink = lake.sink(owner, topic_id)
    sink.claim(partitions)
    return sink


def resume(lake: Lake, *partitions: int) -> dict[int, Resume]:
    """Where the next owner of these partitions goes on."""
    return lake.sink("next").claim(partitions)


def meanwhile(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], object]) -> None:
    """Let something happen once between a writer's look at the table and its commit."""
    original = under_test._append  # noqa: SLF001  # the moment between look and commit has no other door
    left = [happens]

    def overtaken(*arguments: Any) -> None:
        if left:
            left.pop()()
        original(*arguments)

    monkeypatch.setattr(under_test, "_append", overtaken)


def test_rows_come_back_as_they_were_written(lake: Lake) -> None:
    """Types and times included; nulls stay nulls."""
    owning(lake, 0).append_prices([row(0, 3)], {0: "zero"})
    (found,) = lake.rows()
    assert (found["seq"], found["kafka_offset"], found["price"], found["volume"], found["synthetic"]) == (
        3, 3, 1.5, None, True,
    )  # fmt: skip
    assert found["kafka_timestamp"].isoformat() == "2023-11-14T22:13:20+00:00"
    assert found["observed_at"].isoformat() == "1969-12-31T23:59:59.999999+00:00"


def test_windows_come_back_as_they_were_written(lake: Lake) -> None:
    """One row a window."""
    assert owning(lake, 1).append_windows([window(1, 5)], {1: 0}) == Appended(1, 0, 0)
    (found,) = lake.rows("commodity.windows")
    assert found["window_end"].isoformat() == "1970-01-01T00:00:05+00:00"
    assert {name: found[name] for name in ("commodity", "count", "close", "kafka_partition")} == {
        "commodity": "gold",
        "count": 4,
        "close": 2.0,
        "kafka_partition": 1,
    }


def test_what_is_there_is_not_written_again(lake: Lake) -> None:
    """As after a crash between the append and the commit of offsets: the same records, and some more."""
    owning(lake, 0).append_prices(rows(0, 0, 1, 2), {0: "zero"})
    again = lake.sink("two")
    assert again.claim({0, 1}) == {0: Resume(3, "zero", 0)}
    assert again.append_prices(rows(0, 1, 2, 3) + rows(1, 0), {0: "zero", 1: "one"}) == Appended(2, 2, 0)
    assert again.append_prices(rows(0, 3), {0: "zero"}) == Appended(0, 1, 0)
    assert lake.places() == [(0, 0), (0, 1), (0, 2), (0, 3), (1, 0)]


def test_a_closed_window_is_written_once(lake: Lake) -> None:
    """A repeat after a lost answer is left out; a late record's row for the same window at a later offset is not."""
    writer = owning(lake, 0)
    writer.append_prices(rows(0, 0, 1), {0: "zero"})
    assert writer.append_windows([window(0, 5), window(0, 10)], {0: 2}) == Appended(2, 0, 0)
    assert writer.append_windows([window(0, 5), window(0, 10), window(0, 15)], {0: 2}) == Appended(1, 2, 0)
    assert writer.claim({0}) == {0: Resume(2, "zero", 15_000_000)}
    writer.append_prices(rows(0, 2), {0: "zero"})
    assert writer.claim({0}) == {0: Resume(3, "zero", 0)}
    assert writer.append_windows([window(0, 5)], {0: 3}) == Appended(1, 0, 0)


def test_a_window_that_opened_again_is_not_taken_for_one_that_was_written(lake: Lake) -> None:
    """Written until 15 s; then late records open those until 5 and until 15 s again, and the former has closed."""
    writer = owning(lake, 0)
    writer.append_prices(rows(0, 0, 1), {0: "closes until 15"})
    writer.append_windows([window(0, 15)], {0: 2})
    writer.append_prices(rows(0, 2, 3), {0: "open: until 5, until 15"})
    writer.append_windows([window(0, 5)], {0: 4})
    assert resume(lake, 0) == {0: Resume(4, "open: until 5, until 15", 5_000_000)}


def test_a_topic_that_was_made_again_starts_at_its_beginning(lake: Lake) -> None:
    """Offsets of another topic id say nothing of this one, and neither do owners."""
    old = owning(lake, 0, topic_id="old")
    old.append_prices(rows(0, 0, 1), {0: "zero"})
    new = lake.sink("two", "new")
    assert new.claim({0}) == {}
    assert new.append_prices(rows(0, 0), {0: "zero"}).rows == 1
    assert old.append_prices(rows(0, 2), {0: "zero"}).rows == 1


def test_each_writer_keeps_the_others_offsets_through_many_commits(lake: Lake) -> None:
    """An idle partition's offset and owner are known after its snapshots are long forgotten, and these stay few."""
    idle, busy = owning(lake, 2, owner="idle"), owning(lake, 0, owner="busy")
    idle.append_prices(rows(2, 41), {2: "two"})
    for offset in range(22):
        busy.append_prices(rows(0, offset), {0: "zero"})
    assert idle.append_prices(rows(2, 42), {2: "two"}).rows == 1
    assert resume(lake, 0, 2) == {0: Resume(22, "zero", 0), 2: Resume(43, "two", 0)}
    assert len(lake.table().snapshots()) <= 20
    assert len(list((lake.folder / "warehouse/commodity/prices").rglob("*.metadata.json"))) <= 11
    assert len(lake.places()) == 24


def test_a_commit_of_other_hands_does_not_hide_the_offsets(lake: Lake) -> None:
    """A snapshot without our keys (a compaction, say) is looked past."""
    writer = owning(lake, 0)
    writer.append_prices(rows(0, 0), {0: "zero"})
    lake.table().append(lake.table().scan().to_arrow())
    assert writer.append_prices(rows(0, 1), {0: "zero"}).rows == 1
    assert resume(lake, 0) == {0: Resume(2, "zero", 0)}


def test_three_writers_at_once_lose_nothing_and_double_nothing(lake: Lake) -> None:
    """They open the same empty catalog together, claim, conflict, and retry until all is there."""
    conflicts: list[int] = []

    def write(partition: int) -> None:
        writer = owning(lake, partition, owner=f"owner {partition}")
        conflicts.extend(
            writer.append_prices(rows(partition, offset), {partition: ""}).conflicts for offset in range(5)
        )

    writers = [threading.Thread(target=write, args=(partition,)) for partition in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert lake.places() == [(partition, offset) for partition in range(3) for offset in range(5)]
    assert len(conflicts) == 15


def test_a_commit_that_another_writer_forestalled_is_made_again(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of another partition: nobody's rows are lost, and the conflict is counted."""
    one, two = owning(lake, 0, owner="one"), owning(lake, 1, owner="two")
    meanwhile(monkeypatch, lambda: two.append_prices(rows(1, 0), {1: "one"}))
    assert one.append_prices(rows(0, 0, 1), {0: "zero"}) == Appended(2, 0, 1)
    assert lake.places() == [(0, 0), (0, 1), (1, 0)]


def test_a_commit_whose_answer_was_lost_is_not_repeated(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """It landed, the connection broke: the retry finds it there. So it is with an append, and with a claim."""
    writer = owning(lake, 0)
    original = under_test._append  # noqa: SLF001  # as above
    broken: list[bool] = []

    def losing(*arguments: Any) -> None:
        original(*arguments)
        if broken:
            broken.pop()
            raise OperationalError("COMMIT", {}, Exception("connection lost"))

    monkeypatch.setattr(under_test, "_append", losing)
    broken.append(True)
    assert writer.append_prices(rows(0, 0, 1), {0: "zero"}) == Appended(0, 2, 0)
    assert lake.places() == [(0, 0), (0, 1)]
    broken.append(True)
    before = len(lake.table().snapshots())
    assert lake.sink("two").claim({0}) == {0: Resume(2, "zero", 0)}
    assert len(lake.table().snapshots()) == before + 1


@pytest.mark.parametrize("landed", [False, True])
def test_a_crash_before_or_after_the_catalogs_commit_loses_nothing_and_doubles_nothing(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, landed: bool
) -> None:
    """Data files are written, then the process ends: they count if, and only if, the catalog knows of them."""
    writer = owning(lake, 0)
    original = SqlCatalog.commit_table

    def crashing(catalog: SqlCatalog, *arguments: Any) -> None:
        if landed:
            original(catalog, *arguments)
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(SqlCatalog, "commit_table", crashing)
        with pytest.raises(Crash):
            writer.append_prices(rows(0, 0, 1), {0: "zero"})
    assert len(list((lake.folder / "warehouse/commodity/prices/data").glob("*.parquet"))) == 1
    successor = lake.sink("two")
    assert successor.claim({0}) == ({0: Resume(2, "zero", 0)} if landed else {})
    assert successor.append_prices(rows(0, 0, 1, 2), {0: "zero"}).rows == (1 if landed else 3)
    assert lake.places() == [(0, 0), (0, 1), (0, 2)]


@pytest.mark.parametrize(
    ("successors", "zombies"),
    [((), (0, 1)), ((0, 1, 2), (0, 1)), ((0, 1), (0, 1, 2, 3)), ((0, 1), (2, 3))],
    ids=["before the successor wrote", "behind it", "reaching beyond it", "all beyond it"],
)
def test_a_consumer_thought_dead_writes_nothing(
    lake: Lake, successors: tuple[int, ...], zombies: tuple[int, ...]
) -> None:
    """None of its rows, wherever they are: beyond the successor's they may be of a log that was cut off since."""
    zombie, successor = owning(lake, 0, 1, owner="zombie"), owning(lake, 0, owner="successor")
    if successors:
        successor.append_prices([row(0, offset, "new") for offset in successors], {0: "zero"})
    stale = [row(0, offset, "stale") for offset in zombies]
    with pytest.raises(SinkFencedError, match=r"partitions \[0\] are another consumer's by now") as caught:
        zombie.append_prices([*stale, *rows(1, 0)], {0: "zero", 1: "one"})
    assert caught.value.partitions == {0}
    assert zombie.append_prices(rows(1, 0), {1: "one"}).rows == 1
    ahead = [row(0, offset, "new") for offset in range(len(successors), 6)]
    assert successor.append_prices(ahead, {0: "zero"}).rows == len(ahead)
    found = sorted((one["kafka_offset"], one["payload_hash"]) for one in lake.rows() if one["kafka_partition"] == 0)
    assert found == [(offset, "new") for offset in range(6)]


def test_a_claim_between_look_and_commit_is_in_time(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that comes back conflicts, looks again, and finds that it is the owner no more."""
    zombie = owning(lake, 0, owner="zombie")
    meanwhile(monkeypatch, lambda: owning(lake, 0, owner="successor"))
    with pytest.raises(SinkFencedError):
        zombie.append_prices(rows(0, 0, 1), {0: "zero"})
    assert lake.places() == []


def test_a_consumer_thought_dead_does_not_close_its_successors_windows(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its rows are in, and while it closes their windows another claims the partition: these are the other's now."""
    zombie = owning(lake, 0, owner="zombie")
    zombie.append_prices(rows(0, 0, 1), {0: "zero"})
    meanwhile(monkeypatch, lambda: owning(lake, 0, owner="successor"))
    with pytest.raises(SinkFencedError):
        zombie.append_windows([window(0, 5)], {0: 2})
    assert lake.rows("commodity.windows") == []


def test_the_last_claim_wins_and_a_row_is_still_written_once(lake: Lake) -> None:
    """A claim that comes too late shuts the right one out, until that claims again and goes on behind it."""
    late, right = lake.sink("late"), owning(lake, 0, owner="right")
    right.append_prices(rows(0, 0, 1), {0: "zero"})
    assert late.claim({0}) == {0: Resume(2, "zero", 0)}
    with pytest.raises(SinkFencedError):
        right.append_prices(rows(0, 2), {0: "zero"})
    late.append_prices(rows(0, 2, 3), {0: "more"})
    assert right.claim({0}) == {0: Resume(4, "more", 0)}
    right.append_prices(rows(0, 4), {0: "zero"})
    assert lake.places() == [(0, offset) for offset in range(5)]


def test_to_claim_what_is_ones_own_commits_nothing(lake: Lake) -> None:
    """As after a partition went and came back with nobody in between."""
    writer = owning(lake, 0, 1)
    before = lake.table().current_snapshot()
    writer.claim({0})
    assert lake.table().current_snapshot() == before
    assert before is not None
    assert lake.rows() == []


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OperationalError("SELECT", {}, Exception("no route")), "no route"),
        (OSError(28, "No space left on device"), "No space left on device"),
        (CommitFailedException("someone was faster"), "conflicts with other writers"),
    ],
)
def test_a_sink_that_fails_for_too_long_says_so_and_the_loop_lived_on(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, error: Exception, words: str
) -> None:
    """One sentence with the cause; the beat was called before every try."""
    beats: list[None] = []
    writer = lake.sink(retry_seconds=0.3, beat=lambda: beats.append(None))
    writer.claim({0})
    beats.clear()

    def failing(*_: object) -> None:
        raise error

    monkeypatch.setattr(under_test, "_append", failing)
    with pytest.raises(SinkError, match=words):
        writer.append_prices(rows(0, 0), {0: "zero"})
    assert len(beats) > 2


def test_a_catalog_that_can_not_be_reached_is_one_sentence(tmp_path: Path) -> None:
    """Name, cause and what to do; the password is not in it."""
    catalog = ("sink", f"sqlite:////{tmp_path}/absent/secret.db", f"file://{tmp_path}/warehouse")
    with pytest.raises(SinkError, match=r"can't be used .*: check its address and password\.$"):
        open_sink(catalog, "topic", "one", start_seconds=0.3, retry_seconds=1.0, beat=lambda: None)
