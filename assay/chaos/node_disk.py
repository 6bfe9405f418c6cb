"""A part of the node program: the volumes of a container, how big they are, and holding the space that is left."""

from __future__ import annotations

import errno
import json
import os
import time
from pathlib import Path

from assay.chaos import node_processes

_BLOCK = 4096


def volume(pod: str, container: str, path: str) -> node_processes.Answer:
    """The file system at a mount point of a container.

    Returns:
        `{"root": which folder of the file system is mounted there ("/": all of it), "total": bytes, "free": bytes}`.
    """
    pid = node_processes.some(pod, container)[0]["pid"]
    for line in reversed(Path(f"/proc/{pid}/mountinfo").read_text().splitlines()):  # what is mounted last is seen
        fields = line.split()
        if fields[4] == path:
            return {"root": fields[3], **_space(f"/proc/{pid}/root{path}")}
    raise node_processes.OrderError(f"nothing is mounted at {path} in the container")


def _space(path: str) -> dict[str, int]:
    """The bytes of a file system, and those of them that are free for anybody."""
    found = os.statvfs(path)
    return {"total": found.f_blocks * found.f_frsize, "free": found.f_bavail * found.f_frsize}


def fill(  # noqa: PLR0917  # called by names only, as the order has them
    pod: str, container: str, fault: str, path: str, seconds: float, at_most: int, folder: str = node_processes.FOLDER
) -> node_processes.Answer:
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
    record = node_processes.record_of(folder, container, fault)
    place = f"/proc/{node_processes.some(pod, container)[0]['pid']}/root{path}"
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
    return {"holder": node_processes.start_healer(record, about, deadline, lambda: _grow(file, at_most), lambda: None)}


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


def held(container: str, fault: str, folder: str = node_processes.FOLDER, **_of: str) -> node_processes.Answer:
    """What a fault still holds: `{"held": whether, "total": bytes of the file system, "free": bytes}`."""
    try:
        holder = json.loads(node_processes.record_of(folder, container, fault).read_text())
        if node_processes.started_of(holder["pid"]) == holder["started"]:
            return {"held": True, **_space(f"/proc/{holder['pid']}/fd/{holder['file']}")}
    except (FileNotFoundError, ProcessLookupError):
        pass
    return {"held": False}
