"""Assay's part in pytest: which manager the `k8s` fixture gets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest


def test_the_embedded_cluster_is_a_provider(k8s_manager: Callable[..., type[Any]]) -> None:
    """A test that asks for the provider `embedded` gets our manager, which pytest-kubernetes does not know."""
    assert k8s_manager("embedded").__name__ == "EmbeddedManager"


def test_other_providers_stay_theirs(k8s_manager: Callable[..., type[Any]]) -> None:
    """A provider that pytest-kubernetes knows is still its own."""
    assert k8s_manager("kind").__name__ == "KindManager"


def test_without_docker_the_default_is_embedded(
    k8s_manager: Callable[..., type[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A test that names no provider runs on the embedded cluster where no Docker engine answers."""
    monkeypatch.setattr("assay.clusters.docker.engine_answers", lambda: False)
    assert k8s_manager().__name__ == "EmbeddedManager"
