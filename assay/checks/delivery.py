"""From the producers to the log: was every acknowledged send kept, once, whole, in order, and nothing else?

The anomalies are those of Jepsen's Kafka workload (lost write, aborted read, duplicate, inconsistent offset) and of the
verifiers of Kafka's and Redpanda's own system tests, on dense sequence numbers instead of counts: counts let a
duplicate hide a loss.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from assay.checks.finding import UndecidedError, at_most, counted, finding, missing, ranges, seen
from assay.checks.records import Origin
from assay.ledger import Outcome
from assay.verdict import Finding, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from assay.checks.history import Array, History
    from assay.checks.records import Records
    from assay.checks.sends import Sends


def lost(history: History) -> Finding:
    """An acknowledged send that is absent from the log.

    Source: Kafka's contract for acks=all; Jepsen's "lost write". An acknowledged offset below the log's present first
    offset can't be looked up (retention took it): that is neither proof nor loss. Neither is it proof of loss when
    the reader has nothing at all of a partition that the brokers say is not empty: then it wasn't read.
    """
    acked = sum(int(np.count_nonzero(sends.having(Outcome.OK))) for sends in history.sends)
    gone: list[tuple[Sends, Array]] = []
    beyond = 0
    for sends, match in zip(history.sends, history.matches, strict=True):
        seqs = np.flatnonzero(sends.having(Outcome.OK) & (match.copies == 0))
        out_of_reach = sends.acked_offset[seqs] >= 0
        at = sends.acked_partition[seqs]
        out_of_reach &= (sends.acked_offset[seqs] < history.log_start_of(at)) | np.isin(at, _unread(history))
        beyond += int(np.count_nonzero(out_of_reach))
        gone.append((sends, seqs[~out_of_reach]))
    count = sum(len(seqs) for _, seqs in gone)
    verdict = missing(count, whole=history.log.whole)
    if verdict is Verdict.PASS and beyond:
        verdict = Verdict.UNKNOWN
    listing = _sends_listing(history, gone)
    listing["now there"] = [
        text
        for sends, seqs in gone
        for text in _holders(history.log, sends.acked_partition[seqs], sends.acked_offset[seqs])
    ]
    if count:
        where = "; ".join(f"{sends.producer}: {ranges(seqs)}" for sends, seqs in gone if len(seqs))
        text = f"{count:,} of {counted(acked, 'acknowledged message')} are not in the log (seqs of {where})."
    elif beyond:
        text = (
            f"{counted(beyond, 'acknowledged message')} can't be looked up: the log was not readable at their offsets."
        )
    else:
        text = f"0 of {counted(acked, 'acknowledged message')} are missing from the log; {at_most(acked)} are lost."
    measured = {"acknowledged": acked, "lost": count, "out_of_reach": beyond}
    if acked and not count:
        measured["upper_bound_95"] = 3 / acked  # type: ignore[assignment]  # a ratio among counts
    return finding("lost", verdict, text, measured, listing)


def aborted_read(history: History) -> Finding:
    """A send that was reported as certainly not written, yet stands in the log.

    Source: Jepsen's "aborted read" (G1a). A producer that is told "not persisted" sends again by itself: the record
    would be there twice without anybody's fault but the broker's.
    """
    failed = sum(int(np.count_nonzero(sends.having(Outcome.FAIL))) for sends in history.sends)
    there = [
        (sends, np.flatnonzero(sends.having(Outcome.FAIL) & (match.copies > 0)))
        for sends, match in zip(history.sends, history.matches, strict=True)
    ]
    count = sum(len(seqs) for _, seqs in there)
    text = f"{count:,} of {counted(failed, 'failed send')} stand in the log."
    verdict = seen(count, whole=history.log.whole)
    return finding("aborted read", verdict, text, {"failed": failed, "found": count}, _sends_listing(history, there))


def unknown_resolved(history: History) -> Finding:
    """A send with no certain outcome counts as written if the log has it, and as not written if the log has not.

    Source: Jepsen's `info` operations. Neither is an anomaly; both are listed, so that nobody files them as losses.
    """
    written, unwritten = [], []
    for sends, match in zip(history.sends, history.matches, strict=True):
        open_ends = sends.having(Outcome.UNKNOWN)
        written.append((sends, np.flatnonzero(open_ends & (match.copies > 0))))
        unwritten.append((sends, np.flatnonzero(open_ends & (match.copies == 0))))
    found, absent = sum(len(seqs) for _, seqs in written), sum(len(seqs) for _, seqs in unwritten)
    listing = _sends_listing(history, [*written, *unwritten])
    listing["resolved"] = ["written"] * found + ["not written"] * absent
    text = f"{counted(found + absent, 'send')} had no certain outcome: {found:,} were written, {absent:,} were not."
    verdict = missing(absent, whole=history.log.whole)
    if verdict is Verdict.FAIL:  # not an anomaly: an unknown send may be absent
        verdict = Verdict.PASS
    return finding("unknown resolved", verdict, text, {"written": found, "not_written": absent}, listing)


def phantom(history: History) -> Finding:
    """A record in the log that nobody attempted: this run's without an attempt, or another run's that isn't known.

    Source: Jepsen's "unexpected" element. Records with no run id are the platform's own traffic and only counted;
    another run's records are phantoms only where this run's records stand, from its first offset on.
    """
    log = history.log
    attempted = np.zeros(len(log), dtype=bool)
    for match in history.matches:
        attempted[match.rows] = True
    unattempted = (log.origin == Origin.OWN) & ~attempted
    strangers = (log.origin == Origin.STRANGER) & (log.offset >= history.start_of(log.partition))
    rows = np.flatnonzero(unattempted | strangers)
    own, foreign = int(np.count_nonzero(log.origin == Origin.OWN)), int(np.count_nonzero(log.origin == Origin.NONE))
    verdict = seen(len(rows), whole=log.whole)
    if verdict is Verdict.FAIL and not strangers.any() and not history.sends_whole:
        verdict = Verdict.UNKNOWN  # the attempt may be in the torn tail
    if len(rows):
        text = (
            f"{counted(len(rows), 'record')} of the log were never attempted by this run: "
            f"{np.count_nonzero(unattempted):,} bear its id, {np.count_nonzero(strangers):,} an unknown run's."
        )
    else:
        text = f"All {own:,} records of this run in the log were attempted by it."
    measured = {"records": own, "phantoms": len(rows), "without_run_id": foreign}
    return finding("phantom", verdict, text, measured, log.names(rows))


def duplicate(history: History) -> Finding:
    """One send at more than one offset. Never netted against losses; an idempotent producer makes none.

    Source: KIP-98 (idempotent producer); Jepsen's "duplicate".
    """
    listing: dict[str, list[Any]] = {"producer": [], "seq": [], "copies": [], "places": []}
    surplus = 0
    written = 0
    for sends, match in zip(history.sends, history.matches, strict=True):
        written += int(np.count_nonzero(match.copies))
        again = np.flatnonzero(match.copies > 1)
        if not len(again):
            continue
        surplus += int((match.copies[again] - 1).sum())
        rows = match.rows[np.isin(history.log.seq[match.rows], again)]
        rows = rows[np.argsort(history.log.seq[rows], kind="stable")]
        ends = np.cumsum(np.bincount(np.searchsorted(again, history.log.seq[rows]), minlength=len(again)))
        places = [
            f"{partition}@{offset}"
            for partition, offset in zip(
                history.log.partition[rows].tolist(), history.log.offset[rows].tolist(), strict=True
            )
        ]
        starts = np.r_[0, ends[:-1]]
        listing["producer"] += [sends.producer] * len(again)
        listing["seq"] += again.tolist()
        listing["copies"] += match.copies[again].tolist()
        listing["places"] += [
            ", ".join(places[start:end]) for start, end in zip(starts.tolist(), ends.tolist(), strict=True)
        ]
    count = len(listing["seq"])
    if count:
        text = f"More than once in the log: {counted(count, 'message')}, {counted(surplus, 'surplus record')}."
    else:
        text = f"0 of {counted(written, 'message')} stand in the log more than once; {at_most(written)} do."
    verdict = seen(count, whole=history.log.whole)
    return finding("duplicate", verdict, text, {"written": written, "duplicated": count, "surplus": surplus}, listing)


def corrupt(history: History) -> Finding:
    """A record whose value is not the value that was sent, by hash.

    The hash computed by the reader is held against the one recorded before the send, and against the one that the
    record's own header claims; the latter also covers other runs' records, whose attempts aren't in our ledgers.
    """
    log = history.log
    expected = log.claimed_hash.copy()
    wrong = (log.payload_hash != log.claimed_hash) & log.known
    for sends, match in zip(history.sends, history.matches, strict=True):
        sent = sends.payload_hash[log.seq[match.rows]]
        wrong[match.rows] |= (log.payload_hash[match.rows] != sent) | (log.claimed_hash[match.rows] != sent)
        expected[match.rows] = sent
    rows = np.flatnonzero(wrong)
    listing = log.names(rows)
    listing["sent hash"] = [f"{value:016x}" for value in expected[rows].tolist()]
    listing["log hash"] = [f"{value:016x}" for value in log.payload_hash[rows].tolist()]
    listing["header hash"] = [f"{value:016x}" for value in log.claimed_hash[rows].tolist()]
    known = int(np.count_nonzero(log.known))
    text = f"{len(rows):,} of {counted(known, 'record')} differ from what was sent."
    return finding("corrupt", seen(len(rows), whole=log.whole), text, {"records": known, "corrupt": len(rows)}, listing)


def reordered(history: History) -> Finding:
    """In one partition, the offsets of one producer's sends do not grow with their seq.

    Source: Kafka's ordering guarantee for an idempotent producer, per producer and partition. The order between
    producers is nobody's promise. Messages that stand in the log more than once are left to `duplicate`.
    """
    log = history.log
    listing: dict[str, list[Any]] = {"producer": [], "partition": [], "seq": [], "offset": [], "stands after seq": []}
    pairs = 0
    for sends, match in zip(history.sends, history.matches, strict=True):
        rows = match.rows[match.copies[log.seq[match.rows]] == 1]
        seq, partition = log.seq[rows], log.partition[rows]
        back = np.flatnonzero((np.diff(partition) == 0) & (np.diff(seq) < 0)) + 1
        pairs += len(rows)
        listing["producer"] += [sends.producer] * len(back)
        listing["partition"] += partition[back].tolist()
        listing["seq"] += seq[back].tolist()
        listing["offset"] += log.offset[rows[back]].tolist()
        listing["stands after seq"] += seq[back - 1].tolist()
    count = len(listing["seq"])
    text = (
        f"In {counted(count, 'place')}, a record stands behind a later one of the same producer and partition."
        if count
        else f"All {counted(pairs, 'record')} stand in the order in which they were sent, per producer and partition."
    )
    verdict = seen(count, whole=log.whole)
    return finding("reordered", verdict, text, {"records": pairs, "out_of_order": count}, listing)


def inconsistent_offset(history: History) -> Finding:
    """Two values were seen at one offset, or a record stands elsewhere than its acknowledgement said.

    Source: Jepsen's "inconsistent offsets". A send that stands at several offsets is consistent if one of them is the
    acknowledged one; a send that stands nowhere is `lost`, whatever its offset holds now.
    """
    log = history.log
    listing: dict[str, list[Any]] = {"producer": [], "seq": [], "partition": [], "offset": [], "contradiction": []}
    compared = 0
    for sends, match in zip(history.sends, history.matches, strict=True):
        acked = sends.having(Outcome.OK)
        elsewhere = acked & (sends.acked_partition != sends.partition)
        placed = acked & (sends.acked_offset >= 0) & (match.copies > 0)
        compared += int(np.count_nonzero(placed))
        agrees = np.zeros(len(placed), dtype=bool)
        seq = log.seq[match.rows]
        right = (log.offset[match.rows] == sends.acked_offset[seq]) & (
            log.partition[match.rows] == sends.acked_partition[seq]
        )
        agrees[seq[right]] = True
        for seqs, kind in (
            (np.flatnonzero(elsewhere), "asked"),
            (np.flatnonzero(placed & ~agrees & ~elsewhere), "stands"),
        ):
            listing["producer"] += [sends.producer] * len(seqs)
            listing["seq"] += seqs.tolist()
            listing["partition"] += sends.acked_partition[seqs].tolist()
            listing["offset"] += sends.acked_offset[seqs].tolist()
            listing["contradiction"] += [
                f"acknowledged in this partition, sent to {partition}"
                if kind == "asked"
                else f"acknowledged here, stands at {log.partition[row]}@{log.offset[row]}"
                for partition, row in zip(sends.partition[seqs].tolist(), match.row[seqs].tolist(), strict=True)
            ]
    names = log.names(log.conflicts)
    for name in ("producer", "seq", "partition", "offset"):
        listing[name] += names[name]
    listing["contradiction"] += [
        f"the same offset also showed {log.producers[code] if code >= 0 else 'no producer'} seq {seq}"
        for code, seq in zip(log.producer[log.conflicts - 1].tolist(), log.seq[log.conflicts - 1].tolist(), strict=True)
    ]
    count = len(listing["seq"])
    text = (
        f"{counted(count, 'record')} contradict where they were acknowledged or read."
        if count
        else f"All {counted(compared, 'acknowledged offset')} hold what was acknowledged there."
    )
    measured = {"compared": compared, "inconsistent": count, "read_again": log.repeats}
    return finding("inconsistent offset", seen(count, whole=log.whole), text, measured, listing)


def _unread(history: History) -> Array:
    """Partitions of which the reader has nothing, though the brokers say that they hold this run's records."""
    try:
        partitions = history.partitions
    except UndecidedError:
        return np.empty(0, dtype=np.int64)
    unread = [
        number for number, given in partitions.items() if given.end > given.start and number not in history.log.slices
    ]
    return np.array(unread, dtype=np.int64)


def _sends_listing(history: History, groups: Sequence[tuple[Sends, Array]]) -> dict[str, list[Any]]:
    """The columns that identify sends to a person; times are seconds since the load's first send, -1 for none."""
    began = min((int(sends.sent_ns[sends.attempted].min()) for sends in history.sends if len(sends)), default=0)
    return {
        "producer": [sends.producer for sends, seqs in groups for _ in range(len(seqs))],
        "seq": [seq for _, seqs in groups for seq in seqs.tolist()],
        "partition": [value for sends, seqs in groups for value in sends.partition[seqs].tolist()],
        "offset": [value for sends, seqs in groups for value in sends.acked_offset[seqs].tolist()],
        "sent_seconds": [_after(value, began) for sends, seqs in groups for value in sends.sent_ns[seqs].tolist()],
        "ended_seconds": [_after(value, began) for sends, seqs in groups for value in sends.ended_ns[seqs].tolist()],
    }


def _after(time_ns: int, began_ns: int) -> float:
    return round((time_ns - began_ns) / 1e9, 6) if time_ns >= 0 else -1.0


def _holders(log: Records, partition: Array, offset: Array) -> list[str]:
    """What stands at each place now."""
    rows = log.find(partition, offset)
    return [
        "nothing"
        if row < 0
        else f"{log.producers[log.producer[row]] if log.producer[row] >= 0 else '?'} seq {log.seq[row]}"
        for row in rows.tolist()
    ]
