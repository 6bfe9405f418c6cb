"""The Iceberg sink, on a catalog and warehouse in a temporary folder: each row exactly once, whoever writes."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import CommitFailedException
from sqlalchemy.exc import OperationalError

from workloads.analytics import sink as under_test
from workloads.analytics.decode import Row
from workloads.analytics.sink import Appended, Resume, Sink, SinkError, open_sink
from workloads.analytics.window import WindowRow

if TYPE_CHECKING:
    from pathlib import Path


#: Open windows of each partition: to the sink any text.
OPEN = {0: "zero", 1: "one", 2: "two"}


def row(partition: int, offset: int) -> Row:
    """A row at this place of the log."""
    return Row("r", "p", offset, partition, offset, 1_700_000_000_000_000, "00", "gold", "s", -1, 1.5, None, True, 5)


def window(partition: int, end: int) -> WindowRow:
    """A closed window that ends at this second."""
    return WindowRow("gold", (end - 5) * 10**6, end * 10**6, partition, 4, 1.0, 3.0, 0.5, 2.0, 1.5, 0.1, 7.0)


def rows(partition: int, *offsets: int) -> list[Row]:
    """Rows of one partition."""
    return [row(partition, offset) for offset in offsets]


def opened(folder: Path, topic_id: str = "topic") -> Sink:
    """A writer of the sink in this folder."""
    catalog = ("sink", f"sqlite:///{folder}/catalog.db", f"file://{folder}/warehouse")
    return open_sink(catalog, topic_id, 10.0, 10.0, lambda: None)


def places(folder: Path) -> list[tuple[int, int]]:
    """Partition and offset of every row, as a reader of its own finds them."""
    catalog = SqlCatalog("sink", uri=f"sqlite:///{folder}/catalog.db", warehouse=f"file://{folder}/warehouse")
    table = catalog.load_table("commodity.prices").scan().to_arrow()
    return sorted((one["kafka_partition"], one["kafka_offset"]) for one in table.to_pylist())


def test_rows_come_back_as_they_were_written(tmp_path: Path) -> None:
    """Types and times included; nulls stay nulls."""
    opened(tmp_path).append_prices([row(0, 3)], OPEN)
    catalog = SqlCatalog("sink", uri=f"sqlite:///{tmp_path}/catalog.db", warehouse=f"file://{tmp_path}/warehouse")
    (found,) = catalog.load_table("commodity.prices").scan().to_arrow().to_pylist()
    assert (found["seq"], found["kafka_offset"], found["price"], found["volume"], found["synthetic"]) == (
        3, 3, 1.5, None, True,
    )  # fmt: skip
    assert found["kafka_timestamp"].isoformat() == "2023-11-14T22:13:20+00:00"
    assert found["observed_at"].isoformat() == "1969-12-31T23:59:59.999999+00:00"


def test_windows_come_back_as_they_were_written(tmp_path: Path) -> None:
    """One row a window."""
    assert opened(tmp_path).append_windows([window(1, 5)], {1: 0}) == Appended(1, 0, 0)
    catalog = SqlCatalog("sink", uri=f"sqlite:///{tmp_path}/catalog.db", warehouse=f"file://{tmp_path}/warehouse")
    (found,) = catalog.load_table("commodity.windows").scan().to_arrow().to_pylist()
    assert found["window_end"].isoformat() == "1970-01-01T00:00:05+00:00"
    assert {name: found[name] for name in ("commodity", "count", "close", "kafka_partition")} == {
        "commodity": "gold",
        "count": 4,
        "close": 2.0,
        "kafka_partition": 1,
    }


def test_what_is_there_is_not_written_again(tmp_path: Path) -> None:
    """As after a crash between the append and the commit of offsets: the same records, and some more."""
    opened(tmp_path).append_prices(rows(0, 0, 1, 2), OPEN)
    again = opened(tmp_path)
    assert again.resume() == {0: Resume(3, "zero", 0)}
    assert again.append_prices(rows(0, 1, 2, 3) + rows(1, 0), OPEN) == Appended(2, 2, 0)
    assert again.append_prices(rows(0, 3), OPEN) == Appended(0, 1, 0)
    assert places(tmp_path) == [(0, 0), (0, 1), (0, 2), (0, 3), (1, 0)]


def test_a_closed_window_is_written_once(tmp_path: Path) -> None:
    """A repeat after a lost answer is left out; a late record's row for the same window at a later offset is not."""
    writer = opened(tmp_path)
    writer.append_prices(rows(0, 0, 1), OPEN)
    assert writer.append_windows([window(0, 5), window(0, 10)], {0: 2}) == Appended(2, 0, 0)
    assert writer.append_windows([window(0, 5), window(0, 10), window(0, 15)], {0: 2}) == Appended(1, 2, 0)
    assert opened(tmp_path).resume() == {0: Resume(2, "zero", 15_000_000)}
    writer.append_prices(rows(0, 2), OPEN)
    assert opened(tmp_path).resume() == {0: Resume(3, "zero", 0)}
    assert writer.append_windows([window(0, 5)], {0: 3}) == Appended(1, 0, 0)
    assert opened(tmp_path).resume() == {0: Resume(3, "zero", 15_000_000)}


def test_a_consumer_thought_dead_does_not_close_its_successors_windows(tmp_path: Path) -> None:
    """Prices are ahead of what it knows: its half windows are left out."""
    opened(tmp_path).append_prices(rows(0, 0, 1, 2), OPEN)
    assert opened(tmp_path).append_windows([window(0, 5)], {0: 2}) == Appended(0, 1, 0)


def test_a_topic_that_was_made_again_starts_at_its_beginning(tmp_path: Path) -> None:
    """Offsets of another topic id say nothing of this one."""
    opened(tmp_path, "old").append_prices(rows(0, 0, 1), OPEN)
    new = opened(tmp_path, "new")
    assert new.resume() == {}
    assert new.append_prices(rows(0, 0), OPEN).rows == 1


def test_each_writer_keeps_the_others_offsets_through_many_commits(tmp_path: Path) -> None:
    """An idle partition's offset is known after its own snapshots are long forgotten, and these stay few."""
    writer = opened(tmp_path)
    writer.append_prices(rows(2, 41), OPEN)
    for offset in range(30):
        writer.append_prices(rows(0, offset), OPEN)
    assert writer.resume() == {0: Resume(30, "zero", 0), 2: Resume(42, "two", 0)}
    catalog = SqlCatalog("sink", uri=f"sqlite:///{tmp_path}/catalog.db", warehouse=f"file://{tmp_path}/warehouse")
    assert len(catalog.load_table("commodity.prices").snapshots()) <= 20
    assert len(list((tmp_path / "warehouse").rglob("*.metadata.json"))) <= 13
    assert len(places(tmp_path)) == 31


def test_a_commit_of_other_hands_does_not_hide_the_offsets(tmp_path: Path) -> None:
    """A snapshot without our keys (a compaction, say) is looked past."""
    writer = opened(tmp_path)
    writer.append_prices(rows(0, 0), OPEN)
    catalog = SqlCatalog("sink", uri=f"sqlite:///{tmp_path}/catalog.db", warehouse=f"file://{tmp_path}/warehouse")
    table = catalog.load_table("commodity.prices")
    table.append(table.scan().to_arrow())
    assert writer.resume() == {0: Resume(1, "zero", 0)}


def test_three_writers_at_once_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    """They open the same empty catalog together, conflict, and retry until all is there."""
    conflicts: list[int] = []

    def write(partition: int) -> None:
        writer = opened(tmp_path)
        conflicts.extend(writer.append_prices(rows(partition, offset), OPEN).conflicts for offset in range(5))

    writers = [threading.Thread(target=write, args=(partition,)) for partition in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert places(tmp_path) == [(partition, offset) for partition in range(3) for offset in range(5)]
    assert len(conflicts) == 15


def test_a_consumer_thought_dead_does_not_write_what_its_successor_wrote(tmp_path: Path) -> None:
    """The one that comes back conflicts, looks again, and finds its rows there."""
    old, new = opened(tmp_path), opened(tmp_path)
    original = under_test._append  # noqa: SLF001  # the moment between look and commit has no other door
    first = True

    def overtaken(table: object, columns: object, summary: dict[str, str]) -> None:
        nonlocal first
        if first:
            first = False
            new.append_prices(rows(0, 0, 1, 2), OPEN)
        original(table, columns, summary)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(under_test, "_append", overtaken)
        assert old.append_prices(rows(0, 0, 1), OPEN) == Appended(0, 2, 1)
    assert places(tmp_path) == [(0, 0), (0, 1), (0, 2)]


def test_a_commit_whose_answer_was_lost_is_not_repeated(tmp_path: Path) -> None:
    """It landed, the connection broke: the retry finds it there."""
    writer = opened(tmp_path)
    original = under_test._append  # noqa: SLF001  # as above
    broken = iter([True, False])

    def losing(table: object, columns: object, summary: dict[str, str]) -> None:
        original(table, columns, summary)  # type: ignore[arg-type]
        if next(broken):
            raise OperationalError("COMMIT", {}, Exception("connection lost"))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(under_test, "_append", losing)
        assert writer.append_prices(rows(0, 0, 1), OPEN) == Appended(0, 2, 0)
    assert places(tmp_path) == [(0, 0), (0, 1)]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OperationalError("SELECT", {}, Exception("no route")), "no route"),
        (OSError(28, "No space left on device"), "No space left on device"),
        (CommitFailedException("someone was faster"), "conflicts with other writers"),
    ],
)
def test_a_sink_that_fails_for_too_long_says_so_and_the_loop_lived_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, words: str
) -> None:
    """One sentence with the cause; the beat was called before every try."""
    beats: list[None] = []
    catalog = ("sink", f"sqlite:///{tmp_path}/catalog.db", f"file://{tmp_path}/warehouse")
    writer = open_sink(catalog, "topic", 10.0, 0.3, lambda: beats.append(None))

    def failing(*_: object) -> None:
        raise error

    monkeypatch.setattr(under_test, "_append", failing)
    with pytest.raises(SinkError, match=words):
        writer.append_prices(rows(0, 0), OPEN)
    assert len(beats) > 2


def test_a_catalog_that_can_not_be_reached_is_one_sentence(tmp_path: Path) -> None:
    """Name, cause and what to do; the password is not in it."""
    catalog = ("sink", f"sqlite:////{tmp_path}/absent/secret.db", f"file://{tmp_path}/warehouse")
    with pytest.raises(SinkError, match=r"can't be used .*: check its address and password\.$"):
        open_sink(catalog, "topic", 0.3, 1.0, lambda: None)
