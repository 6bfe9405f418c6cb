"""Did the service come back in time? For each fault how long that took, by phase, and whether it met its objective.

Recovery counts from the bite (`assay.checks.outage`). While a fault leaves a partition with fewer replicas in sync than
`min.insync.replicas`, refusing writes is the right answer: then recovery counts from when healing was asked for. What
goes on by design, such as a restart of one broker after another, is no failure to recover from: it is held to the
longest gap between acknowledgements until its end.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from assay.checks.check import Check
from assay.checks.finding import UndecidedError, finding
from assay.checks.outage import ACKS, NotBackError, outage_of
from assay.checks.phases import phases_of, signs_of, whole_after
from assay.checks.service import acknowledgements, service_of
from assay.verdict import Finding, Verdict, worst

if TYPE_CHECKING:
    from collections.abc import Mapping

    from assay.checks.history import Fault, History
    from assay.checks.outage import Outage
    from assay.checks.phases import Phase, Signs
    from assay.checks.service import Service
    from assay.checks.shards import SendsShard
    from assay.checks.tally import Tally

#: By the name that a fault has in the catalogue (`assay.chaos.catalogue`), the floors that it can have
#: (`assay.recovery.floors`): which one depends on what a broker was just then, and on the group's protocol.
FLOORS: Final[Mapping[str, tuple[str, ...]]] = {
    "consumer-sigkill": (
        "consumer SIGKILL, classic protocol",
        "consumer SIGKILL, consumer protocol",
        "consumer SIGKILL, static member",
    ),
    "consumer-sigterm": ("consumer SIGTERM",),
    "broker-sigkill": ("broker SIGKILL", "broker SIGKILL, coordinator", "broker SIGKILL, active controller"),
    "broker-sigterm": ("broker SIGTERM",),
    "broker-isolated": ("broker isolated",),
    "node-kill": ("node lost, survivors serve",),
    "rolling-restart": ("rolling restart, longest gap",),
}
#: Who is cut off from some alone, or one way, is missed by some alone: floors count who is cut off from everyone.
_WHOLE: Final[Mapping[str, str]] = {"broker-isolated": "packet-drop"}
#: Faults that are held to the longest gap between acknowledgements.
GAPS: Final = frozenset({"rolling-restart"})
_NOT_IN_USE: Final = "not in use"
_MIN_IN_SYNC: Final = "topic min.insync.replicas"


@dataclass(frozen=True)
class Recovery:
    """How the service came back from one fault.

    Attributes:
        fault: Which.
        verdict: Whether it met its objective.
        summary: One sentence.
        outage: What clients had of it; None where that could not be said.
        phases: Where the time went.
        measured: Figures by name: seconds and messages.
    """

    fault: Fault
    verdict: Verdict
    summary: str
    outage: Outage | None = None
    phases: tuple[Phase, ...] = ()
    measured: Mapping[str, float | int] = field(default_factory=dict)


class Recovered(Check):
    """After each fault, every partition is acknowledged and consumed as before within the objective, and stays so.

    From the bite on the data plane to the start of full service that lasts 5 s: sends acknowledged and records
    consumed in every partition without longer gaps than before, lag small or as before. Source: the definition of time
    to restore service in site reliability engineering; Kafka's own system tests only ask that a client makes progress.
    """

    name = "recovered"
    needs = ("sends", "partitions")

    def applies(self, history: History) -> bool:
        """Only where a fault has an objective: a load that ends soon after a fault was not meant to show it."""
        objectives = history.manifest.objectives
        return any(objectives.recovery_of(fault.name, fault.kind) is not None for fault in history.faults)

    def of_sends(self, shard: SendsShard) -> Tally:
        """Acknowledgements by time and partition."""
        return acknowledgements(shard)

    def conclude(self, tally: Tally, history: History) -> Finding:
        """The slowest and the worst of all faults."""
        found = recoveries(history, tally)
        told = [one for one in found if one.verdict is not Verdict.PASS] or list(found)
        measured: dict[str, Any] = {"faults": len(found)}
        for one in found:
            prefix = f"{one.fault.name} " if len(found) > 1 else ""
            measured |= {f"{prefix}{name}": value for name, value in one.measured.items()}
        text = " ".join(one.summary for one in told)
        return finding(self.name, worst(one.verdict for one in found), text, measured)


def recoveries(history: History, tally: Tally) -> tuple[Recovery, ...]:
    """How the service came back from each fault of a run, in the order in which they were asked for.

    Args:
        history: The run.
        tally: The sum of its `acknowledgements`.
    """
    try:
        service = service_of(history, tally)
    except UndecidedError as reason:
        return tuple(_undecided(fault, str(reason)) for fault in history.faults)
    signs = signs_of(history)
    return tuple(_recovery(history, service, signs, fault) for fault in history.faults)


def _undecided(fault: Fault, reason: str) -> Recovery:
    return Recovery(fault, Verdict.UNKNOWN, f"How long {fault.name} took to recover from is not known: {reason}.")


def _recovery(history: History, service: Service, signs: Signs, fault: Fault) -> Recovery:
    objective = history.manifest.objectives.recovery_of(fault.name, fault.kind)
    try:
        outage = outage_of(service, fault)
    except NotBackError as reason:
        if objective is None or (reason.until_ns - _since_ns(history, fault)) / 1e9 <= objective:
            return _undecided(fault, str(reason))
        text = f"{fault.name} on {fault.target}: {reason}; the objective is {objective:g} s."
        return Recovery(fault, Verdict.FAIL, text)
    except UndecidedError as reason:
        return _undecided(fault, str(reason))
    since = _since_ns(history, fault)
    if fault.name in GAPS:
        first, last = outage.longest
        phases = phases_of(replace(outage, bitten_ns=first, served_ns=last, back_ns={ACKS: last}), signs)
        seconds = outage.longest_gap
    else:
        phases = phases_of(outage, signs)
        seconds = max(0.0, (outage.served_ns - since) / 1e9)
    whole = whole_after(history, fault, outage)
    measured: dict[str, float | int] = {
        "recovery_seconds": seconds,
        "longest_ack_gap_seconds": outage.longest_gap,
        "longest_consume_gap_seconds": max(outage.consume_gaps.values(), default=0.0),
        "peak_lag_messages": outage.peak_lag,
        **{f"{phase.name.replace(' ', '_')}_seconds": phase.seconds for phase in phases},
    }
    if whole is not None:
        measured["whole_after_heal_seconds"] = whole
    measured |= _beside_floor(history, fault, seconds)
    if objective is not None:
        measured["objective_seconds"] = objective
    met = objective is None or seconds <= objective
    return Recovery(
        fault,
        Verdict.PASS if met else Verdict.FAIL,
        _summary(fault, outage, seconds, objective, refused=since != outage.bitten_ns),
        outage,
        phases,
        measured,
    )


def _beside_floor(history: History, fault: Fault, seconds: float) -> dict[str, float]:
    """The least and the most that the settings allow for such a fault, and recovery as a multiple of the most."""
    wanted = FLOORS.get(fault.name, ()) if _WHOLE.get(fault.name, fault.kind) == fault.kind else ()
    found = [one for one in history.manifest.feasibility if one.fault in wanted and one.verdict != _NOT_IN_USE]
    least = [one.least_seconds for one in found if one.least_seconds is not None]
    most = [one.most_seconds for one in found if one.most_seconds is not None]
    if not found or len(least) < len(found) or len(most) < len(found) or not max(most):
        return {}
    floor = {"floor_least_seconds": min(least), "floor_most_seconds": max(most)}
    return floor | {"over_floor": seconds / max(most)}


def _summary(fault: Fault, outage: Outage, seconds: float, objective: float | None, *, refused: bool) -> str:
    limit = "no objective is set" if objective is None else f"the objective is {objective:g} s"
    if fault.name in GAPS:
        gap = f"the longest gap between acknowledgements was {seconds:.2f} s"
        return f"{fault.name} on {fault.target}: until its end {gap}; {limit}."
    since = "healing was asked for, since too few replicas were in sync until then" if refused else "it bit"
    took = f"full service was back {seconds:.2f} s after {since}" if outage.back_ns else "clients noticed nothing"
    return (
        f"{fault.name} on {fault.target}: {took}; the longest gap between acknowledgements was "
        f"{outage.longest_gap:.2f} s; {limit}."
    )


def _since_ns(history: History, fault: Fault) -> int:
    """When recovery begins: at the bite; or when healing was asked for, if some partition could take no writes before.

    With fewer replicas in sync than `min.insync.replicas` it must not.
    """
    bites, least = fault.bites_ns or 0, history.manifest.settings.get(_MIN_IN_SYNC, "")
    if fault.heal_asked_ns is None or not least.isdigit():
        return bites
    try:
        rows = history.table("leaders").to_pylist()
    except UndecidedError:
        return bites
    short = any(bites <= row["at_ns"] <= fault.heal_asked_ns and len(row["in_sync"]) < int(least) for row in rows)
    return fault.heal_asked_ns if short else bites
