"""From the log to the sink: did the consumers durably write every record that they committed, and nothing else?

The sink's rows are read back from the sink itself, and matched with the log by partition and offset. A consumer's own
counters are no evidence. A message in the dead letters has arrived: it is not lost, though it is no row.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from assay.checks.check import Check
from assay.checks.finding import UndecidedError, at_most, counted, finding, missing, seen, spread
from assay.checks.records import Origin
from assay.checks.tally import Tally, listed
from assay.verdict import Finding, Verdict

if TYPE_CHECKING:
    from assay.checks.history import Array, History
    from assay.checks.shards import LogShard


class LostDownstream(Check):
    """A record below the group's committed offset that the sink does not have, and the dead letters neither.

    Source: at-least-once means that an offset is committed only after its output is durable. Judged are records of
    this run and of the runs named in the manifest; what has no run id may rightly be in the dead letters.
    """

    name = "lost downstream"
    needs = ("log", "sink", "partitions")

    def of_log(self, shard: LogShard) -> Tally:
        """Committed records that did not arrive."""
        log = shard.log
        settled = log.known & (log.offset < shard.history.committed_of(log.partition))
        rows = np.flatnonzero(settled & (shard.delivered == 0))
        return listed(log.names(rows), committed=int(np.count_nonzero(settled)))

    def conclude(self, tally: Tally, history: History) -> Finding:
        """No loss is a sample: its upper bound is said."""
        total = tally.counts["committed"]
        if not total:
            raise UndecidedError("the group committed no record of this run")
        text = (
            f"{tally.total:,} of {counted(total, 'committed record')} are not in the sink: {spread(tally.spots)}."
            if tally.total
            else f"0 of {counted(total, 'committed record')} are missing from the sink; {at_most(total)} are lost."
        )
        measured: dict[str, float] = {"committed": total, "lost": tally.total}
        if not tally.total:
            measured["upper_bound_95"] = 3 / total
        return finding(self.name, missing(tally.total, whole=history.whole("sink")), text, measured, tally)


class Unseen(Check):
    """A record at or above the committed offset that the sink does not have: not lost, but nobody saw it arrive.

    The drain ended before the consumers had everything, so the run proves nothing about these records: `unknown`.
    """

    name = "unseen"
    needs = ("log", "sink", "partitions")

    def of_log(self, shard: LogShard) -> Tally:
        """Records that nobody committed and nobody wrote."""
        log = shard.log
        waiting = log.known & (log.offset >= shard.history.committed_of(log.partition))
        return listed(log.names(np.flatnonzero(waiting & (shard.delivered == 0))))

    def conclude(self, tally: Tally, history: History) -> Finding:
        """It is nobody's fault, and no proof."""
        text = (
            f"{counted(tally.total, 'record')} of the log were not consumed when the run ended: {spread(tally.spots)}."
            if tally.total
            else "Every record of the log was consumed before the run ended."
        )
        verdict = Verdict.UNKNOWN if tally.total or not history.whole("log") else Verdict.PASS
        return finding(self.name, verdict, text, {"unseen": tally.total}, tally)


class Redelivered(Check):
    """One offset more than once in the sink: the sink stores offsets with its rows, so that no crash repeats one.

    Source: the contract of Iceberg's own Kafka sink (offsets in the snapshot, one atomic commit). `sink_repeats` sets
    how many are allowed; none is the default, and a sink that only promises delivery at least once sets it to null.
    """

    name = "redelivered"
    needs = ("sink",)

    def of_log(self, shard: LogShard) -> Tally:
        """Rows that repeat the place of the row before."""
        sink = shard.sink
        same = (np.diff(sink.partition) == 0) & (np.diff(sink.offset) == 0)
        rows = np.flatnonzero(same & sink.known[1:]) + 1
        return listed(sink.names(rows), rows=len(sink))

    def conclude(self, tally: Tally, history: History) -> Finding:
        """More than are allowed are too many."""
        allowed = history.manifest.objectives.sink_repeats
        text = f"{counted(tally.total, 'row')} of the sink repeat an offset" + (
            ", which delivery at least once allows" if allowed is None else f"; {allowed:,} are allowed"
        )
        text += f": {spread(tally.spots)}." if tally.total else "."
        excess = 0 if allowed is None else max(tally.total - allowed, 0)
        verdict = Verdict.PASS if allowed is None else seen(excess, whole=history.whole("sink"))
        return finding(self.name, verdict, text, {"rows": tally.counts["rows"], "repeated": tally.total}, tally)


class PhantomInSink(Check):
    """A row of the sink whose place in the log holds no such record: of another producer or seq, or of none at all.

    A row that is what was acknowledged at its offset witnesses a loss in the log, which `lost` names: it is no phantom.
    Judged are rows from the first offset that the log's reader has; beyond its last one, only this run's rows, as the
    platform's own traffic may go on while we read.
    """

    name = "phantom in sink"
    needs = ("sends", "log", "sink", "partitions")

    def of_log(self, shard: LogShard) -> Tally:
        """Rows that are not what the log has."""
        sink, log = shard.sink, shard.log
        rows = shard.sink_rows
        first, last = _reach(shard)
        covered = sink.offset >= first
        covered &= (sink.offset <= last) | (sink.origin == Origin.OWN)
        nowhere = covered & (rows < 0)
        at = np.maximum(rows, 0)
        other = np.zeros(len(sink), dtype=bool)
        if len(log):
            other = (rows >= 0) & (
                (sink.seq != log.seq[at]) | (sink.run != log.run[at]) | (sink.producer != log.producer[at])
            )
            other &= sink.known | log.known[at]
            if len(log.conflicts):
                other &= ~np.isin(at + 1, log.conflicts)  # two values at one offset: `inconsistent offset` names it
        suspects = np.flatnonzero(nowhere | other)
        wrong = suspects[~_witnesses(shard, suspects)]
        return listed(sink.names(wrong), rows=len(sink), other=int(np.count_nonzero(other)))

    def conclude(self, tally: Tally, history: History) -> Finding:
        """What is absent from a torn log may be in its missing part."""
        rows = tally.counts["rows"]
        text = (
            f"{counted(tally.total, 'row')} of the sink are not what stands at their offset in the log: "
            f"{spread(tally.spots)}."
            if tally.total
            else f"All {counted(rows, 'row')} of the sink stand in the log."
        )
        verdict = seen(tally.total, whole=history.whole("sink"))
        if verdict is Verdict.FAIL and not history.whole("log") and not tally.counts["other"]:
            verdict = Verdict.UNKNOWN
        return finding(self.name, verdict, text, {"rows": rows, "phantoms": tally.total}, tally)


class CorruptInSink(Check):
    """A row of the sink whose payload hash differs from that of the record in the log at its offset.

    Where the sink's row is what the record's own header claims, the fault is the log's: see `corrupt`.
    """

    name = "corrupt in sink"
    needs = ("log", "sink")

    def of_log(self, shard: LogShard) -> Tally:
        """Rows that differ from their record."""
        sink, log = shard.sink, shard.log
        rows = shard.sink_rows
        there = np.flatnonzero((rows >= 0) & sink.known)
        there = there[sink.seq[there] == log.seq[rows[there]]]
        at = rows[there]
        differs = sink.payload_hash[there] != log.payload_hash[at]
        wrong = np.flatnonzero(differs & (sink.payload_hash[there] != log.claimed_hash[at]))
        counts = {"rows": len(there)}
        if not len(wrong):
            return Tally(Counter(counts))
        columns = sink.names(there[wrong])
        columns["log hash"] = [f"{value:016x}" for value in log.payload_hash[at[wrong]].tolist()]
        columns["sink hash"] = [f"{value:016x}" for value in sink.payload_hash[there[wrong]].tolist()]
        return listed(columns, **counts)

    def conclude(self, tally: Tally, history: History) -> Finding:
        """One is proof; none is proof only in a whole sink."""
        rows = tally.counts["rows"]
        text = f"{tally.total:,} of {counted(rows, 'row')} of the sink differ from the log"
        text += f": {spread(tally.spots)}." if tally.total else "."
        verdict = seen(tally.total, whole=history.whole("sink"))
        return finding(self.name, verdict, text, {"rows": rows, "corrupt": tally.total}, tally)


def _witnesses(shard: LogShard, rows: Array) -> Array:
    """Which of some rows of the sink stand where their send was acknowledged."""
    if not len(rows):
        return np.zeros(0, dtype=bool)
    sink, acks = shard.sink, shard.acks
    acked = set(zip(*(column.tolist() for column in (acks.partition, acks.offset, acks.sender, acks.seq)), strict=True))
    places = zip(
        *(column[rows].tolist() for column in (sink.partition, sink.offset, sink.sender, sink.seq)), strict=True
    )
    return np.array([place in acked for place in places], dtype=bool)


def _reach(shard: LogShard) -> tuple[Array, Array]:
    """For each row of the sink, the first and the last offset of its partition that the log's reader could see."""
    history = shard.history
    first = {number: low for number, (low, _, _) in history.log_spans.items()}
    last = {number: high for number, (_, high, _) in history.log_spans.items()}
    for number, given in history.partitions.items():
        first[number] = max(min(first.get(number, given.start), given.start), given.log_start_after)
        last.setdefault(number, given.end - 1)
    partition = shard.sink.partition
    return history.spread(partition, first, 0), history.spread(partition, last, -1)
