"""Who does the work: this process, all processors of this machine, or a Dask cluster. The results are the same.

Work is a pure function and a list of items; results come back in the order of the items, as they get ready.
"""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from assay.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

Item = TypeVar("Item")
Result = TypeVar("Result")


class Engine(Protocol):
    """Maps a function over items."""

    def map(self, function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
        """The results, in the order of the items."""
        ...


class Inline:
    """This process, one item after the other."""

    def map(self, function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
        """The results, in the order of the items."""
        return (function(item) for item in items)


class Processes:
    """Processes of this machine, made when there is enough to do: starting them costs about a second."""

    def __init__(self, pool: ProcessPoolExecutor, least: int = 3) -> None:
        """Use a pool for at least `least` items, and this process for fewer."""
        self._pool = pool
        self._least = least

    def map(self, function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
        """The results, in the order of the items."""
        if len(items) < self._least:
            return Inline().map(function, items)
        return self._pool.map(function, items)


@contextmanager
def engine(processes: int | None = None, scheduler: str | None = None) -> Iterator[Engine]:
    """The Dask cluster of that scheduler; without one, so many processes of this machine, by default one a processor.

    Raises:
        UsageError: No such cluster can be had.
    """
    with dask(scheduler) if scheduler else local(processes) as found:
        yield found


@contextmanager
def local(processes: int | None = None) -> Iterator[Engine]:
    """The processors of this machine, or so many processes."""
    count = processes or len(os.sched_getaffinity(0))
    if count == 1:
        yield Inline()
        return
    # Started afresh, not forked: Arrow's threads and locks don't survive a fork.
    with ProcessPoolExecutor(count, mp_context=get_context("spawn")) as pool:
        yield Processes(pool)


class _Dask:
    """A Dask cluster."""

    def __init__(self, client: Any) -> None:
        """Use a client that is connected."""
        self._client = client

    def map(self, function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
        """The results, in the order of the items."""
        futures = self._client.map(function, list(items), pure=False)
        return (future.result() for future in futures)


@contextmanager
def dask(scheduler: str, wait: str = "10s") -> Iterator[Engine]:
    """A Dask cluster by its scheduler's address; its workers need Assay, and the evidence at the same path.

    Raises:
        UsageError: Dask isn't installed, or the scheduler does not answer.
    """
    try:
        from distributed import Client  # noqa: PLC0415  # an optional library
    except ImportError:
        raise UsageError("Dask is not installed: pip install 'assay[dask]', here and on the workers.") from None
    try:
        client: Any = Client(scheduler, timeout=wait, set_as_default=False)  # type: ignore[no-untyped-call]  # its own gap
    except (OSError, TimeoutError, ValueError) as error:
        raise UsageError(f"No Dask scheduler answers at {scheduler} ({error}): start one, or name another.") from None
    with client:
        yield _Dask(client)
