"""Peak memory of a run: the machine's memory in use, sampled beside the work.

It is the whole machine's figure, so an upper bound of what the run needed: nothing that the run started can hide in
another cgroup or namespace. Page cache that the kernel would give back is not counted.
"""

from __future__ import annotations

from typing import Final

import psutil

from assay.sampling import Sampling

_EVERY_SECONDS: Final = 0.5


class PeakMemory(Sampling):
    """A context manager that samples until it is left.

    Attributes:
        bytes: The highest use seen so far.
    """

    def __init__(self) -> None:
        """Nothing is looked at before the context is entered."""
        super().__init__("peak-memory", self._look, _EVERY_SECONDS)
        self.bytes = 0

    def _look(self) -> None:
        memory = psutil.virtual_memory()
        self.bytes = max(self.bytes, memory.total - memory.available)
