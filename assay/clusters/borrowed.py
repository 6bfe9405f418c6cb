"""Machine-wide settings and folders that clusters need: borrowed once, given back by the last cluster to go.

A few things exist once per machine, whichever clusters run: some sysctls, and the folders over which nodes mount their
own. What they were before is written to one file that vanishes at a reboot, as the settings themselves do.
"""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

FOLDER = Path("/run/assay")
SYSCTLS = Path("/proc/sys")


@dataclass
class Ledger:
    """Who borrowed, and what things were before.

    Attributes:
        users: state folders of the clusters that use what was borrowed.
        sysctls: setting (path below /proc/sys) → its value before.
        folders: folders that were not there before, parents first.
    """

    users: list[str] = field(default_factory=list)
    sysctls: dict[str, str] = field(default_factory=dict)
    folders: list[str] = field(default_factory=list)


def borrow(user: Path, at_least: Mapping[str, int], folders: Sequence[Path]) -> None:
    """Raise sysctls that are lower, and make folders that are missing; written down before it is done.

    Args:
        user: the cluster's state folder.
        at_least: setting (path below /proc/sys) → the lowest value that will do.
        folders: folders that must exist.
    """
    with _ledger() as ledger:
        if str(user) not in ledger.users:
            ledger.users.append(str(user))
        lower = {
            name: value
            for name, value in at_least.items()
            if (SYSCTLS / name).exists() and int((SYSCTLS / name).read_text()) < value
        }
        for name in lower:
            ledger.sysctls.setdefault(name, (SYSCTLS / name).read_text().strip())
        absent = [one for folder in folders for one in (*reversed(folder.parents), folder) if not one.exists()]
        ledger.folders += [str(one) for one in absent if str(one) not in ledger.folders]
        _save(ledger)
        for name, value in lower.items():
            (SYSCTLS / name).write_text(str(value))
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)


def give_back(user: Path) -> None:
    """This cluster no longer needs anything; if it was the last one, everything goes back to what it was."""
    with _ledger() as ledger:
        ledger.users = [one for one in ledger.users if one != str(user) and Path(one).exists()]
        if ledger.users:
            _save(ledger)
            return
        for name, value in ledger.sysctls.items():
            with suppress(FileNotFoundError):
                (SYSCTLS / name).write_text(value)
        for folder in reversed(ledger.folders):
            with suppress(OSError):  # somebody else put something into it: then it stays
                Path(folder).rmdir()
        (FOLDER / "machine.json").unlink(missing_ok=True)
    with suppress(OSError):
        FOLDER.rmdir()


@contextmanager
def _ledger() -> Iterator[Ledger]:
    descriptor = _lock()
    try:
        try:
            ledger = Ledger(**json.loads((FOLDER / "machine.json").read_text()))
        except FileNotFoundError:
            ledger = Ledger()
        yield ledger
    finally:
        os.close(descriptor)


def _lock() -> int:
    while True:
        FOLDER.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(FOLDER, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with suppress(FileNotFoundError):
            if os.fstat(descriptor).st_ino == FOLDER.stat().st_ino:
                return descriptor
        os.close(descriptor)  # the last cluster removed the folder while we waited


def _save(ledger: Ledger) -> None:
    new = FOLDER / "machine.json.new"
    new.write_text(json.dumps(asdict(ledger), indent=1))
    new.rename(FOLDER / "machine.json")
