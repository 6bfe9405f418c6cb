"""`posture.json`: what became of every probe, as a file; what is read back says as much as what was written."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ConfigDict, ValidationError

from assay.errors import AssayError
from assay.posture.probe import Finding, Probe, Result
from assay.verdict import worst

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

#: The file of evidence.
FILE: Final = "posture.json"


class _Row(BaseModel):
    """A finding; its verdict follows from its result, whatever the file says."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    probe: str
    result: Result
    tried: str
    happened: str
    control: str = ""
    offenders: tuple[str, ...] = ()
    authorities: tuple[str, ...] = ()
    remedy: str = ""

    def finding(self) -> Finding:
        """As it was when it was written."""
        probe = Probe(self.probe, self.tried, self.authorities, self.remedy)
        return Finding(probe, self.result, self.happened, self.control, self.offenders, self.remedy)


class _Document(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    findings: tuple[_Row, ...]


def text(findings: Sequence[Finding]) -> str:
    """One JSON document: the verdict of all, and every finding."""
    verdict = worst(one.verdict for one in findings)
    return json.dumps({"verdict": str(verdict), "findings": [one.plain() for one in findings]}, indent=1) + "\n"


def write(folder: Path, findings: Sequence[Finding]) -> None:
    """Write the document into a run's folder."""
    (folder / FILE).write_text(text(findings), encoding="utf-8")


def read(folder: Path) -> tuple[Finding, ...]:
    """The findings in a run's folder.

    Raises:
        AssayError: The document is damaged, or not there.
    """
    try:
        found = _Document.model_validate_json((folder / FILE).read_bytes())
    except (OSError, ValidationError):
        raise AssayError(f"{folder / FILE} is no document of posture: the evidence is damaged.") from None
    return tuple(row.finding() for row in found.findings)
