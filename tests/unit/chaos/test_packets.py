"""Which packets are dropped, and the rules that say so."""

from __future__ import annotations

import pytest

from assay.chaos.packets import Connection, Flow, cut, flows, ruleset
from assay.errors import UsageError


def test_flows_are_every_direction_with_every_peer_on_every_port() -> None:
    """Ports here and ports there are different flows, not one that needs both."""
    assert flows(["10.1.0.2", "10.1.0.3"], here=[9091], there=[9093]) == {
        Flow(direction, f"10.1.0.{number}/32", here, there)
        for direction in ("in", "out")
        for number in (2, 3)
        for here, there in ((9091, None), (None, 9093))
    }
    assert flows(directions=["in"]) == {Flow("in")}


@pytest.mark.parametrize(
    ("connection", "hit"),
    [
        (Connection("10.1.0.2", here=9091), True),
        (Connection("10.1.0.2", here=9093), False),
        (Connection("10.1.0.2", there=9091), False),
        (Connection("10.1.0.9", here=9091), False),
        (Connection("10.2.7.7", here=9091), True),
        (Connection("fd00::2", here=9091), False),
    ],
)
def test_a_connection_is_cut_if_it_is_of_a_named_peer_and_port(connection: Connection, hit: bool) -> None:
    """One end's port is not the other's, and another peer's connection to the same port is not touched."""
    assert cut(flows(["10.1.0.2", "10.2.0.0/16"], here=[9091]), connection) is hit


def test_no_peer_and_no_port_is_everybody_and_everything() -> None:
    """Of both kinds of addresses."""
    assert all(cut(flows(), one) for one in (Connection("10.1.0.2", here=1), Connection("fd00::1", there=65_535)))


def test_rules_drop_what_arrives_and_what_leaves_while_the_set_is_armed() -> None:
    """The port is at our end: the destination of what arrives, the source of what leaves; loading twice is no error."""
    armed = "meta nfproto @armed"
    assert ruleset("inet assay-x", flows(["10.1.0.2"], here=[9091]), seconds=1.5).splitlines() == [
        "table inet assay-x",
        "delete table inet assay-x",
        "table inet assay-x {",
        "  set armed { type nf_proto; flags timeout; elements = { ipv4 timeout 1500ms, ipv6 timeout 1500ms } }",
        "  chain in { type filter hook input priority -300; policy accept;",
        f'    iifname != "lo" {armed} ip saddr 10.1.0.2/32 meta l4proto {{ tcp, udp }} th dport 9091 counter drop',
        "  }",
        "  chain out { type filter hook output priority -300; policy accept;",
        f'    oifname != "lo" {armed} ip daddr 10.1.0.2/32 meta l4proto {{ tcp, udp }} th sport 9091 counter drop',
        "  }",
        "}",
    ]


def test_rules_know_ipv6_and_chance() -> None:
    """A share is parts of a million, so that a small one is not rounded away."""
    text = ruleset("inet x", flows(["fd00::/8"], there=[53], directions=["out"]), seconds=60, loss=0.25)
    rule = "ip6 daddr fd00::/8 meta l4proto { tcp, udp } th dport 53 numgen random mod 1000000 < 250000 counter drop"
    assert f'    oifname != "lo" meta nfproto @armed {rule}\n' in text


@pytest.mark.parametrize("loss", [0.0, -0.1, 1.1])
def test_a_share_that_is_none_is_refused(loss: float) -> None:
    """Also nothing to drop, and no time to drop it in: it would look like a fault and be none."""
    with pytest.raises(UsageError, match="drops nothing"):
        ruleset("inet x", flows(), seconds=1, loss=loss)
    with pytest.raises(UsageError, match="drops nothing"):
        ruleset("inet x", [], seconds=1)
    with pytest.raises(UsageError, match="drops nothing"):
        ruleset("inet x", flows(), seconds=0)


def test_what_is_no_address_and_no_port_is_refused() -> None:
    """In one sentence; a network's host bits must be zero, so that a slip of the pen is not a wider cut."""
    for peers, ports in ((["kafka-1"], [1]), (["10.1.0.2/16"], [1]), (["10.1.0.2"], [0]), (["10.1.0.2"], [65_536])):
        with pytest.raises(UsageError, match=r"is neither an IP address|is not a port"):
            flows(peers, here=ports)
