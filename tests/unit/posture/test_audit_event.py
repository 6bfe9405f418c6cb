"""The audit log: a request is found again, or the finding says so."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from assay.posture.audit_event import judge, look, recorded
from assay.posture.scene import Scene
from assay.verdict import Verdict


def event(verb: str, resource: str, name: str) -> Any:
    """An event about this."""
    return SimpleNamespace(verb=verb, object_ref=SimpleNamespace(resource=resource, name=name))


def test_only_the_request_itself_counts() -> None:
    """Another verb, resource or name is another request, and a path is no resource."""
    others = [event("list", "secrets", "one"), event("get", "pods", "one"), event("get", "secrets", "two")]
    path: Any = SimpleNamespace(verb="get", object_ref=None)
    assert recorded([*others, path], "one") == 0
    assert recorded([*others, event("get", "secrets", "one")], "one") == 1


def test_a_log_without_the_request_is_red() -> None:
    """However much else it has."""
    assert judge(1, 10).verdict is Verdict.PASS
    assert judge(0, 10).verdict is Verdict.FAIL


def test_no_log_shows_nothing() -> None:
    """It is unknown, and says what to do."""
    (found,) = look(Scene(SimpleNamespace()))  # type: ignore[arg-type]  # nothing is asked of it
    assert found.verdict is Verdict.UNKNOWN
    assert "--audit-policy-file" in found.remedy
