"""Starting processes that outlive us, and ending exactly those we started."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from assay.clusters.cluster import ClusterError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

TOKEN_VARIABLE = "ASSAY_CLUSTER_TOKEN"  # noqa: S105  # a mark, not a secret
END_SECONDS = 20.0


def start(argv: Sequence[str], log: Path, token: str) -> tuple[int, int]:
    """Start a process in its own session, marked with the cluster's token, its output appended to the log.

    Returns:
        Its pid and its start time.
    """
    with log.open("ab") as output:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            env={**_clean_environment(), TOKEN_VARIABLE: token},
            start_new_session=True,
        )
    process.returncode = 0  # it is meant to outlive this object: no warning, no wait
    return process.pid, start_time(process.pid) or 0


def _clean_environment() -> dict[str, str]:
    """What a cluster's program may inherit: a PATH that has the system's folders, nothing of the user's session."""
    path = os.environ.get("PATH", "")
    folders = [*path.split(":"), "/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]
    return {"PATH": ":".join(dict.fromkeys(folder for folder in folders if folder.startswith("/")))}


def start_time(pid: int) -> int | None:
    """When a live process started (clock ticks since boot); None if there is none, or only its unreaped remains."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in {"Z", "X"} else int(fields[19])


def alive(pid: int, started: int) -> bool:
    """Whether the process that had this pid and start time still runs."""
    return start_time(pid) == started


def marked(token: str) -> tuple[tuple[int, int], ...]:
    """Pid and start time of every process that carries the cluster's token in its environment."""
    mark = f"{TOKEN_VARIABLE}={token}".encode()
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        started = start_time(int(folder.name))
        try:
            carries = mark in (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if carries and started is not None:
            found.append((int(folder.name), started))
    return tuple(found)


def end(processes: Iterable[tuple[int, int]]) -> None:
    """Kill those processes that are still the ones meant, and wait until they are gone.

    Raises:
        ClusterError: one would not die within 20 s.
    """
    ended = rest = [one for one in processes if alive(*one)]
    for pid, _ in rest:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + END_SECONDS
    while rest := [one for one in rest if alive(*one)]:
        if time.monotonic() > deadline:
            raise ClusterError(
                f"processes {', '.join(str(pid) for pid, _ in rest)} did not end within {END_SECONDS:.0f} s"
            )
        time.sleep(0.02)
    for pid, _ in ended:
        with contextlib.suppress(ChildProcessError):  # a child of ours if this very process started it
            os.waitpid(pid, os.WNOHANG)


def signal_process(pid: int, number: signal.Signals) -> None:
    """Send a signal; a process that is gone already is fine."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def boot_id() -> str:
    """This boot of the machine: pids and start times mean nothing in another."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def memory(processes: Iterable[int]) -> int:
    """Memory of the processes in bytes; pages that several share (the binary, say) are shared out among them."""
    total = 0
    for pid in processes:
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
    return total


def descendants(pids: Iterable[int]) -> tuple[int, ...]:
    """The processes and all that descend from them."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(folder.name))
    found: list[int] = []
    todo = list(pids)
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo += children.get(pid, ())
    return tuple(found)
