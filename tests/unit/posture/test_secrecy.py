"""Secrets: what a canary shows, and where credentials must not be."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest

from assay.errors import AssayError
from assay.posture.secrecy import NOT_LOGGED, judge_asked, judge_canary, judge_found, texts
from assay.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

HIDDEN = "correct-horse-battery"
ENCODED = base64.b64encode(HIDDEN.encode()).decode()
SECRET = {"type": "Opaque", "data": {"password": ENCODED, "short": base64.b64encode(b"yes").decode()}}


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


def test_what_is_looked_for() -> None:
    """Values as they are and as base64; nothing so short that it is found by chance, and no tokens of accounts."""
    token = {"type": "kubernetes.io/service-account-token", "data": {"token": ENCODED}}
    assert set(texts([SECRET])) == {HIDDEN, ENCODED}
    assert texts([token]) == ()


@pytest.mark.parametrize("text", [f"connecting with {HIDDEN}", f"data: {ENCODED}\n"])
def test_a_credential_in_a_log_is_red(text: str) -> None:
    """The finding says where, and never which text."""
    found = judge_found(NOT_LOGGED, "logs", {"feed/feed": text, "etl/etl": "started"}, texts([SECRET]))
    assert found.offenders == ("a credential is in feed/feed",)
    assert not any(one in str(found.plain()) for one in (HIDDEN, ENCODED))


def test_logs_without_a_credential_pass() -> None:
    """Each that was read counts, and one that could not be read leaves it unknown."""
    logs: Mapping[str, str | AssayError] = {"feed/feed": "started"}
    assert judge_found(NOT_LOGGED, "logs", logs, texts([SECRET])).verdict is Verdict.PASS
    unread = {**logs, "etl/etl": AssayError("gone")}
    assert judge_found(NOT_LOGGED, "logs", unread, texts([SECRET])).verdict is Verdict.UNKNOWN
    assert judge_found(NOT_LOGGED, "logs", {}, texts([SECRET])).verdict is Verdict.UNKNOWN


def test_nothing_to_look_for_shows_nothing() -> None:
    """No credentials, or none that may be read."""
    assert judge_found(NOT_LOGGED, "logs", {"feed/feed": "started"}, ()).verdict is Verdict.UNKNOWN
    found = judge_found(NOT_LOGGED, "logs", {"feed/feed": "started"}, AssayError("secrets is forbidden"))
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
