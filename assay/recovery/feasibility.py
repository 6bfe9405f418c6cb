"""Whether objectives can be kept with the settings found, and which setting to change to what where they can't.

An objective below the least is impossible. One below the most is kept by luck alone, which is refused as well: the
settings allow the platform to take longer, so sooner or later it will.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal

from assay.recovery.floors import Fault, floors_of
from assay.recovery.setting import UNITS, Setting, written
from assay.verdict import Verdict, worst

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from assay.recovery.phases import Floor
    from assay.recovery.setting import Settings

Feasible = Literal["possible", "not guaranteed", "impossible", "unknown", "not in use", "no objective"]
#: An objective is refused for these.
REFUSED: Final[frozenset[Feasible]] = frozenset({"not guaranteed", "impossible"})

#: Which objective a fault falls under (`Objectives.recovery_seconds`); a rolling restart is no failure.
OBJECTIVES: Final[Mapping[Fault, str]] = {
    Fault.CONSUMER_TERMINATED: "pod crash",
    Fault.CONSUMER_KILLED_CLASSIC: "pod crash",
    Fault.CONSUMER_KILLED: "pod crash",
    Fault.STATIC_MEMBER_KILLED: "pod crash",
    Fault.BROKER_TERMINATED: "broker failure",
    Fault.BROKER_KILLED: "broker failure",
    Fault.COORDINATOR_KILLED: "broker failure",
    Fault.CONTROLLER_KILLED: "broker failure",
    Fault.BROKER_ISOLATED: "network partition",
    Fault.NODE_LOST: "node loss",
    Fault.NODE_REPLACED: "node loss",
}


@dataclass(frozen=True)
class Lever:
    """Settings that a remedy lowers together: their fields of `Settings`, how far (seconds), and what that costs."""

    fields: tuple[str, ...]
    least: float
    price: str


#: Below its least each does more harm than good, as far as anybody knows: the platform is shipped with none below.
LEVERS: Final = (
    Lever(("broker_session",), 2.0, "a broker that pauses for longer is fenced though it lives"),
    Lever(("classic_session",), 6.0, "a consumer that pauses for longer is put out, and redoes what was not committed"),
    Lever(
        ("consumer_session",), 4.0, "a consumer that pauses for longer is put out, and redoes what was not committed"
    ),
    Lever(("classic_heartbeat",), 0.5, "more requests to the coordinator, one a member each time"),
    Lever(("consumer_heartbeat",), 0.5, "more requests to the coordinator, one a member each time"),
    Lever(("consumer_assignment",), 0.0, "more work for the coordinator while many members come and go"),
    Lever(("consumers_socket", "load_socket"), 3.0, "a broker that takes longer to answer gets its requests again"),
    Lever(("consumers_retry", "load_retry"), 0.2, "more requests while a broker is away"),
    Lever(
        ("quorum_fetch", "quorum_fetch_longest"), 1.0, "a controller that pauses for longer is replaced though it lives"
    ),
    Lever(("quorum_election",), 0.5, "more elections without a winner"),
    Lever(("flush",), 0.2, "more and smaller files in the sink"),
    Lever(("node_grace",), 16.0, "a node whose lease is late is taken for lost: it needs several renewals within this"),
    Lever(("node_monitor",), 1.0, "more work for the controller manager"),
    Lever(("toleration",), 0.0, "pods leave a node that was merely out of reach for so long"),
)
#: What the brokers refuse to go below, by the field that it bounds.
_BOUNDS: Final[Mapping[str, str]] = {
    "classic_session": "classic_session_least",
    "consumer_session": "consumer_session_least",
}
#: Remedies are told in whole steps, in seconds by unit.
_STEPS: Final[Mapping[str, float]] = {"ms": 0.1, "s": 1.0}


@dataclass(frozen=True)
class Remedy:
    """A setting to change: the one found, the value it needs (seconds), the price, and what must be lowered with it."""

    setting: Setting
    seconds: float
    price: str
    bound: Setting | None = None

    def __str__(self) -> str:
        """What to do, in words."""
        to = written(self.seconds, self.setting.unit)
        also = f" (and {self.bound.name} to no more)" if self.bound else ""
        return f"{self.setting.owner}: {self.setting.name} from {self.setting.found} to {to}{also}: {self.price}"


@dataclass(frozen=True)
class Judged:
    """An objective beside the floor that it is held against.

    Attributes:
        fault: The kind of fault.
        floor: Its floor.
        objective: The objective's name; empty where there is none.
        objective_seconds: The objective.
        verdict: Whether it can be kept.
        remedies: Settings to change, all of them together, so that it can; empty where none is needed or none helps.
    """

    fault: Fault
    floor: Floor
    objective: str
    objective_seconds: float | None
    verdict: Feasible
    remedies: tuple[Remedy, ...] = ()

    @property
    def refused(self) -> bool:
        """Whether the settings do not let the objective be kept."""
        return self.verdict in REFUSED

    def __str__(self) -> str:
        """In a sentence."""
        least, most = self.floor.known_least_seconds, self.floor.known_most_seconds
        told = f"{self.fault}: by the settings alone recovery takes {least:.1f} to {most:.1f} s"
        if self.floor.unknown:
            told += f", and what is unknown beside it ({self.floor.unknown})"
        if self.floor.not_in_use:
            return f"{told}; not in use: {self.floor.not_in_use}."
        if self.objective_seconds is not None:
            told += f"; the objective of {self.objective_seconds:g} s after {self.objective} is {self.verdict}"
        if self.remedies:
            told += "; change " + "; ".join(str(one) for one in self.remedies)
        elif self.refused:
            told += "; no setting changes that"
        return told + "."


def judge(settings: Settings, objectives: Mapping[str, float]) -> tuple[Judged, ...]:
    """Hold each fault's floor against the objective that it falls under, in seconds by name."""
    judged = []
    for fault, floor in floors_of(settings).items():
        name = OBJECTIVES.get(fault, "")
        seconds = objectives.get(name)
        kept = feasible(floor, seconds)
        remedies = remedies_for(settings, fault, seconds) if seconds is not None and kept in REFUSED else ()
        judged.append(Judged(fault, floor, name if seconds is not None else "", seconds, kept, remedies))
    return tuple(judged)


def verdict(judged: Iterable[Judged]) -> Verdict:
    """What objectives and floors amount to: fail if one is refused, unknown if one is unknown, else pass."""
    return worst(
        Verdict.FAIL if one.refused else Verdict.UNKNOWN if one.verdict == "unknown" else Verdict.PASS for one in judged
    )


def feasible(floor: Floor, objective_seconds: float | None) -> Feasible:
    """Whether an objective can be kept by a floor; what is known of it may be enough to refuse, never to grant."""
    if floor.not_in_use:
        return "not in use"
    if objective_seconds is None:
        return "no objective"
    if floor.known_least_seconds > objective_seconds:
        return "impossible"
    if floor.known_most_seconds > objective_seconds:
        return "not guaranteed"
    return "unknown" if floor.unknown else "possible"


def remedies_for(settings: Settings, fault: Fault, objective_seconds: float) -> tuple[Remedy, ...]:
    """The settings to lower, each no more than needed, so that the known part of a floor's most fits the objective.

    The one that helps most is lowered first, as far as needed or as its least allows; what is then too much, the next.
    Where several are, each is then raised again as far as the others let it. Empty if they do not suffice all together.
    """
    chosen: dict[Lever, float] = {}
    while (most := _most(lowered := _all_lowered(settings, chosen), fault)) > objective_seconds:
        rest = {one: _most(_lowered(lowered, one, one.least), fault) for one in LEVERS if one not in chosen}
        gains = {one: most - left for one, left in rest.items() if left < most}
        lever = max(gains, key=lambda one: gains[one], default=None)
        if lever is None:
            return ()
        chosen[lever] = _needed(lowered, fault, lever, objective_seconds)
    for lever in list(chosen):
        del chosen[lever]
        others = _all_lowered(settings, chosen)
        if _most(others, fault) > objective_seconds:
            chosen[lever] = _needed(others, fault, lever, objective_seconds)
    changed = _all_lowered(settings, chosen)
    return tuple(
        Remedy(getattr(settings, field), seconds, lever.price, _bound(settings, field, seconds))
        for lever, seconds in chosen.items()
        for field in lever.fields
        if getattr(settings, field) != getattr(changed, field)
    )


def _bound(settings: Settings, field: str, seconds: float) -> Setting | None:
    """What the brokers refuse to go below, where that is above the new value."""
    bound: Setting | None = getattr(settings, _BOUNDS[field]) if field in _BOUNDS else None
    return bound if bound is not None and (bound.seconds or 0.0) > seconds else None


def _needed(settings: Settings, fault: Fault, lever: Lever, objective_seconds: float) -> float:
    """The greatest value, in whole steps, with which the objective is kept; the lever's least if none does."""
    unit = getattr(settings, lever.fields[0]).unit
    step = _STEPS[unit]
    low, high = math.ceil(lever.least / step), math.ceil((objective_seconds + lever.least) / step)
    while low < high:  # at `low` it fits, or nothing does; above `high` it does not
        middle = (low + high + 1) // 2
        if _most(_lowered(settings, lever, middle * step), fault) <= objective_seconds:
            low = middle
        else:
            high = middle - 1
    return round(low * step * UNITS[unit]) / UNITS[unit]


def _all_lowered(settings: Settings, chosen: Mapping[Lever, float]) -> Settings:
    for lever, seconds in chosen.items():
        settings = _lowered(settings, lever, seconds)
    return settings


def _lowered(settings: Settings, lever: Lever, seconds: float) -> Settings:
    """With those of the lever's settings that are known and above it at this value."""
    changed: dict[str, Any] = {}
    for field in lever.fields:
        setting: Setting = getattr(settings, field)
        if setting.seconds is not None and setting.seconds > seconds:
            changed[field] = replace(setting, seconds=seconds)
    return replace(settings, **changed)


def _most(settings: Settings, fault: Fault) -> float:
    return floors_of(settings)[fault].known_most_seconds
