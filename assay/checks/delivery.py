"""From the producers to the log: was every acknowledged send kept, once, whole, in order, and nothing else?

The anomalies are those of Jepsen's Kafka workload (lost write, aborted read, duplicate, inconsistent offset) and of the
verifiers of Kafka's and Redpanda's own system tests, on dense sequence numbers instead of counts: counts let a
duplicate hide a loss.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from assay.checks.check import Check
from assay.checks.finding import at_most, counted, finding, missing, seen, spread
from assay.checks.records import Origin
from assay.checks.tally import Tally, listed, stacked
from assay.ledger import Outcome
from assay.verdict import Finding, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from assay.checks.history import Array, History
    from assay.checks.sends import Sends
    from assay.checks.shards import LogShard, SendsShard


class Lost(Check):
    """An acknowledged send that is absent from the log.

    Source: Kafka's contract for acks=all; Jepsen's "lost write". An acknowledged offset below the log's present first
    offset can't be looked up (retention took it): that is neither proof nor loss. Neither is it proof of loss when
    the reader has nothing at all of a partition that the brokers say is not empty: then it wasn't read.
    """

    name = "lost"
    needs = ("sends", "log", "partitions")

    def of_sends(self, shard: SendsShard) -> Tally:
        """Acknowledged sends that stand nowhere."""
        history, gone = shard.history, []
        acked = beyond = 0
        for sends, stood in shard.pairs():
            ok = sends.having(Outcome.OK)
            acked += int(np.count_nonzero(ok))
            absent = np.flatnonzero(ok & (stood.copies == 0))
            if len(absent):
                at = sends.acked_partition[absent]
                unreachable = (sends.acked_offset[absent] >= 0) & (
                    sends.acked_offset[absent] < history.log_start_of(at)
                )
                unreachable |= np.isin(at, _unread(history))
                beyond += int(np.count_nonzero(unreachable))
                gone.append((sends, absent[~unreachable]))
        return _sends(history, gone, acknowledged=acked, out_of_reach=beyond)

    def conclude(self, tally: Tally, history: History) -> Finding:
        """No loss is a sample: its upper bound is said."""
        acked, beyond = tally.counts["acknowledged"], tally.counts["out_of_reach"]
        verdict = missing(tally.total, whole=history.whole("log"))
        if verdict is Verdict.PASS and beyond:
            verdict = Verdict.UNKNOWN
        if tally.total:
            text = (
                f"{tally.total:,} of {counted(acked, 'acknowledged message')} are not in the log: "
                f"{spread(tally.spots)}."
            )
        elif beyond:
            text = (
                f"{counted(beyond, 'acknowledged message')} can't be looked up: "
                "the log was not readable at their offsets."
            )
        else:
            text = f"0 of {counted(acked, 'acknowledged message')} are missing from the log; {at_most(acked)} are lost."
        measured: dict[str, float] = {"acknowledged": acked, "lost": tally.total, "out_of_reach": beyond}
        if acked and not tally.total:
            measured["upper_bound_95"] = 3 / acked
        return finding(self.name, verdict, text, measured, tally)


class AbortedRead(Check):
    """A send that was reported as certainly not written, yet stands in the log.

    Source: Jepsen's "aborted read" (G1a). A producer that is told "not persisted" sends again by itself: the record
    would be there twice without anybody's fault but the broker's.
    """

    name = "aborted read"
    needs = ("sends", "log")

    def of_sends(self, shard: SendsShard) -> Tally:
        """Failed sends that stand somewhere."""
        there, failed = [], 0
        for sends, stood in shard.pairs():
            mask = sends.having(Outcome.FAIL)
            failed += int(np.count_nonzero(mask))
            there.append((sends, np.flatnonzero(mask & (stood.copies > 0))))
        return _sends(shard.history, there, failed=failed)

    def conclude(self, tally: Tally, history: History) -> Finding:
        """One is proof; none is proof only in a whole log."""
        failed = tally.counts["failed"]
        text = f"{tally.total:,} of {counted(failed, 'failed send')} stand in the log."
        if tally.total:
            text = text.rstrip(".") + f": {spread(tally.spots)}."
        verdict = seen(tally.total, whole=history.whole("log"))
        return finding(self.name, verdict, text, {"failed": failed, "found": tally.total}, tally)


class UnknownResolved(Check):
    """A send with no certain outcome counts as written if the log has it, and as not written if the log has not.

    Source: Jepsen's `info` operations. Neither is an anomaly; both are listed, so that nobody files them as losses.
    """

    name = "unknown resolved"
    needs = ("sends", "log")

    def of_sends(self, shard: SendsShard) -> Tally:
        """Sends without a certain end, those that stand somewhere first."""
        written, unwritten = [], []
        for sends, stood in shard.pairs():
            open_ends = sends.having(Outcome.UNKNOWN)
            written.append((sends, np.flatnonzero(open_ends & (stood.copies > 0))))
            unwritten.append((sends, np.flatnonzero(open_ends & (stood.copies == 0))))
        found, absent = (sum(len(index) for _, index in group) for group in (written, unwritten))
        tally = _sends(shard.history, [*written, *unwritten], written=found, not_written=absent)
        if tally.rows is None:
            return tally
        resolved = pa.array(["written"] * found + ["not written"] * absent)
        return Tally(
            tally.counts, rows=tally.rows.append_column("resolved", resolved), total=tally.total, spots=tally.spots
        )

    def conclude(self, tally: Tally, history: History) -> Finding:
        """Absence in a torn log resolves nothing."""
        found, absent = tally.counts["written"], tally.counts["not_written"]
        text = f"{counted(found + absent, 'send')} had no certain outcome: {found:,} were written, {absent:,} were not."
        verdict = Verdict.PASS if history.whole("log") or not absent else Verdict.UNKNOWN
        return finding(self.name, verdict, text, {"written": found, "not_written": absent}, tally)


class Phantom(Check):
    """A record in the log that nobody attempted: this run's without an attempt, or another run's that isn't known.

    Source: Jepsen's "unexpected" element. Records with no run id are the platform's own traffic and only counted;
    another run's records are phantoms only where this run's records stand, from its first offset on.
    """

    name = "phantom"
    needs = ("sends", "log", "partitions")

    def of_log(self, shard: LogShard) -> Tally:
        """Records that no attempt explains."""
        log, history = shard.log, shard.history
        own = log.origin == Origin.OWN
        # A seq that an attempts' ledger left out of its row counts as attempted here: `conservation` names the gap.
        sizes = np.array([sender.size for sender in history.senders] + [0])
        unattempted = own & ~((log.seq >= 0) & (log.seq < sizes[log.sender]))
        strangers = log.origin == Origin.STRANGER
        if strangers.any():
            strangers &= log.offset >= history.start_of(log.partition)
        rows = np.flatnonzero(unattempted | strangers)
        return listed(
            log.names(rows),
            records=int(np.count_nonzero(own)),
            own=int(np.count_nonzero(unattempted)),
            strangers=int(np.count_nonzero(strangers)),
            without_run_id=int(np.count_nonzero(log.origin == Origin.NONE)),
        )

    def conclude(self, tally: Tally, history: History) -> Finding:
        """If attempts are missing from their ledger, a record of this run may be one of theirs."""
        counts = tally.counts
        verdict = seen(tally.total, whole=history.whole("log"))
        if verdict is Verdict.FAIL and not counts["strangers"] and not history.whole("attempts"):
            verdict = Verdict.UNKNOWN
        if tally.total:
            text = (
                f"{counted(tally.total, 'record')} of the log were never attempted by this run: "
                f"{counts['own']:,} bear its id, {counts['strangers']:,} an unknown run's: {spread(tally.spots)}."
            )
        else:
            text = f"All {counts['records']:,} records of this run in the log were attempted by it."
        measured = {
            "records": counts["records"],
            "phantoms": tally.total,
            "without_run_id": counts["without_run_id"],
        }
        return finding(self.name, verdict, text, measured, tally)


class Duplicate(Check):
    """One send at more than one offset. Never netted against losses; an idempotent producer makes none.

    Source: KIP-98 (idempotent producer); Jepsen's "duplicate".
    """

    name = "duplicate"
    needs = ("sends", "log")

    def of_sends(self, shard: SendsShard) -> Tally:
        """Sends that stand at several places."""
        groups: list[dict[str, Any]] = []
        written = surplus = 0
        for sends, stood in shard.pairs():
            written += int(np.count_nonzero(stood.copies))
            again = np.flatnonzero(stood.copies > 1)
            if not len(again):
                continue
            surplus += int((stood.copies[again] - 1).sum())
            rows = np.flatnonzero(np.isin(stood.index, again))
            rows = rows[np.argsort(stood.index[rows], kind="stable")]
            ends = np.cumsum(np.bincount(np.searchsorted(again, stood.index[rows]), minlength=len(again)))
            places = [
                f"{partition}@{offset}"
                for partition, offset in zip(stood.partition[rows].tolist(), stood.offset[rows].tolist(), strict=True)
            ]
            starts = np.r_[0, ends[:-1]]
            groups.append(
                {
                    "producer": [sends.producer] * len(again),
                    "seq": again + sends.first,
                    "partition": stood.partition[stood.row[again]],
                    "offset": stood.offset[stood.row[again]],
                    "copies": stood.copies[again],
                    "places": [
                        ", ".join(places[start:end]) for start, end in zip(starts.tolist(), ends.tolist(), strict=True)
                    ],
                }
            )
        return listed(stacked(groups), written=written, surplus=surplus)

    def conclude(self, tally: Tally, history: History) -> Finding:
        """None is a sample: its upper bound is said."""
        written, surplus = tally.counts["written"], tally.counts["surplus"]
        if tally.total:
            text = (
                f"More than once in the log: {counted(tally.total, 'message')}, {counted(surplus, 'surplus record')}: "
                f"{spread(tally.spots)}."
            )
        else:
            text = f"0 of {counted(written, 'message')} stand in the log more than once; {at_most(written)} do."
        measured = {"written": written, "duplicated": tally.total, "surplus": surplus}
        return finding(self.name, seen(tally.total, whole=history.whole("log")), text, measured, tally)


class Corrupt(Check):
    """A record whose value is not the value that was sent, by hash.

    The hash computed by the reader is held against the one recorded before the send, and against the one that the
    record's own header claims; the latter also covers other runs' records, whose attempts aren't in our ledgers.
    """

    name = "corrupt"
    needs = ("sends", "log")

    def of_sends(self, shard: SendsShard) -> Tally:
        """Records that differ from this run's sends."""
        groups: list[dict[str, Any]] = []
        compared = 0
        for sends, stood in shard.pairs():
            sent = sends.payload_hash[stood.index]
            compared += len(sent)
            wrong = np.flatnonzero((stood.payload_hash != sent) | (stood.claimed_hash != sent))
            if len(wrong):
                groups.append(
                    {
                        "run": [shard.history.manifest.run_id] * len(wrong),
                        "producer": [sends.producer] * len(wrong),
                        "seq": stood.index[wrong] + sends.first,
                        "partition": stood.partition[wrong],
                        "offset": stood.offset[wrong],
                        "sent hash": _hexadecimal(sent[wrong]),
                        "log hash": _hexadecimal(stood.payload_hash[wrong]),
                        "header hash": _hexadecimal(stood.claimed_hash[wrong]),
                    }
                )
        return listed(stacked(groups), records=compared)

    def of_log(self, shard: LogShard) -> Tally:
        """Records of other known runs that differ from what their own header claims."""
        log = shard.log
        others = log.origin == Origin.OTHER
        rows = np.flatnonzero(others & (log.payload_hash != log.claimed_hash))
        counts = {"records": int(np.count_nonzero(others))}
        if not len(rows):
            return Tally(Counter(counts))
        columns = log.names(rows)
        columns["sent hash"] = [""] * len(rows)
        columns["log hash"] = _hexadecimal(log.payload_hash[rows])
        columns["header hash"] = _hexadecimal(log.claimed_hash[rows])
        return listed(columns, **counts)

    def conclude(self, tally: Tally, history: History) -> Finding:
        """One is proof; none is proof only in a whole log."""
        records = tally.counts["records"]
        text = f"{tally.total:,} of {counted(records, 'record')} differ from what was sent."
        if tally.total:
            text = text.rstrip(".") + f": {spread(tally.spots)}."
        verdict = seen(tally.total, whole=history.whole("log"))
        return finding(self.name, verdict, text, {"records": records, "corrupt": tally.total}, tally)


class Reordered(Check):
    """In one partition, the offsets of one producer's sends do not grow with their seq.

    Source: Kafka's ordering guarantee for an idempotent producer, per producer and partition. The order between
    producers is nobody's promise. Messages that stand in the log more than once are left to `duplicate`.
    """

    name = "reordered"
    needs = ("sends", "log")

    def of_sends(self, shard: SendsShard) -> Tally:
        """Neighbours in seq whose offsets fall; what stands at the ends is compared with the next shard's."""
        groups: list[dict[str, Any]] = []
        edges: list[tuple[Any, ...]] = []
        records = 0
        for sends, stood in shard.pairs():
            index = np.flatnonzero(stood.once)
            rows = stood.row[index]
            records += len(index)
            partition, offset = stood.partition[rows], stood.offset[rows]
            for number in np.unique(partition).tolist():
                mine = np.flatnonzero(partition == number)
                seqs, offsets = index[mine] + sends.first, offset[mine]
                back = np.flatnonzero(np.diff(offsets) < 0) + 1
                if len(back):
                    groups.append(_out_of_order(sends.producer, number, seqs, offsets, back))
                edges.append(
                    (sends.producer, number, *(int(end) for end in (seqs[0], offsets[0], seqs[-1], offsets[-1])))
                )
        tally = listed(stacked(groups), records=records)
        return Tally(tally.counts, rows=tally.rows, total=tally.total, spots=tally.spots, edges=tuple(edges))

    def conclude(self, tally: Tally, history: History) -> Finding:
        """Neighbours may stand in two shards."""
        last: dict[tuple[str, int], tuple[int, int]] = {}
        borders: list[dict[str, Any]] = []
        for producer, number, first_seq, first_offset, last_seq, last_offset in tally.edges:
            before = last.get((producer, number))
            if before is not None and first_offset < before[1]:
                seqs, offsets = np.array([before[0], first_seq]), np.array([before[1], first_offset])
                borders.append(_out_of_order(producer, number, seqs, offsets, np.array([1])))
            last[producer, number] = last_seq, last_offset
        late = stacked(borders)
        records, total = tally.counts["records"], tally.total + len(borders)
        text = (
            f"In {counted(total, 'place')}, a record stands before an earlier one of the same producer and "
            f"partition: {spread((tally + listed(late)).spots)}."
            if total
            else f"All {counted(records, 'record')} stand in the order in which they were sent, per producer and "
            "partition."
        )
        verdict = seen(total, whole=history.whole("log"))
        return finding(self.name, verdict, text, {"records": records, "out_of_order": total}, tally, late=late)


class InconsistentOffset(Check):
    """Two values were seen at one offset, or a record stands elsewhere than its acknowledgement said.

    Source: Jepsen's "inconsistent offsets". A send that stands at several offsets is consistent if one of them is the
    acknowledged one; a send that stands nowhere is `lost`, whatever its offset holds now.
    """

    name = "inconsistent offset"
    needs = ("sends", "log")

    def of_sends(self, shard: SendsShard) -> Tally:
        """Sends that stand elsewhere than acknowledged, or were acknowledged in another partition than asked for."""
        groups: list[dict[str, Any]] = []
        compared = 0
        for sends, stood in shard.pairs():
            acked = sends.having(Outcome.OK)
            elsewhere = acked & (sends.acked_partition != sends.partition)
            placed = acked & (sends.acked_offset >= 0) & (stood.copies > 0)
            compared += int(np.count_nonzero(placed))
            agrees = np.zeros(len(placed), dtype=bool)
            right = (stood.offset == sends.acked_offset[stood.index]) & (
                stood.partition == sends.acked_partition[stood.index]
            )
            agrees[stood.index[right]] = True
            for index, asked in (
                (np.flatnonzero(elsewhere), True),
                (np.flatnonzero(placed & ~agrees & ~elsewhere), False),
            ):
                if not len(index):
                    continue
                row = stood.row[index]
                words = (
                    [f"acknowledged in this partition, sent to {number}" for number in sends.partition[index].tolist()]
                    if asked
                    else [
                        f"acknowledged here, stands at {number}@{offset}"
                        for number, offset in zip(
                            stood.partition[row].tolist(), stood.offset[row].tolist(), strict=True
                        )
                    ]
                )
                groups.append(
                    {
                        "producer": [sends.producer] * len(index),
                        "seq": index + sends.first,
                        "partition": sends.acked_partition[index],
                        "offset": sends.acked_offset[index],
                        "contradiction": words,
                    }
                )
        return listed(stacked(groups), compared=compared)

    def of_log(self, shard: LogShard) -> Tally:
        """Places that showed two values."""
        log = shard.log
        counts = Counter(read_again=log.repeats)
        if not len(log.conflicts):
            return Tally(counts)
        before = log.conflicts - 1
        columns = log.names(log.conflicts)
        del columns["run"]
        columns["contradiction"] = [
            f"the same offset also showed {name or 'no producer'} seq {seq}"
            for name, seq in zip(
                log.names_of.producers.column(log.producer[before]).to_pylist(), log.seq[before].tolist(), strict=True
            )
        ]
        return listed(columns, **counts)

    def conclude(self, tally: Tally, history: History) -> Finding:
        """One is proof; none is proof only in a whole log."""
        compared = tally.counts["compared"]
        text = (
            f"{counted(tally.total, 'record')} contradict where they were acknowledged or read: {spread(tally.spots)}."
            if tally.total
            else f"All {counted(compared, 'acknowledged offset')} hold what was acknowledged there."
        )
        measured = {"compared": compared, "inconsistent": tally.total, "read_again": tally.counts["read_again"]}
        return finding(self.name, seen(tally.total, whole=history.whole("log")), text, measured, tally)


def _unread(history: History) -> Array:
    """Partitions of which the reader has nothing, though the brokers say that they hold this run's records."""
    unread = [
        number
        for number, given in history.partitions.items()
        if given.end > given.start and number not in history.log_spans
    ]
    return np.array(unread, dtype=np.int64)


def _sends(history: History, groups: Sequence[tuple[Sends, Array]], **counts: int) -> Tally:
    """A tally of sends, given by producer as indices, in the columns that identify them to a person.

    Times are seconds since the load's first send, -1 for none.
    """
    columns = [
        {
            "producer": [sends.producer] * len(index),
            "seq": index + sends.first,
            "partition": np.where(
                sends.acked_partition[index] >= 0, sends.acked_partition[index], sends.partition[index]
            ),
            "offset": sends.acked_offset[index],
            "sent_seconds": history.seconds(sends.sent_ns[index]),
            "ended_seconds": history.seconds(sends.ended_ns[index]),
        }
        for sends, index in groups
        if len(index)
    ]
    return listed(stacked(columns), **counts)


def _out_of_order(producer: str, number: int, seqs: Array, offsets: Array, back: Array) -> dict[str, Any]:
    return {
        "producer": [producer] * len(back),
        "partition": np.full(len(back), number),
        "seq": seqs[back],
        "offset": offsets[back],
        "stands before seq": seqs[back - 1],
    }


def _hexadecimal(values: Array) -> list[str]:
    return [f"{value:016x}" for value in values.tolist()]
