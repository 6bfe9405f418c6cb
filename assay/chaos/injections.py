"""The injections of one experiment: each fault once, all in one ledger, and all of them healed in the end."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

from assay.chaos.injection import Injection
from assay.errors import AssayError
from assay.ledger import LedgerWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from assay.chaos.faults import Fault


class _Active(NamedTuple):
    """An injection, what it injects, and how long its healing may take (seconds)."""

    injection: Injection
    fault: Fault
    heal_seconds: float


class Injections:
    """What was injected so far."""

    def __init__(self, path: Callable[[], Path]) -> None:
        """Nothing was; `path` says where the ledger is, once there is something to write."""
        self._path = path
        self._ledger: LedgerWriter | None = None
        self._active: dict[str, _Active] = {}

    def target(self, name: str) -> str | None:
        """Whom the fault of this name was meant for; None: it was not injected."""
        active = self._active.get(name)
        return None if active is None else str(active.fault.target)

    def add(self, name: str, fault: Fault, heal_seconds: float) -> Injection:
        """One more, not begun yet, that will be healed whatever comes.

        Raises:
            AssayError: The ledger can't be made.
        """
        if self._ledger is None:
            self._ledger = LedgerWriter(self._path(), "faults")
        injection = Injection(fault, self._ledger, name)
        self._active[name] = _Active(injection, fault, heal_seconds)
        return injection

    def heal(self, name: str | None = None) -> None:
        """Heal one, or all, and wait until that is seen; any number of times.

        Raises:
            AssayError: One was not seen healed in time; the others were healed all the same.
        """
        problems: list[str] = []
        for one, active in self._active.items():
            if name in (None, one) and self._ledger is not None:
                with noted(problems):
                    active.injection.heal(active.heal_seconds)
        if problems:
            raise AssayError(" ".join(problems))

    def close(self) -> None:
        """Close the ledger; what is healed from now on is healed, and nobody writes it down."""
        if self._ledger is not None:
            self._ledger.close()
            self._ledger = None

    def undo(self) -> None:
        """Heal all once more without a look, as the last thing that is done."""
        for name, active in self._active.items():
            with suppress(AssayError):
                active.fault.heal(name)


@contextmanager
def noted(problems: list[str]) -> Iterator[None]:
    """What can't be done in the block is noted, and what comes after is done all the same."""
    try:
        yield
    except AssayError as error:
        problems.append(str(error))
