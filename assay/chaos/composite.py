"""Several faults at once, as one: two brokers, say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from assay.chaos.witness import together
from assay.errors import AssayError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from assay.chaos.faults import Fault


@dataclass
class AtOnce:
    """Faults that are injected one right after the other; it bites when all of them do."""

    faults: Sequence[Fault]

    @property
    def kind(self) -> str:
        """What is done; once, if it is the same to all."""
        return "+".join(dict.fromkeys(one.kind for one in self.faults))

    @property
    def target(self) -> str:
        """To whom."""
        return "+".join(str(one.target) for one in self.faults)

    def inject(self, name: str, seconds: float) -> None:
        """Do all of them. Where a later one is refused, the earlier ones were done: that is no mere wrong usage."""
        if len({str(one.target) for one in self.faults}) < max(2, len(self.faults)):
            raise UsageError(f"{self.target or 'Nothing'} is not several targets: name at least two different ones.")
        for number, fault in enumerate(self.faults):
            try:
                fault.inject(_part(name, number), seconds)
            except UsageError as error:
                if number:
                    raise AssayError(str(error)) from None
                raise

    def bites(self) -> str | None:
        """What was seen of each."""
        return together([one.bites for one in self.faults])

    def heal(self, name: str) -> None:
        """Undo all of them, also if one can't be undone."""
        failed = []
        for number, fault in enumerate(self.faults):
            try:
                fault.heal(_part(name, number))
            except AssayError as error:
                failed.append(str(error))
        if failed:
            raise AssayError(" ".join(failed))

    def healed(self) -> str | None:
        """What was seen of each end."""
        return together([one.healed for one in self.faults])


def _part(name: str, number: int) -> str:
    return f"{name}-{number}"
