"""Having the node program run on a node: the interface, and the way for nodes that are namespaces of this machine.

The embedded cluster's processes and network namespaces all stand in this machine's /proc, so the program runs here.
"""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import resources
from typing import TYPE_CHECKING, Any, Final, Protocol

from assay.errors import AssayError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Order = Mapping[str, Any]
    Answer = dict[str, Any]

#: How long an order may take, beside what it waits for by itself (seconds).
ORDER_SECONDS: Final = 30.0
VARIABLE: Final = "ASSAY_PROGRAM"
#: The program's parts; each imports only earlier ones, and the last one has `main`.
PARTS: Final = ("node_processes", "node_disk", "node_network", "node_program")
#: Makes modules of the parts, under the names by which they import one another, with nothing installed.
_LAUNCH: Final = f"""
import json, os, sys, types
package = sys.modules["assay.chaos"] = types.ModuleType("assay.chaos")
for name, text in json.loads(os.environ[{VARIABLE!r}]).items():
    part = sys.modules["assay.chaos." + name] = types.ModuleType(name)
    setattr(package, name, part)
    exec(text, part.__dict__)
part.main()
"""


class Node(Protocol):
    """A node that carries out orders; see `node_program` for these."""

    def ask(self, order: Order) -> Answer:
        """The answer to an order.

        Raises:
            AssayError: The node can't be asked, or can't do it.
        """


class Nodes(Protocol):
    """A cluster's nodes, by their names in Kubernetes."""

    def __call__(self, name: str) -> Node:
        """The node of this name.

        Raises:
            AssayError: It can't be had.
        """


def program() -> str:
    """The texts of the program's parts, as the variable `VARIABLE` must hold them where `command` is run."""
    folder = resources.files("assay.chaos")
    return json.dumps({part: folder.joinpath(f"{part}.py").read_text() for part in PARTS})


def command(order: Order, python: str = "python3") -> list[str]:
    """The command line that carries out an order."""
    return [python, "-I", "-S", "-c", _LAUNCH, json.dumps(dict(order))]


def parse(name: str, order: Order, stdout: str, stderr: str) -> Answer:
    """What the program answered.

    Raises:
        AssayError: It said that it could not do it, or nothing that can be understood.
    """
    lines: Sequence[str] = stdout.strip().splitlines()
    try:
        answer = json.loads(lines[-1]) if lines else None
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        last = (stderr.strip() or "it said nothing").splitlines()[-1]
        raise AssayError(f"The order {order['do']!r} died on {name}: {last[:300]}.")
    if "error" in answer:
        raise AssayError(f"The order {order['do']!r} can't be carried out on {name}: {answer['error']}.")
    return answer


class HostNode:
    """Any node of an embedded cluster."""

    def ask(self, order: Order) -> Answer:
        """Carry an order out on this machine.

        Raises:
            AssayError: It can't be done.
        """
        try:
            done = subprocess.run(
                command(order, sys.executable),
                env={VARIABLE: program()},
                capture_output=True,
                text=True,
                timeout=ORDER_SECONDS + float(order.get("seconds", 0)) * float(order.get("attempts", 0)),
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise AssayError(f"The order {order['do']!r} was not done within {error.timeout:.0f} s.") from None
        return parse("this machine", order, done.stdout, done.stderr)


def on_this_machine(_name: str) -> Node:
    """The nodes of embedded clusters, as `Nodes`."""
    return HostNode()
