"""Secrets in evidence: the values of the platform's Secrets are looked for in every file of a run's folder.

What is looked for, and in which forms: `assay.secret_values`. The texts of a Parquet file are compressed, so they are
looked at as well as the file's bytes. What is said names files, and never a value or which it was.
"""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from assay.posture.authorities import nsa
from assay.posture.probe import Finding, Probe, held, unverifiable
from assay.sealed import SEALED
from assay.secret_values import needles

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from pathlib import Path

    from assay.errors import AssayError

PROBE: Final = Probe(
    name="secrets/evidence",
    tried="look for the values of the platform's Secrets in every file of the run's evidence",
    authorities=(nsa("Secrets"),),
    remedy="Find out who wrote it there, rotate the Secret that was found, and delete the run's folder.",
)


@dataclass(frozen=True)
class Scan:
    """What was found.

    Attributes:
        files: How many files were looked through.
        hits: The names of those that hold a value.
        unread: The names of those that could not be read, and why.
    """

    files: int
    hits: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()


def scan(folder: Path, secret: Iterable[bytes]) -> Scan:
    """Look through every file below a folder, those of its experiments included."""
    looked_for = needles(secret)
    files, hits, unread = 0, [], []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        files += 1
        try:
            if _holds(path, looked_for):
                hits.append(name)
        except (OSError, pa.ArrowException) as error:
            unread.append(f"{name} can't be read ({error})")
    return Scan(files, tuple(hits), tuple(unread))


def _holds(path: Path, looked_for: Collection[bytes]) -> bool:
    if path.stat().st_size == 0:
        return False
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if any(content.find(needle) >= 0 for needle in looked_for):
            return True
    return path.suffix == SEALED and any(needle in text for text in _texts(path) for needle in looked_for)


def _texts(path: Path) -> Iterator[bytes]:
    """The texts in a Parquet file, a column of a row group at a time."""
    with pq.ParquetFile(path) as file:
        names = [field.name for field in file.schema_arrow if not _is_number(field.type)]
        for group in range(file.num_row_groups if names else 0):
            for column in file.read_row_group(group, columns=names).columns:
                for chunk in column.chunks:
                    distinct = chunk.dictionary if isinstance(chunk, pa.DictionaryArray) else chunk
                    yield b"\n".join(_bytes(one) for one in distinct.to_pylist() if one is not None)


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_primitive(kind))


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def judge(found: Scan | AssayError, secret: Collection[bytes] = ()) -> Finding:
    """What it shows what was found in the files, or why the Secrets' values are not known."""
    if not isinstance(found, Scan):
        return unverifiable(PROBE, str(found), "Run it as somebody who may list the namespace's Secrets.")
    if not secret:
        return unverifiable(PROBE, "the namespace has no Secret to look for: provision it with `assay deploy`")
    wrong = [f"a Secret's value is in {name}" for name in found.hits]
    return held(PROBE, found.files, "files without a Secret's value", wrong, found.unread)
