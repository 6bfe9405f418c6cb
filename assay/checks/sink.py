"""From the log to the sink: did the consumers durably write every record that they committed, and nothing else?

The sink's rows are read back from the sink itself, and matched with the log by partition and offset. A consumer's own
counters are no evidence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from assay.checks.finding import UndecidedError, at_most, counted, finding, missing, seen
from assay.checks.records import Origin
from assay.ledger import Outcome
from assay.verdict import Finding, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from assay.checks.history import Array, History


def lost_downstream(history: History) -> Finding:
    """A record below the group's committed offset that the sink does not have.

    Source: at-least-once means that an offset is committed only after its output is durable. Judged are records of
    this run and of the runs named in the manifest; what has no run id may rightly be in the dead letters.
    """
    log = history.log
    settled = log.known & (log.offset < history.committed_of(log.partition))
    rows = np.flatnonzero(settled & (history.delivered == 0))
    total = int(np.count_nonzero(settled))
    if len(rows):
        text = f"{len(rows):,} of {counted(total, 'committed record')} are not in the sink."
    elif total:
        text = f"0 of {counted(total, 'committed record')} are missing from the sink; {at_most(total)} are lost."
    else:
        raise UndecidedError("the group committed no record of this run")
    measured: dict[str, float] = {"committed": total, "lost": len(rows)}
    if not len(rows):
        measured["upper_bound_95"] = 3 / total
    return finding("lost downstream", missing(len(rows), whole=history.sink.whole), text, measured, log.names(rows))


def unseen(history: History) -> Finding:
    """A record at or above the committed offset that the sink does not have: not lost, but nobody saw it arrive.

    The drain ended before the consumers had everything, so the run proves nothing about these records: `unknown`.
    """
    log = history.log
    rows = np.flatnonzero(log.known & (log.offset >= history.committed_of(log.partition)) & (history.delivered == 0))
    text = (
        f"{counted(len(rows), 'record')} of the log were not consumed when the run ended."
        if len(rows)
        else "Every record of the log was consumed before the run ended."
    )
    verdict = Verdict.UNKNOWN if len(rows) or not log.whole else Verdict.PASS
    return finding("unseen", verdict, text, {"unseen": len(rows)}, log.names(rows))


def redelivered(history: History) -> Finding:
    """One offset more than once in the sink: counted; allowed at least once, forbidden where `sink_repeats` says so."""
    sink = history.sink
    same = (np.diff(sink.partition) == 0) & (np.diff(sink.offset) == 0)
    rows = np.flatnonzero(same & sink.known[1:]) + 1
    allowed = history.manifest.objectives.sink_repeats
    text = f"{counted(len(rows), 'row')} of the sink repeat an offset" + (
        ", which delivery at least once allows." if allowed is None else f"; {allowed:,} are allowed."
    )
    verdict = Verdict.PASS if allowed is None else seen(max(len(rows) - allowed, 0), whole=sink.whole)
    return finding("redelivered", verdict, text, {"rows": len(sink), "repeated": len(rows)}, sink.names(rows))


def phantom_in_sink(history: History) -> Finding:
    """A row of the sink whose place in the log holds no such record: of another producer or seq, or of none at all.

    A row that is what was acknowledged at its offset witnesses a loss in the log, which `lost` names: it is no phantom.
    Judged are rows from the first offset that the log's reader has; beyond its last one, only this run's rows, as the
    platform's own traffic may go on while we read.
    """
    sink, log = history.sink, history.log
    rows = history.sink_rows
    first, last = _reach(history)
    covered = sink.offset >= first
    covered &= (sink.offset <= last) | (sink.origin == Origin.OWN)
    nowhere = covered & (rows < 0)
    at = np.maximum(rows, 0)
    other = np.zeros(len(sink), dtype=bool)
    if len(log):
        run = _recoded(log.run, log.runs, sink.runs)[at]
        producer = _recoded(log.producer, log.producers, sink.producers)[at]
        other = (rows >= 0) & (
            (sink.seq != log.seq[at])
            | (sink.origin != log.origin[at])
            | (sink.run != run)
            | (sink.producer != producer)
        )
        other &= sink.known | log.known[at]
        if len(log.conflicts):
            other &= ~np.isin(at + 1, log.conflicts)  # two values at one offset: `inconsistent offset` names it
    wrong = np.flatnonzero((nowhere | other) & ~_witnesses(history))
    text = (
        f"{counted(len(wrong), 'row')} of the sink are not what stands at their offset in the log."
        if len(wrong)
        else f"All {counted(len(sink), 'row')} of the sink stand in the log."
    )
    verdict = seen(len(wrong), whole=sink.whole)
    if verdict is Verdict.FAIL and not log.whole and not other.any():
        verdict = Verdict.UNKNOWN
    return finding("phantom in sink", verdict, text, {"rows": len(sink), "phantoms": len(wrong)}, sink.names(wrong))


def corrupt_in_sink(history: History) -> Finding:
    """A row of the sink whose payload hash differs from that of the record in the log at its offset.

    Where the log's record itself is not what was sent, and the sink's row is, the fault is the log's: see `corrupt`.
    """
    sink, log = history.sink, history.log
    rows = history.sink_rows
    there = np.flatnonzero((rows >= 0) & sink.known)
    there = there[sink.seq[there] == log.seq[rows[there]]]
    wrong = there[sink.payload_hash[there] != log.payload_hash[rows[there]]]
    wrong = wrong[~_as_sent(history, wrong)]
    listing = sink.names(wrong)
    listing["log hash"] = [f"{value:016x}" for value in log.payload_hash[rows[wrong]].tolist()]
    listing["sink hash"] = [f"{value:016x}" for value in sink.payload_hash[wrong].tolist()]
    text = f"{len(wrong):,} of {counted(len(there), 'row')} of the sink differ from the log."
    verdict = seen(len(wrong), whole=sink.whole)
    return finding("corrupt in sink", verdict, text, {"rows": len(there), "corrupt": len(wrong)}, listing)


def _witnesses(history: History) -> Array:
    """A mask of the sink's rows that stand where their send was acknowledged."""
    sink = history.sink
    mask = np.zeros(len(sink), dtype=bool)
    for index, sends in enumerate(history.sends):
        rows = np.flatnonzero((sink.sender == index) & (sink.seq >= 0) & (sink.seq < len(sends.attempted)))
        seq = sink.seq[rows]
        mask[rows] = (
            sends.having(Outcome.OK)[seq]
            & (sends.acked_offset[seq] == sink.offset[rows])
            & (sends.acked_partition[seq] == sink.partition[rows])
        )
    return mask


def _as_sent(history: History, rows: Array) -> Array:
    """A mask of the given rows of the sink whose payload is what this run sent under that seq."""
    sink = history.sink
    mask = np.zeros(len(rows), dtype=bool)
    for index, sends in enumerate(history.sends):
        here = np.flatnonzero(sink.sender[rows] == index)
        seq = sink.seq[rows[here]]
        here, seq = here[(seq >= 0) & (seq < len(sends.attempted))], seq[(seq >= 0) & (seq < len(sends.attempted))]
        mask[here] = sends.attempted[seq] & (sink.payload_hash[rows[here]] == sends.payload_hash[seq])
    return mask


def _reach(history: History) -> tuple[Array, Array]:
    """For each row of the sink, the first and the last offset of its partition that the log's reader could see."""
    first, last = {}, {}
    for number, where in history.log.slices.items():
        offsets = history.log.offset[where]
        first[number], last[number] = int(offsets[0]), int(offsets[-1])
    for number, given in history.partitions.items():
        first[number] = max(min(first.get(number, given.start), given.start), given.log_start_after)
        last.setdefault(number, given.end - 1)
    partition = history.sink.partition
    return history.spread(partition, first, 0), history.spread(partition, last, -1)


def _recoded(codes: Array, names: Sequence[str], target: Sequence[str]) -> Array:
    """Codes into `names` as codes into `target`; -2 for a name that `target` has not, -1 stays -1."""
    places = {name: code for code, name in enumerate(target)}
    table = np.array([*(places.get(name, -2) for name in names), -1])
    recoded: Array = table[codes]
    return recoded
