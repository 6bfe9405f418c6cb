"""The campaign's folder: what was asked for, and a folder for each run. What is in it is gone on with.

A run counts once it has a verdict. One that was cut off is put aside, never overwritten: its evidence may be wanted.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ConfigDict, ValidationError

from assay.campaign.outcome import Outcome, read
from assay.campaign.series import Series
from assay.errors import UsageError
from assay.report.verdict_file import VERDICT, unwritable

if TYPE_CHECKING:
    from pathlib import Path

CAMPAIGN: Final = "campaign.json"


class Asked(BaseModel):
    """What a campaign was asked for.

    Attributes:
        experiment: The experiment's file, by its name.
        sha256: Of that file: another experiment is another campaign.
        first_seed: Of the first run; each further run has the next one.
        context: The cluster's context.
        created_at: When the campaign began, UTC.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    experiment: str
    sha256: str
    first_seed: int
    context: str
    created_at: str


class Record:
    """A campaign's folder.

    Attributes:
        folder: The folder.
        asked: What was asked for when it began.
    """

    def __init__(self, folder: Path, asked: Asked) -> None:
        """Open a folder, or make it.

        Raises:
            UsageError: It holds something else, or a campaign that was asked for something else.
        """
        self.folder = folder
        path = folder / CAMPAIGN
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if path.exists():
                self.asked = Asked.model_validate_json(path.read_text())
            elif any(folder.iterdir()):
                raise UsageError(f"The folder {folder} holds something that is no campaign: name another one.")
            else:
                self.asked = asked
                path.write_text(asked.model_dump_json(indent=2) + "\n")
        except OSError as error:
            raise unwritable(folder, error) from None
        except ValidationError as error:
            raise UsageError(f"{path} is damaged ({error.errors()[0]['msg']}): name another folder.") from None
        for name in ("sha256", "first_seed", "context"):
            before, now = getattr(self.asked, name), getattr(asked, name)
            if before != now:
                raise UsageError(
                    f"The folder {folder} holds a campaign of {self.asked.experiment} with another {_NAMES[name]} "
                    f"({before} instead of {now}): name another folder, or go on as it was begun."
                )

    def run(self, number: int) -> Path:
        """The folder of the run with this number, from 1 on."""
        return self.folder / f"run-{number:03}"

    def seed(self, number: int) -> int:
        """Its seed."""
        return self.asked.first_seed + number - 1

    def ended(self, number: int) -> Outcome | None:
        """How a run ended; None: it did not, or was not made yet.

        Raises:
            AssayError: Its verdict can't be read.
        """
        folder = self.run(number)
        return read(folder, self.seed(number)) if (folder / VERDICT).exists() else None

    def make_way(self, number: int) -> None:
        """Put aside what a cut-off run left in the folder of the run with this number."""
        folder = self.run(number)
        if not folder.exists():
            return
        place = next(n for n in range(1, 10_000) if not self._aside(folder, n).exists())
        folder.rename(self._aside(folder, place))

    def series(self, wanted: int) -> Series:
        """The runs that ended, of so many.

        Raises:
            AssayError: A verdict can't be read.
        """
        found = [self.ended(number) for number in range(1, wanted + 1)]
        return Series(wanted, tuple(one for one in found if one is not None))

    @staticmethod
    def _aside(folder: Path, place: int) -> Path:
        return folder.with_name(f"{folder.name}-cut-off-{place}")


_NAMES: Final = {"sha256": "content", "first_seed": "first seed", "context": "cluster"}


def digest(path: Path) -> str:
    """SHA-256 of an experiment's file.

    Raises:
        UsageError: It can't be read.
    """
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise UsageError(f"The experiment {path} can't be read ({error.strerror}).") from None
