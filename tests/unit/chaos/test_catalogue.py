"""The catalogue: every fault is described, takes what it says, and refuses the rest in one sentence."""

from __future__ import annotations

import inspect
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from assay.chaos.catalogue import CATALOGUE, Argument, build, entry, limits
from assay.errors import UsageError

if TYPE_CHECKING:
    from assay.chaos.catalogue import Entry

NOBODY: Any = None


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_fault_is_described_and_takes_its_own_defaults(name: str) -> None:
    """One line, and defaults that pass their own checks."""
    found = entry(name)
    assert found.description
    assert "\n" not in found.description
    assert found.checked(name, {}) == {one.name: one.default for one in found.arguments}
    assert limits(name) == {"bite_seconds": found.bite_seconds, "heal_seconds": found.heal_seconds}


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_builder_takes_what_the_catalogue_says(name: str) -> None:
    """Neither more nor less than what the entry's arguments and the builder's own defaults give."""
    found: Entry = entry(name)
    fixed = found.builder.keywords if isinstance(found.builder, partial) else {}
    function = found.builder.func if isinstance(found.builder, partial) else found.builder
    inspect.signature(function).bind(NOBODY, **fixed, **found.checked(name, {}))
    assert not fixed.keys() & {one.name for one in found.arguments}


@pytest.mark.parametrize(
    ("name", "arguments", "sentence"),
    [
        ("broker-sigkil", {}, "There is no fault 'broker-sigkil': give one of consumer-sigkill"),
        ("broker-sigkill", {"who": "x"}, "broker-sigkill has no argument 'who': it takes role, seed"),
        ("broker-sigkill", {"seed": "1"}, "broker-sigkill takes a whole number as seed, not '1'"),
        ("broker-sigkill", {"seed": True}, "broker-sigkill takes a whole number as seed, not True"),
        ("broker-sigkill", {"role": 0}, "broker-sigkill takes text as role, not 0"),
        ("broker-isolated", {"peers": "nobody"}, "takes one of everyone, brokers, clients as peers, not 'nobody'"),
        ("broker-isolated", {"direction": "up"}, "takes one of both, in, out as direction, not 'up'"),
        ("packet-loss", {"share": 0}, "takes a share above 0 and up to 1, not 0"),
        ("packet-loss", {"share": 1.5}, "takes a share above 0 and up to 1, not 1.5"),
        ("packet-loss", {"share": "10%"}, "takes a number as share, not '10%'"),
        ("two-brokers", {"how": "kindly"}, "takes one of sigkill, sigterm, pause, isolated as how, not 'kindly'"),
    ],
)
def test_what_makes_no_sense_is_a_sentence(name: str, arguments: dict[str, Any], sentence: str) -> None:
    """Before anything is looked up: neither a platform nor a broker is needed to be told so."""
    with pytest.raises(UsageError, match=sentence):
        build(name, NOBODY, NOBODY, NOBODY, **arguments)


def test_a_whole_number_is_a_number_too() -> None:
    """As YAML writes it."""
    share = Argument("share", 0.5, "", above=0, up_to=1)
    assert isinstance(share.checked("loss", 1), float)
