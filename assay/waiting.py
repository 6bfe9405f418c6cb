"""Waiting for something to become true: a condition, a time limit, and a sentence for when it never does."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

from assay.errors import AssayError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def wait_until(condition: Callable[[], T | None], timeout: float, message: str, every: float = 0.5) -> T:
    """Ask `condition` until it answers something true, and return that.

    Args:
        condition: Asked again and again; errors it raises go through.
        timeout: Seconds until it is given up; it is asked at least once.
        message: The sentence for then.
        every: Seconds between questions.

    Raises:
        AssayError: It did not become true in time.
    """
    deadline = time.monotonic() + timeout
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() >= deadline:
            raise AssayError(message)
        time.sleep(min(every, max(0.0, deadline - time.monotonic())))
