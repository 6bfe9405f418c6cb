"""The checks: each a rule with its source, counted over pieces of a run and concluded from the sum.

| from | checks |
| --- | --- |
| producers → log | `assay.checks.delivery` |
| whether ledgers and log add up | `assay.checks.books` |
| log → sink | `assay.checks.sink` |
| what consumers say of themselves | `assay.checks.consumers` |
| extract → topic, rejects | `assay.checks.etl` |
| how fast, how far behind | `assay.checks.objectives` |
| how soon service is back after a fault | `assay.checks.recovery` |
| whether anything was shown | `assay.checks.vacuity` |
| what must be refused | `assay.checks.posture` |

Everything here is a pure function of the evidence. A check raises `UndecidedError` where the evidence does not allow
it; the judge makes that `unknown`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from assay.checks import books, consumers, delivery, etl, objectives, posture, recovery, sink, vacuity
from assay.checks.check import Check
from assay.checks.finding import UndecidedError
from assay.checks.history import History

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CHECKS", "Check", "History", "UndecidedError", "rule"]

#: Every check by its name, in the order of the report.
CHECKS: Final[Mapping[str, Check]] = {
    check.name: check
    for check in (
        delivery.Lost(),
        sink.LostDownstream(),
        delivery.Duplicate(),
        delivery.Corrupt(),
        sink.CorruptInSink(),
        delivery.Reordered(),
        delivery.Phantom(),
        sink.PhantomInSink(),
        delivery.AbortedRead(),
        delivery.InconsistentOffset(),
        delivery.UnknownResolved(),
        sink.Unseen(),
        sink.Redelivered(),
        consumers.Skipped(),
        consumers.WentBack(),
        consumers.UnsoundStart(),
        consumers.CommitAhead(),
        books.Truncated(),
        books.Conservation(),
        etl.EtlConservation(),
        etl.EtlThroughput(),
        objectives.Throughput(),
        objectives.Success(),
        objectives.Latency(),
        objectives.FinalLag(),
        recovery.Recovered(),
        vacuity.Vacuous(),
        vacuity.Incomplete(),
        vacuity.Clock(),
    )
}


def rule(check: str) -> str:
    """The rule of a check in one line. Empty for a name that is no check's."""
    if check.startswith("preflight"):
        return (vacuity.preflight.__doc__ or "").split("\n\n")[0]
    if check.startswith(posture.PART):
        return (posture.posture.__doc__ or "").split("\n\n")[0]
    if check.startswith("experiment"):
        return "What the run's experiments break comes back in time, and nothing is lost meanwhile."
    return CHECKS[check].rule if check in CHECKS else ""
