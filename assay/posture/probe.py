"""A probe and what became of it: what was tried, what happened, who asks for it, and what that amounts to. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Protocol

from assay.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from assay.posture.scene import Scene


class Result(StrEnum):
    """What a probe came to."""

    #: The forbidden thing was tried and refused, and what stands beside it was allowed.
    REFUSED = "refused"
    #: The forbidden thing was tried and allowed.
    ALLOWED = "allowed"
    #: What is there is as it must be.
    KEPT = "kept"
    #: What is there is not as it must be.
    BROKEN = "broken"
    #: It could not be shown.
    UNVERIFIABLE = "unverifiable"


_VERDICTS: Final[Mapping[Result, Verdict]] = {
    Result.REFUSED: Verdict.PASS,
    Result.KEPT: Verdict.PASS,
    Result.ALLOWED: Verdict.FAIL,
    Result.BROKEN: Verdict.FAIL,
    Result.UNVERIFIABLE: Verdict.UNKNOWN,
}
#: The families of probes, by the first word of their names, in the order of a report.
FAMILIES: Final = (
    *("pods", "access", "policies", "network", "kafka", "quota", "eviction", "containers", "secrets", "audit"),
)
#: The most offenders that a sentence names.
_NAMED: Final = 5


@dataclass(frozen=True)
class Probe:
    """What is tried.

    Attributes:
        name: `family/what`.
        tried: What is tried, or looked at.
        authorities: Who asks for it (`assay.posture.authorities`); empty where only our own design does.
        remedy: What to do when it fails, in a sentence.
    """

    name: str
    tried: str
    authorities: tuple[str, ...]
    remedy: str

    @property
    def family(self) -> str:
        """The first word of its name."""
        return self.name.partition("/")[0]


@dataclass(frozen=True)
class Attempt:
    """One thing that was tried: refused, allowed, or not to be had an answer on; and what the other side said."""

    result: Result
    said: str = ""


@dataclass(frozen=True)
class Finding:
    """What became of a probe.

    Attributes:
        probe: The probe.
        result: What it came to.
        happened: What happened, in a sentence with the figures that decided.
        control: What was allowed beside it; empty where nothing was forbidden, only looked at.
        offenders: Everything that was not as it must be.
        remedy: What to do; empty when it passed.
    """

    probe: Probe
    result: Result
    happened: str
    control: str = ""
    offenders: tuple[str, ...] = ()
    remedy: str = ""

    @property
    def verdict(self) -> Verdict:
        """Pass, fail or unknown."""
        return _VERDICTS[self.result]

    def plain(self) -> dict[str, Any]:
        """For machines."""
        return {
            "probe": self.probe.name,
            "verdict": str(self.verdict),
            "result": str(self.result),
            "tried": self.probe.tried,
            "happened": self.happened,
            "control": self.control,
            "offenders": list(self.offenders),
            "authorities": list(self.probe.authorities),
            "remedy": self.remedy,
        }


class Family(Protocol):
    """A module of probes."""

    @property
    def PROBES(self) -> Sequence[Probe]:  # noqa: N802  # a module's constant
        """All of them."""

    def look(self, scene: Scene) -> Iterator[Finding]:
        """Try them all, in any order; what has no finding in the end is unverifiable."""


def unverifiable(probe: Probe, why: str, remedy: str = "") -> Finding:
    """It could not be shown, and why."""
    return Finding(probe, Result.UNVERIFIABLE, why, remedy=remedy)


def denied(probe: Probe, forbidden: Attempt, control: Attempt, controlled: str, remedy: str = "") -> Finding:
    """What a refusal shows: nothing, unless the control was allowed.

    Args:
        probe: The probe.
        forbidden: What became of the forbidden thing.
        control: What became of the control.
        controlled: The control, in words.
        remedy: What to do if it was allowed; empty: what the probe says.
    """
    return denied_all(probe, {"": forbidden}, {"": control}, controlled, remedy)


def denied_all(
    probe: Probe, forbidden: Mapping[str, Attempt], controls: Mapping[str, Attempt], controlled: str, remedy: str = ""
) -> Finding:
    """The same for many who tried it, by name, each with a control of its own."""
    allowed = [_told(who, attempt) for who, attempt in forbidden.items() if attempt.result is Result.ALLOWED]
    if allowed:
        happened = f"allowed: {listed(allowed)}" if any(allowed) else "allowed"
        return Finding(
            probe, Result.ALLOWED, happened, controlled, tuple(filter(None, allowed)), remedy or probe.remedy
        )
    unclear = [
        _told(who, attempt) or "no answer" for who, attempt in forbidden.items() if attempt.result is not Result.REFUSED
    ]
    for who in forbidden:
        control = controls.get(who, Attempt(Result.UNVERIFIABLE, "it was not tried"))
        if control.result is not Result.ALLOWED:
            said = _told(who, control) or str(control.result)
            unclear.append(f"the refusal shows nothing, since the control was not allowed either: {said}")
    if unclear or not forbidden:
        return Finding(probe, Result.UNVERIFIABLE, listed(unclear) or "nothing was tried", controlled, tuple(unclear))
    sentences = list(dict.fromkeys(attempt.said for attempt in forbidden.values() if attempt.said))
    count = f" ({len(forbidden)} times)" if len(forbidden) > 1 else ""
    happened = f"refused{count}: {sentences[0]}" if len(sentences) == 1 else f"refused{count}"
    return Finding(probe, Result.REFUSED, happened, controlled)


def held(probe: Probe, looked_at: int, what: str, broken: Sequence[str], unseen: Sequence[str] = ()) -> Finding:
    """What looking shows: broken if anything is, unverifiable if something could not be seen or nothing was.

    Args:
        probe: The probe.
        looked_at: How many things were seen.
        what: What they are and how, in the plural, to be said with their number.
        broken: Those that are not as they must be, and how.
        unseen: Those that could not be seen, and why.
    """
    if broken:
        return Finding(probe, Result.BROKEN, listed(broken), offenders=tuple(broken), remedy=probe.remedy)
    if unseen or not looked_at:
        return Finding(
            probe, Result.UNVERIFIABLE, listed(unseen) or "there is nothing to look at", offenders=tuple(unseen)
        )
    return Finding(probe, Result.KEPT, f"{looked_at} {what}")


def listed(sentences: Sequence[str]) -> str:
    """The first few, and how many more there are."""
    more = len(sentences) - _NAMED
    return "; ".join(sentences[:_NAMED]) + (f"; and {more} more" if more > 0 else "")


def _told(who: str, attempt: Attempt) -> str:
    return ": ".join(filter(None, (who, attempt.said)))
