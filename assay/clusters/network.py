"""The links between host, control plane and nodes.

The control plane's network namespace is the fabric: it has a bridge that all nodes are plugged into, so that traffic
between nodes meets neither the machine's own firewall rules nor its other bridges. One veth leads from the fabric to
the host, which gets a route to each node's pods and hides what leaves the machine behind the machine's own address. All
of it except the table dies with the namespaces.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from assay.clusters.cluster import ClusterError
from assay.clusters.commands import run
from assay.clusters.journal import Link, Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from assay.clusters.journal import Journal
    from assay.clusters.state import Record


def links() -> frozenset[Link]:
    """The links in the machine's own network namespace."""
    shown = json.loads(run(["ip", "-j", "link", "show"]))
    return frozenset(Link(one["ifname"], one.get("address", "")) for one in shown)


def make_fabric(record: Record, pid: int, journal: Journal) -> None:
    """Make the fabric in a process' network namespace and connect the host to it.

    Args:
        record: the cluster; its token makes what stands on the host unmistakable.
        pid: the process whose network namespace becomes the fabric.
        journal: where what is made on the host is written down first.

    Raises:
        ClusterError: a link or a table could not be made.
    """
    addresses, token = record.addresses, record.token
    link = addresses.link
    pod_routes = [f"route add {addresses.pods(n)} via {addresses.node(n)}" for n in range(1, record.nodes + 1)]
    own = Link(link, "02:" + ":".join(token[i : i + 2] for i in range(0, 10, 2)))
    journal.write(own)
    _ip(None, [f"link add {link} address {own.hardware} type veth peer name host netns {pid}"], token)
    # A bridge takes its lowest port's hardware address unless it has one of its own; a change would stall its clients.
    hardware = "02:0a:" + ":".join(f"{byte:02x}" for byte in addresses.control_plane.packed)
    _ip(
        pid,
        [
            "link set lo up",
            f"link add {link} address {hardware} type bridge",
            f"address add {addresses.control_plane}/{addresses.fabric.prefixlen} dev {link}",
            f"link set {link} up",
            f"link set host master {link} up",
            f"route add default via {addresses.host}",
            *pod_routes,
        ],
        token,
    )
    _ip(
        None,
        [
            f"address add {addresses.host}/{addresses.fabric.prefixlen} dev {link}",
            f"link set {link} up",
            *pod_routes,
        ],
        token,
    )
    table = Table("ip", f"{link}-{token[:8]}")
    journal.write(table)
    run(
        ["nft", "-f", "-"],
        stdin=f"""table {table.family} {table.name} {{
            chain leaving {{
                type nat hook postrouting priority srcnat;
                ip saddr {addresses.range} ip daddr != {addresses.range} masquerade
            }}
        }}""",
        token=token,
    )


def connect_node(record: Record, number: int, node_pid: int, fabric_pid: int) -> None:
    """Plug a node into the fabric; what was left of an earlier plug of its is replaced.

    Args:
        record: the cluster.
        number: the node's number, from 1.
        node_pid: a process in the node's network namespace.
        fabric_pid: a process in the fabric's.

    Raises:
        ClusterError: a link could not be made.
    """
    addresses, token = record.addresses, record.token
    port = f"node-{number}"
    if port in {one["ifname"] for one in json.loads(run([*_inside(fabric_pid), "ip", "-j", "link", "show"]))}:
        _ip(fabric_pid, [f"link delete {port}"], token)
    _ip(
        fabric_pid,
        [
            f"link add {port} type veth peer name eth0 netns {node_pid}",
            f"link set {port} master {addresses.link} up",
        ],
        token,
    )
    others = [one for one in range(1, record.nodes + 1) if one != number]
    _ip(
        node_pid,
        [
            "link set lo up",
            f"address add {addresses.node(number)}/{addresses.fabric.prefixlen} dev eth0",
            "link set eth0 up",
            f"route add default via {addresses.host}",
            *(f"route add {addresses.pods(one)} via {addresses.node(one)}" for one in others),
        ],
        token,
    )


def set_port(number: int, fabric_pid: int, *, up: bool) -> None:
    """Cut a node off the fabric, or connect it again, as pulling its cable would.

    Args:
        number: the node's number, from 1.
        fabric_pid: a process in the fabric's network namespace.
        up: whether it shall be connected.
    """
    _ip(fabric_pid, [f"link set node-{number} {'up' if up else 'down'}"])


def remove_link(link: Link) -> None:
    """Remove a link of the host, if it is still there."""
    if link in links():
        try:
            run(["ip", "link", "delete", link.name])
        except ClusterError:
            if link in links():  # else its namespace's end took it along meanwhile
                raise


def remove_table(table: Table) -> None:
    """Remove an nftables table of the host, if it is still there."""
    shown = json.loads(run(["nft", "-j", "list", "tables"]))["nftables"]
    if any(
        (one["table"]["family"], one["table"]["name"]) == (table.family, table.name) for one in shown if "table" in one
    ):
        run(["nft", "delete", "table", table.family, table.name])


def _ip(pid: int | None, lines: Sequence[str], token: str = "") -> None:
    """Run these lines of `ip` in a process' network namespace, or in the machine's own."""
    run([*_inside(pid), "ip", "-batch", "-"], stdin="\n".join(lines) + "\n", token=token)


def _inside(pid: int | None) -> list[str]:
    return [] if pid is None else ["nsenter", f"--net=/proc/{pid}/ns/net"]
