"""The books: can the log and the ledgers answer for the whole run, and do they add up?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from assay.checks.check import Check
from assay.checks.finding import counted, finding
from assay.checks.tally import Tally, listed
from assay.ledger import Outcome
from assay.verdict import Finding, Verdict

if TYPE_CHECKING:
    from assay.checks.history import History
    from assay.checks.shards import LogShard, SendsShard


class Truncated(Check):
    """The log's history was cut during the run, so that the log can't answer for all of it.

    Cut are: a first offset that moved into this run's records, an end offset that went back, or a leader epoch that
    goes back with growing offsets (KIP-101). A first offset that moved only through older records (retention) takes
    nothing of this run away: it is said, and passes.
    """

    name = "truncated"
    needs = ("log", "partitions")

    def of_log(self, shard: LogShard) -> Tally:
        """Epochs that fall; what stands at the ends is compared with the next shard's."""
        log = shard.log
        known = np.flatnonzero(log.leader_epoch >= 0)
        partition, epoch, offset = log.partition[known], log.leader_epoch[known], log.offset[known]
        back = np.flatnonzero((np.diff(epoch) < 0) & (np.diff(partition) == 0)) + 1
        tally = listed({"partition": partition[back], "cut": [_fell(epoch[row], offset[row]) for row in back.tolist()]})
        starts = np.flatnonzero(np.r_[True, np.diff(partition) != 0]) if len(known) else known
        ends = np.r_[starts[1:] - 1, len(known) - 1] if len(known) else known
        edges = tuple(
            zip(*(one.tolist() for one in (partition[starts], epoch[starts], offset[starts], epoch[ends])), strict=True)
        )
        return Tally(edges=edges, rows=tally.rows, total=tally.total)

    def conclude(self, tally: Tally, history: History) -> Finding:
        """What the brokers said of the partitions' ends, and epochs across the shards' borders."""
        cuts: dict[str, list[Any]] = {"partition": [], "cut": []}
        older = 0
        for number, given in sorted(history.partitions.items()):
            if given.log_start_after > given.start:
                cuts["partition"].append(number)
                cuts["cut"].append(f"first offset moved to {given.log_start_after}, this run starts at {given.start}")
            elif given.log_start_after > given.log_start:
                older += 1
            if given.end < given.start:
                cuts["partition"].append(number)
                cuts["cut"].append(f"end offset went back from {given.start} to {given.end}")
        last: dict[int, int] = {}
        for number, first_epoch, first_offset, last_epoch in tally.edges:
            if first_epoch < last.get(number, first_epoch):
                cuts["partition"].append(number)
                cuts["cut"].append(_fell(first_epoch, first_offset))
            last[number] = last_epoch
        total = tally.total + len(cuts["cut"])
        text = (
            f"The log was cut in {counted(total, 'place')} during the run: it can't answer for every record."
            if total
            else "No partition's log was cut during the run"
            + (f" ({counted(older, 'partition')} shed older records)." if older else ".")
        )
        verdict = Verdict.UNKNOWN if total else Verdict.PASS
        measured = {"cuts": total, "partitions_shedding_older_records": older}
        return finding(self.name, verdict, text, measured, tally, late=cuts)


class Conservation(Check):
    """The books balance: attempted = ok + fail + unknown, and the log holds as many as the brokers count.

    Every attempt has one seq and at most one outcome, and in every partition every offset from this run's first to its
    last was read. An offset that is empty though a send was acknowledged there is left to `lost` and `inconsistent
    offset`. Books that don't balance accuse the book-keeping before they accuse Kafka: the verdict is `unknown`.
    """

    name = "conservation"
    needs = ("sends", "log", "partitions")

    def of_sends(self, shard: SendsShard) -> Tally:
        """Sends by outcome, and what is wrong with the ledgers themselves."""
        counts = {"attempted": 0, "ok": 0, "fail": 0, "unknown": 0, "outcomes": 0}
        defects: list[str] = []
        for sends in shard.sends:
            defects += sends.defects
            counts["attempted"] += len(sends)
            counts["outcomes"] += sends.outcomes
            for outcome in Outcome:
                counts[outcome.name.lower()] += int(np.count_nonzero(sends.having(outcome)))
        return listed({"partition": [-1] * len(defects), "imbalance": defects}, **counts)

    def of_log(self, shard: LogShard) -> Tally:
        """Offsets that were read, by partition, and holes that an acknowledgement explains."""
        history, log = shard.history, shard.log
        counts = {}
        for number, (low, high) in history.windows.of(shard.window).items():
            given = history.partitions.get(number)
            if given is None:
                continue
            first, last = max(low, given.start, given.log_start_after), min(high, given.end)
            if first >= last:
                continue
            offsets = log.offset[log.slices.get(number, slice(0))]
            offsets = offsets[np.searchsorted(offsets, first) : np.searchsorted(offsets, last)]
            read = int(np.count_nonzero(np.diff(offsets))) + 1 if len(offsets) else 0
            counts[f"read {number}"] = read
            if read != last - first:
                acks = shard.acks
                acked = acks.offset[(acks.partition == number) & (acks.offset >= first) & (acks.offset < last)]
                counts[f"explained {number}"] = len(np.setdiff1d(acked, offsets))
        return listed({}, **counts)

    def conclude(self, tally: Tally, history: History) -> Finding:
        """Every offset that the brokers count was read, or is explained."""
        books: dict[str, list[Any]] = {"partition": [], "imbalance": []}
        rows = sum(sender.outcomes.rows for sender in history.senders if sender.outcomes is not None)
        if rows > tally.counts["outcomes"]:
            strays = rows - tally.counts["outcomes"]
            books["partition"].append(-1)
            books["imbalance"].append(f"{counted(strays, 'outcome')} belong to no attempt")
        offsets = 0
        for number, given in sorted(history.partitions.items()):
            first = max(given.start, given.log_start_after)
            asked = max(given.end - first, 0)
            offsets += asked
            read = tally.counts[f"read {number}"]
            if asked != read + tally.counts[f"explained {number}"]:
                books["partition"].append(number)
                books["imbalance"].append(
                    f"the brokers count {asked:,} records from offset {first}, {read:,} were read"
                )
        counts = {name: tally.counts[name] for name in ("attempted", "ok", "fail", "unknown")}
        imbalances = [*(tally.rows["imbalance"].to_pylist() if tally.rows is not None else ()), *books["imbalance"]]
        total = tally.total + len(books["imbalance"])
        if total:
            text = f"The books do not balance: {imbalances[0]}" + (f", and {total - 1:,} more." if total > 1 else ".")
        else:
            text = (
                f"{counts['attempted']:,} attempted = {counts['ok']:,} ok + {counts['fail']:,} failed + "
                f"{counts['unknown']:,} unknown; all {offsets:,} offsets that the brokers count were read."
            )
        verdict = Verdict.UNKNOWN if total or not history.whole("log") else Verdict.PASS
        return finding(self.name, verdict, text, {**counts, "offsets": offsets}, tally, late=books)


def _fell(epoch: int, offset: int) -> str:
    return f"leader epoch went back to {epoch} at offset {offset}"
