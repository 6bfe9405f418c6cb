"""What all tests share: the platform's manifests, and modules beside this one (`runs`, the story of a clean run)."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import rendered


@pytest.fixture(scope="session")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Every document that is applied to a cluster, with the sample inventory; not to be changed."""
    return rendered.documents(tmp_path_factory.mktemp("rendered"))
