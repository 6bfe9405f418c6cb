"""Which of upstream's end-to-end specs run, and what is read out of their report."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from specs import CONFORMANCE, POLICIES, Known, Outcome, Result, Selection, listed, results, setup_failures

ROOT = Path(__file__).resolve().parents[2]

DENY = "[sig-network] Netpol between pods should deny all [Feature:NetworkPolicy]"
SCTP = "[sig-network] Netpol [Feature:SCTPConnectivity] should deny all [Feature:NetworkPolicy]"
JOB = "[sig-apps] Job should run [Conformance]"
OTHER_JOB = "[sig-apps] Job should end [Conformance]"
STRANGER = "[sig-storage] CSI should mount [Conformance]"
NAMES = (DENY, SCTP, JOB, OTHER_JOB, STRANGER)
SELECTION = Selection(
    {POLICIES: r"\[sig-network\] Netpol ", "jobs": r"\[sig-apps\] Job .*\[Conformance\]"},
    skips=(Known("SCTP", "no such module"),),
    failures=(Known("Job should end", "it is known"),),
)
LATE = '<failure message="" type="timedout"> too long </failure>'
REPORT = f"""<?xml version="1.0" encoding="UTF-8"?>
<testsuites tests="6"><testsuite name="Kubernetes e2e suite">
  <testcase name="[SynchronizedBeforeSuite]" status="passed" time="1.5"></testcase>
  <testcase name="[It] {DENY}" status="passed" time="12.25"><system-err></system-err></testcase>
  <testcase name="[It] {SCTP}" status="skipped" time="0"><skipped message="skipped"></skipped></testcase>
  <testcase name="[It] {JOB}" status="timedout" time="3">{LATE}</testcase>
  <testcase name="[It] {OTHER_JOB}" status="panicked" time="3"><error type="panicked">nil</error></testcase>
  <testcase name="[AfterSuite]" status="failed" time="3"><failure type="failed">left behind</failure></testcase>
</testsuite></testsuites>"""


def pinned(module: str) -> dict[str, str]:
    """The versions that a module's go.mod asks for and has in place of them, by module, marked apart."""
    required, replaced = (ROOT / module / "go.mod").read_text().split("replace (")
    rows = re.findall(r"^\s*(?:require )?(\S+\.\S+) (v\S+)", required, re.MULTILINE)
    return dict(rows) | {f"=> {name}": version for name, version in re.findall(r"=> (\S+) (v\S+)", replaced)}


def outcome(**states: str) -> Outcome:
    """A run in which these specs went like this, and the other job failed as it is known to."""
    named = {"deny": DENY, "job": JOB, "other_job": OTHER_JOB}
    told = {"deny": "passed", "job": "passed", "other_job": "failed"} | states
    return Outcome(SELECTION, NAMES, {named[key]: Result(state) for key, state in told.items() if state})


def test_names_are_read_from_the_suites_list() -> None:
    """Each line holds a place in the code, then the name, which has colons of its own."""
    text = f"The following spec names can be used:\n    a/b@v1.36.3/c.go:12: {DENY}\n    d.go:7: a: b\n\n"
    assert listed(text) == [DENY, "a: b"]


def test_a_report_says_how_each_spec_went() -> None:
    """State, time and what it said; what is no spec is left out."""
    found = results(REPORT)
    assert found[DENY] == Result("passed", 12.25)
    assert found[SCTP] == Result("skipped", 0.0, "skipped")
    assert found[JOB] == Result("timedout", 3.0, "too long")
    assert found[OTHER_JOB] == Result("panicked", 3.0, "nil")
    assert len(found) == 4


def test_a_failure_around_the_specs_is_told() -> None:
    """When what all specs stand on has failed, their silence is no success."""
    assert setup_failures(REPORT) == ["[AfterSuite]"]


def test_ginkgo_is_asked_for_the_same_specs() -> None:
    """Its focus and its skips are the selection's own patterns."""
    focus, skip = (
        "|".join(one.removeprefix(key) for one in SELECTION.arguments() if one.startswith(key))
        for key in ("--focus=", "--skip=")
    )
    chosen = [name for name in NAMES if re.search(focus, name) and not re.search(skip, name)]
    assert chosen == [*SELECTION.wanted(POLICIES, NAMES), *SELECTION.wanted("jobs", NAMES)] == [DENY, JOB, OTHER_JOB]


def test_a_pattern_that_means_nothing_is_stale() -> None:
    """Of an area, of a skip, of a failure; one that means only what no area has is stale too."""
    assert SELECTION.stale(NAMES) == []
    assert SELECTION.stale((DENY, JOB)) == ["SCTP", "Job should end"]
    assert SELECTION.stale((SCTP,)) == [SELECTION.areas["jobs"], "Job should end"]
    assert Selection(SELECTION.areas, skips=(Known("CSI", "no driver"),)).stale(NAMES) == ["CSI"]


def test_what_was_to_run_and_did_not_is_told() -> None:
    """A spec that skipped itself or is missing did not run; one that we skip was not to."""
    assert outcome().not_run() == {}
    assert outcome(deny="skipped").not_run() == {DENY: ""}
    assert outcome(deny="").not_run() == {DENY: "not in the report"}


def test_only_conformance_specs_that_ran_are_the_sample() -> None:
    """Not policies, which upstream does not mark, and not what was left out."""
    assert outcome().conformance().keys() == {JOB, OTHER_JOB}
    assert outcome(job="skipped").conformance().keys() == {OTHER_JOB}


@pytest.mark.parametrize("state", ["failed", "timedout", "panicked", "interrupted", "aborted"])
def test_a_failure_that_nobody_explained_is_told(state: str) -> None:
    """Whatever way it failed."""
    assert outcome().unexplained() == {}
    assert outcome(job=state).unexplained() == {JOB: f"{state}: "}


def test_an_explanation_of_what_passes_is_told() -> None:
    """It would hide the next failure."""
    assert outcome().healed() == []
    assert outcome(other_job="passed").healed() == ["Job should end"]


def test_the_summary_says_rates_failures_and_skips() -> None:
    """Passed, ran and to run by area; failures with their explanation, or that they have none; skips with theirs."""
    text = outcome(deny="failed").summary()
    assert "| network policies | 0 | 1 | 1 |" in text
    assert "| jobs | 1 | 2 | 2 |" in text
    assert "| all | 1 | 3 | 3 |" in text
    assert f"1 of 2 {CONFORMANCE} specs passed: 50.0 %." in text
    assert f"- failed: {DENY}: not explained." in text
    assert f"- failed: {OTHER_JOB}: it is known" in text
    assert "- not run: 1 of the areas' specs, `SCTP`: no such module" in text


def test_the_selection_that_ships_can_be_read() -> None:
    """It has the area of policies, every skip and every failure has a reason, and every pattern is one."""
    shipped = Selection.read(ROOT / "conformance" / "specs.yml")
    assert POLICIES in shipped.areas
    for pattern in (*shipped.areas.values(), *(one.pattern for one in (*shipped.skips, *shipped.failures))):
        re.compile(pattern)
    assert all(one.reason for one in (*shipped.skips, *shipped.failures))


def test_the_suite_is_pinned_like_the_components() -> None:
    """Every module that both have is of one version: the same release is judged, and Go compiles it once."""
    suite, components = pinned("conformance"), pinned("cluster")
    assert suite["k8s.io/kubernetes"] == components["k8s.io/kubernetes"]
    assert {name: version for name, version in suite.items() if components.get(name, version) != version} == {}


def test_no_registry_but_ours_is_asked() -> None:
    """Every registry of the suite's list is replaced, but the one that must not exist."""
    registries = yaml.safe_load((ROOT / "conformance" / "registries.yml").read_text())
    assert set(registries.values()) == {"assay.dev/e2e"}
    assert "invalidRegistry" not in registries
