"""What happened in a run: its manifest, its ledgers, and what is small enough of them to be held at once.

Nothing is judged here. Sends, log and sink can be of any length, so they are looked at in shards
(`assay.checks.shards`); lag, leaders, faults, events and the ETL's rows are held whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from assay.checks.columns import filled
from assay.checks.finding import UndecidedError
from assay.checks.sends import Sender, sender_of
from assay.checks.survey import MOST_PARTITIONS, SHARD_ROWS, Places, Windows, places_of, windows_of
from assay.ledger import SCHEMAS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from assay.engine import Engine
    from assay.ledger import Ledger
    from assay.manifest import EtlRun, Manifest, Partition

    Array = np.ndarray[Any, Any]


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


@dataclass(frozen=True)
class Fault:
    """One fault as its ledger tells it; times in nanoseconds of the observer's clock, None where it was never seen.

    Attributes:
        name: The injection's own name.
        kind: What was done.
        target: To whom.
        asked_ns: When it was asked for.
        bites_ns: When it was first seen to bite.
        heal_asked_ns: When healing was asked for.
        healed_ns: When it was seen healed.
    """

    name: str
    kind: str
    target: str
    asked_ns: int | None
    bites_ns: int | None
    heal_asked_ns: int | None
    healed_ns: int | None


class History:
    """What happened in a run, as its evidence tells it."""

    def __init__(self, manifest: Manifest, ledgers: Sequence[Ledger], shard_rows: int = SHARD_ROWS) -> None:
        """Hold a manifest and the ledgers that could be read; what follows from them is made when it is asked for.

        Args:
            manifest: The run's manifest.
            ledgers: Its ledgers, in any order.
            shard_rows: About how many sends, or places, are looked at together.
        """
        self.manifest = manifest
        self.ledgers = tuple(ledgers)
        self.shard_rows = shard_rows

    def of(self, kind: str) -> tuple[Ledger, ...]:
        """The ledgers of one kind.

        Raises:
            UndecidedError: There are none.
        """
        found = tuple(ledger for ledger in self.ledgers if ledger.kind == kind)
        if not found:
            raise UndecidedError(f"no ledger of the {kind} could be read")
        return found

    def whole(self, kind: str) -> bool:
        """Whether every ledger of a kind was closed properly, so that nothing is missing from it."""
        return all(ledger.complete for ledger in self.ledgers if ledger.kind == kind)

    def table(self, kind: str) -> pa.Table:
        """All rows of a kind that is small enough to be held at once.

        Raises:
            UndecidedError: There is no ledger of it.
        """
        tables = [ledger.whole().replace_schema_metadata(None) for ledger in self.of(kind)]
        return pa.concat_tables(tables).unify_dictionaries().combine_chunks()

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
    def senders(self) -> tuple[Sender, ...]:
        """The producers, by name.

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
        return tuple(sender_of(ledger, outcomes.get(name)) for name, ledger in sorted(attempts.items()))

    def survey(self, engine: Engine) -> None:
        """Look log and sink over, and cut everything up; what is looked up lazily otherwise."""
        placed = self._placed
        self.places = dict(zip(placed, engine.map(places_of, list(placed.values())), strict=True))
        _ = self.windows

    @cached_property
    def places(self) -> Mapping[int, Places]:
        """Which offsets stand in each ledger of the log and the sink, by its index in `ledgers`."""
        return {index: places_of(ledger) for index, ledger in self._placed.items()}

    @property
    def _placed(self) -> dict[int, Ledger]:
        return {index: ledger for index, ledger in enumerate(self.ledgers) if ledger.kind in {"log", "sink"}}

    def placed(self, kind: str) -> list[tuple[Ledger, Places]]:
        """The ledgers of the log or of the sink, with what stands in them.

        Raises:
            UndecidedError: There are none, or one names an impossible partition.
        """
        self.of(kind)
        found = [(self.ledgers[index], one) for index, one in self.places.items() if self.ledgers[index].kind == kind]
        if not all(places.possible for _, places in found):
            raise UndecidedError(f"the ledger of the {kind} names impossible partitions")
        return found

    @cached_property
    def log_spans(self) -> Mapping[int, tuple[int, int, int]]:
        """For each partition the first and the last offset that the log's reader has, and how many records.

        Raises:
            UndecidedError: The log was not recorded.
        """
        return _spans(self.placed("log"))

    @cached_property
    def windows(self) -> Windows:
        """How log and sink are cut into shards."""
        ledgers: list[tuple[Ledger, Places]] = []
        for kind in ("log", "sink"):
            try:
                ledgers += self.placed(kind)
            except UndecidedError:
                continue
        try:
            ranges = {number: (given.start, given.end) for number, given in self.partitions.items()}
        except UndecidedError:
            ranges = {}
        return windows_of(ledgers, ranges, self.shard_rows)

    def seq_bounds(self, ledger: Ledger) -> list[tuple[int, int] | None]:
        """The bounds of `seq` in each chunk of a ledger; they are looked up once."""
        found = self._seq_bounds.get(id(ledger))
        if found is None:
            found = self._seq_bounds[id(ledger)] = ledger.bounds("seq")
        return found

    @cached_property
    def _seq_bounds(self) -> dict[int, list[tuple[int, int] | None]]:
        return {}

    @cached_property
    def time_bounds(self) -> tuple[int, int]:
        """From the first time at which a send was intended or made to the last end that was learnt, in nanoseconds.

        Raises:
            UndecidedError: Nothing was sent.
        """
        firsts, lasts = [], []
        for sender in self.senders:
            for column in ("intended_ns", "sent_ns"):
                known = [bounds for bounds in sender.attempts.bounds(column) if bounds]
                firsts += [low for low, _ in known]
                lasts += [high for _, high in known]
            if sender.outcomes is not None:
                lasts += [bounds[1] for bounds in sender.outcomes.bounds("ended_ns") if bounds]
        if not firsts:
            raise UndecidedError("nothing was sent")
        return min(firsts), max(lasts)

    @cached_property
    def began_ns(self) -> int:
        """When the load's first send was intended or made; 0 where nothing was sent."""
        try:
            return self.time_bounds[0]
        except UndecidedError:
            return 0

    def seconds(self, times_ns: Array) -> Array:
        """Times as seconds after the load's beginning; -1 where there is none."""
        return np.where(times_ns >= 0, np.round((times_ns - self.began_ns) / 1e9, 6), -1.0)

    @cached_property
    def etl(self) -> EtlRows:
        """Where each row that the summarised ETL run extracted was found.

        Raises:
            UndecidedError: It was not recorded, or no ETL ran.
        """
        if self.manifest.etl is None:
            raise UndecidedError("the ETL did not run")
        rows = [row for row in self.table("etl").to_pylist() if row["run_id"] == self.manifest.etl.run_id]
        return EtlRows(
            run=self.manifest.etl,
            topic=[row["row_id"] for row in rows if row["fate"] == "topic"],
            rejects=[row["row_id"] for row in rows if row["fate"] == "rejects"],
            real={row["row_id"] for row in rows if row["synthetic"] is False},
            fates={(row["commodity"] or "", row["fate"]) for row in rows},
            whole=self.whole("etl"),
        )

    @cached_property
    def lag(self) -> Lag:
        """The group's lag over time, from the brokers' offsets; before a first commit all of the log waits.

        Raises:
            UndecidedError: It was not sampled.
        """
        table = self.table("lag")
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

    @cached_property
    def dead_letters(self) -> Mapping[int, Array]:
        """The offsets, by partition, of messages that went to the dead letters; empty where nobody looked."""
        try:
            table = self.table("deadletters")
        except UndecidedError:
            return {}
        partition, offset = table["partition"].to_numpy(), table["offset"].to_numpy()
        return {number: np.unique(offset[partition == number]) for number in np.unique(partition).tolist()}

    @cached_property
    def leaders(self) -> Mapping[int, list[tuple[int, int | None]]]:
        """By partition, from when on which broker led it (None: nobody), as far as anybody looked."""
        try:
            rows = self.table("leaders").to_pylist()
        except UndecidedError:
            return {}
        found: dict[int, list[tuple[int, int | None]]] = {}
        for row in rows:
            found.setdefault(row["partition"], []).append((row["at_ns"], row["leader"]))
        return found

    @cached_property
    def faults(self) -> tuple[Fault, ...]:
        """The faults that were injected, in the order in which they were asked for; none where no ledger has any."""
        try:
            rows = self.table("faults").to_pylist()
        except UndecidedError:
            return ()
        names = dict.fromkeys(row["fault"] for row in rows)
        return tuple(_fault(name, [row for row in rows if row["fault"] == name]) for name in names)

    def rows_at(self, kind: str, partition: int, first: int, last: int, columns: Sequence[str]) -> pa.Table:
        """The rows of the log or the sink at the offsets [first, last) of one partition, in the order of offsets.

        For a few places: chunks that hold any of them are read for it.

        Raises:
            UndecidedError: There is no such ledger.
        """
        parts = []
        for ledger, places in self.placed(kind):
            hit = (places.partition == partition) & (places.low < last) & (places.high >= first)
            for chunk in np.unique(places.chunk[hit]).tolist():
                table = ledger.chunk(chunk, list(dict.fromkeys([*columns, "partition", "offset"])))
                offset = table["offset"].to_numpy()
                mine = (table["partition"].to_numpy() == partition) & (offset >= first) & (offset < last)
                parts.append(table.filter(pa.array(mine)).select(list(columns)))
        if not parts:
            return SCHEMAS[kind].empty_table().select(list(columns))
        table = pa.concat_tables([part.replace_schema_metadata(None) for part in parts])
        return table.sort_by("offset") if "offset" in columns else table

    def arrived(self, partition: int, first: int, last: int) -> bool:
        """Whether all records of the log at the offsets [first, last) are in the sink or in the dead letters.

        Raises:
            UndecidedError: Log or sink were not recorded.
        """
        log = self.rows_at("log", partition, first, last, ("offset",))["offset"].to_numpy()
        sink = self.rows_at("sink", partition, first, last, ("offset",))["offset"].to_numpy()
        return bool(np.isin(log, np.r_[sink, self.dead_letters.get(partition, sink[:0])]).all())

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

    def _by_producer(self, kind: str) -> dict[str, Ledger]:
        ledgers: dict[str, Ledger] = {}
        for ledger in self.ledgers:
            if ledger.kind == kind:
                if ledger.producer in ledgers:
                    raise UndecidedError(f"two ledgers of {kind} are both of producer {ledger.producer or '(no name)'}")
                ledgers[ledger.producer] = ledger
        return ledgers


def _fault(name: str, rows: Sequence[Mapping[str, Any]]) -> Fault:
    when: dict[str, int] = {}
    for row in rows:
        when.setdefault(row["step"], row["at_ns"])
    return Fault(
        name,
        rows[0]["kind"],
        rows[0]["target"],
        when.get("inject-asked"),
        when.get("bites"),
        when.get("heal-asked"),
        when.get("healed"),
    )


def _spans(placed: Sequence[tuple[Ledger, Places]]) -> dict[int, tuple[int, int, int]]:
    spans: dict[int, tuple[int, int, int]] = {}
    for _, places in placed:
        for number, (low, high, rows) in places.spans().items():
            before = spans.get(number, (low, high, 0))
            spans[number] = (min(low, before[0]), max(high, before[1]), rows + before[2])
    return spans
