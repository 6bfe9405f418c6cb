"""Kubernetes' own end-to-end specs: which of them are to run, as conformance/specs.yml says, and how they went."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from xml.etree import ElementTree as ET

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

#: The area whose specs must pass.
POLICIES: Final = "network policies"
#: What marks the specs of a certified Kubernetes.
CONFORMANCE: Final = "[Conformance]"
#: A spec's line of `e2e.test --list-tests`: where its code is, then its full name.
_LISTED: Final = re.compile(r"^ {4}\S+:\d+: (?P<name>.+)$", re.MULTILINE)
#: What Ginkgo's report puts before a spec's full name, and not before that of a set-up or a tear-down.
_SPEC: Final = "[It] "
#: States in which Ginkgo leaves a spec that it did not run.
_NOT_RUN: Final = frozenset({"skipped", "pending"})


@dataclass(frozen=True)
class Known:
    """Specs of which something is known.

    Attributes:
        pattern: a regular expression, looked for in a spec's full name.
        reason: why they are not run, or fail.
    """

    pattern: str
    reason: str

    def means(self, name: str) -> bool:
        """Whether a spec is one of them."""
        return re.search(self.pattern, name) is not None


@dataclass(frozen=True)
class Selection:
    """What of the suite is to run, and what is known of it.

    Attributes:
        areas: by an area's name, the pattern of its specs.
        skips: specs of the areas that are not run.
        failures: specs that are run and fail.
    """

    areas: Mapping[str, str]
    skips: tuple[Known, ...] = ()
    failures: tuple[Known, ...] = ()

    @classmethod
    def read(cls, path: Path) -> Selection:
        """From conformance/specs.yml."""
        document: dict[str, Any] = yaml.safe_load(path.read_text())
        skips, failures = (tuple(Known(**one) for one in document[key]) for key in ("skips", "failures"))
        return cls(document["areas"], skips, failures)

    def arguments(self) -> list[str]:
        """Ginkgo's arguments that select the same specs."""
        focus = [f"--focus={pattern}" for pattern in self.areas.values()]
        return [*focus, *(f"--skip={one.pattern}" for one in self.skips)]

    def area(self, area: str, names: Iterable[str]) -> list[str]:
        """An area's specs, the skipped ones too."""
        return [name for name in names if re.search(self.areas[area], name)]

    def wanted(self, area: str, names: Iterable[str]) -> list[str]:
        """An area's specs that are to run."""
        return [name for name in self.area(area, names) if not any(one.means(name) for one in self.skips)]

    def stale(self, names: Iterable[str]) -> list[str]:
        """Patterns of areas, skips and failures that mean none of the specs: upstream has renamed them."""
        within = [name for area in self.areas for name in self.area(area, names)]
        empty = [pattern for area, pattern in self.areas.items() if not self.area(area, names)]
        known = (*self.skips, *self.failures)
        return [*empty, *(one.pattern for one in known if not any(map(one.means, within)))]


@dataclass(frozen=True)
class Result:
    """How a spec went.

    Attributes:
        state: Ginkgo's word: `passed`, `skipped`, `pending`, or one of failure (`failed`, `timedout`, `panicked`, …).
        seconds: how long it took.
        message: what it says of its failure, or of why it skipped itself; empty if nothing.
    """

    state: str
    seconds: float = 0.0
    message: str = ""

    @property
    def ran(self) -> bool:
        """Whether it was run."""
        return self.state not in _NOT_RUN

    @property
    def brief(self) -> str:
        """The message's first lines: what was wrong, and where in upstream's code."""
        return " ".join(line.strip() for line in self.message.splitlines()[:3])[:500]

    @property
    def passed(self) -> bool:
        """Whether it was run and found nothing wrong."""
        return self.state == "passed"


def listed(text: str) -> list[str]:
    """The specs' full names in what `e2e.test --list-tests` prints."""
    return [found["name"] for found in _LISTED.finditer(text)]


def results(report: str) -> dict[str, Result]:
    """How each spec went, by its full name, of a JUnit report that the suite has written."""
    found = {}
    for case in ET.fromstring(report).iter("testcase"):  # noqa: S314  # of a program that we have built and started
        name = case.get("name", "")
        if name.startswith(_SPEC):
            told = next((one for one in map(case.find, ("failure", "error", "skipped")) if one is not None), None)
            message = "" if told is None else (told.text or told.get("message") or "").strip()
            result = Result(case.get("status", ""), float(case.get("time", "0")), message)
            found[name.removeprefix(_SPEC)] = result
    return found


def setup_failures(report: str) -> list[str]:
    """What failed before or after all specs, by name: then what the specs say means little."""
    cases = ET.fromstring(report).iter("testcase")  # noqa: S314  # as above
    return [
        case.get("name", "")
        for case in cases
        if not case.get("name", "").startswith(_SPEC) and case.get("status") not in {"passed", *_NOT_RUN}
    ]


@dataclass(frozen=True)
class Outcome:
    """A run of the selected specs.

    Attributes:
        selection: what was to run.
        names: all specs that the suite has.
        results: how those in the report went.
    """

    selection: Selection
    names: tuple[str, ...]
    results: Mapping[str, Result]

    def of_area(self, area: str) -> dict[str, Result]:
        """How each spec of an area went that was to run; one that is missing in the report counts as skipped."""
        missing = Result("skipped", message="not in the report")
        return {name: self.results.get(name, missing) for name in self.selection.wanted(area, self.names)}

    def wanted(self) -> dict[str, Result]:
        """The same of all areas."""
        return {name: result for area in self.selection.areas for name, result in self.of_area(area).items()}

    def not_run(self) -> dict[str, str]:
        """Specs that were to run and did not, with what they say of it."""
        return {name: one.brief for name, one in self.wanted().items() if not one.ran}

    def conformance(self) -> dict[str, Result]:
        """The specs marked `[Conformance]` that ran."""
        return {name: one for name, one in self.wanted().items() if one.ran and CONFORMANCE in name}

    def unexplained(self) -> dict[str, str]:
        """Specs that ran and did not pass, and are not among the known failures, with what they say."""
        known = self.selection.failures
        return {
            name: f"{one.state}: {one.brief}"
            for name, one in self.wanted().items()
            if one.ran and not one.passed and not any(each.means(name) for each in known)
        }

    def healed(self) -> list[str]:
        """Known failures of which no spec failed."""
        failed = [name for name, one in self.wanted().items() if one.ran and not one.passed]
        return [each.pattern for each in self.selection.failures if not any(map(each.means, failed))]

    def summary(self) -> str:
        """Passed, ran and to run by area, then each failure and each skip with its reason; Markdown."""
        rows = ["| area | passed | ran | to run |", "| --- | --- | --- | --- |"]
        every = {area: self.of_area(area) for area in self.selection.areas} | {"all": self.wanted()}
        for area, found in every.items():
            ran = [one for one in found.values() if one.ran]
            rows.append(f"| {area} | {sum(one.passed for one in ran)} | {len(ran)} | {len(found)} |")
        sample = self.conformance()
        if sample:
            passed = sum(one.passed for one in sample.values())
            rows.append(
                f"\n{passed} of {len(sample)} {CONFORMANCE} specs passed: {100 * passed / len(sample):.1f} %.\n"
            )
        for name, one in self.wanted().items():
            if not one.passed:
                reasons = [each.reason for each in self.selection.failures if each.means(name)]
                rows.append(f"- {one.state}: {name}: {'; '.join(reasons) or f'not explained. {one.brief}'.strip()}")
        within = [name for area in self.selection.areas for name in self.selection.area(area, self.names)]
        for each in self.selection.skips:
            count = sum(map(each.means, within))
            rows.append(f"- not run: {count} of the areas' specs, `{each.pattern}`: {each.reason}")
        return "\n".join(rows) + "\n"
