"""Several faults at once, as one: two brokers, say."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from assay.errors import AssayError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from assay.chaos.faults import Fault

T = TypeVar("T")


@dataclass
class AtOnce:
    """Faults that are injected at the same time, a thread each; it bites when all of them do."""

    faults: Sequence[Fault]

    @property
    def kind(self) -> str:
        """What is done; once, if it is the same to all."""
        return "+".join(dict.fromkeys(one.kind for one in self.faults))

    @property
    def target(self) -> str:
        """To whom."""
        return "+".join(str(one.target) for one in self.faults)

    @property
    def chosen(self) -> str:
        """How they were chosen; once, if all were in the same way."""
        return ", ".join(dict.fromkeys(one.chosen for one in self.faults if one.chosen))

    def inject(self, name: str, seconds: float) -> None:
        """Do all of them. Where one is refused, others may have been done: that is no mere wrong usage."""
        if len({str(one.target) for one in self.faults}) < max(2, len(self.faults)):
            raise UsageError(f"{self.target or 'Nothing'} is not several targets: name at least two different ones.")
        self._each(lambda number, fault: fault.inject(_part(name, number), seconds))

    def bites(self) -> str | None:
        """What was seen of each."""
        return _all(self._each(lambda _, fault: fault.bites()))

    def heal(self, name: str) -> None:
        """Undo all of them, also if one can't be undone."""
        self._each(lambda number, fault: fault.heal(_part(name, number)))

    def healed(self) -> str | None:
        """What was seen of each end."""
        return _all(self._each(lambda _, fault: fault.healed()))

    def _each(self, do: Callable[[int, Fault], T]) -> list[T]:
        """Do something with every fault, also where it fails with another.

        Raises:
            AssayError: It failed with some; their sentences.
        """
        with ThreadPoolExecutor(len(self.faults)) as pool:
            begun = [pool.submit(do, number, fault) for number, fault in enumerate(self.faults)]
        failed = [str(one.exception()) for one in begun if isinstance(one.exception(), AssayError)]
        if failed:
            raise AssayError(" ".join(dict.fromkeys(failed)))
        return [one.result() for one in begun]


def _all(seen: Sequence[str | None]) -> str | None:
    """All words; None if one has seen nothing yet."""
    words = [one for one in seen if one is not None]
    return "; ".join(one for one in words if one) if len(words) == len(seen) else None


def _part(name: str, number: int) -> str:
    return f"{name}-{number}"
