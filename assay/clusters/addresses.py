"""The addresses of an embedded cluster: one free /16, and everything derived from it. Pure.

A cluster with second octet B takes 10.B.0.0/16:

- pods of node n (from 1): 10.B.n.0/24
- services: 10.B.128.0/20, of which .128.1 is the API server's and .128.10 is DNS
- the fabric that nodes, control plane and host share: 10.B.255.0/24, control plane .1, host .2, node n at .(10+n)
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import TYPE_CHECKING

from assay.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

FIRST_OCTET, LAST_OCTET = 201, 254
MAX_NODES = 100


@dataclass(frozen=True)
class Addresses:
    """All addresses of the cluster that took 10.`octet`.0.0/16."""

    octet: int

    @property
    def range(self) -> IPv4Network:
        """The whole range of the cluster; no address outside of it is ever used."""
        return IPv4Network(f"10.{self.octet}.0.0/16")

    @property
    def services(self) -> IPv4Network:
        """Addresses of Services."""
        return IPv4Network(f"10.{self.octet}.128.0/20")

    @property
    def api_service(self) -> IPv4Address:
        """The `kubernetes` Service."""
        return self.services[1]

    @property
    def dns(self) -> IPv4Address:
        """The cluster's DNS Service."""
        return self.services[10]

    @property
    def fabric(self) -> IPv4Network:
        """The network that nodes, control plane and host share."""
        return IPv4Network(f"10.{self.octet}.255.0/24")

    @property
    def control_plane(self) -> IPv4Address:
        """Where the API server listens."""
        return self.fabric[1]

    @property
    def host(self) -> IPv4Address:
        """The machine's own end in the fabric, and the nodes' default gateway."""
        return self.fabric[2]

    @property
    def api_url(self) -> str:
        """The API server."""
        return f"https://{self.control_plane}:6443"

    @property
    def link(self) -> str:
        """The link on the host that leads into the fabric, and the bridge's name inside it."""
        return f"assay-{self.octet}"

    def node(self, number: int) -> IPv4Address:
        """The address of a node.

        Args:
            number: the node's number, from 1.
        """
        return self.fabric[10 + _valid(number)]

    def pods(self, number: int) -> IPv4Network:
        """The pod addresses of a node.

        Args:
            number: the node's number, from 1.
        """
        return IPv4Network(f"10.{self.octet}.{_valid(number)}.0/24")


def _valid(number: int) -> int:
    if not 1 <= number <= MAX_NODES:
        msg = f"a node's number is 1 to {MAX_NODES}, not {number}"
        raise ValueError(msg)
    return number


def choose(used: Iterable[IPv4Network]) -> Addresses:
    """The first free range.

    Args:
        used: networks that this machine knows already: its routes, its interfaces, its name servers, other clusters.
            A default route (0.0.0.0/0) is no clash.

    Raises:
        UsageError: none of the ranges is free.
    """
    taken = tuple(used)
    for octet in range(FIRST_OCTET, LAST_OCTET + 1):
        addresses = Addresses(octet)
        if clash(addresses, taken) is None:
            return addresses
    raise UsageError(
        f"no address range is free for the cluster: each of 10.{FIRST_OCTET}.0.0/16 to 10.{LAST_OCTET}.0.0/16 clashes "
        "with a route, an interface or another cluster of this machine; remove a cluster with `assay down`"
    )


def explicit(text: str, used: Iterable[IPv4Network]) -> Addresses:
    """The range that was asked for.

    Args:
        text: like `10.201.0.0/16`.
        used: as for `choose`.

    Raises:
        UsageError: it isn't such a range, or it clashes with one in use.
    """
    try:
        network = IPv4Network(text)
    except (ipaddress.AddressValueError, ipaddress.NetmaskValueError, ValueError):
        network = None
    octets = network.network_address.packed if network else b""
    if network is None or network.prefixlen != 16 or octets[0] != 10:  # noqa: PLR2004  # 10.B.0.0/16 by definition
        raise UsageError(f"address range {text!r} is not of the form 10.B.0.0/16 (for example 10.201.0.0/16)")
    addresses = Addresses(octets[1])
    other = clash(addresses, tuple(used))
    if other is not None:
        raise UsageError(
            f"address range {text} clashes with {other}, which this machine uses already; choose another 10.B.0.0/16, "
            "or leave --range out"
        )
    return addresses


def clash(addresses: Addresses, used: Iterable[IPv4Network]) -> IPv4Network | None:
    """The first used network that overlaps the cluster's range, or None. A default route overlaps nothing."""
    return next((one for one in used if one.prefixlen > 0 and one.overlaps(addresses.range)), None)
