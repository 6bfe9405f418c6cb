"""One injection of a fault, from asking to healed: each step a row of the ledger when it happens, by one clock.

`bites` and `healed` are written only when the fault's own probe saw them. As in Kafka's system tests the fault lasts as
long as a `with` block and is healed however that ends; it also heals itself after its time limit, should this process
die first.
"""

from __future__ import annotations

import re
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from assay.errors import AssayError, UsageError
from assay.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from assay.chaos.faults import Fault
    from assay.ledger import LedgerWriter

#: A fault ends by itself after so many seconds, where nothing else is said.
LIMIT_SECONDS: Final = 120.0
#: It must be seen to bite within so many seconds, and to be healed after healing was asked for.
BITE_SECONDS: Final = 15.0
HEAL_SECONDS: Final = 60.0
_EVERY_SECONDS: Final = 0.1
_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,60}[a-z0-9])?")


class Injection:
    """A fault that was asked for; `injected` makes one.

    Attributes:
        name: Its name in the ledger.
        bitten_ns: When it was first seen to bite, by the monotonic clock; None: not yet.
    """

    def __init__(self, fault: Fault, ledger: LedgerWriter, name: str) -> None:
        """Nothing is done yet."""
        self.name = name
        self.bitten_ns: int | None = None
        self._fault = fault
        self._ledger = ledger
        self._ends = 0.0
        self._to_heal = False

    def begin(self, seconds: float, bite_seconds: float) -> None:
        """Inject, and wait until it bites.

        Raises:
            UsageError: It makes no sense as asked; nothing was changed.
            AssayError: It can't be injected, or was not seen to bite in time.
        """
        chosen = f"; chosen as {self._fault.chosen}" if self._fault.chosen else ""
        self._write("inject-asked", f"for at most {seconds:g} s{chosen}")
        self._ends = time.monotonic() + seconds
        self._to_heal = True
        with self._failing():
            try:
                self._fault.inject(self.name, seconds)
            except UsageError:
                self._to_heal = False
                raise
            seen, looked_ns = self._wait(self._fault.bites, bite_seconds, "seen to bite")
        # From when the look began: recovery is counted from here, and must not seem shorter than it was.
        self.bitten_ns = self._write("bites", seen, looked_ns)

    def heal(self, heal_seconds: float = HEAL_SECONDS) -> None:
        """Heal, and wait until that is seen; once it was, or nothing was done, this does nothing.

        Raises:
            AssayError: It was not seen healed in time.
        """
        if not self._to_heal:
            return
        late = time.monotonic() > self._ends
        self._write("heal-asked", "after it had ended by itself" if late else None)
        with self._failing():
            seen, _ = self._wait(self._healed, heal_seconds, "seen healed")
        self._to_heal = False
        self._write("healed", seen)

    def _healed(self) -> str | None:
        self._fault.heal(self.name)  # again each time: what can be asked twice need not be remembered
        return self._fault.healed()

    def _wait(self, look: Callable[[], str | None], seconds: float, what: str) -> tuple[str, int]:
        """What `look` sees, and when that look began.

        A look that fails has seen nothing: the node or its API may be just what suffers.
        """
        said: list[str] = []

        def careful() -> tuple[str, int] | None:
            began_ns = time.monotonic_ns()
            try:
                seen = look()
            except AssayError as error:
                said[:] = [str(error)]
                return None
            return (seen, began_ns) if seen else None

        try:
            return wait_until(careful, seconds, "", every=_EVERY_SECONDS)
        except AssayError:
            raise AssayError(
                f"The fault {self.name} ({self._fault.kind} of {self._fault.target}) was not {what} within "
                f"{seconds:g} s{': ' if said else '.'}{said[0] if said else ''}"
            ) from None

    @contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except AssayError as error:
            self._write("failed", str(error))
            raise

    def _write(self, step: str, detail: str | None, at_ns: int | None = None) -> int:
        at_ns = at_ns or time.monotonic_ns()
        row = {
            "at_ns": at_ns,
            "fault": self.name,
            "kind": self._fault.kind,
            "target": str(self._fault.target),
            "step": step,
            "detail": detail,
        }
        self._ledger.append({name: [value] for name, value in row.items()})
        return at_ns


@contextmanager
def injected(
    fault: Fault,
    ledger: LedgerWriter,
    name: str,
    *,
    seconds: float = LIMIT_SECONDS,
    bite_seconds: float = BITE_SECONDS,
    heal_seconds: float = HEAL_SECONDS,
) -> Iterator[Injection]:
    """A fault that bites from the beginning of the block, and is seen healed at its end, or before by `heal`.

    Args:
        fault: What to do to whom.
        ledger: Takes the rows; a ledger of `faults`.
        name: Of this injection: lower-case letters, digits and dashes; no other of the run is called so.
        seconds: After how long it ends by itself.
        bite_seconds: How long to wait until it bites.
        heal_seconds: How long to wait until it is healed.

    Raises:
        UsageError: It makes no sense as asked; nothing was changed.
        AssayError: It could not be injected, was not seen to bite, or was not seen healed. An error of the block itself
            goes through; should healing fail too, that is noted with it.
    """
    if not _NAME.fullmatch(name) or seconds <= 0:
        raise UsageError(
            f"A fault {name!r} of {seconds:g} s can't be: a name has up to 62 lower-case letters, digits and dashes, "
            "and a time limit is more than 0."
        )
    injection = Injection(fault, ledger, name)
    try:
        injection.begin(seconds, bite_seconds)
        yield injection
    except BaseException as error:
        try:
            injection.heal(heal_seconds)
        except AssayError as other:
            error.add_note(str(other))
        raise
    injection.heal(heal_seconds)
