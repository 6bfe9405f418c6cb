"""Where a cluster's addresses lie, and which range it takes."""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import TYPE_CHECKING

import pytest

from assay.clusters import addresses
from assay.clusters.addresses import Addresses
from assay.clusters.embedded import EmbeddedCluster
from assay.clusters.state import State, new_record
from assay.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path


def nets(*texts: str) -> tuple[IPv4Network, ...]:
    """Networks from their texts."""
    return tuple(IPv4Network(text) for text in texts)


def test_everything_lies_in_the_range_and_nothing_overlaps() -> None:
    """Services, fabric and each node's pods are disjoint parts of 10.B.0.0/16, up to the last node allowed."""
    one = Addresses(201)
    parts = [one.services, one.fabric, *(one.pods(n) for n in range(1, addresses.MAX_NODES + 1))]
    assert all(part.subnet_of(one.range) for part in parts)
    assert not any(a.overlaps(b) for i, a in enumerate(parts) for b in parts[:i])


def test_the_addresses_of_the_contract() -> None:
    """The addresses that others rely on, literally."""
    one = Addresses(207)
    assert str(one.pods(3)) == "10.207.3.0/24"
    assert str(one.node(3)) == "10.207.255.13"
    assert str(one.services) == "10.207.128.0/20"
    assert str(one.dns) == "10.207.128.10"
    assert one.api_url == "https://10.207.255.1:6443"


@pytest.mark.parametrize("number", [0, -1, 101])
def test_a_node_has_a_number_from_1_to_100(number: int) -> None:
    """Beyond it pods would run into services, or node addresses out of the fabric."""
    with pytest.raises(ValueError, match="1 to 100"):
        Addresses(201).pods(number)


def test_the_first_free_range_is_taken() -> None:
    """A route into it, an interface inside it, or a single name server's address makes a range taken."""
    used = nets("10.201.7.0/24", "10.202.0.0/16", "10.203.255.53/32", "192.168.0.0/16")
    assert addresses.choose(used).octet == 204


def test_a_default_route_is_no_clash_but_the_whole_private_range_is() -> None:
    """0.0.0.0/0 overlaps everything and means nothing; a route for 10.0.0.0/8 means every range."""
    assert addresses.choose(nets("0.0.0.0/0")).octet == 201
    with pytest.raises(UsageError, match="no address range is free"):
        addresses.choose(nets("10.0.0.0/8"))


@pytest.mark.parametrize("text", ["", "10.1.0.0", "10.1.2.0/16", "10.1.0.0/24", "192.168.0.0/16", "ten", "fd00::/16"])
def test_a_range_of_another_form_is_refused(text: str) -> None:
    """Only 10.B.0.0/16 can be asked for; the message shows what was given and an example."""
    with pytest.raises(UsageError, match=r"not of the form 10\.B\.0\.0/16"):
        addresses.explicit(text, ())


def test_a_free_range_can_be_asked_for_and_a_taken_one_is_refused() -> None:
    """The refusal names what it clashes with."""
    assert addresses.explicit("10.77.0.0/16", nets("10.78.0.0/16")).octet == 77
    with pytest.raises(UsageError, match=r"10\.77\.0\.0/16 clashes with 10\.77\.3\.0/24"):
        addresses.explicit("10.77.0.0/16", nets("10.77.3.0/24"))


def test_nodes_see_this_machine_by_its_own_end_of_the_link(tmp_path: Path) -> None:
    """Which is known once the cluster has its addresses, and not before."""
    cluster = EmbeddedCluster("x", root=tmp_path)
    assert cluster.clients == ()
    State(tmp_path / "x").save(new_record("x", "embedded", 3, 207))
    assert cluster.clients == ("10.207.255.2/32",)
