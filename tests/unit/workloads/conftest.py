"""What the workloads' tests share: brokers that librdkafka mocks."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from mock_brokers import MockBrokers

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def brokers() -> Iterator[MockBrokers]:
    """Empty brokers; the platform's topic has one partition."""
    mocked = MockBrokers("commodity-prices")
    yield mocked
    mocked.close()
