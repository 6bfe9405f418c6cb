"""The real consumer with one thing wrong: it commits its offsets, pauses, and only then writes the rows they stand for.

A test hands this text to `python3 -c` in the consumers' pods.
"""

import time

from workloads.analytics import __main__ as program
from workloads.analytics.consumer import Analytics

PAUSE_SECONDS = 5.0


class CommitsBeforeItWrites(Analytics):
    """The real one, but for the order."""

    def _flush(self) -> None:
        if self._firsts:
            self._commit()
            time.sleep(PAUSE_SECONDS)
        super()._flush()


program.Analytics = CommitsBeforeItWrites
program.main()
