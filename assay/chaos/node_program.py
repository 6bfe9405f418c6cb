"""What does the harm, on the node itself: one order in, one answer out, both JSON.

It is sent as text and run by any Python from 3.10 on that has its standard library, so it imports nothing of ours. It
needs root and must see the node's processes. Orders are objects with `do`; their other fields are the functions'
parameters:

    processes  the processes of a container (or of a whole pod), with their states
    signal     send a signal to all of them
    pause      stop all of them (SIGSTOP), and have them continued by itself after `seconds`
    resume     continue them (SIGCONT), or give the space back that `fill` holds
    cut        load an nftables ruleset into the pod's network namespace
    mend       delete a table from it
    reach      try TCP connections from the pod's network namespace
    volume     how big the file system of a volume is, and whether the volume is all of it
    fill       hold the space that is left on a volume, and give it back by itself after `seconds`
    held       what is still held of it
    stay       be there for other orders, and in the end undo what is still paused or held

Answers are the functions' results, or `{"error": "a sentence"}`.

A pod is known by its uid and a container by its id, as Kubernetes has them. Both stand in the path of a process's
cgroup, whatever the cgroup version and driver: `/kubepods/burstable/pod<uid>/<id>` (cgroupfs),
`/kubepods.slice/…-pod<uid, dashes as underscores>.slice/cri-containerd-<id>.scope` (systemd), or with a runtime's own
prefix. Signals go through a pidfd that was opened before the process was looked at, so that they reach that process or
none.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
FOLDER = "/run/assay-faults"
"""Where the records of what is in force are kept."""

_NODE_MOUNTS = "/proc/1/ns/mnt"
_NEW_NETWORK = 0x40000000  # CLONE_NEWNET of sched.h
_TOOL_SECONDS = 20
_ROUNDS = 50
_TICK_SECONDS = 0.2
_MARK = "asked"
_STOPPED = "T"
_GONE = ("Z", "X")
_NOT_FOUND = 127
_BLOCK = 4096

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


def _some(pod: str, container: str | None = None) -> list[Process]:
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
    _some(pod, container)
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
    _some(pod, container)
    record = _record(folder, container, fault)
    healer = _start_healer(
        record,
        {"pod": pod, "container": container},
        time.monotonic() + seconds,
        each=lambda: None,
        last=lambda: _continue(pod, container),
    )
    return {**signal_all(pod, container, "STOP"), "healer": healer}


def _record(folder: str, container: str, fault: str) -> Path:
    """Where the record of a fault on a container is; names of faults repeat from run to run, containers do not."""
    return Path(folder, f"{container}.{fault}.json")


def _start_healer(
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
        me = {**about, "pid": os.getpid(), "started": _started(os.getpid())}
        draft = record.with_suffix(".draft")
        draft.write_text(json.dumps(me))
        draft.rename(record)
        os.write(told, str(os.getpid()).encode())
        os.close(told)
        while time.monotonic() < deadline:
            time.sleep(max(0.0, min(_TICK_SECONDS, deadline - time.monotonic())))
            each()
        last()
        record.unlink(missing_ok=True)
    finally:
        os._exit(0)


def _started(pid: int) -> int:
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
    return {"processes": _resume(pod, container, _record(folder, container, fault))}


def _resume(pod: str, container: str, record: Path) -> list[Process]:
    continued = _continue(pod, container)  # first: until this is done the healer is still needed
    try:
        healer = json.loads(record.read_text())
        if _started(healer["pid"]) == healer["started"]:
            os.kill(healer["pid"], signal.SIGKILL)
    except (FileNotFoundError, ProcessLookupError):
        pass
    record.unlink(missing_ok=True)
    return continued


def stay(seconds: float, folder: str = FOLDER) -> Answer:
    """Be there for other orders: end when none came for so long and nothing is in force, or when told to (SIGTERM).

    What is still in force from the folder then is undone.
    """

    def told(_number: int, _frame: Any) -> None:
        raise SystemExit

    signal.signal(signal.SIGTERM, told)
    mark = Path(folder, _MARK)
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.touch()
    try:
        seen, last = mark.stat().st_mtime_ns, time.monotonic()
        while time.monotonic() - last < seconds:
            time.sleep(_TICK_SECONDS)
            now = mark.stat().st_mtime_ns
            if now != seen or any(Path(folder).glob("*.json")):
                seen, last = now, time.monotonic()
    finally:
        for record in Path(folder).glob("*.json"):
            with contextlib.suppress(FileNotFoundError):
                about = json.loads(record.read_text())
                _resume(about["pod"], about["container"], record)
    return {}


def cut(pod: str, ruleset: str) -> Answer:
    """Load an nftables ruleset into a pod's network namespace: `{}`."""
    _enter_network(_some(pod)[0]["pid"])
    _nft(ruleset)
    return {}


def mend(pod: str, table: str) -> Answer:
    """Delete a table of a pod's network namespace: `{"there": whether the pod still is}`. No such table is fine."""
    found = processes(pod)["processes"]
    if not found:
        return {"there": False}
    _enter_network(found[0]["pid"])
    _nft(f"table {table}\ndelete table {table}\n")  # to add a table that is there changes nothing
    return {"there": True}


def _enter_network(pid: int) -> None:
    """Move this process into another's network namespace."""
    with open(f"/proc/{pid}/ns/net") as namespace:  # noqa: PTH123  # setns wants a descriptor
        library = ctypes.CDLL(None, use_errno=True)  # os.setns is there from Python 3.12 on
        if library.setns(namespace.fileno(), _NEW_NETWORK):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), f"/proc/{pid}/ns/net")


def _nft(ruleset: str) -> None:
    """Give a ruleset to nft: to the one that is here, or else to the node's own."""
    words = ["nft", "-f", "-"]
    if shutil.which("nft", path=_PATH) is None:
        words = ["nsenter", f"--mount={_NODE_MOUNTS}", *words]
    try:
        done = subprocess.run(
            words,
            input=ruleset,
            capture_output=True,
            text=True,
            timeout=_TOOL_SECONDS,
            env={"PATH": _PATH},
            check=False,
        )
    except FileNotFoundError:
        raise OrderError(f"neither nft nor {words[0]} is installed here: packets can't be dropped") from None
    if done.returncode == _NOT_FOUND:
        raise OrderError("neither this image nor the node has nft (package nftables): packets can't be dropped")
    if done.returncode:
        raise OrderError(f"nft refused the rules: {(done.stderr.strip() or 'it said nothing').splitlines()[0]}")


def reach(pod: str, address: str, port: int, seconds: float, attempts: int) -> Answer:
    """Try TCP connections from a pod's network namespace, one after another, until one gets no answer.

    Args:
        pod: the pod's uid.
        address: an IP address.
        port: a TCP port.
        seconds: how long each may take; below a second, one lost SYN is seen, since it is sent again after one.
        attempts: how many, at most.

    Returns:
        `{"passed": how many were answered, "end": "open" | "refused" | "silent" | the error of the last one}`. A
        refusal is an answer: packets go both ways.
    """
    _enter_network(_some(pod)[0]["pid"])
    passed, end = 0, ""
    while passed < attempts:
        try:
            socket.create_connection((address, port), timeout=seconds).close()
            end = "open"
        except ConnectionRefusedError:
            end = "refused"
        except TimeoutError:
            return {"passed": passed, "end": "silent"}
        except OSError as error:
            return {"passed": passed, "end": error.strerror or str(error)}
        passed += 1
    return {"passed": passed, "end": end}


def volume(pod: str, container: str, path: str) -> Answer:
    """The file system at a mount point of a container.

    Returns:
        `{"root": which folder of the file system is mounted there ("/": all of it), "total": bytes, "free": bytes}`.
    """
    pid = _some(pod, container)[0]["pid"]
    for line in reversed(Path(f"/proc/{pid}/mountinfo").read_text().splitlines()):  # what is mounted last is seen
        fields = line.split()
        if fields[4] == path:
            return {"root": fields[3], **_space(f"/proc/{pid}/root{path}")}
    raise OrderError(f"nothing is mounted at {path} in the container")


def _space(path: str) -> dict[str, int]:
    """The bytes of a file system, and those of them that are free for anybody."""
    found = os.statvfs(path)
    return {"total": found.f_blocks * found.f_frsize, "free": found.f_bavail * found.f_frsize}


def fill(  # noqa: PLR0917  # called by names only, as the order has them
    pod: str, container: str, fault: str, path: str, seconds: float, at_most: int, folder: str = FOLDER
) -> Answer:
    """Hold what is free on a volume, also what becomes free: in a file without a name, which a process keeps open.

    Args:
        pod: the pod's uid.
        container: the container's id.
        fault: the fault's name.
        path: where the volume is mounted in the container.
        seconds: after how long the process ends, and the kernel removes the file.
        at_most: how many bytes the file may have.
        folder: where records are kept.

    Returns:
        `{"holder": pid}`.
    """
    record = _record(folder, container, fault)
    place = f"/proc/{_some(pod, container)[0]['pid']}/root{path}"
    try:
        file = os.open(place, os.O_TMPFILE | os.O_RDWR, 0o600)
    except OSError as error:
        if error.errno not in {errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL}:
            raise
        named = Path(place, f".assay-{os.getpid()}")  # a file system without files that never had a name
        file = os.open(named, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
        named.unlink()
    about = {"pod": pod, "container": container, "file": file}
    deadline = time.monotonic() + seconds
    return {"holder": _start_healer(record, about, deadline, lambda: _grow(file, at_most), lambda: None)}


def _grow(file: int, at_most: int) -> None:
    """Let the file take what is free for anybody, in ever smaller pieces."""
    piece = at_most
    while piece >= _BLOCK:
        size = os.fstat(file).st_size
        space = os.fstatvfs(file)
        piece = min(piece, space.f_bavail * space.f_frsize, at_most - size)
        if piece <= 0:
            return
        try:
            os.posix_fallocate(file, size, piece)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            piece //= 2


def held(container: str, fault: str, folder: str = FOLDER, **_of: str) -> Answer:
    """What a fault still holds: `{"held": whether, "total": bytes of the file system, "free": bytes}`."""
    try:
        holder = json.loads(_record(folder, container, fault).read_text())
        if _started(holder["pid"]) == holder["started"]:
            return {"held": True, **_space(f"/proc/{holder['pid']}/fd/{holder['file']}")}
    except (FileNotFoundError, ProcessLookupError):
        pass
    return {"held": False}


_DO: dict[str, Callable[..., Answer]] = {
    "processes": processes,
    "signal": signal_all,
    "pause": pause,
    "resume": resume,
    "cut": cut,
    "mend": mend,
    "reach": reach,
    "volume": volume,
    "fill": fill,
    "held": held,
    "stay": stay,
}


def answer(order: dict[str, Any]) -> Answer:
    """The answer to an order."""
    with contextlib.suppress(OSError):  # nobody stays for orders on this machine itself
        os.utime(Path(order.get("folder", FOLDER), _MARK))
    try:
        fields = dict(order)
        return _DO[fields.pop("do")](**fields)
    except OrderError as error:
        return {"error": str(error)}
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        return {"error": f"the node refused it: {error.strerror or error}{where}; it needs root and a privileged pod"}


if __name__ == "__main__":
    print(json.dumps(answer(json.loads(sys.argv[1]))))  # noqa: T201  # the interface
