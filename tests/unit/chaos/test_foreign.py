"""Harm by another extension, seen on pods that are made up: what is taken for the bite, and what for its end."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from assay import ledger
from assay.chaos.foreign import Foreign, Watching
from assay.chaos.injection import Injection
from assay.errors import AssayError
from assay.ledger import LedgerWriter

if TYPE_CHECKING:
    from pathlib import Path


def pod(uid: str, *, ready: bool = True, leaving: bool = False) -> Any:
    """A pod of the consumers."""
    reference = SimpleNamespace(controller=True, kind="ReplicaSet", name="consumer")
    metadata = SimpleNamespace(
        uid=uid, name=f"consumer-{uid}", owner_references=[reference], deletion_timestamp="now" if leaving else None
    )
    condition = SimpleNamespace(type="Ready", status="True" if ready else "False")
    return SimpleNamespace(metadata=metadata, status=SimpleNamespace(conditions=[condition]))


class There:
    """The pods that are there now."""

    def __init__(self, *pods: Any) -> None:
        """Hold them."""
        self.pods = list(pods)
        self.namespace = "production"
        self.core = SimpleNamespace(list_namespaced_pod=lambda _: SimpleNamespace(items=self.pods))


def test_a_deletion_bites_when_a_pod_leaves_and_is_over_when_another_is_ready() -> None:
    """Not when the API accepted it, and not while the old one is still there."""
    there: Any = There(pod("a"), pod("b"))
    harm = Foreign(there, "terminate_pods")
    assert harm.bites() is None
    there.pods = [pod("a", leaving=True), pod("b")]
    assert harm.bites() == "consumer-a left"
    there.pods = [pod("a", leaving=True), pod("b"), pod("c")]
    assert harm.healed() is None
    there.pods = [pod("b"), pod("c", ready=False)]
    assert harm.healed() is None
    there.pods = [pod("b"), pod("c")]
    assert harm.healed() == "every owner has as many ready pods as before"


def test_a_pod_that_is_gone_at_once_was_hit_too() -> None:
    """Without any grace nobody sees it leave."""
    there: Any = There(pod("a"), pod("b"))
    harm = Foreign(there, "terminate_pods")
    there.pods = [pod("b"), pod("c")]
    assert harm.bites() == "consumer-a left"


def test_it_is_watched_beside_whoever_does_it(tmp_path: Path) -> None:
    """The ledger has it like a fault of ours."""
    there: Any = There(pod("a"), pod("b"))
    with LedgerWriter(tmp_path / "faults.arrows", "faults") as faults:
        injection = Injection(Foreign(there, "terminate_pods"), faults, "pod-deleted")
        watching = Watching(injection)
        there.pods = [pod("b"), pod("c")]
        watching.end()
        injection.heal()
    rows = ledger.read(tmp_path / "faults.arrows").table.to_pylist()
    assert [row["step"] for row in rows] == ["inject-asked", "bites", "heal-asked", "healed"]
    assert {(row["fault"], row["kind"], row["target"]) for row in rows} == {
        ("pod-deleted", "terminate_pods", "namespace/production")
    }


def test_what_nobody_saw_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However well the other one says that it went."""
    monkeypatch.setattr("assay.chaos.foreign.BITE_SECONDS", 0.1)
    there: Any = There(pod("a"))
    with LedgerWriter(tmp_path / "faults.arrows", "faults") as faults:
        watching = Watching(Injection(Foreign(there, "terminate_pods"), faults, "pod-deleted"))
        with pytest.raises(AssayError, match="was not seen to bite within"):
            watching.end()
