"""What of Secrets is secret, and how it may be written."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from assay.secret_values import needles, values

CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIBszCCAVmgAwIBAgIUKpublicpublicpublic\n-----END CERTIFICATE-----\n"
KEY = "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49\nAgEG\n-----END PRIVATE KEY-----"
TOKEN = "kubernetes.io/service-account-token"  # noqa: S105  # a type of Secrets


def secret(kind: str = "Opaque", **data: str) -> dict[str, Any]:
    """A Secret as plain data."""
    return {"type": kind, "data": {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}}


def test_what_is_short_or_public_is_no_secret() -> None:
    """It would be found anywhere: short values, certificates, the name of a token's namespace."""
    assert values([secret(short="7f3a9c", certificate=CERTIFICATE)]) == ()
    of_an_account = {"token": "abcdefgh.ijkl", "namespace": "production"}
    assert values([secret(TOKEN, **of_an_account)]) == (b"abcdefgh.ijkl",)
    assert values([{"type": "Opaque", "data": None}, {}]) == ()


@pytest.mark.parametrize("keystore", [KEY, KEY + "\n" + CERTIFICATE, CERTIFICATE + KEY])
def test_a_private_key_is_secret_as_a_whole_and_by_its_lines(keystore: str) -> None:
    """Beside a certificate too; a short last line says nothing."""
    assert set(values([secret(keystore=keystore)])) == {keystore.strip().encode(), b"MIGHAgEAMBMGByqGSM49"}


@pytest.mark.parametrize("before", [b"", b"x", b"xy", b"xyz"])
def test_a_value_is_known_in_base64_wherever_it_begins(before: bytes) -> None:
    """Bytes that are no text as well; another value is not."""
    for value in (b"correct-horse-battery", bytes(range(200, 240))):
        whole = base64.b64encode(before + value + b"after")
        assert any(one in whole for one in needles([value]))
        assert not any(one in whole for one in needles([value[::-1]]))
