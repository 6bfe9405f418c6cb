"""A part of the node program: the network of a pod, where packets are dropped and connections tried."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import socket
import subprocess

from assay.chaos import node_processes

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_NODE_MOUNTS = "/proc/1/ns/mnt"
_NEW_NETWORK = 0x40000000  # CLONE_NEWNET of sched.h
_TOOL_SECONDS = 20
_NOT_FOUND = 127
_COUNTED = re.compile(r"counter packets (\d+)")


def cut(pod: str, ruleset: str) -> node_processes.Answer:
    """Load an nftables ruleset into a pod's network namespace: `{}`."""
    _enter_network(node_processes.some(pod)[0]["pid"])
    _nft(ruleset)
    return {}


def mend(pod: str, table: str) -> node_processes.Answer:
    """Delete a table of a pod's network namespace: `{"there": whether the pod still is}`. No such table is fine."""
    found = node_processes.processes(pod)["processes"]
    if not found:
        return {"there": False}
    _enter_network(found[0]["pid"])
    _nft(f"table {table}\ndelete table {table}\n")  # to add a table that is there changes nothing
    return {"there": True}


def dropped(pod: str, table: str) -> node_processes.Answer:
    """What the rules of a table of a pod's network namespace dropped: `{"packets": how many, since it was loaded}`."""
    _enter_network(node_processes.some(pod)[0]["pid"])
    return {"packets": sum(map(int, _COUNTED.findall(_nft(f"list table {table}\n"))))}


def _enter_network(pid: int) -> None:
    """Move this process into another's network namespace."""
    with open(f"/proc/{pid}/ns/net") as namespace:  # noqa: PTH123  # setns wants a descriptor
        library = ctypes.CDLL(None, use_errno=True)  # os.setns is there from Python 3.12 on
        if library.setns(namespace.fileno(), _NEW_NETWORK):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), f"/proc/{pid}/ns/net")


def _nft(ruleset: str) -> str:
    """Give a ruleset to nft, to the one that is here or else to the node's own, and return what it prints."""
    words = ["nft", "-f", "-"]
    if shutil.which("nft", path=PATH) is None:
        words = ["nsenter", f"--mount={_NODE_MOUNTS}", *words]
    try:
        done = subprocess.run(
            words,
            input=ruleset,
            capture_output=True,
            text=True,
            timeout=_TOOL_SECONDS,
            env={"PATH": PATH},
            check=False,
        )
    except FileNotFoundError:
        raise node_processes.OrderError(
            f"neither nft nor {words[0]} is installed here: packets can't be dropped"
        ) from None
    if done.returncode == _NOT_FOUND:
        raise node_processes.OrderError(
            "neither this image nor the node has nft (package nftables): packets can't be dropped"
        )
    if done.returncode:
        raise node_processes.OrderError(
            f"nft refused the rules: {(done.stderr.strip() or 'it said nothing').splitlines()[0]}"
        )
    return done.stdout


def reach(pod: str, address: str, port: int, seconds: float, attempts: int) -> node_processes.Answer:
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
    _enter_network(node_processes.some(pod)[0]["pid"])
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
