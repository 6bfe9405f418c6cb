"""Sampling beside a block: at its start, while it lasts and at its end; nothing made up, nothing swallowed."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from assay import ledger
from assay.errors import AssayError
from assay.ledger import LedgerWriter
from assay.sampling import Sampling

if TYPE_CHECKING:
    from pathlib import Path


class Watched:
    """Something to sample: answers each time it is looked at as it is told to."""

    def __init__(self) -> None:
        """Nobody has looked yet."""
        self.looked = threading.Semaphore(0)
        self.fault: Exception | None = None

    def look(self) -> None:
        """One sample."""
        self.looked.release()
        if self.fault is not None:
            raise self.fault


def test_samples_are_taken_while_the_block_lasts_and_once_more_at_its_end() -> None:
    """The last sample is of how it ended, whatever the interval."""
    watched = Watched()
    with Sampling("test", watched.look, 0.001) as sampling:
        for _ in range(3):
            assert watched.looked.acquire(timeout=10)
        before = sampling.taken
    assert sampling.taken > before >= 2


def test_the_first_sample_does_not_wait_for_the_interval() -> None:
    """A change in the first moment would be missed."""
    watched = Watched()
    with Sampling("test", watched.look, 3600):
        assert watched.looked.acquire(timeout=10)
    assert watched.looked.acquire(timeout=10)


def test_a_sample_that_could_not_be_taken_is_counted() -> None:
    """The sampling goes on."""
    watched = Watched()
    watched.fault = AssayError("Kafka does not answer.")
    with Sampling("test", watched.look, 0.001) as sampling:
        assert watched.looked.acquire(timeout=10)
        assert watched.looked.acquire(timeout=10)
        watched.fault = None
        while not sampling.taken:
            assert watched.looked.acquire(timeout=10)
    assert sampling.missed >= 1


def test_what_a_sample_dies_of_is_raised_where_the_block_ends(tmp_path: Path) -> None:
    """A ledger whose writer broke has no end mark."""
    writer = LedgerWriter(tmp_path / "lag.arrows", "lag")
    writer.append({"at_ns": [1], "partition": [0], "end_offset": [7], "committed_offset": [None]})
    watched = Watched()
    watched.fault = OSError("disk full")
    with pytest.raises(OSError, match="disk full"), Sampling("test", watched.look, 0.001, writer):
        assert watched.looked.acquire(timeout=10)
    assert not ledger.read(tmp_path / "lag.arrows").complete


def test_an_error_of_the_block_itself_comes_first() -> None:
    """It is what the user has to know."""

    def block() -> None:
        watched = Watched()
        watched.fault = OSError("disk full")
        with Sampling("test", watched.look, 0.001):
            assert watched.looked.acquire(timeout=10)
            raise AssayError("The load failed.")

    with pytest.raises(AssayError):
        block()


def test_the_ledger_is_whole_though_the_block_failed(tmp_path: Path) -> None:
    """What was sampled of a load that failed is evidence like any other."""
    writer = LedgerWriter(tmp_path / "lag.arrows", "lag")
    with pytest.raises(AssayError), Sampling("test", lambda: None, 3600, writer):
        raise AssayError("The load failed.")
    assert ledger.read(tmp_path / "lag.arrows").complete
