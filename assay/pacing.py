"""How many messages each sender sends, and when: exact shares of exact totals, on a schedule fixed beforehand.

The schedule does not wait for the system under test. A batch that goes out late keeps its intended time, so its latency
tells the whole delay (no coordinated omission).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_NS: Final = 1_000_000_000
_BATCH_SECONDS: Final = 0.01
_LARGEST: Final = 1000


def share(total: int, parts: int, index: int) -> int:
    """How many of `total` the sender `index` of `parts` sends: shares differ by at most one and sum up to `total`."""
    return total // parts + (1 if index < total % parts else 0)


def batch_size(rate_per_second: float, share_of: int = 1) -> int:
    """A batch size that suits a rate: what is due in a hundredth of a second, or many at once where nothing is due.

    Each batch costs an append to the ledger, so small ones cost throughput, and large ones make the load bumpy.

    Args:
        rate_per_second: The rate in all; 0 for as fast as it goes.
        share_of: How many senders share the rate.
    """
    if not rate_per_second:
        return _LARGEST
    return max(1, min(_LARGEST, round(rate_per_second / share_of * _BATCH_SECONDS)))


@dataclass(frozen=True)
class Slot:
    """A batch of a schedule: its first message, how many messages, and when it is due (monotonic ns)."""

    first: int
    count: int
    due_ns: int | None


@dataclass(frozen=True)
class Schedule:
    """`messages` in batches of at most `batch_size` at `rate_per_second`.

    A batch is due when its first message is; messages of one batch share that time. At rate 0 no batch has a time.
    """

    messages: int
    rate_per_second: float
    batch_size: int

    def slots(self, start_ns: int) -> Iterator[Slot]:
        """The batches in order, the first one due at `start_ns`."""
        for first in range(0, self.messages, self.batch_size):
            due = start_ns + round(first / self.rate_per_second * _NS) if self.rate_per_second else None
            yield Slot(first, min(self.batch_size, self.messages - first), due)
