"""The judge: a folder of evidence → every check → one verdict, the same on every machine that has the folder.

Nothing but the folder is looked at: no clock, no network, no environment. A check that crashes is `unknown`, with the
reason, and the others go on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from assay import evidence
from assay.checks import CHECKS, History, UndecidedError
from assay.checks.finding import counted, finding
from assay.checks.vacuity import preflight
from assay.verdict import Finding, Verdict, worst

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from assay.evidence import Evidence
    from assay.manifest import Manifest


@dataclass(frozen=True)
class Judgement:
    """What the judge says.

    Attributes:
        verdict: The worst of the findings' verdicts.
        findings: One a check, in the order of the report.
        manifest: The run's manifest; None if it could not be read.
        history: What the checks saw, for plots; None if there is no manifest.
    """

    verdict: Verdict
    findings: tuple[Finding, ...]
    manifest: Manifest | None
    history: History | None

    @property
    def sentence(self) -> str:
        """The verdict in one sentence."""
        failed = [found.check for found in self.findings if found.verdict is Verdict.FAIL]
        unshown = [found.check for found in self.findings if found.verdict is Verdict.UNKNOWN]
        if self.manifest is None:
            return self.findings[0].summary
        if failed:
            return f"{counted(len(failed), 'check')} failed: {', '.join(failed)}."
        if unshown:
            return f"Nothing failed, but {counted(len(unshown), 'check')} could not be decided: {', '.join(unshown)}."
        return "No acknowledged message was lost, in the log or on the way to the sink, and every objective was met."

    @property
    def exit_code(self) -> int:
        """The exit code that says the verdict."""
        return self.verdict.exit_code


def judge(folder: Path) -> Judgement:
    """Judge a run's folder; nothing is written (`assay.report` does).

    Raises:
        UsageError: There is no such folder.
    """
    return consider(evidence.load(folder))


def consider(loaded: Evidence) -> Judgement:
    """All checks on loaded evidence, and the verdict."""
    integrity = _integrity(loaded)
    if loaded.manifest is None:
        return Judgement(worst([integrity.verdict]), (integrity,), None, None)
    history = History(loaded.manifest, loaded.ledgers)
    findings = [
        integrity,
        *(_careful(name, check, history) for name, check in CHECKS.items()),
        *preflight(history),
    ]
    return Judgement(worst(found.verdict for found in findings), tuple(findings), loaded.manifest, history)


def _careful(name: str, check: Callable[[History], Finding], history: History) -> Finding:
    try:
        return check(history)
    except UndecidedError as reason:
        return finding(name, Verdict.UNKNOWN, f"This could not be checked: {reason}.")
    except Exception as error:  # noqa: BLE001  # whatever a check dies of, the others are made, and it is unknown
        return finding(name, Verdict.UNKNOWN, f"The check itself crashed ({type(error).__name__}: {error}).")


def _integrity(loaded: Evidence) -> Finding:
    """Every file of evidence is there and is what was recorded, by size and SHA-256."""
    listing = {"file": [name for name, _ in loaded.problems], "problem": [problem for _, problem in loaded.problems]}
    if not loaded.problems:
        text = f"{counted(loaded.files, 'file')} of evidence are what the manifest says."
        return finding("evidence", Verdict.PASS, text, {"files": loaded.files})
    name, problem = loaded.problems[0]
    text = (
        f"The evidence is not whole: {problem}"
        if loaded.manifest is None
        else (f"The evidence is not whole: {name} {problem}")
    )
    more = len(loaded.problems) - 1
    text = text.rstrip(".") + (f"; and {counted(more, 'more problem')}." if more else ".")
    return finding("evidence", Verdict.UNKNOWN, text, {"files": loaded.files, "problems": more + 1}, listing)
