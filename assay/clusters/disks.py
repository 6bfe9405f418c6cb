"""The disks that are volumes of a cluster: files with a file system, each with a loop device that makes a disk of it.

The volume provisioner makes them (`cluster/volumes/disk.go`). The nodes' kubelets mount them, in namespaces that take
the mounts along when they end; the loop devices are the machine's, and stay until they are detached.
"""

from __future__ import annotations

import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from assay.clusters import machine
from assay.clusters.cluster import ClusterError
from assay.clusters.commands import run

TOOLS: Final = {"mkfs.ext4": "e2fsprogs", "losetup": "mount", "blkid": "util-linux"}
"""What the provisioner and the kubelets run for a disk, each with the Debian package that has it."""

DETACH_SECONDS: Final = 5.0
_TRIED_BYTES: Final = 1 << 20


def lacking(folder: Path) -> str | None:
    """Why this machine can't have disks in a folder, in one sentence without its dot; None if it can. Takes 0.1 s.

    Args:
        folder: where it is tried, in a namespace of its own, which leaves nothing.
    """
    tools = machine.missing(TOOLS)
    if tools:
        packages = ", ".join(sorted({TOOLS[one] for one in tools}))
        return f"{', '.join(tools)} not found on this machine; install packages {packages}, and make the cluster anew"
    with tempfile.TemporaryDirectory(dir=folder, prefix=".disk-probe-") as name:
        image, mounted = Path(name, "disk"), Path(name, "mounted")
        mounted.mkdir()
        with image.open("wb") as file:
            file.truncate(_TRIED_BYTES)
        steps = (
            ["mkfs.ext4", "-q", "-F", str(image)],
            ["mount", "-t", "ext4", "-o", "loop", str(image), str(mounted)],
        )
        if all(machine.works(["--mount"], one) for one in steps):
            return None
    return "this machine's kernel mounts no ext4 file system out of a file (it needs loop devices and ext4)"


def detach(volumes: Path) -> None:
    """Detach the devices of all disks below a cluster's folder of volumes, whose processes have ended.

    Raises:
        ClusterError: one is still used after 5 s; the kernel detaches it when it no longer is.
    """
    deadline = time.monotonic() + DETACH_SECONDS
    while devices := _devices(volumes):
        if time.monotonic() > deadline:
            raise ClusterError(
                f"{', '.join(devices)} is still in use, as a full disk is until its fault ends by itself; "
                "run `assay down` again in some minutes"
            )
        with suppress(ClusterError):  # the kernel was faster, or nothing helps yet
            run(["losetup", "--detach", *devices])
        time.sleep(0.02)


def _devices(volumes: Path) -> list[str]:
    """The loop devices of the files, which the kernel knows by their inodes: their names mean nothing elsewhere."""
    images = sorted(volumes.glob("*/disk.ext4"))
    return [
        device
        for image in images
        for device in run(["losetup", "--associated", str(image), "--noheadings", "--output", "NAME"]).split()
    ]
