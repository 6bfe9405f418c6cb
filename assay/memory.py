"""Peak memory of a run: the machine's memory in use, sampled beside the work.

It is the whole machine's figure, so an upper bound of what the run needed: nothing that the run started can hide in
another cgroup or namespace. Page cache that the kernel would give back is not counted.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final, Self

import psutil

if TYPE_CHECKING:
    from types import TracebackType

_EVERY_SECONDS: Final = 0.5


class PeakMemory:
    """A context manager that samples until it is left.

    Attributes:
        bytes: The highest use seen so far.
    """

    def __init__(self) -> None:
        """Take the first sample."""
        self.bytes = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._sample, name="peak-memory", daemon=True)

    def _sample(self) -> None:
        while True:
            memory = psutil.virtual_memory()
            self.bytes = max(self.bytes, memory.total - memory.available)
            if self._done.wait(_EVERY_SECONDS):
                return

    def __enter__(self) -> Self:
        """Start sampling."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop sampling."""
        self._done.set()
        self._thread.join()
