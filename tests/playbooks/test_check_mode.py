"""Check mode tells what a run would change, and changes nothing; a run changes exactly that.

For roles that need no pod, against a made-up API server; tests/cluster/test_roles.py does it for all on a real cluster.
"""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING, Any, Final

import apiserver
import pytest

from assay.deploy import deploy, teardown

if TYPE_CHECKING:
    from pathlib import Path

PARTS: Final = ("namespace", "access", "network")
GIVEN: Final[dict[str, Any]] = {"platform_certificates_external_addresses": ["192.0.2.1"]}
CHANGED: Final[dict[str, Any]] = {"platform_external_cidrs": ["192.0.2.0/24"], "platform_namespace_quota_pods": 150}


def names(store: apiserver.Store) -> set[str]:
    """What is kept, as `Kind name`."""
    return {f"{one['kind']} {one['metadata']['name']}" for one in store.objects.values()}


@pytest.mark.timeout(300)
def test_what_is_told_is_done_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Create, modify and delete; Secrets are told of too, by name; what is as it should be is not written again."""
    # Where the Kubernetes client keeps what an API server knows
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with apiserver.serving(tmp_path, "judges") as (file, store):
        told = deploy(file, apiserver.CONTEXT, GIVEN, check=True, parts=PARTS)
        assert store.objects == {}
        assert deploy(file, apiserver.CONTEXT, GIVEN, parts=PARTS).objects == told.objects
        assert set(told.objects) == names(store)
        assert {"Secret production-credentials", "Namespace production", "NetworkPolicy default-deny"} <= names(store)
        assert len(told.objects) == 5 + 6 + 9 + 11

        store.written.clear()
        told = deploy(file, apiserver.CONTEXT, GIVEN | CHANGED, check=True, parts=PARTS)
        assert told.objects == ("NetworkPolicy kafka-from-outside", "ResourceQuota production-quota")
        assert store.written == []
        assert deploy(file, apiserver.CONTEXT, GIVEN | CHANGED, parts=PARTS).objects == told.objects
        assert len(store.written) == 2

        store.written.clear()
        there = names(store)
        assert set(teardown(file, apiserver.CONTEXT, check=True).objects) == there
        assert store.written == []
        assert set(teardown(file, apiserver.CONTEXT).objects) == there
        assert store.objects == {}
