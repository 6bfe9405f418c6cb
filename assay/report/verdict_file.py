"""`verdict.json`, and beside it the full list of every finding that has more offenders than are shown."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
from pyarrow import csv

from assay.checks.finding import EXAMPLES
from assay.errors import UsageError
from assay.ledger import SCHEMA_VERSION

if TYPE_CHECKING:
    from pathlib import Path

    from assay.judge import Judgement
    from assay.verdict import Finding

VERDICT: Final = "verdict.json"
LISTINGS: Final = "findings"


def document(judgement: Judgement) -> dict[str, Any]:
    """The verdict as it stands in `verdict.json`: the same for the same evidence, on every machine."""
    return {
        "schema_version": SCHEMA_VERSION,
        "run_id": judgement.manifest.run_id if judgement.manifest else None,
        "verdict": judgement.verdict.value,
        "exit_code": judgement.exit_code,
        "sentence": judgement.sentence,
        "findings": [
            {
                "check": found.check,
                "verdict": found.verdict.value,
                "summary": found.summary,
                "measured": dict(found.measured),
                "examples": [dict(example) for example in found.examples],
                "total": found.total,
                "listing": listing_name(found),
            }
            for found in judgement.findings
        ],
    }


def listing_name(found: Finding) -> str | None:
    """Where a finding's full list stands, below the run's folder; None if its examples are all."""
    if found.total <= EXAMPLES:
        return None
    slug = "".join(letter if letter.isalnum() else "-" for letter in found.check.lower())
    return f"{LISTINGS}/{slug}.csv"


def write_verdict(folder: Path, judgement: Judgement) -> list[Path]:
    """Write the verdict, whole or not at all, and the full lists; returns what was written.

    Raises:
        UsageError: Nothing can be written there.
    """
    try:
        written = [write_text(folder, VERDICT, json.dumps(document(judgement), indent=2, ensure_ascii=False) + "\n")]
        for stale in (folder / LISTINGS).glob("*.csv"):
            stale.unlink()
        for found in judgement.findings:
            name = listing_name(found)
            if name:
                (folder / LISTINGS).mkdir(exist_ok=True)
                csv.write_csv(pa.table(dict(found.listing)), folder / name)
                written.append(folder / name)
    except OSError as error:
        raise unwritable(folder, error) from None
    return written


def write_text(folder: Path, name: str, text: str) -> Path:
    """Write one derived file, whole or not at all.

    Raises:
        UsageError: It can't be written.
    """
    draft = folder / f"{name}.draft"
    try:
        draft.write_text(text, encoding="utf-8")
        return draft.replace(folder / name)
    except OSError as error:
        raise unwritable(folder, error) from None


def unwritable(folder: Path, error: OSError) -> UsageError:
    """The sentence for a folder that nothing can be written into."""
    return UsageError(
        f"Nothing can be written into {folder} ({error.strerror}): copy the evidence to where you may write."
    )
