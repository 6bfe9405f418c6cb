"""From the bite of a fault to full service again: what recovery is, and how long it took.

t0 is when a probe saw the fault bite on the data plane. t1 is when full service begins that lasts for `STEADY_SECONDS`:
in every partition, sends are acknowledged and records consumed without a longer gap than before the fault, and lag is
small or as it was before. A window that merely contains an acknowledgement would call four seconds of silence in five
"recovered", so every gap in it counts. Recovery is t1 - t0: one observer, one monotonic clock.

Source: the definition in the recovery literature of SRE (time to restore service, not to restart a process), and the
mistakes of naive checks: the first success after a fault, one healthy partition for three, "Running" for data health.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from assay.checks.finding import UndecidedError
from assay.checks.service import Service, gaps, longest_gap, longest_stretch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from assay.checks.history import Fault

#: Full service has to last so long to count.
STEADY_SECONDS: Final = 5.0
#: What was before the fault is looked at for so long, and must have been so long at least.
BEFORE_SECONDS: Final = 10.0
LEAST_BEFORE_SECONDS: Final = 3.0
#: A gap is ordinary up to so many times the longest one before the fault,
_ORDINARY: Final = 2.0
#: and up to so many seconds in any case: service with such gaps counts as steady before a fault, and so it does after.
ORDINARY_ACK_SECONDS: Final = 1.0
ORDINARY_CONSUME_SECONDS: Final = 3.0
#: Lag is small below so many messages.
SMALL_LAG: Final = 5
#: What can be interrupted.
ACKS, CONSUMPTION, LAG = "acknowledgements", "consumption", "lag"


class NotBackError(UndecidedError):
    """Full service did not come back to stay while the load went on.

    Attributes:
        until_ns: Until when there was none, as far as was seen.
    """

    def __init__(self, reason: str, until_ns: int) -> None:
        """Say why."""
        super().__init__(reason)
        self.until_ns = until_ns


@dataclass(frozen=True)
class Usual:
    """How the service was before a fault: what is ordinary, in seconds between events and in messages that wait."""

    ack_seconds: float
    consume_seconds: float
    lag: int


@dataclass(frozen=True)
class Outage:
    """What a fault did to the service.

    Attributes:
        bitten_ns: t0.
        served_ns: t1: full service from here on; t0 itself where there was no interruption.
        usual: What was taken for ordinary.
        ack_gaps: By partition, the longest time without an acknowledgement, in seconds: from t0 to t1, and on until the
            fault was seen healed. What strikes again and again, as a restart of all brokers does, is not over with the
            first five steady seconds.
        consume_gaps: By partition, the longest time without a consumed record.
        longest: From when to when the longest of `ack_gaps` was.
        peak_lag: Messages that waited at most.
        back_ns: When each of `ACKS`, `CONSUMPTION` and `LAG` that was interrupted was as usual again.
    """

    bitten_ns: int
    served_ns: int
    usual: Usual
    ack_gaps: Mapping[int, float]
    consume_gaps: Mapping[int, float]
    longest: tuple[int, int]
    peak_lag: int
    back_ns: Mapping[str, int]

    @property
    def seconds(self) -> float:
        """Recovery: t1 - t0."""
        return (self.served_ns - self.bitten_ns) / 1e9

    @property
    def longest_gap(self) -> float:
        """The longest time without an acknowledgement in any partition, in seconds."""
        first, last = self.longest
        return (last - first) / 1e9


def usual_before(service: Service, at_ns: int) -> Usual:
    """How the service was before a time.

    Raises:
        UndecidedError: It was not long enough, or some partition had none.
    """
    first = at_ns - int(BEFORE_SECONDS * 1e9)
    started = max((int(times[0]) for times in service.acked.values() if len(times)), default=at_ns)
    first = max(first, started)
    if at_ns - first < LEAST_BEFORE_SECONDS * 1e9:
        raise UndecidedError(f"there was no steady service for {LEAST_BEFORE_SECONDS:g} s before the fault")
    for kind, by_partition in (("acknowledged", service.acked), ("consumed", service.consumed)):
        for number, times in by_partition.items():
            if not np.any((times >= first) & (times <= at_ns)):
                raise UndecidedError(f"nothing was {kind} in partition {number} before the fault")
    # A gap that reaches beyond is not of before: it may be the fault's
    acks = max(longest_gap(times[times <= at_ns], first, at_ns) for times in service.acked.values())
    consumes = max(longest_gap(times[times <= at_ns], first, at_ns) for times in service.consumed.values())
    lag = service.lag[(service.lag_at >= first) & (service.lag_at <= at_ns)]
    return Usual(
        max(_ORDINARY * acks, ORDINARY_ACK_SECONDS),
        max(_ORDINARY * consumes, ORDINARY_CONSUME_SECONDS),
        max(int(lag.max(initial=0) * _ORDINARY), SMALL_LAG - 1),
    )


def outage_of(service: Service, fault: Fault) -> Outage:
    """What a fault did to the service.

    Raises:
        NotBackError: Service did not come back to stay while the load went on.
        UndecidedError: It was not seen to bite, or nothing is known of before.
    """
    if fault.bites_ns is None:
        raise UndecidedError(f"the fault {fault.name} was never seen to bite")
    bitten, end = fault.bites_ns, service.ends_ns
    usual = usual_before(service, bitten)
    interruptions = _interruptions(service, usual, bitten, end)
    served, back = bitten, dict[str, int]()
    steady = int(STEADY_SECONDS * 1e9)
    for start, stop, kind in sorted(interruptions):
        if start >= served + steady:
            break  # full service had lasted long enough before this one
        served = max(served, stop)
        back[kind] = max(back.get(kind, stop), stop)
    if served + steady > end:
        raise NotBackError(
            f"full service did not last for {STEADY_SECONDS:g} s before the load ended, "
            f"{(end - bitten) / 1e9:.1f} s after the fault {fault.name} bit",
            served,
        )
    over = max(served, min(fault.healed_ns or served, end))
    acks = {number: longest_stretch(times, bitten, over) for number, times in sorted(service.acked.items())}
    return Outage(
        bitten,
        served,
        usual,
        {number: (last - first) / 1e9 for number, (first, last) in acks.items()},
        {number: longest_gap(times, bitten, over) for number, times in sorted(service.consumed.items())},
        max(acks.values(), key=lambda one: one[1] - one[0], default=(bitten, bitten)),
        int(service.lag[(service.lag_at >= bitten) & (service.lag_at <= over)].max(initial=0)),
        back,
    )


def _interruptions(service: Service, usual: Usual, first: int, last: int) -> list[tuple[int, int, str]]:
    """Every stretch of more than usual: from when to when, and of what."""
    found = [
        (max(start, first), stop, kind)
        for kind, by_partition, limit in (
            (ACKS, service.acked, usual.ack_seconds),
            (CONSUMPTION, service.consumed, usual.consume_seconds),
        )
        for times in by_partition.values()
        for start, stop in gaps(times, first, last)
        if stop - start > limit * 1e9
    ]
    over = (service.lag > usual.lag) & (service.lag_at >= first) & (service.lag_at <= last)
    # A sample that is too high stands for the time up to the next one.
    until = np.r_[service.lag_at[1:], last][over]
    return found + [
        (start, stop, LAG) for start, stop in zip(service.lag_at[over].tolist(), until.tolist(), strict=True)
    ]
