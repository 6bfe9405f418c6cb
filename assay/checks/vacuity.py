"""Did the run show anything at all? What never happened proves nothing, and evidence that is not whole proves less."""

from __future__ import annotations

import contextlib
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from assay.checks.check import Check
from assay.checks.finding import UndecidedError, counted, finding
from assay.checks.records import Origin
from assay.checks.tally import Tally
from assay.ledger import Outcome
from assay.verdict import Finding, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assay.checks.history import History
    from assay.checks.shards import LogShard, SendsShard


class Vacuous(Check):
    """Every part of the run happened: sends, every partition, every replica, the sink, the drain, the ETL, each fault.

    Source: Jepsen's `stats` checker fails an operation that never succeeded; the verifiers' commonest lie is one
    healthy partition standing for three, and the chaos tools' a fault that never bit.
    """

    name = "vacuous"

    def of_sends(self, shard: SendsShard) -> Tally:
        """What was attempted and acknowledged."""
        counts = Counter[str]()
        for sends in shard.sends:
            counts["attempted"] += len(sends)
            counts["acknowledged"] += int(np.count_nonzero(sends.having(Outcome.OK)))
        return Tally(counts)

    def of_log(self, shard: LogShard) -> Tally:
        """This run's records by partition, and its rows in the sink."""
        counts = Counter[str]()
        with contextlib.suppress(UndecidedError):  # without a log: the conclusion says so
            own = shard.log.partition[shard.log.origin == Origin.OWN]
            for number, count in zip(*(part.tolist() for part in np.unique(own, return_counts=True)), strict=True):
                counts[f"log {number}"] += count
        with contextlib.suppress(UndecidedError):  # likewise without a sink
            counts["sink"] += int(np.count_nonzero(shard.sink.origin == Origin.OWN))
        return Tally(counts)

    def conclude(self, tally: Tally, history: History) -> Finding:
        """Every gap is said."""
        gaps: list[str] = []
        for look in (_stopped, _sending, _partitions, _replicas, _sink, _etl, _faults):
            try:
                gaps += look(tally, history)
            except UndecidedError as reason:
                gaps.append(str(reason))
        gaps = list(dict.fromkeys(gaps))
        text = (
            f"{counted(len(gaps), 'part')} of the run did not happen: {'; '.join(gaps)}."
            if gaps
            else "Messages, partitions, replicas, the sink, the drain and the ETL: all took part."
        )
        verdict = Verdict.UNKNOWN if gaps else Verdict.PASS
        return finding(self.name, verdict, text, {"gaps": len(gaps)}, late={"gap": gaps})


class Incomplete(Check):
    """Every ledger was closed by its writer. One that was not is judged as far as it goes; its end may be missing."""

    name = "incomplete"

    def conclude(self, tally: Tally, history: History) -> Finding:  # noqa: ARG002  # nothing is counted in pieces
        """Which ledgers have no end."""
        torn = sorted(
            f"{ledger.kind}{' of ' + ledger.producer if ledger.producer else ''}"
            for ledger in history.ledgers
            if not ledger.complete
        )
        with_attempts = {ledger.producer for ledger in history.ledgers if ledger.kind == "attempts"}
        with_outcomes = {ledger.producer for ledger in history.ledgers if ledger.kind == "outcomes"}
        absent = sorted(with_attempts - with_outcomes)
        text = f"All {counted(len(history.ledgers), 'ledger')} were closed properly."
        if torn or absent:
            parts = []
            if torn:
                parts.append(f"the ledgers {', '.join(torn)} end without their mark, so rows may be missing")
            if absent:
                parts.append(f"there are no outcomes of {', '.join(absent)}")
            text = f"The evidence is not whole: {'; '.join(parts)}. Sends without an outcome are counted as unknown."
        verdict = Verdict.UNKNOWN if torn or absent else Verdict.PASS
        late = {"ledger": [*torn, *(f"outcomes of {name}" for name in absent)]}
        measured = {"ledgers": len(history.ledgers), "torn": len(torn)}
        return finding(self.name, verdict, text, measured, late=late)


class Clock(Check):
    """Times of one ledger never go back: sends in the order of their seqs, an end never before its send.

    Source: one observer, one monotonic clock. Where it went back, nothing that was timed with it can be trusted.
    """

    name = "clock"
    needs = ("sends",)

    def of_sends(self, shard: SendsShard) -> Tally:
        """Steps back within a producer's ledger; what stands at the ends is compared with the next shard's."""
        counts = Counter[str]()
        edges = []
        for sends in shard.sends:
            times = sends.sent_ns[sends.attempted]
            counts["sends"] += int(np.count_nonzero(np.diff(times) < 0))
            counts["ends"] += int(np.count_nonzero(sends.ended & (sends.ended_ns < sends.sent_ns)))
            if len(times):
                edges.append((sends.producer, int(times[0]), int(times[-1])))
        return Tally(counts, edges=tuple(edges))

    def conclude(self, tally: Tally, history: History) -> Finding:
        """Steps back of sends, ends and samples."""
        steps = tally.counts["sends"]
        last: dict[str, int] = {}
        for producer, first, end in tally.edges:
            steps += first < last.get(producer, first)
            last[producer] = end
        samples = 0
        for kind in ("lag", "leaders", "faults"):
            for ledger in history.ledgers:
                if ledger.kind == kind:
                    samples += int(np.count_nonzero(np.diff(ledger.whole()["at_ns"].to_numpy()) < 0))
        total = steps + tally.counts["ends"] + samples
        text = (
            f"The clock went back: {counted(steps, 'send')} before an earlier one, "
            f"{counted(tally.counts['ends'], 'end')} before its own send, {counted(samples, 'sample')} before an "
            "earlier one. Nothing that was timed with it can be trusted."
            if total
            else "No time of any ledger goes back."
        )
        verdict = Verdict.UNKNOWN if total else Verdict.PASS
        measured = {"sends_back": steps, "ends_back": tally.counts["ends"], "samples_back": samples}
        return finding(self.name, verdict, text, measured)


def preflight(history: History) -> tuple[Finding, ...]:
    """What was checked before the load: connectivity, DNS, network policy, resources, settings. One finding each."""
    checks = history.manifest.preflight
    if not checks and "preflight" not in history.manifest.plan.parts:
        return ()
    if not checks:
        return (finding("preflight", Verdict.UNKNOWN, "Nothing was checked before the load."),)
    return tuple(finding(f"preflight: {check.name}", Verdict(check.verdict), check.detail) for check in checks)


def _stopped(_: Tally, history: History) -> Iterator[str]:
    if history.manifest.stopped:
        yield f"the run stopped early ({history.manifest.stopped.rstrip('.')})"


def _sending(tally: Tally, history: History) -> Iterator[str]:
    _ = history.senders
    attempted, planned = tally.counts["attempted"], history.manifest.plan.messages
    if not attempted:
        yield "no message was sent"
    elif attempted < planned:
        yield f"only {attempted:,} of {planned:,} planned messages were sent"
    if attempted and not tally.counts["acknowledged"]:
        yield "no message was acknowledged"
    if planned <= 0:
        yield "no message was planned"


def _partitions(tally: Tally, history: History) -> Iterator[str]:
    _ = history.log_spans
    numbers = set(range(history.manifest.plan.partitions)) | set(history.partitions)
    for number in sorted(numbers):
        if not tally.counts[f"log {number}"]:
            yield f"partition {number} got no record"
    for number in sorted(numbers - set(history.partitions)):
        yield f"the brokers' offsets of partition {number} were not read"


def _replicas(_: Tally, history: History) -> Iterator[str]:
    replicas, wanted = history.manifest.replicas, history.manifest.objectives.replicas
    if len(replicas) < wanted:
        yield f"only {len(replicas)} of {wanted} consumer replicas were there"
    for replica in replicas:
        if not replica.ready:
            yield f"replica {replica.pod} was not ready"
        if not replica.partitions:
            yield f"replica {replica.pod} had no partition"


def _sink(tally: Tally, history: History) -> Iterator[str]:
    if not history.manifest.drained:
        yield "the consumers did not drain the topic in time"
    _ = history.placed("sink")
    if not tally.counts["sink"]:
        yield "the sink has no row of this run"


def _etl(_: Tally, history: History) -> Iterator[str]:
    if "etl" not in history.manifest.plan.parts:
        return
    rows = history.etl
    if not rows.run.extracted or not rows.fates:
        yield "the ETL extracted nothing"
    extracted = {commodity for commodity, _ in rows.fates if commodity}
    for commodity in sorted(extracted - {commodity for commodity, fate in rows.fates if fate == "topic"}):
        yield f"no row of {commodity} got past the ETL's validation"


def _faults(_: Tally, history: History) -> Iterator[str]:
    for fault in history.faults:
        if fault.bites_ns is None:
            yield f"the fault {fault.name} on {fault.target} was never seen to bite"
        elif fault.healed_ns is None:
            yield f"the fault {fault.name} on {fault.target} was never seen to heal"
