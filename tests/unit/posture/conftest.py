"""The platform's manifests, which the tests of posture change line by line."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import rendered


@pytest.fixture(scope="session")
def unchanged(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Every document, as shipped."""
    return rendered.documents(tmp_path_factory.mktemp("rendered"))


@pytest.fixture
def documents(unchanged: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every document, to be changed by one test."""
    return copy.deepcopy(unchanged)
