"""An injection from asking to healed, with a fault that only pretends: what the ledger says of each way it can go."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from assay import ledger
from assay.chaos.injection import injected
from assay.chaos.target import Target
from assay.errors import AssayError, UsageError
from assay.ledger import LedgerWriter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from assay.chaos.faults import Fault

WHOLE = ["inject-asked", "bites", "heal-asked", "healed"]
FAILED = ["inject-asked", "failed", "heal-asked", "healed"]


class Pretended:
    """A fault in name only, which is seen to bite and to be healed when a test wants so."""

    kind = "pretended"
    chosen = "the first"
    target = Target("a-pod", "uid", "node", "10.0.0.1", "main", "id", ready=True, own_network=True)

    def __init__(self, *, refuses: AssayError | None = None, bites: bool = True, heals: bool = True) -> None:
        """Say how it goes."""
        self.in_force = False
        self.healings = 0
        self._refuses, self._bites, self._heals = refuses, bites, heals
        self._blind = True

    def inject(self, name: str, seconds: float) -> None:
        """Come into force, or refuse."""
        assert (name, seconds > 0) == ("test-1", True)
        if self._refuses:
            raise self._refuses
        self.in_force = True

    def bites(self) -> str | None:
        """The first look fails, as one does while a node suffers."""
        if self._blind:
            self._blind = False
            raise AssayError("The node does not answer.")
        return "seen" if self.in_force and self._bites else None

    def heal(self, name: str) -> None:
        """Go, or stay."""
        assert name == "test-1"
        self.healings += 1
        self.in_force = self.in_force and not self._heals

    def healed(self) -> str | None:
        """Whether it is gone."""
        return None if self.in_force else "gone"


@pytest.fixture
def faults(tmp_path: Path) -> Iterator[LedgerWriter]:
    """A ledger."""
    with LedgerWriter(tmp_path / "faults.arrows", "faults") as writer:
        yield writer


def steps(folder: Path) -> list[str]:
    """The ledger's steps by now."""
    return [str(step) for step in ledger.read(folder / "faults.arrows").table["step"].to_pylist()]


def test_it_is_in_force_in_the_block_and_only_there(faults: LedgerWriter, tmp_path: Path) -> None:
    """The ledger has each step, at times that grow, of the fault by its name, kind and target."""
    fault: Fault = Pretended()
    with injected(fault, faults, "test-1") as injection:
        assert fault.healed() is None
        assert steps(tmp_path) == ["inject-asked", "bites"]
    assert fault.healed()
    rows = ledger.read(tmp_path / "faults.arrows").table.to_pylist()
    assert [row["step"] for row in rows] == WHOLE
    assert {(row["fault"], row["kind"], row["target"]) for row in rows} == {("test-1", "pretended", "pod/a-pod")}
    assert [row["at_ns"] for row in rows] == sorted(row["at_ns"] for row in rows)
    assert rows[1]["at_ns"] == injection.bitten_ns
    assert rows[0]["detail"] == "for at most 120 s; chosen as the first"


def test_healing_early_and_twice_is_healing_once(faults: LedgerWriter, tmp_path: Path) -> None:
    """What was seen healed is left alone."""
    fault = Pretended()
    with injected(fault, faults, "test-1") as injection:
        injection.heal()
        injection.heal()
    assert fault.healings == 1
    assert steps(tmp_path) == WHOLE


def test_a_block_that_fails_is_healed_after(faults: LedgerWriter, tmp_path: Path) -> None:
    """And its error goes through, also an interruption."""
    fault = Pretended()
    with pytest.raises(KeyboardInterrupt), injected(fault, faults, "test-1"):
        raise KeyboardInterrupt
    assert steps(tmp_path) == WHOLE


def test_a_fault_that_never_bites_is_an_error_and_healed(faults: LedgerWriter, tmp_path: Path) -> None:
    """The block is not entered: what it would show would be nothing."""
    toothless = injected(Pretended(bites=False), faults, "test-1", bite_seconds=0.3)
    with pytest.raises(AssayError, match=r"test-1 \(pretended of pod/a-pod\) was not seen to bite"), toothless:
        pytest.fail("the block was entered")
    assert steps(tmp_path) == FAILED


def test_a_fault_that_can_not_be_injected_is_healed_in_case_it_half_was(faults: LedgerWriter, tmp_path: Path) -> None:
    """Nobody knows how far it came."""
    broken = injected(Pretended(refuses=AssayError("The node died.")), faults, "test-1")
    with pytest.raises(AssayError, match="The node died"), broken:
        pytest.fail("the block was entered")
    assert steps(tmp_path) == FAILED


def test_a_fault_that_makes_no_sense_is_not_healed(faults: LedgerWriter, tmp_path: Path) -> None:
    """Nothing was changed, so there is nothing to undo."""
    fault = Pretended(refuses=UsageError("Not so."))
    with pytest.raises(UsageError, match="Not so"), injected(fault, faults, "test-1"):
        pytest.fail("the block was entered")
    assert (fault.healings, steps(tmp_path)) == (0, ["inject-asked", "failed"])


def test_a_fault_that_does_not_heal_is_an_error(faults: LedgerWriter, tmp_path: Path) -> None:
    """It is tried again until time is up."""
    fault = Pretended(heals=False)
    with (
        pytest.raises(AssayError, match="was not seen healed within"),
        injected(fault, faults, "test-1", heal_seconds=0.3),
    ):
        pass
    assert fault.healings > 1
    assert steps(tmp_path) == ["inject-asked", "bites", "heal-asked", "failed"]


def test_an_error_of_the_block_is_not_hidden_by_one_of_healing(faults: LedgerWriter) -> None:
    """The second is noted with the first."""
    stuck = injected(Pretended(heals=False), faults, "test-1", heal_seconds=0.1)
    with pytest.raises(ZeroDivisionError) as caught, stuck:
        _ = 1 / 0
    assert "was not seen healed" in caught.value.__notes__[0]


@pytest.mark.parametrize("name", ["", "Kill", "a b", "-a", "a" * 63, "x;y"])
def test_a_name_is_fit_for_tables_and_files(faults: LedgerWriter, name: str) -> None:
    """It becomes part of both."""
    with pytest.raises(UsageError, match="can't be"), injected(Pretended(), faults, name):
        pytest.fail("the block was entered")
