"""Secrets: what a canary shows, and where credentials must not be."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest

from assay.errors import AssayError
from assay.posture.secrecy import NOT_LOGGED, judge_asked, judge_canary, judge_found, on_disk
from assay.secret_values import values
from assay.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

HIDDEN = "correct-horse-battery"
ENCODED = base64.b64encode(HIDDEN.encode()).decode()
CREDENTIALS = values([{"type": "Opaque", "data": {"password": ENCODED}}])


@pytest.mark.parametrize(
    ("secret", "setting", "verdict"),
    [
        (False, True, Verdict.PASS),
        (True, True, Verdict.FAIL),
        (True, False, Verdict.FAIL),
        (False, False, Verdict.UNKNOWN),
    ],
)
def test_the_canary(secret: bool, setting: bool, verdict: Verdict) -> None:
    """A Secret whose text is found is red; one that is not found shows nothing unless the ConfigMap's is."""
    assert judge_canary(secret, setting).verdict is verdict


@pytest.mark.parametrize("found", [HIDDEN, ENCODED, base64.b64encode(f"x{HIDDEN}".encode()).decode()])
def test_etcd_is_searched_as_bytes(tmp_path: Path, found: str) -> None:
    """Its files are no text; a Secret's is found there in whatever form, and in whichever file."""
    (tmp_path / "wal").mkdir()
    (tmp_path / "db").write_bytes(b"\xff\xfe\x00canary")
    assert not on_disk(tmp_path, HIDDEN)
    (tmp_path / "wal" / "0.wal").write_bytes(b"\xff\xc3" + found.encode() + b"\x00\xfe")
    assert on_disk(tmp_path, HIDDEN)


@pytest.mark.parametrize(
    "content",
    [
        f"connecting with {HIDDEN}".encode(),
        f"data: {ENCODED}\n".encode(),
        b"Authorization: Basic " + base64.b64encode(f"user:{HIDDEN}".encode()),
        b"\xff\xfe" + HIDDEN.encode() + b"\xff",
    ],
    ids=["plain", "base64", "after a user's name", "among what is no text"],
)
def test_a_credential_in_a_log_is_red(content: bytes) -> None:
    """In whatever form; the finding says where, and never which text."""
    found = judge_found(NOT_LOGGED, "logs", {"feed/feed": content, "etl/etl": b"started"}, CREDENTIALS)
    assert found.offenders == ("a credential is in feed/feed",)
    assert not any(one in str(found.plain()) for one in (HIDDEN, ENCODED))


def test_a_certificate_in_a_log_is_no_credential() -> None:
    """It is shown to everybody; the key in the same Secret is one."""
    certificate = b"-----BEGIN CERTIFICATE-----\nMIIBszCCAVmgAwIBAgIUKpublic\n-----END CERTIFICATE-----\n"
    key = b"-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49\n-----END PRIVATE KEY-----\n"
    data = {name: base64.b64encode(text).decode() for name, text in (("tls.crt", certificate), ("tls.key", key))}
    credentials = values([{"type": "kubernetes.io/tls", "data": data}])
    for content, verdict in ((certificate, Verdict.PASS), (key, Verdict.FAIL)):
        assert judge_found(NOT_LOGGED, "logs", {"kafka/kafka": content}, credentials).verdict is verdict


def test_logs_without_a_credential_pass() -> None:
    """Each that was read counts, and one that could not be read leaves it unknown."""
    logs: Mapping[str, bytes | AssayError] = {"feed/feed": b"started"}
    assert judge_found(NOT_LOGGED, "logs", logs, CREDENTIALS).verdict is Verdict.PASS
    unread = {**logs, "etl/etl": AssayError("gone")}
    assert judge_found(NOT_LOGGED, "logs", unread, CREDENTIALS).verdict is Verdict.UNKNOWN
    assert judge_found(NOT_LOGGED, "logs", {}, CREDENTIALS).verdict is Verdict.UNKNOWN


def test_nothing_to_look_for_shows_nothing() -> None:
    """No credentials, or none that may be read."""
    assert judge_found(NOT_LOGGED, "logs", {"feed/feed": b"started"}, ()).verdict is Verdict.UNKNOWN
    found = judge_found(NOT_LOGGED, "logs", {"feed/feed": b"started"}, AssayError("secrets is forbidden"))
    assert (found.verdict, "forbidden" in found.happened) == (Verdict.UNKNOWN, True)


def specs(documents: list[dict[str, Any]]) -> dict[str, Any]:
    """The pod specs of rendered Deployments."""
    return {
        one["metadata"]["name"]: one["spec"]["template"]["spec"] for one in documents if one["kind"] == "Deployment"
    }


@pytest.mark.parametrize(
    "change",
    [
        {"env": [{"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "production-credentials", "key": "x"}}}]},
        {"envFrom": [{"secretRef": {"name": "production-credentials"}}]},
    ],
)
def test_a_variable_that_is_taken_from_a_secret_is_red(documents: list[dict[str, Any]], change: dict[str, Any]) -> None:
    """One by one or all at once; as shipped there is none."""
    found = specs(documents)
    assert judge_asked(found).verdict is Verdict.PASS
    found["commodity-feed"]["containers"][0] |= change
    broken = judge_asked(found)
    assert broken.verdict is Verdict.FAIL
    assert all("commodity-feed" in offender for offender in broken.offenders)
