"""What a recovery goes through, and how long the settings alone take for each part of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

    from assay.recovery.setting import Setting

PhaseName = Literal["detect", "elect or evict", "client discovers", "rejoin and assign", "catch up"]
#: In the order in which a recovery goes through them.
PHASES: Final[tuple[PhaseName, ...]] = ("detect", "elect or evict", "client discovers", "rejoin and assign", "catch up")


@dataclass(frozen=True)
class Phase:
    """One phase of the recovery from one fault.

    Attributes:
        name: Which.
        least_seconds: No recovery is through it sooner; None: unknown.
        most_seconds: How long the settings may take for it, where what has to be tried works at the first attempt and
            the work itself takes no time; None: unknown.
        settings: What it follows from, with the values found.
        rule: The formula, in the settings' names.
        source: Who says so.
        unknown: Why it is unknown; empty if it is not.
    """

    name: PhaseName
    least_seconds: float | None
    most_seconds: float | None
    settings: tuple[Setting, ...] = ()
    rule: str = ""
    source: str = ""
    unknown: str = ""


def idle(name: PhaseName, rule: str = "") -> Phase:
    """A phase in which no setting makes anybody wait."""
    return Phase(name, 0.0, 0.0, rule=rule)


def phase(
    name: PhaseName, settings: tuple[Setting, ...], span: Callable[..., tuple[float, float]], rule: str, source: str
) -> Phase:
    """A phase by its formula.

    Args:
        name: Which.
        settings: What it follows from.
        span: From their values in seconds, in that order, to least and most; a least below zero counts as zero.
        rule: The formula in words.
        source: Who says so.
    """
    values = [one.seconds for one in settings if one.seconds is not None]
    if len(values) < len(settings):
        why = dict.fromkeys(f"{one.name}: {one.why}" for one in settings if one.seconds is None)
        return Phase(name, None, None, settings, rule, source, "; ".join(why))
    least, most = span(*values)
    return Phase(name, max(least, 0.0), most, settings, rule, source)


@dataclass(frozen=True)
class Floor:
    """How long the recovery from one fault takes by the settings alone.

    Attributes:
        fault: The kind of fault; see `floors.Fault`.
        phases: Its five phases, in order.
        not_in_use: Why this can't happen on the platform as it is set up; empty if it can.
    """

    fault: str
    phases: tuple[Phase, ...]
    not_in_use: str = ""

    @property
    def least_seconds(self) -> float | None:
        """No recovery is faster; None: unknown."""
        return None if self.unknown else self.known_least_seconds

    @property
    def most_seconds(self) -> float | None:
        """How long the settings may take; None: unknown."""
        return None if self.unknown else self.known_most_seconds

    @property
    def known_least_seconds(self) -> float:
        """What of `least_seconds` is known: no recovery is faster than this either."""
        return sum(one.least_seconds or 0.0 for one in self.phases)

    @property
    def known_most_seconds(self) -> float:
        """What of `most_seconds` is known."""
        return sum(one.most_seconds or 0.0 for one in self.phases)

    @property
    def unknown(self) -> str:
        """Why it is unknown; empty if it is not."""
        return "; ".join(dict.fromkeys(one.unknown for one in self.phases if one.unknown))
