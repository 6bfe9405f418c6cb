"""What does the harm, on the node itself: one order in, one answer out, both JSON.

It is sent as text, part by part (see `node.program`), and run by any Python from 3.10 on that has its standard library,
so it imports nothing of ours but its own parts. It needs root and must see the node's processes. Orders are objects
with `do`; their other fields are the functions' parameters:

    processes  the processes of a container (or of a whole pod), with their states
    signal     send a signal to all of them
    pause      stop all of them (SIGSTOP), and have them continued by itself after `seconds`
    resume     continue them (SIGCONT), or give the space back that `fill` holds
    cut        load an nftables ruleset into the pod's network namespace
    mend       delete a table from it
    dropped    how many packets a table has dropped
    reach      try TCP connections from the pod's network namespace
    volume     how big the file system of a volume is, and whether the volume is all of it
    fill       hold the space that is left on a volume, and give it back by itself after `seconds`
    held       what is still held of it
    stay       be there for other orders, and in the end undo what is still paused or held

Answers are the functions' results, or `{"error": "a sentence"}`.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.chaos import node_disk, node_network, node_processes

if TYPE_CHECKING:
    from collections.abc import Callable

_MARK = "asked"


def stay(seconds: float, folder: str = node_processes.FOLDER) -> node_processes.Answer:
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
            time.sleep(node_processes.TICK_SECONDS)
            now = mark.stat().st_mtime_ns
            if now != seen or any(Path(folder).glob("*.json")):
                seen, last = now, time.monotonic()
    finally:
        for record in Path(folder).glob("*.json"):
            with contextlib.suppress(FileNotFoundError):
                about = json.loads(record.read_text())
                node_processes.undo(about["pod"], about["container"], record)
    return {}


_DO: dict[str, Callable[..., node_processes.Answer]] = {
    "processes": node_processes.processes,
    "signal": node_processes.signal_all,
    "pause": node_processes.pause,
    "resume": node_processes.resume,
    "cut": node_network.cut,
    "mend": node_network.mend,
    "dropped": node_network.dropped,
    "reach": node_network.reach,
    "volume": node_disk.volume,
    "fill": node_disk.fill,
    "held": node_disk.held,
    "stay": stay,
}


def answer(order: dict[str, Any]) -> node_processes.Answer:
    """The answer to an order."""
    with contextlib.suppress(OSError):  # nobody stays for orders on this machine itself
        os.utime(Path(order.get("folder", node_processes.FOLDER), _MARK))
    try:
        fields = dict(order)
        return _DO[fields.pop("do")](**fields)
    except node_processes.OrderError as error:
        return {"error": str(error)}
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        return {"error": f"the node refused it: {error.strerror or error}{where}; it needs root and a privileged pod"}


def main() -> None:
    """Carry out the order that the command line has."""
    print(json.dumps(answer(json.loads(sys.argv[1]))))  # noqa: T201  # the interface
