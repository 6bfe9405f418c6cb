"""What a cluster has made on this machine, written down before it is made, so that `down` can remove exactly that.

One JSON object a line, appended. A line that was cut off by a crash is passed over: what it announced was not made yet.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Process:
    """A process.

    Attributes:
        role: `control-plane` or the node's name.
        pid: its process id; None while it is only intended (it is found by the cluster's token then).
        started: its start time in clock ticks since boot, which makes the pid unmistakable.
    """

    role: str
    pid: int | None = None
    started: int | None = None


@dataclass(frozen=True)
class Link:
    """A network link in the machine's own network namespace.

    Attributes:
        name: its name.
        hardware: its hardware address, which tells it from another link that took the name.
    """

    name: str
    hardware: str


@dataclass(frozen=True)
class Table:
    """An nftables table in the machine's own network namespace."""

    family: str
    name: str


@dataclass(frozen=True)
class CgroupTree:
    """A cgroup with everything below it, in every hierarchy: its path from their roots."""

    path: str


Entry = Process | Link | Table | CgroupTree
_KINDS: dict[str, type[Entry]] = {kind.__name__.lower(): kind for kind in (Process, Link, Table, CgroupTree)}


class Journal:
    """The journal in one file."""

    def __init__(self, path: Path) -> None:
        """Read and append at this path; the file need not exist yet."""
        self._path = path

    def write(self, entry: Entry) -> None:
        """Append an entry; when this returns, a crash of this process can't lose it."""
        line = json.dumps({"kind": type(entry).__name__.lower(), **asdict(entry)}) + "\n"
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, line.encode())
        finally:
            os.close(descriptor)

    def entries(self) -> tuple[Entry, ...]:
        """All entries, oldest first."""
        try:
            lines = self._path.read_text().splitlines()
        except FileNotFoundError:
            return ()
        return tuple(entry for line in lines if (entry := _parsed(line)) is not None)


def _parsed(line: str) -> Entry | None:
    try:
        fields = json.loads(line)
        return _KINDS[fields.pop("kind")](**fields)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
