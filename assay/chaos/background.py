"""A load that runs beside an experiment, with everything that is recorded beside it."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

from assay import stages
from assay.errors import AssayError
from assay.load import Brake
from assay.recording import recording

if TYPE_CHECKING:
    from assay.platform import Platform
    from assay.progress import Phases
    from assay.run import Run

#: The load must be seen to send within so many seconds.
_START_SECONDS: Final = 60.0


class BackgroundLoad:
    """The load of a run's plan: Locust in a process of its own, followed by a thread of this one."""

    def __init__(self, platform: Platform, run: Run, phases: Phases) -> None:
        """Start it, and wait until it sends.

        Raises:
            AssayError: Kafka does not answer, or the load does not come to send anything.
        """
        self._run = run
        self._phases = phases
        self._brake = Brake()
        self._failed: AssayError | None = None
        self._began = time.monotonic()
        self._recorders = ExitStack()
        self._recorders.enter_context(recording(platform, run, "run"))
        self._thread = threading.Thread(target=self._send, args=[platform], name="load", daemon=True)
        self._thread.start()
        while not any(run.folder.glob("attempts.*")):
            if not self.sending or time.monotonic() > self._began + _START_SECONDS:
                self.stop()
                raise self._failed or AssayError(f"The load did not begin within {_START_SECONDS:.0f} s.")
            time.sleep(0.1)

    @property
    def sending(self) -> bool:
        """Whether it still runs."""
        return self._thread.is_alive()

    def finish(self) -> None:
        """End it on purpose, and wait until it knows how every send ended; once more is fine.

        Raises:
            AssayError: It broke.
        """
        if self.sending:
            with self._phases.phase("finish"):
                self._brake.finish()
                self._thread.join()
        self.check()

    def check(self) -> None:
        """Make sure that it did not break.

        Raises:
            AssayError: It did.
        """
        if self._failed is not None:
            raise self._failed

    def stop(self) -> None:
        """End it at once, with what is recorded; once more is fine."""
        self._brake.stop()
        self._thread.join()
        self.end_recording()

    def end_recording(self) -> None:
        """End what is recorded beside it; once more is fine."""
        self._recorders.close()

    def _send(self, platform: Platform) -> None:
        try:
            stages.load(platform, self._run, self._phases, self._brake)
        except AssayError as error:
            self._failed = error
        finally:
            self._phases.seconds["load"] = time.monotonic() - self._began
