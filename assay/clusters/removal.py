"""Removing an embedded cluster: exactly what its journal says, in an order that works after a crash at any point."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assay.clusters import borrowed, cgroups, disks, network, processes
from assay.clusters.commands import run
from assay.clusters.journal import CgroupTree, Link, Process, Table

if TYPE_CHECKING:
    from assay.clusters.state import Record, State

REMOVE_SECONDS = 300


def remove(state: State, record: Record) -> None:
    """Remove what the cluster made, and all files in its state folder, its record last; the folder itself stays.

    Doing it again, or after it was interrupted, is fine.

    Args:
        state: its state folder.
        record: what stands there.

    Raises:
        ClusterError: something could not be removed; the record stays, so that it can be tried again.
    """
    entries = state.journal.entries()
    _end_processes(record, [one for one in entries if isinstance(one, Process)])
    disks.detach(state.volumes)
    for entry in reversed(entries):
        match entry:
            case Link():
                network.remove_link(entry)
            case Table():
                network.remove_table(entry)
            case CgroupTree():
                cgroups.read().remove(entry.path)
            case Process():
                pass
    borrowed.give_back(state.folder)
    others = [str(one) for one in state.folder.iterdir() if one.name not in {"cluster.json", "journal.jsonl"}]
    # Should anything be mounted below after all, its files aren't ours to remove.
    run(["rm", "-rf", "--one-file-system", "--", *others], timeout=REMOVE_SECONDS)
    for name in ("journal.jsonl", "cluster.json"):
        (state.folder / name).unlink(missing_ok=True)


def _end_processes(record: Record, entries: list[Process]) -> None:
    if record.boot == processes.boot_id():
        processes.end((one.pid, one.started) for one in entries if one.pid is not None and one.started is not None)
    # Those that a crash kept from the journal, and those that were just being started.
    while marked := processes.marked(record.token):
        processes.end(marked)
