"""Which packets are dropped: first as plain data, by direction, peer and port; then as nftables rules (pure).

The rules drop packets in the target's own network namespace, established connections included. They are in force only
while the set `armed` has its elements, which the kernel itself removes after the time limit: the harm ends though
whoever did it is dead. What is left then is a table that matches nothing, until `mend` or the pod's end.

Packets that are dropped on their way out are lost as on a cable for TCP; a UDP socket is told (`EPERM`).
"""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from assay.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

Direction = Literal["in", "out"]
BOTH: Final[tuple[Direction, ...]] = ("in", "out")
_MILLION: Final = 1_000_000
_HOOKS: Final = {"in": ("input", "iifname"), "out": ("output", "oifname")}


class Flow(NamedTuple):
    """Packets of one kind, as the target sees them; None is any.

    Attributes:
        direction: `in`: they arrive at the target; `out`: they leave it.
        peer: The other end: an address or a network.
        here: The port at the target's end.
        there: The port at the other end.
    """

    direction: Direction
    peer: str | None = None
    here: int | None = None
    there: int | None = None


class Connection(NamedTuple):
    """A connection between the target and a peer: the peer's address, and the server's port, here or there."""

    peer: str
    here: int | None = None
    there: int | None = None


def flows(
    peers: Iterable[str] = (),
    *,
    here: Iterable[int] = (),
    there: Iterable[int] = (),
    directions: Iterable[Direction] = BOTH,
) -> frozenset[Flow]:
    """The flows between the target and its peers.

    Args:
        peers: Addresses or networks; none: everybody. The target's own loopback is never meant.
        here: Ports that the target serves.
        there: Ports that the peers serve. No port at all, neither here nor there: every packet.
        directions: Both, or one.

    Raises:
        UsageError: An address or a port is none.
    """
    ports: list[tuple[int | None, int | None]] = [*((port, None) for port in here), *((None, port) for port in there)]
    for port in (one or other for one, other in ports):
        if port is None or not 0 < port <= 65_535:  # noqa: PLR2004  # TCP's and UDP's largest
            raise UsageError(f"{port} is not a port: give a number from 1 to 65535.")
    ends: list[str | None] = [_network(one) for one in peers]
    return frozenset(
        Flow(direction, peer, *pair)
        for direction in directions
        for peer in ends or [None]
        for pair in ports or [(None, None)]
    )


def cut(flows: Collection[Flow], connection: Connection) -> bool:
    """Whether packets of this connection, one way or both, are among the flows; the target's own loopback never is."""
    return not ip_address(connection.peer).is_loopback and any(
        (flow.peer is None or ip_address(connection.peer) in ip_network(flow.peer))
        and flow.here in (None, connection.here)
        and flow.there in (None, connection.there)
        for flow in flows
    )


def ruleset(table: str, flows: Collection[Flow], *, seconds: float, loss: float = 1.0) -> str:
    """The nftables ruleset that drops these flows for so long; loading it again begins anew.

    Args:
        table: The table's family and name, such as `inet assay-cut-1`.
        flows: What to drop.
        seconds: The time limit, kept by the kernel.
        loss: The share of packets to drop, by chance and each for itself; 1: all.

    Raises:
        UsageError: Nothing would be dropped, or nothing that makes sense.
    """
    if not flows or not 0 < loss <= 1 or seconds <= 0:
        raise UsageError(
            f"Dropping a share of {loss:g} of {len(flows)} flows for {seconds:g} s drops nothing: "
            "give a share above 0 and up to 1, at least one flow, and a time."
        )
    limit = f"timeout {max(1, round(seconds * 1000))}ms"
    chance = "" if loss == 1 else f" numgen random mod {_MILLION} < {max(1, round(loss * _MILLION))}"
    lines = [
        f"table {table}",
        f"delete table {table}",
        f"table {table} {{",
        f"  set armed {{ type nf_proto; flags timeout; elements = {{ ipv4 {limit}, ipv6 {limit} }} }}",
    ]
    for direction, (hook, interface) in _HOOKS.items():
        # Before connection tracking, so that no packet of an established connection is waved through.
        lines.append(f"  chain {direction} {{ type filter hook {hook} priority -300; policy accept;")
        lines += [
            f'    {interface} != "lo" meta nfproto @armed{_match(flow)}{chance} counter drop'
            for flow in sorted(flows, key=str)
            if flow.direction == direction
        ]
        lines.append("  }")
    return "\n".join([*lines, "}", ""])


def _match(flow: Flow) -> str:
    """The part of a rule that picks a flow's packets."""
    peer, here, there = ("saddr", "dport", "sport") if flow.direction == "in" else ("daddr", "sport", "dport")
    text = ""
    if flow.peer is not None:
        family = "ip" if ip_network(flow.peer).version == 4 else "ip6"  # noqa: PLR2004  # IPv4
        text += f" {family} {peer} {flow.peer}"
    if flow.here is not None or flow.there is not None:
        text += " meta l4proto { tcp, udp }"
    text += f" th {here} {flow.here}" if flow.here is not None else ""
    return text + (f" th {there} {flow.there}" if flow.there is not None else "")


def _network(peer: str) -> str:
    try:
        return str(ip_network(peer))
    except ValueError:
        raise UsageError(f"{peer!r} is neither an IP address nor a network such as 10.1.0.0/16.") from None
