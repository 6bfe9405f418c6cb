"""A run's evidence folder: its manifest and ledgers, each held against the hash that the manifest has of it.

Loading never fails for what is wrong with the evidence: that is said in `Evidence.problems`, and a ledger that is not
what was recorded is left out, so that nothing is concluded from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from assay import ledger, manifest
from assay.errors import AssayError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from assay.ledger import Recorded
    from assay.manifest import Manifest

#: How ledgers' file names end; what they hold is said inside.
SUFFIX: Final = ".arrows"


@dataclass(frozen=True)
class Evidence:
    """What could be loaded.

    Attributes:
        manifest: The run's manifest; None if it is missing, damaged or of another schema version.
        ledgers: The ledgers that are what was recorded, by file name.
        problems: What is wrong with the evidence: file name and clause.
        files: How many files the manifest vouches for.
    """

    manifest: Manifest | None
    ledgers: tuple[Recorded, ...]
    problems: tuple[tuple[str, str], ...]
    files: int = 0


def load(folder: Path) -> Evidence:
    """Load a run's folder.

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
    for name, recorded in sorted(document.files.items()):
        problem = _compare(folder, name, recorded)
        if problem:
            changed.add(name)
            problems.append((name, problem))
    if not document.files:
        problems.append((manifest.MANIFEST, "has no hashes: the run ended before its evidence was sealed"))
    ledgers = []
    for path in sorted(folder.rglob(f"*{SUFFIX}")):
        name = path.relative_to(folder).as_posix()
        if name in changed or path.relative_to(folder).parts[0] in manifest.DERIVED:
            continue
        if document.files and name not in document.files:
            problems.append((name, "is not in the manifest: it was left out"))
            continue
        try:
            ledgers.append(ledger.read(path))
        except AssayError as error:
            problems.append((name, str(error)))
    return Evidence(document, tuple(ledgers), tuple(problems), len(document.files))


def _compare(folder: Path, name: str, recorded: manifest.File) -> str:
    """What is wrong with one file of evidence; empty if nothing is."""
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
