"""The account of a run: what was extracted and where every row ended, as one JSON line and as Prometheus metrics.

The metrics go to a file in text format, for a node's textfile collector: a job that lives for seconds and runs once a
day can't be scraped, and pushing would make its success depend on one more service. Without such a file the summary
line, kept with the job's log, holds the same numbers.
"""

from __future__ import annotations

import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import orjson
from prometheus_client import CollectorRegistry, Gauge, write_to_textfile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass
class Stage:
    """Time spent in one stage of the pipeline, in seconds, and the rows that went through it."""

    seconds: float = 0.0
    rows: int = 0

    @contextmanager
    def timing(self, rows: int = 0) -> Iterator[None]:
        """Add the block's duration and this many rows."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds += time.perf_counter() - start
            self.rows += rows

    def as_dict(self) -> dict[str, float | None]:
        """Seconds and rows per second; the rate of no time at all is null."""
        rate = round(self.rows / self.seconds, 1) if self.seconds > 0 else None
        return {"seconds": round(self.seconds, 6), "records_per_s": rate}


@dataclass
class Summary:
    """Everything a run can say of itself. `produced` and `rejected` are rows that the brokers acknowledged."""

    run_id: str
    extracted: Counter[str] = field(default_factory=Counter)
    accepted: Counter[str] = field(default_factory=Counter)
    produced: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    stages: dict[str, Stage] = field(
        default_factory=lambda: {name: Stage() for name in ("extract", "validate", "transform", "produce")}
    )
    whole: Stage = field(default_factory=Stage)
    problem: str | None = None

    @property
    def unaccounted(self) -> int:
        """Rows extracted that are neither in the topic nor in the rejects."""
        return self.extracted.total() - self.produced.total() - self.rejected.total()

    @property
    def sound(self) -> bool:
        """Whether the feed was read to its end and every row is accounted for."""
        return self.unaccounted == 0 and not self.errors and self.problem is None

    def line(self) -> bytes:
        """The summary as one line of JSON, without a line end."""
        self.whole.rows = self.extracted.total()
        names = sorted(self.extracted | self.produced | self.rejected)
        return orjson.dumps(
            {
                "event": "etl.summary",
                "run_id": self.run_id,
                "outcome": "ok" if self.sound else "failed",
                "problem": self.problem,
                "extracted": self.extracted.total(),
                "accepted": self.accepted.total(),
                "produced": self.produced.total(),
                "rejected": self.rejected.total(),
                "unaccounted": self.unaccounted,
                "stages": {name: stage.as_dict() for name, stage in self.stages.items()},
                "total": self.whole.as_dict(),
                "by_commodity": {
                    name: {
                        "extracted": self.extracted[name],
                        "accepted": self.accepted[name],
                        "produced": self.produced[name],
                        "rejected": self.rejected[name],
                    }
                    for name in names
                },
                "reasons": dict(self.reasons),
                "delivery_errors": dict(self.errors),
            }
        )

    def write_metrics(self, path: Path) -> None:
        """Write the run's metrics to this file in one step.

        Raises:
            OSError: The file can't be written.
        """
        registry = CollectorRegistry()
        rows = Gauge("etl_run_rows", "Rows of the last run by outcome.", ("commodity", "outcome"), registry=registry)
        for outcome in ("extracted", "produced", "rejected"):
            for commodity, count in getattr(self, outcome).items():
                rows.labels(commodity, outcome).set(count)
        seconds = Gauge("etl_run_stage_seconds", "Time of the last run by stage.", ("stage",), registry=registry)
        for name, stage in self.stages.items():
            seconds.labels(name).set(stage.seconds)
        Gauge("etl_run_seconds", "Time of the last run.", registry=registry).set(self.whole.seconds)
        Gauge("etl_run_unaccounted_rows", "Rows of the last run in neither topic.", registry=registry).set(
            self.unaccounted
        )
        Gauge("etl_run_success", "1 where the last run accounted for every row.", registry=registry).set(self.sound)
        Gauge("etl_run_end_timestamp_seconds", "When the last run ended.", registry=registry).set_to_current_time()
        write_to_textfile(str(path), registry)
