"""The judge on trial: every anomaly at every place, singly and in pairs, and clean histories that must stay clean.

A mutation is caught when exactly the checks that it names do not pass, each with the verdict that it names: a judge
that cries at everything has not understood anything.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Final

from assay import evidence
from assay.checks.posture import PART
from assay.errors import UsageError
from assay.selftest.histories import Maker
from assay.selftest.mutations import MUTATIONS, Target, targets
from assay.selftest.story import Story
from assay.verdict import Verdict, worst

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from assay.engine import Engine

#: Each mutation is tried at so many places: the first, the last, and between them.
PLACES: Final = 3
#: What the judge is tried on where nobody gives a run: messages, partitions, producers.
_SAMPLE: Final = (240, 3, 2)


@dataclass(frozen=True)
class Case:
    """One trial: which mutations (by number), and at which of the places each."""

    mutations: tuple[int, ...]
    places: tuple[int, ...]


@dataclass(frozen=True)
class Result:
    """What came of a trial.

    Attributes:
        case: The trial.
        caught: Whether the judge said exactly what it had to say.
        expected: What it had to say, by check.
        said: What it said.
    """

    case: Case
    caught: bool
    expected: dict[str, str]
    said: dict[str, str]

    @property
    def name(self) -> str:
        """The mutations' names."""
        return " + ".join(MUTATIONS[number].name for number in self.case.mutations)


def cases(*, pairs: bool = True) -> list[Case]:
    """Every mutation at every place; and every pair of those that can go together, one early and one late."""
    singles = [Case((number,), (place,)) for number in range(len(MUTATIONS)) for place in range(PLACES)]
    free = [number for number, mutation in enumerate(MUTATIONS) if not mutation.alone]
    together = [Case(pair, (0, PLACES - 1)) for pair in itertools.combinations(free, 2)] if pairs else []
    return singles + together


def attempt(source: Path | None, case: Case) -> Result:
    """Judge a copy of a clean run that has these anomalies.

    Args:
        source: The run's folder; None for a made-up one.
        case: Which anomalies where.
    """
    story, places, ends = _clean(source)
    changed = story.copy()
    chosen = [MUTATIONS[number] for number in case.mutations]
    expected: dict[str, Verdict] = {}
    for mutation, place in zip(chosen, case.places, strict=True):
        found = ends if mutation.last else places
        mutation.change(changed, found[min(place, len(found) - 1)])
        for check, verdict in mutation.complaints.items():
            expected[check] = worst([verdict, expected.get(check, Verdict.PASS)])
    said = changed.complaints()
    return Result(case, said == expected, _plain(expected), _plain(said))


def acquit(seed: int) -> dict[str, str]:
    """What the judge says against a clean history, which should be nothing; the history follows from the seed."""
    return _plain(_history(seed).complaints())


def _history(seed: int) -> Story:
    partitions, producers = seed % 3 + 1, seed // 3 % 4 + 1
    messages = partitions * producers * (2 + seed // 12 % 12)
    return Maker(seed, messages, partitions, producers).story()


def check_source(source: Path | None) -> None:
    """Make sure that a run can be tried on.

    Raises:
        UsageError: It is no run, or one that did not pass: its own complaints would hide those that are seeded.
    """
    if source is None:
        return
    loaded = evidence.load(source)
    if loaded.manifest is None or loaded.problems:
        raise UsageError(f"The evidence in {source} is not whole: give a run that passed.")
    complaints = _prepared(Story.of(loaded)).complaints()
    if complaints:
        raise UsageError(
            f"The run in {source} did not pass ({', '.join(complaints)}): give one that did, so that what is seeded is "
            "all that can be found."
        )


def trials(
    source: Path | None, engine: Engine, on_progress: Callable[[float, float, str], None], *, pairs: bool = True
) -> list[Result]:
    """Run all cases; `on_progress` is told how many are done, of how many, and what the last one was."""
    todo, results = cases(pairs=pairs), []
    for result in engine.map(partial(attempt, source), todo):
        results.append(result)
        on_progress(len(results), len(todo), result.name)
    return results


def acquittals(
    count: int, seed: int, engine: Engine, on_progress: Callable[[float, float, str], None]
) -> dict[int, dict[str, str]]:
    """Judge so many clean histories; the false alarms, by the seed of their history."""
    alarms, seeds = {}, list(range(seed, seed + count))
    for done, (number, said) in enumerate(zip(seeds, engine.map(acquit, seeds), strict=True), start=1):
        if said:
            alarms[number] = said
        on_progress(done, count, "clean histories")
    return alarms


@lru_cache(maxsize=1)
def _clean(source: Path | None) -> tuple[Story, list[Target], list[Target]]:
    """A clean story, targets all over it, and the last record of each partition."""
    made_up = Maker(1, *_SAMPLE, troubles=False)
    story = made_up.story() if source is None else _prepared(Story.of(evidence.load(source)))
    return story, targets(story, PLACES), targets(story, PLACES, last=True)


def _prepared(story: Story) -> Story:
    """A real run without what is not on trial: objectives that one seeded anomaly may miss; what is in no ledger."""
    prepared = story.copy()
    prepared.manifest["plan"]["parts"] = [one for one in prepared.manifest["plan"]["parts"] if one != PART]
    prepared.manifest["objectives"] |= {"success_ratio": 0.0}
    return prepared


def _plain(verdicts: dict[str, Verdict]) -> dict[str, str]:
    return {check: verdict.value for check, verdict in sorted(verdicts.items())}
