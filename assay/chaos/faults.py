"""The faults: how each is done to a container, how it is seen to bite, how it is undone, and how that is seen.

What is seen is seen on the processes themselves or on the data plane; that an order was carried out proves nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from assay.chaos import packets, target
from assay.chaos.packets import Connection
from assay.errors import AssayError, UsageError

if TYPE_CHECKING:
    from collections.abc import Collection

    from assay.chaos.node import Nodes
    from assay.chaos.packets import Flow
    from assay.chaos.target import Target
    from assay.platform import Platform

#: A connection that must not come about is given so long, in seconds: its SYN is sent twice in it.
_SILENCE_SECONDS: Final = 1.5
#: Where single packets are lost, one lost SYN must show: it would be sent again after a second.
_LOST_SECONDS: Final = 0.5
_PASSES, _TRIES_AT_LOSS = 3, 100
_STOPPED: Final = "T"


class Fault(Protocol):
    """One fault on one target; see `injection` for who calls this, and in which order.

    Attributes:
        kind: What is done.
        target: To whom; its text is what ledgers call it, such as `pod/kafka-1`.
        chosen: How the target came to be chosen, such as `leader:0`; empty: it was named.
    """

    @property
    def kind(self) -> str:
        """What is done."""

    @property
    def target(self) -> object:
        """To whom."""

    @property
    def chosen(self) -> str:
        """How it was chosen."""

    def inject(self, name: str, seconds: float) -> None:
        """Do it, so that it ends by itself after `seconds`.

        Raises:
            UsageError: It makes no sense as asked; nothing was changed.
            AssayError: It can't be done, or could not be shown afterwards.
        """

    def bites(self) -> str | None:
        """What was seen of its effect, in words; None: nothing yet."""

    def heal(self, name: str) -> None:
        """Undo it, as far as it is not undone; any number of times.

        Raises:
            AssayError: It can't be undone now.
        """

    def healed(self) -> str | None:
        """What was seen of its end, in words; None: nothing yet."""


@dataclass
class Killed:
    """A container whose processes get SIGKILL, or SIGTERM; Kubernetes starts it again.

    Neither can be had through Kubernetes: a process that is the first of its namespace ignores SIGKILL from within, and
    also the forced deletion of a pod begins with SIGTERM.
    """

    platform: Platform
    nodes: Nodes
    target: Target
    signal: Literal["KILL", "TERM"] = "KILL"
    chosen: str = ""
    _sent: list[dict[str, Any]] = field(default_factory=list)

    @property
    def kind(self) -> str:
        """As the ledger has it."""
        return f"process-sig{self.signal.lower()}"

    def inject(self, name: str, seconds: float) -> None:  # noqa: ARG002  # there is nothing to end after a time
        """Send the signal."""
        self._sent = self._ask("signal", name=self.signal)

    def bites(self) -> str | None:
        """No process of the container as it was is alive."""
        return None if self._ask("processes") else f"{_named(self._sent)} gone"

    def heal(self, name: str) -> None:
        """Nothing: Kubernetes does it."""

    def healed(self) -> str | None:
        """Another container is ready in the pod, by its own probe."""
        if not self._sent:
            return "nothing was killed"
        now = target.find(self.platform, self.target.pod, self.target.container)
        if now.container_id == self.target.container_id or not now.ready:
            return None
        return f"container {now.container_id[:12]} is ready"

    def _ask(self, do: str, **fields: str) -> list[dict[str, Any]]:
        return _processes(self.nodes, self.target, do, **fields)


@dataclass
class Paused:
    """A container whose processes are stopped (SIGSTOP): it neither answers nor closes a connection."""

    nodes: Nodes
    target: Target
    chosen: str = ""
    kind: str = "process-pause"

    def inject(self, name: str, seconds: float) -> None:
        """Stop them; a healer on the node continues them after the time."""
        self._ask("pause", fault=name, seconds=seconds)

    def bites(self) -> str | None:
        """Every process is stopped."""
        found = self._ask("processes")
        stopped = bool(found) and all(one["state"] == _STOPPED for one in found)
        return f"{_named(found)} stopped" if stopped else None

    def heal(self, name: str) -> None:
        """Continue them, and end the healer."""
        self._ask("resume", fault=name)

    def healed(self) -> str | None:
        """No process is stopped; nor is there one if the kubelet ended the container meanwhile."""
        found = self._ask("processes")
        return None if any(one["state"] == _STOPPED for one in found) else f"{_named(found)} not stopped"

    def _ask(self, do: str, **fields: str | float) -> list[dict[str, Any]]:
        return _processes(self.nodes, self.target, do, **fields)


@dataclass(frozen=True)
class Probe:
    """A TCP connection that can be tried: from which pod's network, to which address and port."""

    source: Target
    address: str
    port: int

    def __str__(self) -> str:
        """In words."""
        return f"{self.source.pod} to {self.address}:{self.port}"


@dataclass
class Dropped:
    """Packets that are dropped in the target's network namespace: all of the given flows, or a random share.

    Attributes:
        nodes: The cluster's nodes.
        target: In whose network namespace.
        flows: What is dropped.
        through: A connection that the fault must break.
        beside: One that it must not touch, so that a dead machine is not taken for a cut.
        loss: The share of packets that is dropped; 1: all.
        chosen: How the target was chosen.
        some: In words, whose packets; empty: everybody's, both ways.
    """

    nodes: Nodes
    target: Target
    flows: Collection[Flow]
    through: Probe
    beside: Probe
    loss: float = 1.0
    chosen: str = ""
    some: str = ""
    _name: str = ""

    @property
    def kind(self) -> str:
        """As the ledger has it."""
        return ("packet-drop" if self.loss == 1 else "packet-loss") + (f" ({self.some})" if self.some else "")

    def inject(self, name: str, seconds: float) -> None:
        """Load the rules, if the probes can show their effect."""
        _refuse_shared_network(self.target)
        rules = packets.ruleset(_table(name), self.flows, seconds=seconds, loss=self.loss)
        if not packets.cut(self.flows, self._connection(self.through)):
            raise UsageError(f"The probe from {self.through} does not go through what is cut: it could show nothing.")
        if packets.cut(self.flows, self._connection(self.beside)):
            raise UsageError(f"The probe from {self.beside} goes through what is cut: it can't stand beside it.")
        for probe in (self.through, self.beside):
            if not self._passes(probe):
                raise AssayError(f"The probe from {probe} fails already, so no fault could be shown by it.")
        self._name = name
        self.nodes(self.target.node).ask({"do": "cut", "pod": self.target.uid, "ruleset": rules})

    def bites(self) -> str | None:
        """The probe through it gets no answer, and the one beside it does.

        Where single packets are lost, an answer may also be merely late: then the kernel must have dropped some too.
        """
        whole = self.loss == 1
        passed, end = self._reach(
            self.through, _SILENCE_SECONDS if whole else _LOST_SECONDS, 1 if whole else _TRIES_AT_LOSS
        )
        if end != "silent" or not self._passes(self.beside):
            return None
        seen = f"{self.through} silent after {passed} answers, {self.beside} answered"
        if whole:
            return seen
        order = {"do": "dropped", "pod": self.target.uid, "table": _table(self._name)}
        packets_gone = self.nodes(self.target.node).ask(order)["packets"]
        return f"{packets_gone} packets dropped; {seen}" if packets_gone else None

    def heal(self, name: str) -> None:
        """Delete the rules, if they did not go with the pod."""
        self.nodes(self.target.node).ask({"do": "mend", "pod": self.target.uid, "table": _table(name)})

    def healed(self) -> str | None:
        """The probe gets answers again."""
        if not self._name:
            return "nothing was dropped"
        return f"{self.through} answered" if self._passes(self.through) else None

    def _passes(self, probe: Probe) -> bool:
        passed, _ = self._reach(probe, _SILENCE_SECONDS, _PASSES)
        return passed == _PASSES

    def _reach(self, probe: Probe, seconds: float, attempts: int) -> tuple[int, str]:
        order = {"do": "reach", "pod": probe.source.uid, "address": probe.address, "port": probe.port}
        answer = self.nodes(probe.source.node).ask({**order, "seconds": seconds, "attempts": attempts})
        return answer["passed"], answer["end"]

    def _connection(self, probe: Probe) -> Connection:
        """The probe's connection as the target sees it."""
        if probe.source.uid == self.target.uid:
            return Connection(probe.address, there=probe.port)
        if probe.address == self.target.address:
            return Connection(probe.source.address, here=probe.port)
        raise UsageError(f"The probe from {probe} does not touch the pod {self.target.pod}.")


@dataclass
class Unserved:
    """A pod whose ports nobody reaches, and whose own kubelet is what notices: its readiness probe gets no answer.

    For pods that no other pod may connect to all the time. Where it lasts, the liveness probe has the container
    started again, as it would without us.
    """

    platform: Platform
    nodes: Nodes
    target: Target
    ports: Collection[int]
    chosen: str = ""
    kind: str = "packet-drop"
    _asked: bool = field(default=False, init=False)

    def inject(self, name: str, seconds: float) -> None:
        """Load the rules."""
        _refuse_shared_network(self.target)
        if not self.target.ready:
            raise AssayError(f"The pod {self.target.pod} is not ready already, so no fault could be shown by that.")
        rules = packets.ruleset(_table(name), packets.flows(here=self.ports), seconds=seconds)
        self._asked = True
        self.nodes(self.target.node).ask({"do": "cut", "pod": self.target.uid, "ruleset": rules})

    def bites(self) -> str | None:
        """Its readiness probe fails while its container runs."""
        now = target.find(self.platform, self.target.pod, self.target.container)
        return None if now.ready else f"{self.target.pod} runs and does not answer its readiness probe"

    def heal(self, name: str) -> None:
        """Delete the rules, if they did not go with the pod."""
        self.nodes(self.target.node).ask({"do": "mend", "pod": self.target.uid, "table": _table(name)})

    def healed(self) -> str | None:
        """It answers its readiness probe again."""
        if not self._asked:
            return "nothing was dropped"
        now = target.find(self.platform, self.target.pod, self.target.container)
        return f"{self.target.pod} answers its readiness probe" if now.ready else None


def _processes(nodes: Nodes, of: Target, do: str, **fields: str | float) -> list[dict[str, Any]]:
    order = {"do": do, "pod": of.uid, "container": of.container_id, **fields}
    found: list[dict[str, Any]] = nodes(of.node).ask(order)["processes"]
    return found


def _refuse_shared_network(of: Target) -> None:
    if not of.own_network:
        raise UsageError(f"The pod {of.pod} has its node's network: packets can't be dropped for it alone.")


def _named(processes: list[dict[str, Any]]) -> str:
    return "pids " + ", ".join(str(one["pid"]) for one in processes) if processes else "no process"


def _table(name: str) -> str:
    return f"inet assay-{name}"
