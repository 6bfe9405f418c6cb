"""Where the time of a recovery went: its phases, which follow one another and add up to the whole.

Each phase ends at something that was seen: the brokers' metadata or a consumer's assignment changed (detect), they
changed for the last time before service was back (elect or evict), every partition acknowledges (client discovers),
every partition is consumed (rejoin and assign), lag is as usual (catch up). A milestone that was never seen, or came
before the one in front of it, ends its phase at once: the time then counts as the next one's.

Source: the phases in which Kafka's own documents describe a failover (KIP-500 and KIP-966 for leaders, KIP-62 and
KIP-848 for group members), cut where an observer outside can see them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from assay.checks.finding import UndecidedError
from assay.checks.outage import ACKS, CONSUMPTION
from assay.recovery.phases import PHASES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from assay.checks.history import Fault, History
    from assay.checks.outage import Outage

#: The phases, in their order; floors (`assay.recovery`) are told by the same names.
DETECT, REPLACE, DISCOVER, REJOIN, CATCH_UP = PHASES
#: What consumers log when the group changes.
_ASSIGNMENT: Final = frozenset({"assigned", "revoked", "lost"})


@dataclass(frozen=True)
class Phase:
    """A part of a recovery: its name, and from when to when, in nanoseconds of the observer's clock."""

    name: str
    first_ns: int
    last_ns: int

    @property
    def seconds(self) -> float:
        """How long it took."""
        return (self.last_ns - self.first_ns) / 1e9


@dataclass(frozen=True)
class Signs:
    """When something was seen to change, growing, in nanoseconds of the observer's clock.

    Attributes:
        metadata_ns: A partition's leader or in-sync replicas.
        assignment_ns: The partitions of a consumer, by its own word.
    """

    metadata_ns: Sequence[int]
    assignment_ns: Sequence[int]


def signs_of(history: History) -> Signs:
    """The signs in a run; none where nobody looked. The first look of each ledger of leaders is no change."""
    metadata: list[int] = []
    for ledger in history.ledgers:
        if ledger.kind == "leaders":
            rows = ledger.whole().to_pylist()
            known: dict[int, tuple[int | None, tuple[int, ...]]] = {}
            for row in rows:
                state = (row["leader"], tuple(row["in_sync"]))
                if row["partition"] in known and known[row["partition"]] != state:
                    metadata.append(row["at_ns"])
                known[row["partition"]] = state
    try:
        events = history.table("events").select(["kind", "seen_ns"]).to_pylist()
    except UndecidedError:
        events = []
    assignment = {row["seen_ns"] for row in events if row["kind"] in _ASSIGNMENT and row["seen_ns"] is not None}
    return Signs(tuple(sorted(set(metadata))), tuple(sorted(assignment)))


def phases_of(outage: Outage, signs: Signs) -> tuple[Phase, ...]:
    """The phases of a recovery, each with its bounds; all are empty where there was no interruption (pure)."""
    first, last = outage.bitten_ns, outage.served_ns
    metadata = [at for at in signs.metadata_ns if first <= at <= last]
    assignment = [at for at in signs.assignment_ns if first <= at <= last]
    acks, consumption = (outage.back_ns.get(kind, first) for kind in (ACKS, CONSUMPTION))
    # What was interrupted decides which change is the one that was waited for
    replaced = [at for at in metadata if at <= acks] + [at for at in assignment if at <= consumption]
    ends = {
        DETECT: min([*metadata, *assignment], default=first),
        REPLACE: max(replaced, default=first),
        DISCOVER: acks,
        REJOIN: consumption,
    }
    phases, at = [], first
    for name in PHASES:
        end = last if name == CATCH_UP else min(max(ends[name], at), last)
        phases.append(Phase(name, at, end))
        at = end
    return tuple(phases)


def whole_after(history: History, fault: Fault, outage: Outage) -> float | None:
    """Seconds from asking to heal until every replica was in sync again and service was as usual; None: not seen.

    Only metadata tells of replicas: where nobody looked, nothing was seen.
    """
    try:
        rows = history.table("leaders").to_pylist()
    except UndecidedError:
        return None
    if fault.heal_asked_ns is None:
        return None
    full: dict[int, int] = {}
    back: dict[int, int | None] = {}
    for row in sorted(rows, key=lambda row: int(row["at_ns"])):
        number, count = row["partition"], len(row["in_sync"])
        full[number] = max(full.get(number, 0), count)
        if count < full[number] or row["leader"] is None:
            back[number] = None
        elif back.get(number, 0) is None or number not in back:
            back[number] = row["at_ns"]
    if not back or any(at is None for at in back.values()):
        return None
    latest = max(at for at in back.values() if at is not None)
    return max(0.0, (max(latest, outage.served_ns) - fault.heal_asked_ns) / 1e9)
