"""This machine, made ready for the embedded cluster: playbooks/host.yml, run when its inputs have changed.

The playbook itself finds out what is stale, which takes it some ten seconds also when nothing is. The inputs' hash,
kept beside what was prepared, answers "nothing is" in milliseconds.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from assay import deploy
from assay.clusters import prepared

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

#: What host.yml builds from, below the repository's root.
_INPUTS: Final = ("cluster", "workloads", "playbooks/host.yml", "playbooks/roles")
#: Of these, what no binary and no image holds.
_OTHERS: Final = ("workloads/manifests", "playbooks/roles/platform_")
_STAMP: Final = "inputs.sha256"


def ensure(tell: Callable[[str], None]) -> None:
    """Prepare the machine unless it is; `tell` is told each task.

    Raises:
        AssayError: A task failed; the sentence names it and the cause.
    """
    wanted = fingerprint(deploy.ROOT)
    if _is(wanted):
        return
    deploy.prepare_host(tell)
    (prepared.cache() / _STAMP).write_text(wanted)


def is_current() -> bool:
    """Whether what is prepared was built from the present sources."""
    return _is(fingerprint(deploy.ROOT))


def _is(wanted: str) -> bool:
    stamp = prepared.cache() / _STAMP
    return stamp.is_file() and stamp.read_text() == wanted and prepared.find(prepared.cache()) is not None


def fingerprint(root: Path) -> str:
    """SHA-256 over names and contents of all that host.yml builds from."""
    total = hashlib.sha256()
    for path in _files(root):
        total.update(f"{path.relative_to(root)}\0".encode())
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def _files(root: Path) -> Iterator[Path]:
    for name in _INPUTS:
        top = root / name
        for path in [top] if top.is_file() else sorted(top.rglob("*")):
            relative = path.relative_to(root).as_posix()
            if path.is_file() and "__pycache__" not in path.parts and not relative.startswith(_OTHERS):
                yield path
