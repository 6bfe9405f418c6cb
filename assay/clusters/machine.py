"""What this machine offers to an embedded cluster, and the one sentence for each thing that it lacks."""

from __future__ import annotations

import ipaddress
import json
import os
import platform
import shutil
import subprocess
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path
from typing import TYPE_CHECKING

from assay.clusters import cgroups
from assay.clusters.commands import run

if TYPE_CHECKING:
    from collections.abc import Iterable

TOOLS = {
    "ip": "iproute2",
    "nft": "nftables",
    "mount": "mount",
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "containerd": "containerd",
    "ctr": "containerd",
    "containerd-shim-runc-v2": "containerd",
    "runc": "runc",
    "iptables": "iptables",
    "conntrack": "conntrack",
}
"""The tools a cluster runs, each with the Debian package that has it."""

CNI_PLUGINS = ("ptp", "host-local", "loopback", "portmap")
CNI_FOLDERS = (Path("/opt/cni/bin"), Path("/usr/lib/cni"), Path("/usr/libexec/cni"))


@dataclass(frozen=True)
class Facts:
    """What was found on this machine.

    Attributes:
        system: the operating system's name.
        root: whether we are root.
        missing_features: what the kernel refused to make when tried.
        missing_controllers: cgroup controllers that Kubernetes needs and the kernel lacks.
        missing_tools: the tools that are not on the PATH.
        cni_folder: the folder that has all CNI plugins needed.
    """

    system: str
    root: bool
    missing_features: tuple[str, ...] = ()
    missing_controllers: tuple[str, ...] = ()
    missing_tools: tuple[str, ...] = ()
    cni_folder: Path | None = None

    def refusal(self, *, with_tools: bool = True) -> str | None:
        """Why no embedded cluster can run here, in one sentence; None if it can.

        Args:
            with_tools: whether missing tools count too (not before the machine was prepared).
        """
        if self.system != "Linux":
            return f"the embedded cluster needs Linux, this is {self.system}; use --cluster existing with a context"
        if not self.root:
            return "the embedded cluster needs root (it makes namespaces, links and mounts); run it with sudo"
        lacking = (*self.missing_features, *(f"cgroup controller {one}" for one in self.missing_controllers))
        if lacking:
            return f"this machine's kernel lacks what the embedded cluster needs: {', '.join(lacking)}"
        return self._without_tools() if with_tools else None

    def _without_tools(self) -> str | None:
        if self.missing_tools:
            packages = ", ".join(sorted({TOOLS[one] for one in self.missing_tools}))
            missing = ", ".join(self.missing_tools)
            return f"{missing} not found on this machine; run playbooks/host.yml, or install packages {packages}"
        if self.cni_folder is None:
            plugins, folders = ", ".join(CNI_PLUGINS), ", ".join(map(str, CNI_FOLDERS))
            return (
                f"CNI plugins {plugins} not found in any of {folders}; run playbooks/host.yml, or install package "
                "containernetworking-plugins"
            )
        return None


def probe(folder: Path) -> Facts:
    """Find out what this machine offers. Kernel features are tried in namespaces of their own, which leave nothing.

    Args:
        folder: where clusters are kept; overlay mounts are tried on its file system. It need not exist.
    """
    system, root = platform.system(), is_root()
    if system != "Linux" or not root:
        return Facts(system, root)
    return Facts(
        system,
        root,
        missing_features=_missing_features(folder),
        missing_controllers=cgroups.read().missing(),
        missing_tools=missing(TOOLS),
        cni_folder=next((one for one in CNI_FOLDERS if all((one / name).exists() for name in CNI_PLUGINS)), None),
    )


def missing(tools: Iterable[str]) -> tuple[str, ...]:
    """Those of the tools that are not on this machine."""
    return tuple(tool for tool in tools if shutil.which(tool, path=_path()) is None)


def is_root() -> bool:
    """Whether we are root."""
    return hasattr(os, "geteuid") and os.geteuid() == 0


def used_networks() -> tuple[IPv4Network, ...]:
    """Every IPv4 network that the machine has an address in, a route to, or a name server at."""
    found: list[IPv4Network] = []
    for link in json.loads(run(["ip", "-j", "-4", "address", "show"])):
        found += [IPv4Network((one["local"], one["prefixlen"]), strict=False) for one in link.get("addr_info", ())]
    for route in json.loads(run(["ip", "-j", "-4", "route", "show", "table", "all"]) or "[]"):
        with suppress(ValueError):
            found.append(IPv4Network("0.0.0.0/0" if route["dst"] == "default" else route["dst"], strict=False))
    return (*found, *(IPv4Network(one) for one in name_servers()))


def name_servers(
    files: tuple[Path, ...] = (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf")),
) -> tuple[str, ...]:
    """The machine's IPv4 name servers that can be reached from elsewhere than the machine itself."""
    found: list[str] = []
    for file in files:
        with suppress(OSError):
            for line in file.read_text().splitlines():
                words = line.split()
                if len(words) > 1 and words[0] == "nameserver":
                    found.append(words[1])
    return tuple(dict.fromkeys(one for one in found if _reachable(one)))


def default_interfaces() -> tuple[str, ...]:
    """The links that lead out of this machine."""
    routes = json.loads(run(["ip", "-j", "-4", "route", "show", "default"]) or "[]")
    return tuple(dict.fromkeys(route["dev"] for route in routes if "dev" in route))


def _reachable(address: str) -> bool:
    try:
        return not ipaddress.IPv4Address(address).is_loopback
    except ValueError:
        return False


def _path() -> str:
    return f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin"


def _missing_features(folder: Path) -> tuple[str, ...]:
    existing = next(one for one in (folder, *folder.absolute().parents) if one.exists())
    with tempfile.TemporaryDirectory(dir=existing, prefix=".assay-probe-") as name:
        scratch = Path(name)
        for part in ("lower", "upper", "work", "merged"):
            (scratch / part).mkdir()
        overlay = f"lowerdir={scratch}/lower,upperdir={scratch}/upper,workdir={scratch}/work"
        masquerade = (
            "add table ip a; add chain ip a c { type nat hook postrouting priority 100; }; add rule ip a c masquerade"
        )
        tries = (
            ("mount, PID, UTS and IPC namespaces", ["--mount", "--pid", "--uts", "--ipc", "--fork"], "true"),
            ("veth links", ["--net"], "ip link add name assay0 type veth peer name assay1"),
            ("bridge links", ["--net"], "ip link add name assay0 type bridge"),
            ("nftables with masquerade", ["--net"], f"nft {masquerade}"),
            (
                f"overlay mounts on the file system of {existing}",
                ["--mount"],
                f"mount -t overlay -o {overlay} assay {scratch}/merged",
            ),
        )
        return tuple(what for what, namespaces, command in tries if not works(namespaces, command.split()))


def works(namespaces: list[str], command: list[str]) -> bool:
    """Whether a command succeeds in new namespaces (options of `unshare`), which take along what it made there."""
    if missing(("unshare", command[0])):
        return True  # a missing tool is told by its name, not as the kernel's fault
    argv = ["unshare", *namespaces, *command]
    return subprocess.run(argv, capture_output=True, check=False, env={"PATH": _path()}).returncode == 0
