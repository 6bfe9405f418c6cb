"""How sends ended, in the order in which that was learnt: columns of numbers, and the errors of those that have one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from array import array
    from collections.abc import Mapping, Sequence

    Array = np.ndarray[Any, Any]

#: The numbers of one end: seq, outcome, partition, offset, when it was learnt and when the send was intended.
WIDTH: Final = 6
#: In place of an offset that nobody told.
NO_OFFSET: Final = -1


@dataclass(frozen=True, eq=False)
class Ends:
    """Ends of sends. Times are nanoseconds of the monotonic clock.

    Attributes:
        numbers: One row an end, of `WIDTH` 64-bit numbers.
        errors: Why, by seq, where it was not acknowledged.
    """

    numbers: Array = field(default_factory=lambda: np.empty((0, WIDTH), dtype=np.int64))
    errors: Mapping[int, str] = field(default_factory=dict)

    @classmethod
    def of(cls, numbers: array[int], errors: Mapping[int, str]) -> Ends:
        """Ends from their numbers one after another, without copying them."""
        return cls(np.frombuffer(numbers, dtype=np.int64).reshape(-1, WIDTH), errors)

    @classmethod
    def joined(cls, parts: Sequence[Ends]) -> Ends:
        """Several one after another."""
        if len(parts) == 1:
            return parts[0]
        errors = {seq: error for part in parts for seq, error in part.errors.items()}
        return cls(np.concatenate([cls().numbers, *(part.numbers for part in parts)]), errors)

    def __len__(self) -> int:
        """How many."""
        return len(self.numbers)

    @property
    def seq(self) -> Array:
        """Which send."""
        return self.numbers[:, 0]

    @property
    def outcome(self) -> Array:
        """How it ended (`assay.ledger.Outcome`)."""
        return self.numbers[:, 1]

    @property
    def partition(self) -> Array:
        """Where it stands, or was to stand."""
        return self.numbers[:, 2]

    @property
    def offset(self) -> Array:
        """Where it stands; `NO_OFFSET` where nobody told."""
        return self.numbers[:, 3]

    @property
    def ended_ns(self) -> Array:
        """When that was learnt."""
        return self.numbers[:, 4]

    @property
    def intended_ns(self) -> Array:
        """When the schedule wanted it sent."""
        return self.numbers[:, 5]
