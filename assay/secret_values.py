"""What of Kubernetes' Secrets is secret, and in which forms it may be written: as bytes, for any file can be searched.

A value is looked for as it is, as a string of JSON, as base64 wherever in a longer text it begins, and as in a URL.
"""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: Shorter texts are found anywhere by chance.
_LEAST: Final = 8
_TOKEN: Final = "kubernetes.io/service-account-token"  # noqa: S105  # a type of Secrets
_PUBLIC: Final = b"-----BEGIN CERTIFICATE-----"
_KEYS: Final = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----(.*?)-----END", re.DOTALL)
#: By how many bytes stand before a value in a group of three of base64, how many letters are not its own.
_SHIFTS: Final = {0: 0, 1: 2, 2: 3}


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


def needles(secret: Iterable[bytes]) -> frozenset[bytes]:
    """Every form of every value: what to look for."""
    return frozenset().union(*map(forms, secret))
