"""What happened in a run: sends, log, sink, lag and ETL as arrays to compute with, and how they match.

Nothing is judged here. Sends are indexed by their dense seq, one `Sends` a producer; log and sink are sorted by
partition and offset. So the checks are array operations, and 10 million messages are matched in seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from assay.checks.columns import filled
from assay.checks.finding import UndecidedError
from assay.checks.records import MOST_PARTITIONS, Records, records_of
from assay.checks.sends import Sends, sends_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from assay.ledger import Recorded
    from assay.manifest import EtlRun, Manifest, Partition

    Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Match:
    """One producer's sends in the log.

    Attributes:
        copies: At how many offsets each send stands, indexed by seq.
        row: The log row where it stands first, indexed by seq; -1 where it stands nowhere.
        rows: All log rows of this producer's attempted sends, in log order.
    """

    copies: Array
    row: Array
    rows: Array


@dataclass(frozen=True, eq=False)
class Lag:
    """Messages that waited, over all partitions and for each, at each time of the samples.

    Attributes:
        at_ns: Times of the samples, growing.
        waiting: One row a partition (in the order of `partitions`), one column a time.
        end: End offsets, likewise.
        partitions: The partitions' numbers.
    """

    at_ns: Array
    waiting: Array
    end: Array
    partitions: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class EtlRows:
    """What one ETL run extracted, as found afterwards.

    Attributes:
        run: What it said of itself.
        topic: Row ids in the topic, as often as they stand there.
        rejects: Row ids in the rejects, likewise.
        real: Row ids of real (not synthetic) rows, wherever they are.
        fates: Pairs of commodity and fate that occur.
        whole: Whether the ledger was closed properly.
    """

    run: EtlRun
    topic: Sequence[str]
    rejects: Sequence[str]
    real: set[str]
    fates: set[tuple[str, str]]
    whole: bool


class History:
    """What happened in a run, as its evidence tells it."""

    def __init__(self, manifest: Manifest, ledgers: Sequence[Recorded]) -> None:
        """Hold a manifest and the ledgers that could be read; arrays are made when they are first asked for."""
        self.manifest = manifest
        self.ledgers = tuple(ledgers)

    @cached_property
    def partitions(self) -> Mapping[int, Partition]:
        """What the brokers said of each partition.

        Raises:
            UndecidedError: The manifest does not say it.
        """
        partitions = {partition.partition: partition for partition in self.manifest.partitions}
        if not partitions:
            raise UndecidedError("the manifest has no partitions' offsets")
        if min(partitions) < 0 or max(partitions) > MOST_PARTITIONS:
            raise UndecidedError("the manifest names impossible partitions")
        return partitions

    @cached_property
    def sends(self) -> tuple[Sends, ...]:
        """The sends of each producer, by name.

        Raises:
            UndecidedError: No attempt was recorded, two ledgers claim one producer, or a ledger makes no sense.
        """
        attempts = self._by_producer("attempts")
        outcomes = self._by_producer("outcomes")
        if not attempts:
            raise UndecidedError("no ledger of attempts could be read")
        strays = outcomes.keys() - attempts.keys()
        if strays:
            raise UndecidedError(f"producer {min(strays)} has a ledger of outcomes but none of attempts")
        return tuple(sends_of(ledger, outcomes.get(name)) for name, ledger in sorted(attempts.items()))

    @cached_property
    def sends_whole(self) -> bool:
        """Whether every ledger of attempts was closed properly, so that no attempt is missing from it."""
        return all(ledger.complete for ledger in self.ledgers if ledger.kind == "attempts")

    @cached_property
    def log(self) -> Records:
        """The records of the topic.

        Raises:
            UndecidedError: The log was not recorded.
        """
        table, whole = self._table("log")
        return self._records(table, whole=whole)

    @cached_property
    def sink(self) -> Records:
        """The rows of the sink.

        Raises:
            UndecidedError: The sink was not recorded.
        """
        table, whole = self._table("sink")
        return self._records(table, whole=whole)

    @cached_property
    def matches(self) -> tuple[Match, ...]:
        """Each producer's sends in the log, in the order of `sends`."""
        return tuple(_match(self.log, index, sends) for index, sends in enumerate(self.sends))

    @cached_property
    def sink_rows(self) -> Array:
        """For each row of the sink, the log row of its partition and offset; -1 where the log has none."""
        return self.log.find(self.sink.partition, self.sink.offset)

    @cached_property
    def delivered(self) -> Array:
        """For each row of the log, how often the sink has its partition and offset."""
        rows = self.sink_rows
        return np.bincount(rows[rows >= 0], minlength=len(self.log))

    @cached_property
    def etl(self) -> EtlRows:
        """Where each row that the summarised ETL run extracted was found.

        Raises:
            UndecidedError: It was not recorded, or no ETL ran.
        """
        if self.manifest.etl is None:
            raise UndecidedError("the ETL did not run")
        table, whole = self._table("etl")
        rows = [row for row in table.to_pylist() if row["run_id"] == self.manifest.etl.run_id]
        return EtlRows(
            run=self.manifest.etl,
            topic=[row["row_id"] for row in rows if row["fate"] == "topic"],
            rejects=[row["row_id"] for row in rows if row["fate"] == "rejects"],
            real={row["row_id"] for row in rows if row["synthetic"] is False},
            fates={(row["commodity"] or "", row["fate"]) for row in rows},
            whole=whole,
        )

    @cached_property
    def lag(self) -> Lag:
        """The group's lag over time, from the brokers' offsets; before a first commit all of the log waits.

        Raises:
            UndecidedError: It was not sampled.
        """
        table, _ = self._table("lag")
        if not table.num_rows:
            raise UndecidedError("the ledger of lag has no sample")
        at, partition = table["at_ns"].to_numpy(), table["partition"].to_numpy()
        end, committed = table["end_offset"].to_numpy(), filled(table["committed_offset"])
        times, numbers = np.unique(at), np.unique(partition)
        waiting = np.zeros((len(numbers), len(times)), dtype=np.int64)
        ends = np.zeros_like(waiting)
        described = {given.partition: given.log_start for given in self.manifest.partitions}
        for line, number in enumerate(numbers.tolist()):
            mine = np.flatnonzero(partition == number)
            mine = mine[np.argsort(at[mine], kind="stable")]
            done = np.where(committed[mine] < 0, described.get(number, 0), committed[mine])
            latest = np.searchsorted(at[mine], times, side="right") - 1
            sampled = latest >= 0
            waiting[line, sampled] = np.maximum(end[mine] - done, 0)[latest[sampled]]
            ends[line, sampled] = end[mine][latest[sampled]]
        return Lag(times, waiting, ends, tuple(numbers.tolist()))

    def start_of(self, partition: Array) -> Array:
        """The offset at which this run starts, for each given partition; 0 for one the manifest does not name."""
        return self.spread(partition, {number: given.start for number, given in self.partitions.items()}, 0)

    def committed_of(self, partition: Array) -> Array:
        """The group's committed offset after the drain, for each given partition; 0 where it never committed."""
        return self.spread(partition, {number: given.committed or 0 for number, given in self.partitions.items()}, 0)

    def log_start_of(self, partition: Array) -> Array:
        """The log's first offset after the drain, for each given partition; 0 for one the manifest does not name."""
        return self.spread(partition, {number: given.log_start_after for number, given in self.partitions.items()}, 0)

    @staticmethod
    def spread(partition: Array, values: Mapping[int, int], default: int) -> Array:
        """A value for each given partition, out of a mapping by partition; -1 as a partition gets the default."""
        beyond = max(values, default=-1) + 1
        table = np.full(beyond + 1, default, dtype=np.int64)
        for number, value in values.items():
            table[number] = value
        return table[np.where((partition >= 0) & (partition < beyond), partition, beyond)]

    def _by_producer(self, kind: str) -> dict[str, Recorded]:
        ledgers: dict[str, Recorded] = {}
        for ledger in self.ledgers:
            if ledger.kind == kind:
                if ledger.producer in ledgers:
                    raise UndecidedError(f"two ledgers of {kind} are both of producer {ledger.producer or '(no name)'}")
                ledgers[ledger.producer] = ledger
        return ledgers

    def _table(self, kind: str) -> tuple[Any, bool]:
        found = [ledger for ledger in self.ledgers if ledger.kind == kind]
        if not found:
            raise UndecidedError(f"no ledger of the {kind} could be read")
        tables = [ledger.table.replace_schema_metadata(None) for ledger in found]
        whole = all(ledger.complete for ledger in found)
        return pa.concat_tables(tables).unify_dictionaries().combine_chunks(), whole

    def _records(self, table: Any, *, whole: bool) -> Records:
        try:
            senders = {sends.producer: index for index, sends in enumerate(self.sends)}
        except UndecidedError:
            senders = {}
        others = set(self.manifest.other_runs)
        return records_of(table, whole=whole, run_id=self.manifest.run_id, others=others, senders=senders)


def _match(log: Records, index: int, sends: Sends) -> Match:
    size = len(sends.attempted)
    rows = np.flatnonzero((log.sender == index) & (log.seq >= 0) & (log.seq < size))
    rows = rows[sends.attempted[log.seq[rows]]]
    seq = log.seq[rows]
    first = np.full(size, -1, dtype=np.int64)
    first[seq[::-1]] = rows[::-1]
    # A place is counted once, even if two readings of it differ in their payload.
    place_again = np.zeros(len(rows), dtype=bool)
    if len(log.conflicts):
        same = np.flatnonzero((np.diff(log.offset[rows]) == 0) & (np.diff(log.partition[rows]) == 0)) + 1
        place_again[same] = seq[same] == seq[same - 1]
    return Match(np.bincount(seq[~place_again], minlength=size), first, rows)
