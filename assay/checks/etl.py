"""The ETL: did every extracted row end in exactly one of {topic, rejects}, fast enough?

What the ETL said of itself (its summary line, in the manifest) is held against what was found in the topics.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from assay.checks.check import Check
from assay.checks.finding import UndecidedError, counted, finding
from assay.verdict import Finding, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assay.checks.history import EtlRows, History
    from assay.checks.tally import Tally


class EtlConservation(Check):
    """Extracted = topic + rejects: each extracted row has exactly one fate, and none is dropped silently.

    Rows are told apart by their deterministic row id. A row id may stand in its topic more than once only if the Job
    needed more than one pod. All of the feed's real rows are extracted.
    """

    name = "etl conservation"

    def applies(self, history: History) -> bool:
        """Only where an ETL run belongs to the run."""
        return _belongs(history)

    def conclude(self, tally: Tally, history: History) -> Finding:  # noqa: ARG002  # nothing is counted in pieces
        """From the ETL's ledger and what it said of itself."""
        rows = history.etl
        run, topic, rejects = rows.run, set(rows.topic), set(rows.rejects)
        both = sorted(topic & rejects)
        wrong = list(_imbalances(rows))
        repeated = len(rows.topic) + len(rows.rejects) - len(topic) - len(rejects)
        measured = {
            "extracted": run.extracted,
            "topic": len(topic),
            "rejects": len(rejects),
            "real_rows": len(rows.real),
            "repeated": repeated,
        }
        if wrong:
            late = {"row_id": both} if both else {"imbalance": wrong}
            verdict = Verdict.FAIL if rows.whole else Verdict.UNKNOWN
            return finding(self.name, verdict, f"The ETL {run.run_id}: {'; '.join(wrong)}.", measured, late=late)
        text = (
            f"{run.extracted:,} rows extracted = {len(topic):,} in the topic + {len(rejects):,} rejected with a "
            f"reason; {len(rows.real):,} of them real."
        )
        return finding(self.name, Verdict.PASS if rows.whole else Verdict.UNKNOWN, text, measured)


class EtlThroughput(Check):
    """The ETL's produce stage reaches the objective, in records a second."""

    name = "etl throughput"

    def applies(self, history: History) -> bool:
        """Only where an ETL run belongs to the run."""
        return _belongs(history)

    def conclude(self, tally: Tally, history: History) -> Finding:  # noqa: ARG002  # nothing is counted in pieces
        """From what it said of itself."""
        run = history.manifest.etl
        if run is None:
            raise UndecidedError("the ETL did not run")
        if not run.produced:
            raise UndecidedError("the ETL produced nothing")
        objective, rate = history.manifest.objectives.etl_records_per_second, run.produce_records_per_second
        verdict = Verdict.PASS if rate >= objective else Verdict.FAIL
        text = f"The ETL produced {rate:,.0f} records/s; the objective is {objective:,.0f}."
        return finding(self.name, verdict, text, {"produced_per_second": rate, "objective_per_second": objective})


def _belongs(history: History) -> bool:
    return "etl" in history.manifest.plan.parts


def _imbalances(rows: EtlRows) -> Iterator[str]:
    """Each way in which the summary, the feed and the topics disagree, as a clause."""
    run, topic, rejects = rows.run, set(rows.topic), set(rows.rejects)
    for given, found, clause in (
        (run.extracted, len(topic | rejects), "{:,} rows were extracted, {:,} are in the topic or the rejects"),
        (run.produced, len(topic), "it says {:,} produced, the topic has {:,}"),
        (run.accepted, run.produced, "it accepted {:,} rows and produced {:,}"),
        (run.rejected, len(rejects), "it says {:,} rejected, the rejects have {:,}"),
        (run.feed_rows, run.extracted, "the feed holds {:,} rows, {:,} were extracted"),
        (run.real_rows, len(rows.real), "the feed holds {:,} real rows, {:,} are accounted for"),
    ):
        if given is not None and given != found:
            yield clause.format(given, found)
    if run.unaccounted:
        yield f"it says {run.unaccounted:,} rows are unaccounted for"
    if run.exit_code:
        yield f"it ended with exit code {run.exit_code}"
    if topic & rejects:
        yield f"{counted(len(topic & rejects), 'row')} are both in the topic and in the rejects"
    repeated = len(rows.topic) + len(rows.rejects) - len(topic) - len(rejects)
    if repeated and run.attempts == 1:
        yield f"{counted(repeated, 'record')} repeat a row, though the job was not retried"
