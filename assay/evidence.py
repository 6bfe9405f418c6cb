"""A run's evidence folder: its manifest and ledgers, each held against the hash that the manifest has of it.

Loading never fails for what is wrong with the evidence: that is said in `Evidence.problems`, and a ledger that is not
what was recorded is left out, so that nothing is concluded from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from assay import audit, ledger, manifest, sealed
from assay.engine import Inline
from assay.errors import AssayError, UsageError
from assay.posture import document as postures

if TYPE_CHECKING:
    from pathlib import Path

    from assay.audit import Audit
    from assay.engine import Engine
    from assay.ledger import Ledger
    from assay.manifest import Manifest
    from assay.posture.probe import Finding


@dataclass(frozen=True)
class Evidence:
    """What could be loaded.

    Attributes:
        manifest: The run's manifest; None if it is missing, damaged or of another schema version.
        ledgers: The ledgers that are what was recorded, by file name.
        problems: What is wrong with the evidence: file name and clause.
        files: How many files the manifest vouches for.
        audit: Who touched what during the run; None: nothing was said of that, or it is not what was recorded.
        posture: What became of the probes of posture; None: as of `audit`.
    """

    manifest: Manifest | None
    ledgers: tuple[Ledger, ...]
    problems: tuple[tuple[str, str], ...]
    files: int = 0
    audit: Audit | None = None
    posture: tuple[Finding, ...] | None = None


def load(folder: Path, engine: Engine | None = None) -> Evidence:
    """Load a run's folder; ledgers are opened and checked, not read.

    Raises:
        UsageError: There is no such folder.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder: give the evidence folder of a run.")
    try:
        document = manifest.read(folder)
    except AssayError as error:
        return Evidence(None, (), ((manifest.MANIFEST, str(error)),))
    problems: list[tuple[str, str]] = []
    changed = set()
    if document.files and manifest.seal_of(document) != document.seal:
        problems.append((manifest.MANIFEST, "is not what was sealed: it was changed after the run"))
    files = sorted(document.files.items())
    for (name, _), problem in zip(files, (engine or Inline()).map(partial(_compare, folder), files), strict=True):
        if problem:
            changed.add(name)
            problems.append((name, problem))
    if not document.files:
        problems.append((manifest.MANIFEST, "has no hashes: the run ended before its evidence was sealed"))
    ledgers = _ledgers(folder, document, changed, problems)
    whole = document.files.keys() - changed
    touched = _audit(folder, problems) if audit.FILE in whole else None
    tried = _posture(folder, problems) if postures.FILE in whole else None
    return Evidence(document, tuple(ledgers), tuple(problems), len(document.files), touched, tried)


def _ledgers(folder: Path, document: Manifest, changed: set[str], problems: list[tuple[str, str]]) -> list[Ledger]:
    """The ledgers that can be trusted and opened; what is wrong with others is added to the problems."""
    ledgers: list[Ledger] = []
    for path in sorted(path for path in folder.rglob("*") if path.suffix in {sealed.SEALED, sealed.STREAM}):
        name = path.relative_to(folder).as_posix()
        if name in changed or path.relative_to(folder).parts[0] in manifest.DERIVED | {manifest.EXPERIMENTS}:
            continue
        if document.files and name not in document.files:
            problems.append((name, "is not in the manifest: it was left out"))
            continue
        try:
            ledgers.append(sealed.read(path) if path.suffix == sealed.SEALED else ledger.read(path))
        except AssayError as error:
            problems.append((name, str(error)))
    return ledgers


def _audit(folder: Path, problems: list[tuple[str, str]]) -> Audit | None:
    """Who touched what; that it can't be understood is added to the problems."""
    try:
        return audit.read(folder)
    except AssayError:
        problems.append((audit.FILE, "is no table of who touched what"))
        return None


def _posture(folder: Path, problems: list[tuple[str, str]]) -> tuple[Finding, ...] | None:
    """What became of the probes; that it can't be understood is added to the problems."""
    try:
        return postures.read(folder)
    except AssayError:
        problems.append((postures.FILE, "is no document of posture"))
        return None


def _compare(folder: Path, entry: tuple[str, manifest.File]) -> str:
    """What is wrong with one file of evidence; empty if nothing is."""
    name, recorded = entry
    pure = PurePosixPath(name)
    if pure.is_absolute() or ".." in pure.parts:
        return "lies outside the folder: it was left out"
    path = folder / pure
    try:
        found = manifest.digest(path)
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"can't be read ({error.strerror})"
    if found.bytes != recorded.bytes:
        return f"has {found.bytes:,} bytes instead of {recorded.bytes:,}: it was changed after the run, and left out"
    if found.sha256 != recorded.sha256:
        return "has another hash than the manifest says: it was changed after the run, and left out"
    return ""
