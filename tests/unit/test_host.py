"""When this machine has to be prepared anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assay import deploy
from assay.host import fingerprint, is_current

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def tree(root: Path, **changed: str) -> str:
    """The fingerprint of a small repository, with some files' contents changed."""
    contents = {
        "cluster/main.go": "package main",
        "workloads/etl.py": "rows",
        "workloads/manifests/etl.yaml": "kind",
        "playbooks/host.yml": "tasks",
        "playbooks/roles/host_images/main.yml": "build",
        "playbooks/roles/platform_etl/main.yml": "apply",
    } | changed
    for name, text in contents.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return fingerprint(root)


def test_what_is_built_in_counts(tmp_path: Path) -> None:
    """Go code, workloads and the host's own roles are inputs: a change asks for a new build."""
    before = tree(tmp_path)
    for name in ("cluster/main.go", "workloads/etl.py", "playbooks/roles/host_images/main.yml", "playbooks/host.yml"):
        assert tree(tmp_path, **{name: "changed"}) != before
    assert tree(tmp_path) == before


def test_what_is_only_applied_does_not_count(tmp_path: Path) -> None:
    """Manifests and the platform's roles are read when they are applied: no image holds them."""
    before = tree(tmp_path)
    for name in ("workloads/manifests/etl.yaml", "playbooks/roles/platform_etl/main.yml"):
        assert tree(tmp_path, **{name: "changed"}) == before


def test_byte_code_is_no_input(tmp_path: Path) -> None:
    """Python's own caches come and go."""
    before = tree(tmp_path)
    assert tree(tmp_path, **{"workloads/__pycache__/etl.pyc": "compiled"}) == before


def test_what_was_never_prepared_is_not_current(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is a stamp without what it stands for."""
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path))
    assert not is_current()
    (tmp_path / "inputs.sha256").write_text(fingerprint(deploy.ROOT))
    assert not is_current()
