"""Secrets in evidence: found in whatever file and however they are written, and never named."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from runs import Run

from assay import leaks, secret_values
from assay.errors import AssayError
from assay.ledger import Outcome
from assay.posture.probe import Result
from assay.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SECRET = 'pass/word+"7f3a9c" Ω'  # noqa: S105  # made up
CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIBszCCAVmgAwIBAgIUKpublicpublicpublic\n-----END CERTIFICATE-----\n"


def secret(kind: str = "Opaque", **data: str) -> dict[str, Any]:
    """A Secret as plain data."""
    return {"type": kind, "data": {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}}


def private_key() -> str:
    """A new one, as PEM."""
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(*form).decode()


def search(folder: Path, *secrets: dict[str, Any]) -> leaks.Scan:
    """What is found in a folder."""
    return leaks.scan(folder, secret_values.values(secrets))


@pytest.mark.parametrize(
    "write",
    [
        lambda text: text,
        lambda text: json.dumps({"error": text}),
        lambda text: json.dumps({"error": text}, ensure_ascii=False),
        lambda text: base64.b64encode(text.encode()).decode(),
        lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
        lambda text: base64.b64encode(f"x:{text}:and more".encode()).decode(),
        lambda text: base64.b64encode(f"xy{text}z".encode()).decode(),
        lambda text: base64.b64encode(f"user:{text}".encode()).decode(),
        lambda text: base64.urlsafe_b64encode(f"user:{text}".encode()).decode(),
        quote,
        lambda text: quote(text, safe=""),
        quote_plus,
    ],
)
def test_it_is_found_however_it_is_written(tmp_path: Path, write: Callable[[str], str]) -> None:
    """As it is, in JSON, in base64 from any place on, quoted for a URL; in a folder below too."""
    (tmp_path / "experiments").mkdir()
    (tmp_path / "clean.json").write_text(write("nothing of interest"))
    (tmp_path / "experiments" / "one.txt").write_text(f"before {write(SECRET)} after")
    assert search(tmp_path, secret(password=SECRET)) == leaks.Scan(2, ("experiments/one.txt",))


@pytest.mark.parametrize("kind", [pa.string(), pa.dictionary(pa.int32(), pa.string()), pa.binary()])
def test_it_is_found_in_a_compressed_column(tmp_path: Path, kind: pa.DataType) -> None:
    """Where the file's bytes do not show it."""
    path = tmp_path / "outcomes.parquet"
    parts = (SECRET[:10], SECRET[10:])  # what the compression writes only once
    texts = ["a", *(f"b {part} {number}" for number in range(500) for part in parts), f"c {SECRET}", None, "d"]
    given = [one.encode() if one and kind == pa.binary() else one for one in texts]
    table = pa.table({"error": pa.array(given, pa.binary() if kind == pa.binary() else pa.string())})
    pq.write_table(table.cast(pa.schema([("error", kind)])), path, compression="zstd", row_group_size=10_000)
    assert SECRET.encode() not in path.read_bytes()
    assert search(tmp_path, secret(password=SECRET)).hits == ("outcomes.parquet",)


@pytest.mark.parametrize("sealed", [True, False])
def test_it_is_found_in_a_ledger(tmp_path: Path, sealed: bool) -> None:
    """In an error that somebody recorded, while it is written and when it is sealed; in a clean run nowhere."""
    run = Run()
    run.write(tmp_path / "clean")
    run.outcomes["load-0"][1] |= {"outcome": Outcome.UNKNOWN, "error": f"refused {SECRET}"}
    if not sealed:
        (tmp_path / "run").mkdir()
    folder = run.write(tmp_path / "run")
    name = "outcomes-load-0.parquet"
    if not sealed:
        table = pq.read_table(folder / name)
        (folder / name).unlink()
        name = "outcomes-load-0.arrows"
        with pa.OSFile(str(folder / name), "wb") as file, pa.ipc.new_stream(file, table.schema) as stream:
            stream.write_table(table)
    assert search(folder, secret(password=SECRET)).hits == (name,)
    assert search(tmp_path / "clean", secret(password=SECRET)).hits == ()


def test_a_private_key_is_known_by_any_of_its_lines(tmp_path: Path) -> None:
    """However lines are ended; beside its certificate in one file too. The certificate itself is no secret."""
    for number, keystore in enumerate((private_key(), private_key() + CERTIFICATE, CERTIFICATE + private_key())):
        folder = tmp_path / str(number)
        folder.mkdir()
        line = keystore[keystore.index("PRIVATE KEY-----") :].splitlines()[2]
        (folder / "log.txt").write_text(f"\r\n{line}\r\n")
        (folder / "settings.json").write_text(json.dumps({"certificate": CERTIFICATE, "armour": "-----BEGIN X-----"}))
        assert search(folder, secret(keystore=keystore, certificate=CERTIFICATE)).hits == ("log.txt",)


def test_what_is_no_text_is_looked_for_too(tmp_path: Path) -> None:
    """By its bytes."""
    value = bytes(range(200, 240))
    given = {"data": {"keystore": base64.b64encode(value).decode()}}
    (tmp_path / "one").write_bytes(b"before" + value)
    (tmp_path / "two").write_bytes(base64.b64encode(b"x" + value))
    (tmp_path / "three").write_bytes(b"")
    assert search(tmp_path, given) == leaks.Scan(3, ("one", "two"))


def test_a_file_that_can_not_be_read_is_not_clean(tmp_path: Path) -> None:
    """It is named, and nothing is shown."""
    (tmp_path / "log.parquet").write_bytes(b"no such thing")
    found = search(tmp_path, secret(password=SECRET))
    assert (found.files, found.hits) == (1, ())
    assert found.unread[0].startswith("log.parquet can't be read")
    assert leaks.judge(found, [b"12345678"]).verdict is Verdict.UNKNOWN


def test_what_it_shows() -> None:
    """Clean files pass, with their number; a hit fails and names its file; no Secret, or none seen, shows nothing."""
    one = (SECRET.encode(),)
    clean = leaks.judge(leaks.Scan(7), one)
    assert (clean.result, clean.happened) == (Result.KEPT, "7 files without a Secret's value")
    hit = leaks.judge(leaks.Scan(7, ("log.parquet",)), one)
    assert (hit.result, hit.offenders) == (Result.BROKEN, ("a Secret's value is in log.parquet",))
    assert hit.remedy
    assert leaks.judge(leaks.Scan(7), ()).result is Result.UNVERIFIABLE
    assert leaks.judge(leaks.Scan(0), one).result is Result.UNVERIFIABLE
    assert "not allowed" in leaks.judge(AssayError("It is not allowed.")).happened


def test_a_value_is_never_said(tmp_path: Path) -> None:
    """In none of its forms."""
    (tmp_path / "log.txt").write_text(SECRET)
    given = secret_values.values([secret(password=SECRET)])
    told = json.dumps(leaks.judge(leaks.scan(tmp_path, given), given).plain(), ensure_ascii=False)
    assert [one for one in secret_values.needles(given) if one.decode(errors="replace") in told] == []
