"""What a machine lacks is said in one sentence."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from assay.clusters.machine import Facts, name_servers

FIT = Facts("Linux", root=True, cni_folder=Path("/usr/lib/cni"))


def test_a_fit_machine_is_not_refused() -> None:
    """Nothing missing, nothing said."""
    assert FIT.refusal() is None


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        (Facts("Darwin", root=True), "needs Linux, this is Darwin"),
        (Facts("Linux", root=False), "needs root"),
        (Facts("Linux", root=True, missing_features=("veth links",)), "kernel lacks what .*: veth links"),
        (Facts("Linux", root=True, missing_controllers=("memory",)), "kernel lacks what .*: cgroup controller memory"),
        (Facts("Linux", root=True, missing_tools=("nft",)), "nft not found .* packages nftables"),
        (Facts("Linux", root=True), "CNI plugins .* not found"),
    ],
)
def test_each_lack_has_its_sentence(facts: Facts, sentence: str) -> None:
    """It says what is missing and what to do."""
    refusal = facts.refusal()
    assert refusal is not None
    assert "\n" not in refusal

    assert re.search(sentence, refusal)


def test_tools_do_not_count_before_the_machine_was_prepared() -> None:
    """host.yml installs them."""
    assert Facts("Linux", root=True, missing_tools=("nft",)).refusal(with_tools=False) is None


def test_name_servers_of_the_machine_itself_are_left_out(tmp_path: Path) -> None:
    """A pod can't reach the machine's loopback; IPv6 ones are of no use in an IPv4 cluster; each is named once."""
    one, two = tmp_path / "a", tmp_path / "b"
    one.write_text(
        "# x\nnameserver 127.0.0.53\nsearch example.org\nnameserver 192.0.2.53\nnameserver fd00::1\nnameserver\n"
    )
    two.write_text("nameserver 192.0.2.53\nnameserver 198.51.100.1\n")
    assert name_servers((one, two, tmp_path / "absent")) == ("192.0.2.53", "198.51.100.1")
