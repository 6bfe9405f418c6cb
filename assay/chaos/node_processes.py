"""A part of the node program: the processes of a pod or container, found, signalled, stopped and continued.

A pod is known by its uid and a container by its id, as Kubernetes has them. Both stand in the path of a process's
cgroup, whatever the cgroup version and driver: `/kubepods/burstable/pod<uid>/<id>` (cgroupfs),
`/kubepods.slice/…-pod<uid, dashes as underscores>.slice/cri-containerd-<id>.scope` (systemd), or with a runtime's own
prefix. Signals go through a pidfd that was opened before the process was looked at, so that they reach that process or
none.

What must end by itself has a healer: a process of its own, with no ties to whoever began it, and with a record in a
folder of the node.
"""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

FOLDER = "/run/assay-faults"
"""Where the records of what is in force are kept."""
TICK_SECONDS = 0.2
_ROUNDS = 50
_STOPPED = "T"
_GONE = ("Z", "X")

Process = dict[str, Any]
Answer = dict[str, Any]


class OrderError(Exception):
    """The order can't be carried out; the message is the sentence that says why."""


def belongs(cgroups: str, pod: str, container: str | None = None) -> bool:
    """Whether a process is of a pod, and of a container of it if one is named.

    Args:
        cgroups: the text of its /proc/<pid>/cgroup.
        pod: the pod's uid.
        container: the container's id, without the runtime's scheme.
    """
    marks = (f"pod{pod}", f"pod{pod.replace('-', '_')}")
    for line in cgroups.splitlines():
        parts = line.split(":", 2)[-1].split("/")
        mine = any(mark in part for part in parts for mark in marks)
        if mine and (container is None or any(_is_of(part, container) for part in parts)):
            return True
    return False


def _is_of(part: str, container: str) -> bool:
    name = part.removesuffix(".scope")
    return name == container or name.endswith(("-" + container, ":" + container))


def processes(pod: str, container: str | None = None) -> Answer:
    """The live processes of a container or pod, the oldest first: `{"processes": [{"pid", "started", "state"}]}`.

    `started` is in clock ticks since boot, `state` the letter of proc(5).
    """
    found = []
    for folder in Path("/proc").iterdir():
        one = _look(int(folder.name), pod, container) if folder.name.isdigit() else None
        if one:
            found.append(one)
    return {"processes": sorted(found, key=lambda one: (one["started"], one["pid"]))}


def _look(pid: int, pod: str, container: str | None) -> Process | None:
    try:
        if not belongs(Path(f"/proc/{pid}/cgroup").read_text(), pod, container):
            return None
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    if fields[0] in _GONE:
        return None
    return {"pid": pid, "started": int(fields[19]), "state": fields[0]}


def some(pod: str, container: str | None = None) -> list[Process]:
    """As `processes`, and at least one.

    Raises:
        OrderError: There is none.
    """
    found: list[Process] = processes(pod, container)["processes"]
    if not found:
        what = f"the container {container[:12]}" if container else "any container"
        raise OrderError(f"no process of {what} of the pod {pod} is to be seen here: is it on this node, and running?")
    return found


def signal_all(pod: str, container: str, name: str) -> Answer:
    """Send a signal to every process of a container, also to those that it starts meanwhile.

    Args:
        pod: the pod's uid.
        container: the container's id.
        name: the signal, like `KILL`.

    Returns:
        `{"processes": [...]}`, those it was sent to, as they were before.
    """
    number = signal.Signals[f"SIG{name}"]
    some(pod, container)
    sent: dict[tuple[int, int], Process] = {}
    for _ in range(_ROUNDS):
        new = [one for one in processes(pod, container)["processes"] if (one["pid"], one["started"]) not in sent]
        if not new:
            break
        for one in new:
            if _signal(one, pod, container, number):
                sent[one["pid"], one["started"]] = one
    return {"processes": list(sent.values())}


def _signal(one: Process, pod: str, container: str, number: signal.Signals) -> bool:
    try:
        handle = os.pidfd_open(one["pid"])
    except ProcessLookupError:
        return False
    try:
        now = _look(one["pid"], pod, container)
        if now is None or now["started"] != one["started"]:
            return False
        signal.pidfd_send_signal(handle, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(handle)
    return True


def pause(pod: str, container: str, fault: str, seconds: float, folder: str = FOLDER) -> Answer:
    """Stop every process of a container, with a healer that continues them.

    The healer is a process of its own, with no ties to this one, and is there before anything is stopped.

    Args:
        pod: the pod's uid.
        container: the container's id.
        fault: the fault's name; the same container is not paused twice by one name.
        seconds: after how long the healer continues them.
        folder: where records are kept.

    Returns:
        `{"processes": [...], "healer": pid}`.
    """
    some(pod, container)
    record = record_of(folder, container, fault)
    healer = start_healer(
        record,
        {"pod": pod, "container": container},
        time.monotonic() + seconds,
        each=lambda: None,
        last=lambda: _continue(pod, container),
    )
    return {**signal_all(pod, container, "STOP"), "healer": healer}


def record_of(folder: str, container: str, fault: str) -> Path:
    """Where the record of a fault on a container is; names of faults repeat from run to run, containers do not."""
    return Path(folder, f"{container}.{fault}.json")


def start_healer(
    record: Path, about: dict[str, Any], deadline: float, each: Callable[[], object], last: Callable[[], object]
) -> int:
    """Fork twice, so that the healer is nobody's child; returns its pid once `each` was done and its record is written.

    Args:
        record: where its record is written, and removed from at its end.
        about: what stands in the record beside its pid and start time.
        deadline: until when it stays, by the monotonic clock.
        each: what it does again and again.
        last: what it does at its end.
    """
    record.parent.mkdir(parents=True, exist_ok=True)
    if record.exists():
        raise OrderError(f"the fault {record.suffixes[0][1:]} is in force already")
    seen, told = os.pipe()
    child = os.fork()
    if child:
        os.close(told)
        os.waitpid(child, 0)
        with os.fdopen(seen) as answer:
            text = answer.read()
        if not text:
            raise OrderError("the process that would heal the fault could not be started: nothing was done")
        return int(text)
    try:
        os.setsid()
        if os.fork():
            os._exit(0)
        os.chdir("/")
        null = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(null, number)
        each()
        me = {**about, "pid": os.getpid(), "started": started_of(os.getpid())}
        draft = record.with_suffix(".draft")
        draft.write_text(json.dumps(me))
        draft.rename(record)
        os.write(told, str(os.getpid()).encode())
        os.close(told)
        while time.monotonic() < deadline:
            time.sleep(max(0.0, min(TICK_SECONDS, deadline - time.monotonic())))
            each()
        last()
        record.unlink(missing_ok=True)
    finally:
        os._exit(0)


def started_of(pid: int) -> int:
    """When a process started, in clock ticks since boot: with its pid it is unmistakable."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


def _continue(pod: str, container: str) -> list[Process]:
    stopped = [one for one in processes(pod, container)["processes"] if one["state"] == _STOPPED]
    for one in stopped:
        _signal(one, pod, container, signal.SIGCONT)
    return stopped


def resume(pod: str, container: str, fault: str, folder: str = FOLDER) -> Answer:
    """Continue what is stopped of a container, and end the fault's healer with all it holds; nothing to do is fine.

    Returns:
        `{"processes": [...]}`, those that were continued.
    """
    return {"processes": undo(pod, container, record_of(folder, container, fault))}


def undo(pod: str, container: str, record: Path) -> list[Process]:
    """Continue what is stopped, and end the healer that a record names; those that were continued."""
    continued = _continue(pod, container)  # first: until this is done the healer is still needed
    try:
        healer = json.loads(record.read_text())
        if started_of(healer["pid"]) == healer["started"]:
            os.kill(healer["pid"], signal.SIGKILL)
    except (FileNotFoundError, ProcessLookupError):
        pass
    record.unlink(missing_ok=True)
    return continued
