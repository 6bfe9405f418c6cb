"""The consumer's journal: its events as log lines, numbered, so that a line that is missing is noticed."""

from __future__ import annotations

import secrets
import socket
import time
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from workloads.analytics.events import Event, Range


def name_instance() -> str:
    """A name for this process: `<host name>/<8 hexadecimal digits>`; a pod's host name is its name.

    A container that is started again is another instance: it has another clock and knows nothing of the one before.
    """
    return f"{socket.gethostname()}/{secrets.token_hex(4)}"


class Journal:
    """Writes the events of one instance."""

    def __init__(self, instance: str, clock: Callable[[], int] = time.monotonic_ns) -> None:
        """Begin with number 0.

        Args:
            instance: Name of this process.
            clock: Nanoseconds, monotonic.
        """
        self.instance = instance
        self._clock = clock
        self._log = structlog.get_logger()
        self._n = 0

    def tell(self, event: Event, ranges: Sequence[Range] = ()) -> None:
        """Say that this is so from now on."""
        self._log.info(
            event.value,
            instance=self.instance,
            n=self._n,
            monotonic_ns=self._clock(),
            ranges=[list(one) for one in ranges],
        )
        self._n += 1
