"""What the workloads' tests share: brokers that librdkafka mocks, a lake in a folder, a group in memory."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from lake import Lake
from memory_kafka import Group
from mock_brokers import MockBrokers

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def brokers() -> Iterator[MockBrokers]:
    """Empty brokers; the platform's topic has one partition."""
    mocked = MockBrokers("commodity-prices")
    yield mocked
    mocked.close()


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """An empty catalog and warehouse."""
    return Lake(tmp_path)


@pytest.fixture
def group(monkeypatch: pytest.MonkeyPatch) -> Group:
    """A group of consumers in memory, which every consumer that is made in this test joins."""
    made = Group(partitions=2)
    monkeypatch.setattr("workloads.analytics.consumer.Consumer", made.join)
    return made
