"""A run while it is being recorded: its folder, and its manifest, saved after every step.

A run that is killed therefore leaves what it had recorded by then, and a manifest that does not claim more.
"""

from __future__ import annotations

import contextlib
import platform
import re
import secrets
import threading
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from assay import manifest, sealed
from assay.errors import AssayError, UsageError
from assay.manifest import Manifest, Objectives, Plan

#: Where runs go by default, below the working directory.
RUNS: Final = Path("runs")
_DISTRIBUTION: Final = "assay"
_NAME: Final = re.compile(r"[A-Za-z0-9._-]+")


class Run:
    """A run's folder and its manifest so far.

    Attributes:
        folder: Where ledgers and manifest are.
        manifest: What is known by now; change it with `note`.
    """

    def __init__(self, folder: Path, recorded: Manifest) -> None:
        """A run that exists already; see `begin` and `resume`."""
        self.folder = folder
        self.manifest = recorded
        self._lock = threading.Lock()

    def note(self, **changes: Any) -> None:
        """Set fields of the manifest and save it; safe from any thread."""
        with self._lock:
            self.manifest = self.manifest.model_copy(update=changes)
            self.manifest.write(self.folder)

    def phases(self, seconds: dict[str, float]) -> None:
        """Add phases' times (seconds) to those that are noted."""
        self.note(phases=self.manifest.phases | {name: round(value, 3) for name, value in seconds.items()})

    def seal(self) -> None:
        """Rewrite the streams as sealed ledgers, and every file's hash into the manifest: a changed byte is noticed.

        A stream that can't be read stays as it is, for the judge to say so.
        """
        for stream in sorted(self.folder.glob(f"*{sealed.STREAM}")):
            with contextlib.suppress(AssayError):
                sealed.seal(stream)
        self.note(files=manifest.digests(self.folder), seal="")
        written = manifest.read(self.folder)  # as it will be read: every field is set
        self.note(seal=manifest.seal_of(written))


def default() -> Path:
    """Where a run goes that nobody gave a folder: `runs/<run id>` below the working directory."""
    return RUNS / new_id()


def claim(folder: Path) -> Path:
    """Make sure that a run can have `folder`, before anything is done for it; returns it.

    Raises:
        UsageError: It holds something already, or can't be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        taken = any(folder.iterdir())
    except OSError as error:
        raise UsageError(f"The folder {folder} can't be used ({error.strerror}): name another one.") from None
    if taken:
        raise UsageError(f"The folder {folder} is not empty: a run needs a folder of its own; name another one.")
    return folder


def begin(folder: Path, plan: Plan, objectives: Objectives, cluster: dict[str, str]) -> Run:
    """Write the first manifest of a run into its folder; what it knows of the cluster is in `cluster`."""
    run = Run(
        folder,
        Manifest(
            run_id=folder.resolve().name,
            created_at=datetime.now(UTC).isoformat(timespec="seconds"),
            versions=versions(),
            cluster=cluster,
            plan=plan,
            objectives=objectives,
        ),
    )
    run.note()
    return run


def versions() -> dict[str, str]:
    """The versions of this package, of each library that it names as its own need, of Python and of the kernel."""
    needed = sorted(
        _NAME.match(requirement)[0]  # type: ignore[index]  # a requirement begins with a name
        for requirement in metadata.requires(_DISTRIBUTION) or ()
        if "extra ==" not in requirement
    )
    return {name: metadata.version(name) for name in (_DISTRIBUTION, *needed)} | {
        "Python": platform.python_version(),
        "kernel": f"{platform.system()} {platform.release()}",
    }


def resume(folder: Path) -> Run:
    """A run that another command began.

    Raises:
        AssayError: The folder has no readable manifest.
    """
    return Run(folder, manifest.read(folder))


def new_id() -> str:
    """A name for a run: when it began (UTC), and something that no other run has; fit for a Kubernetes name."""
    return f"{datetime.now(UTC):%Y%m%dt%H%M%S}-{secrets.token_hex(2)}"
