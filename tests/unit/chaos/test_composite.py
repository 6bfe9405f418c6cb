"""Faults at once, and faults with witnesses: all or none are seen, and one's failure does not spare the others."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from assay.chaos.composite import AtOnce
from assay.chaos.witness import Witnessed
from assay.errors import AssayError, UsageError


@dataclass
class Told:
    """A fault, and a witness, that does and sees what a test says."""

    target: str = "pod/a"
    chosen: str = "random"
    kind: str = "pretended"
    seen: str | None = "seen"
    refuses: AssayError | None = None
    calls: list[str] = field(default_factory=list)

    def prepare(self) -> None:
        """As a witness."""
        self.inject("prepared", 1)

    def inject(self, name: str, seconds: float) -> None:
        """Note it, or refuse."""
        assert seconds > 0
        self.calls.append(name)
        if self.refuses:
            raise self.refuses

    def bites(self) -> str | None:
        """As told."""
        return self.seen

    def heal(self, name: str) -> None:
        """Note it, or refuse."""
        self.calls.append(f"heal {name}")
        if self.refuses:
            raise self.refuses

    def healed(self) -> str | None:
        """As told."""
        return self.seen


def test_all_are_hit_and_all_must_be_seen() -> None:
    """Each under a name of its own; what is the same of all is said once."""
    one, other = Told("pod/a"), Told("pod/b")
    both = AtOnce([one, other])
    both.inject("two", 5)
    assert (one.calls, other.calls) == (["two-0"], ["two-1"])
    assert (both.kind, both.target, both.chosen) == ("pretended", "pod/a+pod/b", "random")
    assert both.bites() == both.healed() == "seen; seen"
    other.seen = None
    assert both.bites() is both.healed() is None


@pytest.mark.parametrize("faults", [[], [Told()], [Told(), Told()]])
def test_at_once_means_several(faults: list[Told]) -> None:
    """One target, or the same twice, is a mistake; nothing is done."""
    with pytest.raises(UsageError, match="is not several targets"):
        AtOnce(faults).inject("two", 5)
    assert not any(one.calls for one in faults)


def test_one_refusal_spares_nobody() -> None:
    """Others were hit: that is no mere wrong usage; and healing goes on to the others too."""
    refusing, other = Told("pod/a", refuses=UsageError("No.")), Told("pod/b")
    both = AtOnce([refusing, other])
    with pytest.raises(AssayError, match="No") as raised:
        both.inject("two", 5)
    assert not isinstance(raised.value, UsageError)
    with pytest.raises(AssayError, match="No"):
        both.heal("two")
    assert other.calls == ["two-1", "heal two-1"]


def test_a_witness_looks_first_and_has_a_say() -> None:
    """What it says is added; while it sees nothing, nothing is seen."""
    fault, witness = Told(), Told(seen=None)
    seen = Witnessed(fault, [witness])
    seen.inject("one", 5)
    assert (fault.calls, witness.calls) == (["one"], ["prepared"])
    assert seen.bites() is seen.healed() is None
    witness.seen = "so it is"
    assert seen.bites() == "seen; so it is"
    witness.seen = ""
    assert seen.healed() == "seen"


def test_a_witness_that_could_show_nothing_forbids_the_fault() -> None:
    """Nothing is done, and there is nothing for it to see healed."""
    fault, witness = Told(), Told(seen=None, refuses=AssayError("It is so already."))
    seen = Witnessed(fault, [witness])
    with pytest.raises(AssayError, match="It is so already"):
        seen.inject("one", 5)
    assert fault.calls == []
    assert seen.healed() == "seen"
