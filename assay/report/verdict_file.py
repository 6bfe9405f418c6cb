"""`verdict.json`, and beside it the full list of every finding that has more offenders than are shown."""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from pyarrow import csv

from assay.checks.finding import figure
from assay.checks.tally import EXAMPLES
from assay.errors import UsageError
from assay.ledger import SCHEMA_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import pyarrow as pa

    from assay.checks.recovery import Recovery
    from assay.judge import Judgement
    from assay.verdict import Finding

VERDICT: Final = "verdict.json"
LISTINGS: Final = "findings"


def document(judgement: Judgement) -> dict[str, Any]:
    """The verdict as it stands in `verdict.json`: the same for the same evidence, on every machine."""
    return {
        "schema_version": SCHEMA_VERSION,
        "run_id": judgement.manifest.run_id if judgement.manifest else None,
        "evidence_sha256": judgement.manifest.seal if judgement.manifest else None,
        "verdict": judgement.verdict.value,
        "exit_code": judgement.exit_code,
        "sentence": judgement.sentence,
        "findings": [
            {
                "check": found.check,
                "verdict": found.verdict.value,
                "summary": found.summary,
                "measured": dict(found.measured),
                "cause": found.cause,
                "places": [dict(place) for place in found.places],
                "examples": [dict(example) for example in found.examples],
                "total": found.total,
                "listing": listing_name(found),
            }
            for found in judgement.findings
        ],
        "recoveries": [_recovery(one) for one in judgement.recoveries],
    }


def _recovery(one: Recovery) -> dict[str, Any]:
    return {
        "fault": one.fault.name,
        "kind": one.fault.kind,
        "target": one.fault.target,
        "verdict": one.verdict.value,
        "summary": one.summary,
        "measured": {name: figure(value) for name, value in one.measured.items()},
        "phases": {phase.name: figure(phase.seconds) for phase in one.phases},
    }


def listing_name(found: Finding) -> str | None:
    """Where a finding's full list stands, below the run's folder; None if its examples are all."""
    if found.total <= EXAMPLES:
        return None
    return _listing(found.check)


def _listing(check: str) -> str:
    slug = "".join(letter if letter.isalnum() else "-" for letter in check.lower())
    return f"{LISTINGS}/{slug}.csv"


class Listings:
    """The full lists of offenders, written below a run's folder while the judge finds them.

    A list of a hundred million lines is never in memory. Lists that are no longer than a finding's examples are not
    kept: `settle` removes them.
    """

    def __init__(self, folder: Path) -> None:
        """Write into this run's folder, in place of what an earlier judgement left there."""
        self._folder = folder
        self._writers: dict[str, csv.CSVWriter] = {}
        self._schemas: dict[str, pa.Schema] = {}
        try:
            with suppress(FileNotFoundError, NotADirectoryError):
                shutil.rmtree(folder / LISTINGS)
        except OSError as error:
            raise unwritable(folder, error) from None

    def add(self, check: str, rows: pa.Table) -> None:
        """Append offenders of a check.

        Raises:
            UsageError: Nothing can be written there.
        """
        writer = self._writers.get(check)
        try:
            if writer is None:
                (self._folder / LISTINGS).mkdir(exist_ok=True)
                writer = self._writers[check] = csv.CSVWriter(str(self._folder / _listing(check)), rows.schema)
                self._schemas[check] = rows.schema
            writer.write_table(rows.cast(self._schemas[check]))
        except OSError as error:
            raise unwritable(self._folder, error) from None

    def settle(self, findings: Iterable[Finding]) -> list[Path]:
        """Close the lists, and keep those that say more than their finding; returns these."""
        for writer in self._writers.values():
            writer.close()
        wanted = {name for name in map(listing_name, findings) if name is not None}
        kept = []
        for check in self._writers:
            path = self._folder / _listing(check)
            if _listing(check) in wanted:
                kept.append(path)
            else:
                path.unlink()
        with suppress(OSError):
            (self._folder / LISTINGS).rmdir()  # if nothing is left in it
        return kept


def write_verdict(folder: Path, judgement: Judgement) -> Path:
    """Write the verdict, whole or not at all; returns its path.

    Raises:
        UsageError: Nothing can be written there.
    """
    return write_text(folder, VERDICT, json.dumps(document(judgement), indent=2, ensure_ascii=False) + "\n")


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
