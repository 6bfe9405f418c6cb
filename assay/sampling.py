"""Looking at something every so often, from a thread of its own, while a block runs."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Self

from assay.errors import AssayError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from assay.ledger import LedgerWriter


class Sampling:
    """A context manager that takes samples until it is left: one soon, then one each interval, and a last one.

    A sample that could not be taken (`AssayError`) is counted and missing, never made up. What else a sample dies of
    ends the sampling, and is raised where the block is left.

    Attributes:
        taken: How many samples were taken.
        missed: How many could not be.
    """

    def __init__(
        self, name: str, sample: Callable[[], None], interval_seconds: float, ledger: LedgerWriter | None = None
    ) -> None:
        """Nothing happens before the context is entered.

        Args:
            name: The thread's name.
            sample: Takes one sample; called by one thread at a time.
            interval_seconds: From one sample's start to the next one's; a sample that takes longer delays the next.
            ledger: Where the samples go: gets its end mark after the last one, unless the sampling broke.
        """
        self.taken = 0
        self.missed = 0
        self._sample = sample
        self._interval = interval_seconds
        self._ledger = ledger
        self._stop = threading.Event()
        self._broken: Exception | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def __enter__(self) -> Self:
        """Start."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop, and take the last sample."""
        self._stop.set()
        self._thread.join()
        if self._broken is None:
            self._take()
            if self._ledger is not None:
                self._ledger.close()
        elif error is None:
            raise self._broken

    def _run(self) -> None:
        due = time.monotonic()
        try:
            while not self._stop.wait(max(0.0, due - time.monotonic())):
                self._take()
                due = max(due + self._interval, time.monotonic())
        except Exception as error:  # noqa: BLE001  # kept for the thread that waits for this one
            self._broken = error

    def _take(self) -> None:
        try:
            self._sample()
        except AssayError:
            self.missed += 1
        else:
            self.taken += 1
