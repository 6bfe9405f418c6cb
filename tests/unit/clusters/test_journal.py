"""What was made is known after any crash."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assay.clusters.journal import CgroupTree, Journal, Link, Process, Table

if TYPE_CHECKING:
    from pathlib import Path

ENTRIES = (
    CgroupTree("assay-x-12ab"),
    Process("control-plane"),
    Process("control-plane", 4711, 99),
    Link("assay-201", "02:00:00:00:00:01"),
    Table("ip", "assay-201-12ab"),
)


def test_entries_come_back_in_the_order_they_were_written(tmp_path: Path) -> None:
    """Another process reads the same entries."""
    journal = Journal(tmp_path / "journal")
    for entry in ENTRIES:
        journal.write(entry)
    assert Journal(tmp_path / "journal").entries() == ENTRIES


def test_no_journal_means_nothing_was_made(tmp_path: Path) -> None:
    """A cluster that was killed before its first entry has made nothing."""
    assert Journal(tmp_path / "journal").entries() == ()


def test_every_readable_prefix_survives_a_cut_anywhere(tmp_path: Path) -> None:
    """Cut off at any byte, the entries before the cut are all there, and none is made up."""
    path = tmp_path / "journal"
    for entry in ENTRIES:
        Journal(path).write(entry)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        found = Journal(path).entries()
        complete = whole[:length].count(b"\n")
        assert found[:complete] == ENTRIES[:complete]
        assert found[complete:] in {(), ENTRIES[complete : complete + 1]}


def test_a_line_of_an_unknown_kind_is_passed_over(tmp_path: Path) -> None:
    """A journal of a newer version does not keep the rest from being removed."""
    path = tmp_path / "journal"
    path.write_text('{"kind": "satellite", "orbit": 1}\n[]\n"x"\n')
    Journal(path).write(ENTRIES[0])
    assert Journal(path).entries() == ENTRIES[:1]
