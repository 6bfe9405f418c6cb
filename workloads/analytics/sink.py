"""The sink: two Iceberg tables that several consumers append to, each row of the log exactly once.

*Offsets lie with the rows.* The summary of every snapshot of prices says, for each partition of the topic, the offset
after the last row that the table holds and the state of the partition's open windows: an append takes over what the
snapshot before it says and adds its own. Whoever gets a partition continues from there. So a crash changes nothing:
before the catalog's commit no row is in the table (only files that no snapshot names), after it the offsets are too.

*Appends are ordered.* Before an append the table is refreshed and rows that are already there are left out; the commit
fails unless no other came between (the format's optimistic concurrency), and the whole is tried again. So neither a
conflict nor a commit of unknown outcome writes a row twice.

*Each partition has one owner.* Whoever is assigned a partition claims it: an append of no rows puts its name into both
tables' summaries, and from that snapshot on an append by anybody else is refused (`SinkFencedError`). A consumer that
was thought dead and comes back therefore writes nothing of what it had buffered, not even rows beyond those that its
successor has written. They look like the log's next rows, but may be stale: read from a leader whose end an unclean
election cut off, at offsets that hold other records by now. The claim comes before the new owner's first fetch, so all
rows that are in the table between two claims were read after the first of them. Claims cost two small commits an
assignment; an append costs what it did.

The last claim wins, even one that arrives when its consumer's assignment is long over: which of two is right, the
catalog can't know. Kafka does, so a consumer that is refused leaves the group and joins again, and to whom Kafka then
gives the partition, claims it. Until then it still has one owner at a time: rows may come late, but not twice.

What a fence can't mend: rows that their owner wrote before the election cut them off the log.

Closed windows are appended after the rows they are made of. Their table's summary says up to which offset of prices and
which end of a window that was done, so that a window is neither left out nor written again either.

Where this is from: Iceberg's sink for Kafka Connect keeps offsets in snapshot summaries (`kafka.connect.offsets…`);
KIP-447 fences the transactions of a consumer by its group's generation; Flink's sink commits snapshots without rows
that carry a summary only. The topic's id is in the keys because a topic that was deleted and made again starts at
offset 0.
"""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

import pyarrow as pa
import stamina
import structlog
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import (
    CommitFailedException,
    NamespaceAlreadyExistsError,
    NoSuchTableError,
    TableAlreadyExistsError,
)
from pyiceberg.table.update.snapshot import ExpireSnapshots
from sqlalchemy.exc import SQLAlchemyError

from workloads.analytics.turns import turn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from pyiceberg.table import Table
    from sqlalchemy import Engine

    from workloads.analytics.decode import Row
    from workloads.analytics.window import WindowRow

Result = TypeVar("Result")

NAMESPACE: Final = "commodity"
PRICES: Final = "commodity.prices"
WINDOWS: Final = "commodity.windows"

_TIME: Final[pa.DataType] = pa.timestamp("us", tz="UTC")
PRICES_SCHEMA: Final = pa.schema(
    [  # type: ignore[arg-type]  # the stubs join the many types of these pairs to object
        ("run_id", pa.string()),
        ("producer", pa.string()),
        ("seq", pa.int64()),
        ("kafka_partition", pa.int32()),
        ("kafka_offset", pa.int64()),
        ("kafka_timestamp", _TIME),
        ("payload_hash", pa.string()),
        ("commodity", pa.string()),
        ("series", pa.string()),
        ("observed_at", _TIME),
        ("price", pa.float64()),
        ("volume", pa.float64()),
        ("synthetic", pa.bool_()),
        ("ingested_at", _TIME),
    ]
)
WINDOWS_SCHEMA: Final = pa.schema(
    [
        ("commodity", pa.string()),
        ("window_start", _TIME),
        ("window_end", _TIME),
        ("kafka_partition", pa.int32()),
        ("count", pa.int64()),
        ("open", pa.float64()),
        ("high", pa.float64()),
        ("low", pa.float64()),
        ("close", pa.float64()),
        ("mean", pa.float64()),
        ("volatility", pa.float64()),
        ("volume", pa.float64()),
    ]
)
#: The library copies the table's metadata some twenty times a commit, so its cost grows with snapshots and versions:
#: with commits every second both are kept few.
_PROPERTIES: Final = {
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "10",
    "commit.manifest-merge.enabled": "true",
    "commit.manifest.min-count-to-merge": "50",
    "commit.retry.num-retries": "0",  # retried here, with a new look at what is already there
    "write.metadata.metrics.default": "none",
    "write.metadata.metrics.column.kafka_partition": "full",
    "write.metadata.metrics.column.kafka_offset": "full",
    "write.metadata.metrics.column.kafka_timestamp": "full",
    "write.metadata.metrics.column.window_start": "full",
}
#: Snapshots kept in the metadata; older ones are forgotten when there are twice as many. Rows and files stay.
_SNAPSHOTS: Final = 10
#: Start of the summary's keys `kafka.<topic id>.<partition>`.
_PREFIX: Final = "kafka."
#: End of the keys that hold the name of a partition's owner.
_OWNER: Final = ".owner"
#: End of the keys that hold a partition's open windows. A longer text than this is cut, and then not restored.
_STATE: Final = ".windows"
_LONGEST_STATE: Final = 65_536
_FIRST_WAIT: Final = 0.02
_LONGEST_WAIT: Final = 1.0


class SinkError(RuntimeError):
    """The sink can't be used; the message says why and what to do."""


class SinkFencedError(RuntimeError):
    """Somebody else claimed some of the partitions since; nothing was written."""

    def __init__(self, partitions: Iterable[int]) -> None:
        """Name the partitions."""
        self.partitions = frozenset(partitions)
        super().__init__(f"partitions {sorted(self.partitions)} are another consumer's by now")


class Resume(NamedTuple):
    """Where a partition goes on: its next offset, its open windows if known, and until which end those are written."""

    offset: int
    windows: str | None
    written_until: int


class Appended(NamedTuple):
    """What an append did: rows written, rows left out since they were there, and conflicts on the way."""

    rows: int
    skipped: int
    conflicts: int


class Sink:
    """Both tables, opened by `open_sink`."""

    def __init__(
        self,
        prices: Table,
        windows: Table,
        topic_id: str,
        owner: str,
        *,
        engine: Engine,
        retry_seconds: float,
        beat: Callable[[], None],
    ) -> None:
        """Hold the tables.

        Args:
            prices: `commodity.prices`.
            windows: `commodity.windows`.
            topic_id: Id of the Kafka topic whose offsets the rows have.
            owner: Name of who writes, another for every process.
            engine: The catalog's database.
            retry_seconds: How long a failing append is tried again.
            beat: Called before every try, so that a long wait is not taken for a dead loop.
        """
        self._prices = prices
        self._windows = windows
        self._topic_id = topic_id
        self._owner = owner
        self._engine = engine
        self._retry_seconds = retry_seconds
        self._beat = beat

    def claim(self, partitions: Iterable[int]) -> dict[int, Resume]:
        """Become the owner of partitions, before anything of them is read.

        Nothing of theirs may be buffered. Claiming what is one's own already commits nothing.

        Returns:
            Where to go on with those of them that the table has rows of.

        Raises:
            SinkError: The catalog or warehouse can't be used for too long.
        """
        wanted = frozenset(partitions)
        prices, _ = self._persist(self._prices, lambda: self._own(self._prices, PRICES_SCHEMA, wanted))
        windows, _ = self._persist(self._windows, lambda: self._own(self._windows, WINDOWS_SCHEMA, wanted))
        found = {}
        for number in wanted:
            key = self._key(number)
            if key in prices:
                written = windows.get(key, "")
                until = int(written.split(":")[1]) if written.startswith(f"{prices[key]}:") else 0
                found[number] = Resume(int(prices[key]), prices.get(key + _STATE), until)
        return found

    def append_prices(self, rows: Sequence[Row], states: Mapping[int, str]) -> Appended:
        """Make rows durable, but for those that already are.

        Args:
            rows: Those of a partition in the order of their offsets.
            states: The open windows of each of their partitions after the last of its rows.

        Raises:
            SinkFencedError: Some of the partitions are not this owner's; nothing was written.
            SinkError: It could not be done in time.
        """

        def attempt() -> tuple[int, int]:
            held = self._owned(self._prices, states)
            begin = {number: int(held.get(self._key(number), -1)) for number in states}
            new = [row for row in rows if row.kafka_offset >= begin[row.kafka_partition]]
            if new:
                ends = {row.kafka_partition: row.kafka_offset + 1 for row in new}
                held |= {self._key(number): str(end) for number, end in ends.items()}
                held |= {self._key(number) + _STATE: states[number][:_LONGEST_STATE] for number in ends}
                _append(self._prices, _table(new, PRICES_SCHEMA), held)
            return len(new), len(rows) - len(new)

        (written, skipped), conflicts = self._persist(self._prices, attempt)
        return Appended(written, skipped, conflicts)

    def append_windows(self, rows: Sequence[WindowRow], offsets: Mapping[int, int]) -> Appended:
        """Make closed windows durable, but for those that already are.

        Args:
            rows: Closed windows.
            offsets: For each of their partitions the offset after the last row in prices.

        Raises:
            SinkFencedError: Some of the partitions are not this owner's; nothing was written.
            SinkError: It could not be done in time.
        """

        def attempt() -> tuple[int, int]:
            held = self._owned(self._windows, offsets)
            new: list[WindowRow] = []
            for number, offset in offsets.items():
                key = self._key(number)
                done, until = (int(text) for text in held.get(key, "-1:0").split(":"))
                since = until if done == offset else 0
                mine = [row for row in rows if row.kafka_partition == number and row.window_end > since]
                if mine:
                    new += mine
                    held[key] = f"{offset}:{max(row.window_end for row in mine)}"
            if new:
                _append(self._windows, _table(new, WINDOWS_SCHEMA), held)
            return len(new), len(rows) - len(new)

        (written, skipped), conflicts = self._persist(self._windows, attempt)
        return Appended(written, skipped, conflicts)

    def _key(self, partition: int) -> str:
        return f"{_PREFIX}{self._topic_id}.{partition}"

    def _own(self, table: Table, schema: pa.Schema, partitions: frozenset[int]) -> dict[str, str]:
        table.refresh()
        held = _held(table)
        claims = {self._key(number) + _OWNER: self._owner for number in partitions}
        if not claims.items() <= held.items():
            held |= claims
            _append(table, schema.empty_table(), held)
        return held

    def _owned(self, table: Table, partitions: Iterable[int]) -> dict[str, str]:
        """What the table says of offsets, if it says that these partitions are this owner's."""
        table.refresh()
        held = _held(table)
        fenced = [number for number in partitions if held.get(self._key(number) + _OWNER) != self._owner]
        if fenced:
            raise SinkFencedError(fenced)
        return held

    def _persist(self, table: Table, attempt: Callable[[], Result]) -> tuple[Result, int]:
        """Try in turns with the other writers until it succeeds or time is over; how many conflicts there were."""
        end = time.monotonic() + self._retry_seconds
        conflicts = failures = 0
        while True:
            self._beat()
            try:
                with turn(self._engine, ".".join(table.name())):
                    return attempt(), conflicts
            except CommitFailedException:
                conflicts += 1
                error: Exception | None = None
            except (SQLAlchemyError, OSError) as found:
                failures += 1
                error = found
                structlog.get_logger().warning("sink.failed", error=str(found).splitlines()[0], failures=failures)
            if time.monotonic() > end:
                cause = str(error).splitlines()[0] if error else f"{conflicts} conflicts with other writers"
                raise SinkError(f"The Iceberg sink could not be written for {self._retry_seconds:g} s ({cause}).")
            wait = min(_LONGEST_WAIT, _FIRST_WAIT * 2 ** min(10, conflicts + 3 * failures))
            time.sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311  # jitter, not a secret


def open_sink(
    catalog: tuple[str, str, str],
    topic_id: str,
    owner: str,
    *,
    start_seconds: float,
    retry_seconds: float,
    beat: Callable[[], None],
) -> Sink:
    """Open both tables, making what is missing; others may be doing the same at this moment.

    Args:
        catalog: Name, address and warehouse of the catalog.
        topic_id: Id of the Kafka topic.
        owner: As for `Sink`.
        start_seconds: How long to wait for the catalog.
        retry_seconds: As for `Sink`.
        beat: As for `Sink`.

    Raises:
        SinkError: The catalog can't be reached or the tables can't be made in time.
    """
    name, uri, warehouse = catalog
    lost_race = (NamespaceAlreadyExistsError, TableAlreadyExistsError, CommitFailedException)
    try:
        for attempt in stamina.retry_context(
            on=(SQLAlchemyError, OSError, *lost_race), attempts=None, timeout=start_seconds, wait_max=2.0
        ):
            with attempt:
                beat()
                opened = SqlCatalog(name, uri=uri, warehouse=warehouse, pool_pre_ping="true")
                opened.create_namespace_if_not_exists(NAMESPACE)
                prices, windows = _open(opened, PRICES, PRICES_SCHEMA), _open(opened, WINDOWS, WINDOWS_SCHEMA)
    except (SQLAlchemyError, OSError, *lost_race) as error:
        cause = str(error).splitlines()[0]
        raise SinkError(
            f"The Iceberg catalog or warehouse {warehouse} can't be used ({cause}): check its address and password."
        ) from None
    return Sink(prices, windows, topic_id, owner, engine=opened.engine, retry_seconds=retry_seconds, beat=beat)


def _open(catalog: SqlCatalog, name: str, schema: pa.Schema) -> Table:
    """Load the table, or make it; to ask for one to be made that is there leaves a metadata file that is nobody's."""
    try:
        return catalog.load_table(name)
    except NoSuchTableError:
        return catalog.create_table_if_not_exists(name, schema=schema, properties=_PROPERTIES)


def _held(table: Table) -> dict[str, str]:
    """What the newest snapshot of ours says of offsets; others (a compaction, say) say nothing of them."""
    for snapshot in sorted(table.snapshots(), key=lambda one: one.sequence_number or 0, reverse=True):
        summary = snapshot.summary.additional_properties if snapshot.summary else {}
        held = {key: text for key, text in summary.items() if key.startswith(_PREFIX)}
        if held:
            return held
    return {}


def _append(table: Table, rows: pa.Table, summary: dict[str, str]) -> None:
    """Append in one commit, forgetting old snapshots in the same when there are too many."""
    snapshots = sorted(table.snapshots(), key=lambda one: one.sequence_number or 0)
    with table.transaction() as transaction:
        transaction.append(rows, snapshot_properties=summary)
        if len(snapshots) >= 2 * _SNAPSHOTS:
            first_kept = datetime.fromtimestamp(snapshots[-_SNAPSHOTS].timestamp_ms / 1000, UTC)
            ExpireSnapshots(transaction).older_than(first_kept).commit()


def _table(rows: Sequence[Row] | Sequence[WindowRow], schema: pa.Schema) -> pa.Table:
    """Rows as columns; times come as whole microseconds."""
    columns = [
        pa.array(column, pa.int64()).cast(field.type) if field.type == _TIME else pa.array(column, field.type)
        for column, field in zip(zip(*rows, strict=True), schema, strict=True)
    ]
    return pa.Table.from_arrays(columns, schema=schema)
