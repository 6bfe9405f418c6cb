"""What belongs to a cluster on this machine, looked for where the system lists it, not in the cluster's own journal."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from assay.clusters import cgroups, processes


def found_of(folder: Path, record: dict[str, object]) -> dict[str, list[str]]:
    """All that belongs to the cluster of this state folder and record, by kind; empty lists where nothing is left."""

    def shown(*argv: str) -> list[str]:
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()

    octet, token = record["octet"], str(record["token"])
    own_link = f"assay-{octet}"
    hardware = "02:" + ":".join(token[i : i + 2] for i in range(0, 10, 2))
    used = Path("/run/assay/machine.json")
    return {
        "processes": [str(pid) for pid, _ in processes.marked(token)],
        "folder": [str(one) for one in folder.glob("*")],
        "links": [line for line in shown("ip", "-o", "link") if hardware in line],
        "routes": [
            line for line in shown("ip", "-4", "route", "show", "table", "all") if f"dev {own_link} " in f"{line} "
        ],
        "tables": [line for line in shown("nft", "list", "tables") if token[:8] in line],
        "mounts": [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(folder) in line],
        # Of a file's path the kernel may only know what is below its mount.
        "disks": [one for one in shown("losetup", "-nlO", "NAME,BACK-FILE") if f"{folder.name}/volumes/" in one],
        "cgroups": [str(one) for h in cgroups.read().hierarchies for one in h.root.glob(f"assay-*-{token[:8]}")],
        "borrowed": [str(folder)] if used.exists() and str(folder) in used.read_text() else [],
    }


def read_record(folder: Path) -> dict[str, object]:
    """The cluster's record."""
    record: dict[str, object] = json.loads((folder / "cluster.json").read_text())
    return record
