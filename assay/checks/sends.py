"""What one producer sent: its attempts and how they ended, joined on seq, for a range of seqs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from assay.checks.columns import Names, filled
from assay.checks.finding import UndecidedError, counted, ranges
from assay.ledger import SCHEMAS, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from assay.ledger import Ledger

    Array = np.ndarray[Any, Any]

#: A seq far beyond the number of rows is damage, not data: no array is made for it.
_SPARSEST: Final = 2
_SLACK: Final = 1024


@dataclass(frozen=True, eq=False)
class Sender:
    """A producer's two ledgers, and where in them which seqs are.

    Attributes:
        name: The producer.
        attempts: Its ledger of attempts.
        outcomes: Its ledger of outcomes; None where there is none.
        size: One more than its greatest seq.
        attempt_seqs: The bounds of `seq` in each chunk of the attempts.
        outcome_seqs: Likewise of the outcomes.
    """

    name: str
    attempts: Ledger
    outcomes: Ledger | None
    size: int
    attempt_seqs: Sequence[tuple[int, int] | None]
    outcome_seqs: Sequence[tuple[int, int] | None]


def sender_of(attempts: Ledger, outcomes: Ledger | None) -> Sender:
    """A producer's ledgers, looked over.

    Raises:
        UndecidedError: The seqs are nowhere near dense.
    """
    seqs = attempts.bounds("seq")
    known = [bounds for bounds in seqs if bounds]
    size = max((high for _, high in known), default=-1) + 1
    if known and (min(low for low, _ in known) < 0 or size > _SPARSEST * attempts.rows + _SLACK):
        raise UndecidedError(f"the seqs of producer {attempts.producer} are not dense")
    return Sender(attempts.producer, attempts, outcomes, size, seqs, outcomes.bounds("seq") if outcomes else ())


@dataclass(frozen=True, eq=False)
class Sends:
    """Sends of one producer, every array indexed by seq less `first`.

    Attributes:
        producer: Its name.
        first: The seq at index 0.
        attempted: Whether this seq was attempted at all; all true in a sound ledger.
        partition: The partition asked for.
        intended_ns: When it should have been sent.
        sent_ns: When it was handed to the client.
        payload_hash: The hash of the value sent.
        outcome: An `Outcome`; UNKNOWN where none was recorded.
        ended: Whether an outcome was recorded.
        acked_partition: From the acknowledgement; -1 where there is none.
        acked_offset: From the acknowledgement; -1 where there is none.
        ended_ns: When the outcome was learnt; -1 where there is none.
        errors: How often each error text was seen.
        outcomes: How many rows of outcomes were read for it.
        defects: What is wrong with the ledgers themselves, each a clause.
    """

    producer: str
    first: int
    attempted: Array
    partition: Array
    intended_ns: Array
    sent_ns: Array
    payload_hash: Array
    outcome: Array
    ended: Array
    acked_partition: Array
    acked_offset: Array
    ended_ns: Array
    errors: Mapping[str, int]
    outcomes: int
    defects: tuple[str, ...]

    def __len__(self) -> int:
        """How many sends were attempted."""
        return int(np.count_nonzero(self.attempted))

    def having(self, outcome: Outcome) -> Array:
        """A mask of the attempted sends that ended so."""
        mask: Array = self.attempted & (self.outcome == outcome)
        return mask


def sends_of(sender: Sender, first: int, last: int) -> Sends:
    """A producer's sends from seq `first` up to before `last`; without a ledger of outcomes, every send is unknown."""
    name, size = sender.name, max(min(last, sender.size) - first, 0)
    defects: list[str] = []
    names = SCHEMAS["attempts"].names
    table = _whole("attempts", between(sender.attempts, sender.attempt_seqs, first, last, names))
    columns = {field.name: table[field.name].to_numpy() for field in SCHEMAS["attempts"]}
    seq = columns.pop("seq") - first
    attempted = np.ones(size, dtype=bool)
    if len(seq) != size or not np.array_equal(seq, np.arange(size)):
        times = np.bincount(seq, minlength=size)
        attempted = times > 0
        if not attempted.all():
            defects.append(f"seqs {ranges(np.flatnonzero(~attempted) + first)} of producer {name} were never attempted")
        if len(times) and times.max() > 1:
            defects.append(f"seqs {ranges(np.flatnonzero(times > 1) + first)} of producer {name} were attempted twice")
        columns = {key: _placed(size, seq, values, 0) for key, values in columns.items()}
    ends: Any = SCHEMAS["outcomes"].empty_table()
    if sender.outcomes is not None:
        names = SCHEMAS["outcomes"].names
        ends = _whole("outcomes", between(sender.outcomes, sender.outcome_seqs, first, last, names))
    learnt, kinds = ends["seq"].to_numpy() - first, ends["outcome"].to_numpy()
    sound = (learnt < size) & np.isin(kinds, [int(outcome) for outcome in Outcome])
    sound[sound] = attempted[learnt[sound]]
    if not sound.all():
        strays = int(np.count_nonzero(~sound))
        defects.append(f"{counted(strays, 'outcome')} of producer {name} belong to no attempt, or are of no known kind")
        learnt = learnt[sound]
    twice = np.flatnonzero(np.bincount(learnt, minlength=size) > 1)
    if len(twice):
        defects.append(f"seqs {ranges(twice + first)} of producer {name} have more than one outcome")
    placed = {
        key: _placed(size, learnt, filled(ends[key])[sound], Outcome.UNKNOWN if key == "outcome" else -1)
        for key in ("outcome", "partition", "offset", "ended_ns")
    }
    ended = np.zeros(size, dtype=bool)
    ended[learnt] = True
    return Sends(
        producer=name,
        first=first,
        attempted=attempted,
        **columns,
        outcome=placed["outcome"],
        ended=ended,
        acked_partition=placed["partition"],
        acked_offset=placed["offset"],
        ended_ns=placed["ended_ns"],
        errors=_tally(ends["error"]),
        outcomes=ends.num_rows,
        defects=tuple(defects),
    )


def between(
    ledger: Ledger, bounds: Sequence[tuple[int, int] | None], first: int, last: int, columns: Sequence[str]
) -> Iterator[pa.Table]:
    """The rows of a ledger whose seq is from `first` up to before `last`, in their order, some at a time."""
    for index, bound in enumerate(bounds):
        if bound is None or bound[1] < first or bound[0] >= last:
            continue
        part = ledger.chunk(index, columns)
        if bound[0] < first or bound[1] >= last or part["seq"].null_count:
            seq = filled(part["seq"])
            part = part.filter(pa.array((seq >= first) & (seq < last)))
        yield part


def _whole(kind: str, parts: Iterator[pa.Table]) -> Any:
    tables = [SCHEMAS[kind].empty_table(), *(part.replace_schema_metadata(None) for part in parts)]
    return pa.concat_tables(tables)


def _tally(column: Any) -> dict[str, int]:
    """How often each text stands in a dictionary column."""
    if column.null_count == len(column):
        return {}
    names = Names()
    codes = names.code(column)
    times = np.bincount(codes[codes >= 0], minlength=len(names.known)).tolist()
    return {name: count for name, count in zip(names.known, times, strict=True) if count}


def _placed(size: int, seq: Array, values: Array, blank: int) -> Array:
    """Values at their seqs; of several values for one seq, the first."""
    placed = np.full(size, blank, dtype=values.dtype)
    placed[seq[::-1]] = values[::-1]
    return placed
