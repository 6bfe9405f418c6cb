"""The runs of a campaign, and what they amount to. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from assay.campaign.quantile import Quantile, quantile
from assay.checks.finding import at_most, counted
from assay.verdict import Verdict, worst

if TYPE_CHECKING:
    from assay.campaign.outcome import Outcome

SHARES: Final = {"p50": 0.5, "p95": 0.95}


@dataclass(frozen=True)
class Spread:
    """How a figure spread over the runs that have it: quantiles by name, and the greatest."""

    values: tuple[float, ...]
    quantiles: dict[str, Quantile]
    most: float


@dataclass(frozen=True)
class Series:
    """Runs of one experiment, in their order.

    Attributes:
        wanted: How many there should be.
        outcomes: How those ended that there were.
    """

    wanted: int
    outcomes: tuple[Outcome, ...]

    @property
    def broken(self) -> Outcome | None:
        """The first run that lost something, or did otherwise to messages what must not be done."""
        return next((one for one in self.outcomes if one.broken), None)

    @property
    def stalled(self) -> Outcome | None:
        """The last run, where neither it nor the one before could be judged: a third would fare no better."""
        last = self.outcomes[-2:]
        return last[-1] if [one.verdict for one in last] == [Verdict.UNKNOWN] * 2 else None

    @property
    def verdict(self) -> Verdict:
        """The worst of all; runs that are missing are unknown."""
        missing = [Verdict.UNKNOWN] * (self.wanted > len(self.outcomes))
        return worst([*(one.verdict for one in self.outcomes), *missing])

    @property
    def sentence(self) -> str:
        """What was shown, in one sentence or two."""
        done = len(self.outcomes)
        counts = {verdict: sum(one.verdict is verdict for one in self.outcomes) for verdict in Verdict}
        text = f"{done} of {counted(self.wanted, 'run')}: " + ", ".join(
            f"{count} {verdict.value}" for verdict, count in counts.items() if count or verdict is Verdict.PASS
        )
        if self.broken:
            return f"{text}. Stopped at {self.broken.name}, where {', '.join(self.broken.broken)} failed."
        if self.stalled and done < self.wanted:
            text += f". Stopped at {self.stalled.name}, the second run in a row that could not be judged"
        if done:
            text += f". No run lost a message; {at_most(done, 'runs')}"
        return text + "."

    def spread(self, name: str) -> Spread | None:
        """How a measured figure, or a phase by its name, spread; None where no run has it."""
        found = [one.measured.get(name, one.phases.get(name)) for one in self.outcomes]
        values = tuple(value for value in found if value is not None)
        if not values:
            return None
        return Spread(values, {label: quantile(values, share) for label, share in SHARES.items()}, max(values))
