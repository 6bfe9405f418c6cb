"""The judge: a folder of evidence → every check → one verdict, the same on every machine that has the folder.

Nothing but the folder is looked at: no clock, no network, no environment. A check that crashes is `unknown`, with the
reason, and the others go on.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
from pyarrow import csv

from assay import evidence
from assay.checks import CHECKS, History, UndecidedError
from assay.checks.finding import EXAMPLES, counted, finding
from assay.checks.vacuity import preflight
from assay.errors import UsageError
from assay.ledger import SCHEMA_VERSION
from assay.verdict import Finding, Verdict, worst

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from assay.evidence import Evidence
    from assay.manifest import Manifest

VERDICT: Final = "verdict.json"
LISTINGS: Final = "findings"


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
    def exit_code(self) -> int:
        """The exit code that says the verdict."""
        return self.verdict.exit_code


def judge(folder: Path) -> Judgement:
    """Judge a run's folder, and write `verdict.json` and the findings' full lists into it.

    Raises:
        UsageError: There is no such folder, or nothing can be written into it.
    """
    judgement = consider(evidence.load(folder))
    try:
        _write(folder, judgement)
    except OSError as error:
        raise UsageError(
            f"The verdict can't be written into {folder} ({error.strerror}): copy the folder to where you may write."
        ) from None
    return judgement


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


def document(judgement: Judgement) -> dict[str, Any]:
    """The verdict as it stands in `verdict.json`."""
    return {
        "schema_version": SCHEMA_VERSION,
        "run_id": judgement.manifest.run_id if judgement.manifest else None,
        "verdict": judgement.verdict.value,
        "exit_code": judgement.exit_code,
        "findings": [
            {
                "check": found.check,
                "verdict": found.verdict.value,
                "summary": found.summary,
                "measured": dict(found.measured),
                "examples": [dict(example) for example in found.examples],
                "total": found.total,
                "listing": listing_name(found) if found.total > EXAMPLES else None,
            }
            for found in judgement.findings
        ],
    }


def listing_name(found: Finding) -> str:
    """Where a finding's full list stands, below the run's folder."""
    slug = "".join(letter if letter.isalnum() else "-" for letter in found.check.lower())
    return f"{LISTINGS}/{slug}.csv"


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


def _write(folder: Path, judgement: Judgement) -> None:
    draft = folder / f"{VERDICT}.draft"
    draft.write_text(json.dumps(document(judgement), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    draft.replace(folder / VERDICT)
    listings = folder / LISTINGS
    for stale in listings.glob("*.csv"):
        stale.unlink()
    for found in judgement.findings:
        if found.total > EXAMPLES:
            listings.mkdir(exist_ok=True)
            csv.write_csv(pa.table(dict(found.listing)), folder / listing_name(found))
