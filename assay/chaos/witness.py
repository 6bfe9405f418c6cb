"""Further things to be seen of a fault, beside what it sees itself: a witness each, and a fault with witnesses.

A fault looks at the processes or packets that it harms. What that does to a service, and when the service has recovered
from it, is for witnesses: that no name is resolved, say, or that every replica is in sync again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from assay.chaos.faults import Fault


class Witness(Protocol):
    """Something that a fault does to a service."""

    def prepare(self) -> None:
        """Look before anything is done.

        Raises:
            AssayError: What the fault would do is so already, or can't be seen: nothing could be shown.
        """

    def bites(self) -> str | None:
        """What was seen of the fault's effect, in words (empty: nothing is to be seen here); None: not yet."""

    def healed(self) -> str | None:
        """What was seen of its end, likewise."""


@dataclass
class Witnessed:
    """A fault that bites when it and all its witnesses say so, and is healed likewise."""

    fault: Fault
    witnesses: Sequence[Witness]
    _injected: bool = field(default=False, init=False)

    @property
    def kind(self) -> str:
        """What is done."""
        return self.fault.kind

    @property
    def target(self) -> object:
        """To whom."""
        return self.fault.target

    @property
    def chosen(self) -> str:
        """How it was chosen."""
        return self.fault.chosen

    def inject(self, name: str, seconds: float) -> None:
        """Do it, if every witness could see it."""
        for witness in self.witnesses:
            witness.prepare()
        self._injected = True
        self.fault.inject(name, seconds)

    def bites(self) -> str | None:
        """What all of them saw."""
        return together([self.fault.bites, *(one.bites for one in self.witnesses)])

    def heal(self, name: str) -> None:
        """Undo it."""
        self.fault.heal(name)

    def healed(self) -> str | None:
        """What all of them saw; where nothing was done, there is nothing for witnesses to see."""
        return together([self.fault.healed, *(one.healed for one in self.witnesses if self._injected)])


def together(looks: Iterable[Callable[[], str | None]]) -> str | None:
    """What all looks saw, in words; None as soon as one has seen nothing yet."""
    seen = []
    for look in looks:
        words = look()
        if words is None:
            return None
        seen.append(words)
    return "; ".join(words for words in seen if words)
