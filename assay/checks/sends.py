"""What one producer sent: its attempts and how they ended, joined on seq."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from assay.checks.columns import coded, filled
from assay.checks.finding import UndecidedError, counted, ranges
from assay.ledger import SCHEMAS, Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping

    from assay.ledger import Recorded

    Array = np.ndarray[Any, Any]

#: A seq far beyond the number of rows is damage, not data: no array is made for it.
_SPARSEST: Final = 2


@dataclass(frozen=True, eq=False)
class Sends:
    """All sends of one producer, every array indexed by seq.

    Attributes:
        producer: Its name.
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
        defects: What is wrong with the ledgers themselves, each a clause.
    """

    producer: str
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
    defects: tuple[str, ...]

    def __len__(self) -> int:
        """How many sends were attempted."""
        return int(np.count_nonzero(self.attempted))

    def having(self, outcome: Outcome) -> Array:
        """A mask of the attempted sends that ended so."""
        mask: Array = self.attempted & (self.outcome == outcome)
        return mask


def sends_of(attempts: Recorded, outcomes: Recorded | None) -> Sends:
    """One producer's two ledgers, joined on seq; without a ledger of outcomes, every send is unknown.

    Raises:
        UndecidedError: The seqs are nowhere near dense.
    """
    name = attempts.producer
    defects: list[str] = []
    columns = {field.name: attempts.table[field.name].to_numpy() for field in SCHEMAS["attempts"]}
    seq = columns.pop("seq")
    attempted = np.ones(len(seq), dtype=bool)
    if not np.array_equal(seq, np.arange(len(seq))):
        if seq.min() < 0 or seq.max() > _SPARSEST * len(seq) + 1024:
            raise UndecidedError(f"the seqs of producer {name} are not dense")
        times = np.bincount(seq)
        attempted = times > 0
        if not attempted.all():
            defects.append(f"seqs {ranges(np.flatnonzero(~attempted))} of producer {name} were never attempted")
        if times.max() > 1:
            defects.append(f"seqs {ranges(np.flatnonzero(times > 1))} of producer {name} were attempted twice")
        columns = {key: _placed(len(times), seq, values, 0) for key, values in columns.items()}
    table: Any = SCHEMAS["outcomes"].empty_table() if outcomes is None else outcomes.table
    learnt = table["seq"].to_numpy()
    kinds = table["outcome"].to_numpy()
    sound = (learnt >= 0) & (learnt < len(attempted)) & np.isin(kinds, [int(outcome) for outcome in Outcome])
    sound[sound] = attempted[learnt[sound]]
    if not sound.all():
        strays = int(np.count_nonzero(~sound))
        defects.append(f"{counted(strays, 'outcome')} of producer {name} belong to no attempt, or are of no known kind")
    learnt = learnt[sound]
    twice = np.flatnonzero(np.bincount(learnt, minlength=len(attempted)) > 1)
    if len(twice):
        defects.append(f"seqs {ranges(twice)} of producer {name} have more than one outcome")
    ends = {
        key: _placed(len(attempted), learnt, filled(table[key])[sound], Outcome.UNKNOWN if key == "outcome" else -1)
        for key in ("outcome", "partition", "offset", "ended_ns")
    }
    ended = np.zeros(len(attempted), dtype=bool)
    ended[learnt] = True
    return Sends(
        producer=name,
        attempted=attempted,
        **columns,
        outcome=ends["outcome"],
        ended=ended,
        acked_partition=ends["partition"],
        acked_offset=ends["offset"],
        ended_ns=ends["ended_ns"],
        errors=_tally(table["error"]),
        defects=tuple(defects),
    )


def _tally(column: Any) -> dict[str, int]:
    """How often each text stands in a dictionary column."""
    codes, names = coded(column)
    times = np.bincount(codes[codes >= 0], minlength=len(names)).tolist()
    return {name: count for name, count in zip(names, times, strict=True) if count}


def _placed(size: int, seq: Array, values: Array, blank: int) -> Array:
    """Values at their seqs; of several values for one seq, the first."""
    placed = np.full(size, blank, dtype=values.dtype)
    placed[seq[::-1]] = values[::-1]
    return placed
