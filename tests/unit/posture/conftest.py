"""The platform's manifests, which the tests of posture change line by line."""

from __future__ import annotations

import copy
from typing import Any

import pytest


@pytest.fixture
def documents(shipped: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every document, to be changed by one test."""
    return copy.deepcopy(shipped)
