"""Secrets in evidence: the values of the platform's Secrets are looked for in every file of a run's folder.

A value is looked for as it is, as a string of JSON, as base64 wherever in a longer text it begins, and as in a URL.
The texts of a Parquet file are compressed, so they are looked at as well as the file's bytes. What is said names files,
and never a value or which it was.
"""

from __future__ import annotations

import base64
import json
import mmap
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, quote_plus

import pyarrow as pa
import pyarrow.parquet as pq

from assay.posture.authorities import nsa
from assay.posture.probe import Finding, Probe, held, unverifiable
from assay.sealed import SEALED

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from pathlib import Path

    from assay.errors import AssayError

PROBE: Final = Probe(
    name="secrets/evidence",
    tried="look for the values of the platform's Secrets in every file of the run's evidence",
    authorities=(nsa("Secrets"),),
    remedy="Find out who wrote it there, rotate the Secret that was found, and delete the run's folder.",
)
#: Shorter texts are found anywhere by chance.
_LEAST: Final = 8
_TOKEN: Final = "kubernetes.io/service-account-token"  # noqa: S105  # a type of Secrets
_PUBLIC: Final = b"-----BEGIN CERTIFICATE-----"
_KEYS: Final = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----(.*?)-----END", re.DOTALL)
#: By how many bytes stand before a value in a group of three of base64, how many letters are not its own.
_SHIFTS: Final = {0: 0, 1: 2, 2: 3}


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


def values(secrets: Iterable[Mapping[str, Any]]) -> tuple[bytes, ...]:
    """What Secrets (plain data) keep secret: not certificates, which are shown to everybody, and nothing short."""
    found = set()
    for secret in secrets:
        for key, encoded in (secret.get("data") or {}).items():
            value = base64.b64decode(encoded).strip()
            if len(value) < _LEAST or (_PUBLIC in value and not _KEYS.search(value)):
                continue
            if secret.get("type") == _TOKEN and key == "namespace":
                continue
            found.add(value)
            # A line of a private key gives something of it away, however lines are ended elsewhere.
            lines = (line.strip() for key in _KEYS.findall(value) for line in key.splitlines())
            found |= {line for line in lines if len(line) >= _LEAST}
    return tuple(sorted(found))


def forms(value: bytes) -> frozenset[bytes]:
    """How a value may be written."""
    found = {value}
    for shift, foreign in _SHIFTS.items():
        whole = (shift + len(value)) * 8 // 6
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            found.add(encode(b"\0" * shift + value)[foreign:whole])
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return frozenset(found)
    written = (json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1], quote(text, safe=""))
    return frozenset(found | {one.encode() for one in (*written, quote(text), quote_plus(text))})


def scan(folder: Path, secret: Iterable[bytes]) -> Scan:
    """Look through every file below a folder, those of its experiments included."""
    needles = frozenset().union(*map(forms, secret))
    files, hits, unread = 0, [], []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        files += 1
        try:
            if _holds(path, needles):
                hits.append(name)
        except (OSError, pa.ArrowException) as error:
            unread.append(f"{name} can't be read ({error})")
    return Scan(files, tuple(hits), tuple(unread))


def _holds(path: Path, needles: Collection[bytes]) -> bool:
    if path.stat().st_size == 0:
        return False
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if any(content.find(needle) >= 0 for needle in needles):
            return True
    return path.suffix == SEALED and any(needle in text for text in _texts(path) for needle in needles)


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
