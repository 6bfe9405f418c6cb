"""The books: can the log and the ledgers answer for the whole run, and do they add up?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from assay.checks.finding import counted, finding
from assay.ledger import Outcome
from assay.verdict import Finding, Verdict

if TYPE_CHECKING:
    from assay.checks.history import Array, History
    from assay.manifest import Partition


def truncated(history: History) -> Finding:
    """The log's history was cut during the run, so that the log can't answer for all of it.

    Cut are: a first offset that moved into this run's records, an end offset that went back, or a leader epoch that
    goes back with growing offsets (KIP-101). A first offset that moved only through older records (retention) takes
    nothing of this run away: it is said, and passes.
    """
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
    log = history.log
    known = np.flatnonzero(log.leader_epoch >= 0)
    back = known[1:][(np.diff(log.leader_epoch[known]) < 0) & (np.diff(log.partition[known]) == 0)]
    for row in back.tolist():
        cuts["partition"].append(int(log.partition[row]))
        cuts["cut"].append(f"leader epoch went back to {log.leader_epoch[row]} at offset {log.offset[row]}")
    count = len(cuts["cut"])
    text = (
        f"The log was cut in {counted(count, 'place')} during the run: it can't answer for every record."
        if count
        else "No partition's log was cut during the run"
        + (f" ({counted(older, 'partition')} shed older records)." if older else ".")
    )
    verdict = Verdict.UNKNOWN if count else Verdict.PASS
    return finding("truncated", verdict, text, {"cuts": count, "partitions_shedding_older_records": older}, cuts)


def conservation(history: History) -> Finding:
    """The books balance: attempted = ok + fail + unknown, and the log holds as many as the brokers count.

    Every attempt has one seq and at most one outcome, and in every partition every offset from this run's first to its
    last was read. An offset that is empty because a named loss was acknowledged there is left to `lost`. Books that
    don't balance accuse the book-keeping before they accuse Kafka: the verdict is `unknown`.
    """
    books: dict[str, list[Any]] = {"partition": [], "imbalance": []}
    totals = {"attempted": 0, "ok": 0, "fail": 0, "unknown": 0}
    for sends in history.sends:
        books["partition"] += [-1] * len(sends.defects)
        books["imbalance"] += sends.defects
        totals["attempted"] += len(sends)
        for outcome in Outcome:
            totals[outcome.name.lower()] += int(np.count_nonzero(sends.having(outcome)))
    offsets = 0
    for number, given in sorted(history.partitions.items()):
        first = max(given.start, given.log_start_after)
        asked = max(given.end - first, 0)
        read = _within(history.log.offset[history.log.slices.get(number, slice(0))], given)
        named = _losses(history, given)
        offsets += asked
        if asked != len(read) + np.count_nonzero(~np.isin(named, read)):
            books["partition"].append(number)
            books["imbalance"].append(
                f"the brokers count {asked:,} records from offset {first}, {len(read):,} were read"
            )
    count = len(books["imbalance"])
    if count:
        text = f"The books do not balance: {books['imbalance'][0]}" + (f", and {count - 1} more." if count > 1 else ".")
    else:
        text = (
            f"{totals['attempted']:,} attempted = {totals['ok']:,} ok + {totals['fail']:,} failed + "
            f"{totals['unknown']:,} unknown; all {offsets:,} offsets that the brokers count were read."
        )
    verdict = Verdict.UNKNOWN if count or not history.log.whole else Verdict.PASS
    return finding("conservation", verdict, text, {**totals, "offsets": offsets}, books)


def _within(offsets: Array, given: Partition) -> Array:
    """The distinct ones of sorted offsets that lie in this run's part of a partition."""
    here = offsets[(offsets >= max(given.start, given.log_start_after)) & (offsets < given.end)]
    return here[np.r_[True, np.diff(here) > 0]] if len(here) else here


def _losses(history: History, given: Partition) -> Array:
    """Offsets of a partition at which sends were acknowledged that the log does not have."""
    parts = [
        sends.acked_offset[sends.having(Outcome.OK) & (match.copies == 0) & (sends.acked_partition == given.partition)]
        for sends, match in zip(history.sends, history.matches, strict=True)
    ]
    return _within(np.sort(np.concatenate(parts)), given)
