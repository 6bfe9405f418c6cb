"""Assay in pytest: the embedded cluster as one more provider of pytest-kubernetes.

`@pytest.mark.k8s(provider="embedded")` asks for it; a test that names no provider gets it where no Docker engine
answers, so that the same test runs on a laptop with kind and on a machine that has nothing but root.

Loaded by its entry point wherever Assay is installed, so it imports nothing before it is used.
"""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

_EMBEDDED: Final = "embedded"


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Register the fixture after all plugins are loaded: of two fixtures with one name, pytest takes the later one."""
    fixture = pytest.fixture(scope="session", name="k8s_manager")(_k8s_manager)
    holder = ModuleType("assay-kubernetes-providers")  # pytest looks for fixtures in modules and classes only
    vars(holder)["k8s_manager"] = fixture
    config.pluginmanager.register(holder)


def _k8s_manager(request: pytest.FixtureRequest) -> Callable[..., type[Any]]:
    """The factory that the `k8s` fixture asks for a provider's manager class; pytest-kubernetes' own list is fixed."""
    options = {
        name: request.config.getoption(f"k8s_{name}")
        for name in ("cluster_name", "provider", "version", "provider_config", "kubeconfig_override", "kubeconfig")
    }

    def factory(provider_name: str | None = None) -> type[Any]:
        from pytest_kubernetes.providers import (  # type: ignore[import-untyped]  # noqa: PLC0415  # see the module
            select_provider_manager,
        )

        from assay.clusters.docker import engine_answers  # noqa: PLC0415  # see the module
        from assay.clusters.pytest_manager import EmbeddedManager  # noqa: PLC0415  # see the module

        wanted = provider_name or options["provider"]
        elsewhere = options["kubeconfig"] or options["kubeconfig_override"]
        if wanted == _EMBEDDED or (wanted is None and not elsewhere and not engine_answers()):
            return EmbeddedManager
        manager: type[Any] = select_provider_manager(wanted, options)
        return manager

    return factory
