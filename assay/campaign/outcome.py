"""How one run of an experiment ended, as its verdict says: what was lost, how soon service was back, by phase."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from assay.errors import AssayError
from assay.report.verdict_file import VERDICT
from assay.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: Checks of how fast and how far behind; a failure of any other means that messages are not what they should be.
_SPEED: Final = frozenset({"throughput", "success", "latency", "lag", "recovered", "etl throughput"})


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        name: Of the run's folder.
        seed: What chose its prices and targets.
        verdict: Of the run.
        sentence: The verdict in one sentence, or why there is none.
        broken: The checks that failed for what became of messages.
        target: Whom the fault hit; empty: nobody.
        measured: Figures of the recovery, by name; none: it is not known.
        phases: Seconds by phase.
    """

    name: str
    seed: int
    verdict: Verdict
    sentence: str
    broken: tuple[str, ...] = ()
    target: str = ""
    measured: Mapping[str, float] = field(default_factory=dict)
    phases: Mapping[str, float] = field(default_factory=dict)

    @property
    def recovery_seconds(self) -> float | None:
        """From bite to full service; None: not known."""
        return self.measured.get("recovery_seconds")


def outcome(name: str, seed: int, verdict: Mapping[str, Any]) -> Outcome:
    """What a verdict's document says (pure); of several faults the one that took longest counts."""
    failed = tuple(
        found["check"]
        for found in verdict["findings"]
        if found["verdict"] == Verdict.FAIL
        and found["check"] not in _SPEED
        and not found["check"].startswith("preflight")
    )
    back = max(verdict["recoveries"], key=lambda one: one["measured"].get("recovery_seconds", -1.0), default=None)
    return Outcome(
        name,
        seed,
        Verdict(verdict["verdict"]),
        verdict["sentence"],
        failed,
        back["target"] if back else "",
        back["measured"] if back else {},
        back["phases"] if back else {},
    )


def read(folder: Path, seed: int) -> Outcome:
    """The outcome of a run's folder that was judged.

    Raises:
        AssayError: It was not judged, or its verdict can't be read.
    """
    try:
        return outcome(folder.name, seed, json.loads((folder / VERDICT).read_text()))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise AssayError(f"{folder} has no verdict that can be read ({error}).") from None
