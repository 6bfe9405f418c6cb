"""Runs for tests: a small clean one told in literal facts, to be changed by a test, and a clean one of any size.

`Run` is the whole story of a clean run as plain rows. A test changes the rows that its story is about and asks for the
history or the folder; what it doesn't change stays clean, so a finding can only come from the change.
"""

from __future__ import annotations

import contextlib
import copy
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from assay import judge
from assay import run as recording
from assay.checks import History
from assay.checks.survey import SHARD_ROWS
from assay.evidence import Evidence
from assay.ledger import SCHEMA_VERSION, SCHEMAS, LedgerWriter, Outcome, Recorded
from assay.manifest import Manifest
from assay.verdict import Finding, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from assay.judge import Judgement

RUN, ETL, START = "run-1", "etl-1", 100
MILLISECOND = 1_000_000
_SECOND = 1_000_000_000
_BATCH = 100_000
Row = dict[str, Any]


class Run:
    """A clean run of `messages` sends by two producers over three partitions, after one ETL run of three rows.

    Message n of producer p has hash 1000 * p + n, goes to partition n % 3, is sent at n ms and acknowledged 5 ms later;
    this run's records start at offset 100 of each partition. Each partition has a consumer of its own, which reads,
    writes and commits it in two goes; their events follow from the rest of the story unless `events` is set.
    """

    def __init__(self, messages: int = 12, partitions: int = 3, producers: int = 2) -> None:
        """Tell the clean story."""
        self.events: list[Row] | None = None
        self.faults: list[Row] = []
        self.deadletters: list[Row] = []
        self.leaders: list[Row] = []
        self.attempts: dict[str, list[Row]] = {}
        self.outcomes: dict[str, list[Row]] = {}
        self.log: list[Row] = []
        self.etl: list[Row] = []
        self.torn: set[str] = set()
        for number in range(3):
            place = {"partition": 0, "offset": START - 3 + number}
            row = {"run_id": ETL, "producer": "etl", "seq": number, "payload_hash": 9000 + number}
            self.log.append({**place, **row, "timestamp_ms": 1, "leader_epoch": 0, "claimed_hash": 9000 + number})
            self.etl.append(
                {
                    "run_id": ETL,
                    "row_id": f"gold/index/{number}",
                    "fate": "topic",
                    "reason": None,
                    "commodity": "gold",
                    "synthetic": False,
                    **place,
                }
            )
        ends = [START] * partitions
        for index in range(messages):
            producer, seq = f"load-{index % producers}", index // producers
            partition, number = seq % partitions, 1000 * (index % producers) + seq
            offset = ends[partition]
            ends[partition] += 1
            self.attempts.setdefault(producer, []).append(
                {
                    "seq": seq,
                    "partition": partition,
                    "intended_ns": index * MILLISECOND,
                    "sent_ns": index * MILLISECOND,
                    "payload_hash": number,
                }
            )
            self.outcomes.setdefault(producer, []).append(
                {
                    "seq": seq,
                    "outcome": Outcome.OK,
                    "partition": partition,
                    "offset": offset,
                    "ended_ns": (index + 5) * MILLISECOND,
                    "error": None,
                }
            )
            self.log.append(
                {
                    "partition": partition,
                    "offset": offset,
                    "timestamp_ms": index,
                    "leader_epoch": 0,
                    "run_id": RUN,
                    "producer": producer,
                    "seq": seq,
                    "payload_hash": number,
                    "claimed_hash": number,
                }
            )
        names = SCHEMAS["sink"].names
        self.sink: list[Row] = [{name: row[name] for name in names} for row in self.log]
        self.lag: list[Row] = [
            {"at_ns": at, "partition": number, "end_offset": end, "committed_offset": committed}
            for at, share in ((0, 0), (10 * MILLISECOND, 1))
            for number, last in enumerate(ends)
            for end, committed in [(START + (last - START) * share, START + (last - START) * share)]
        ]
        self.manifest: Row = {
            "schema_version": SCHEMA_VERSION,
            "run_id": RUN,
            "created_at": "2026-01-01T00:00:00Z",
            "plan": {
                "messages": messages,
                "rate_per_second": 1000.0,
                "seed": 1,
                "topic": "commodity-prices",
                "group": "commodity-analytics",
                "partitions": partitions,
            },
            "objectives": {"throughput_per_second": 500.0},
            "partitions": [
                {
                    "partition": number,
                    "log_start": 0,
                    "start": START,
                    "end": end,
                    "log_start_after": 0,
                    "committed": end,
                }
                for number, end in enumerate(ends)
            ],
            "replicas": [
                {"pod": f"pod-{number}", "node": f"node-{number}", "ready": True, "partitions": [number]}
                for number in range(3)
            ],
            "preflight": [{"name": "dns", "verdict": "pass", "detail": "Every name resolves."}],
            "etl": {
                "run_id": ETL,
                "extracted": 3,
                "accepted": 3,
                "produced": 3,
                "rejected": 0,
                "unaccounted": 0,
                "produce_records_per_second": 9000.0,
                "exit_code": 0,
                "feed_rows": 3,
                "real_rows": 3,
            },
            "other_runs": [ETL],
            "drained": True,
            "phases": {"load": 1.0},
        }

    def at(self, producer: str, seq: int, rows: list[Row] | None = None) -> Row:
        """The log's (or the given rows') row of one of this run's messages."""
        return next(
            row
            for row in (self.log if rows is None else rows)
            if (row["run_id"], row["producer"], row["seq"]) == (RUN, producer, seq)
        )

    def append(self, row: Row, partition: int) -> Row:
        """Append a copy of a record to the end of a partition: in the log, and consumed like the others."""
        given = self.manifest["partitions"][partition]
        record = {**row, "partition": partition, "offset": given["end"]}
        given["end"] += 1
        given["committed"] += 1
        self.log.append(record)
        self.sink.append({name: record[name] for name in SCHEMAS["sink"].names})
        return record

    def lose(self, producer: str, seq: int) -> Row:
        """Lose a message in the log and downstream, and let the partition's later records move up."""
        row = self.at(producer, seq)
        place = row["partition"], row["offset"]
        for rows in (self.log, self.sink):
            rows[:] = [other for other in rows if (other["partition"], other["offset"]) != place]
            for other in rows:
                if other["partition"] == place[0] and other["offset"] > place[1]:
                    other["offset"] -= 1
        for outcomes in self.outcomes.values():
            for outcome in outcomes:
                if outcome["partition"] == place[0] and (outcome["offset"] or 0) > place[1]:
                    outcome["offset"] -= 1
        given = self.manifest["partitions"][place[0]]
        given["end"] -= 1
        given["committed"] -= 1
        return row

    def told(self) -> list[Row]:
        """What the consumers say of themselves: each partition read, written and committed in two goes."""
        rows: list[Row] = []
        for given in self.manifest["partitions"]:
            number, committed = given["partition"], given["committed"]
            places = [row["offset"] for row in self.log if row["partition"] == number]
            if committed is None or not places:
                continue
            start = min([START, *places])
            middle = (start + committed) // 2
            steps: list[tuple[str, int | None, int | None]] = [("assigned", None, start)]
            for first, after in ((start, middle), (middle, committed)):
                steps += [(kind, first, after) for kind in ("polled", "written", "committed")]
            rows.append(_event(number, 0, ("started", None, None)) | {"partition": None})
            rows += [_event(number, n, step) for n, step in enumerate(steps, start=1)]
        return rows

    def ledgers(self) -> list[Recorded]:
        """The ledgers in memory."""
        return [
            Recorded(_table(kind, rows), kind, producer, complete=kind not in self.torn)
            for kind, producer, rows in self._all()
        ]

    def judged(self, shard_rows: int = SHARD_ROWS) -> Judgement:
        """What the judge says of it, evidence in memory and beyond doubt."""
        loaded = Evidence(Manifest.model_validate(self.manifest), tuple(self.ledgers()), ())
        return judge.consider(loaded, shard_rows=shard_rows)

    def history(self) -> History:
        """The run as checks see it."""
        return History(Manifest.model_validate(self.manifest), self.ledgers())

    def finding(self, check: str) -> Finding:
        """What one check finds in it."""
        return next(found for found in self.judged().findings if found.check == check)

    def complaints(self) -> dict[str, str]:
        """The verdict of every check that does not pass, by its name: a story with one flaw has one complaint."""
        found = self.judged().findings
        return {one.check: one.verdict.value for one in found if one.verdict is not Verdict.PASS}

    def write(self, folder: Path) -> Path:
        """The run as an evidence folder, sealed."""
        folder.mkdir(parents=True, exist_ok=True)
        for kind, producer, rows in self._all():
            writer = LedgerWriter(folder / f"{kind}{'-' + producer if producer else ''}.arrows", kind, producer)
            writer.append({name: [row[name] for row in rows] for name in SCHEMAS[kind].names})
            writer.close()
        recording.Run(folder, Manifest.model_validate(self.manifest)).seal()
        return folder

    def _all(self) -> list[tuple[str, str, list[Row]]]:
        per_producer = [("attempts", name, rows) for name, rows in self.attempts.items()]
        per_producer += [("outcomes", name, rows) for name, rows in self.outcomes.items()]
        others = {"log": self.log, "sink": self.sink, "lag": self.lag, "etl": self.etl}
        others["events"] = self.told() if self.events is None else self.events
        others |= {kind: rows for kind in ("faults", "deadletters", "leaders") if (rows := getattr(self, kind))}
        return per_producer + [(kind, "", rows) for kind, rows in others.items()]


def served(seconds: float = 40, gap: tuple[float, float] = (0, 0), objective: float | None = 5) -> Run:
    """A run of one send each 0.1 s in turn over two partitions, with nothing acknowledged in a gap, and its fault."""
    count = int(seconds * 10)
    run = Run(messages=count, partitions=2, producers=1)
    for row in run.attempts["load-0"]:
        row["intended_ns"] = row["sent_ns"] = row["seq"] * _SECOND // 10
    for row in run.outcomes["load-0"]:
        at = row["seq"] / 10
        row["ended_ns"] = int((gap[1] if gap[0] < at < gap[1] else at) * _SECOND) + 5_000_000
    starts, ends = [100, 100], [given["end"] for given in run.manifest["partitions"]]
    samples = int(seconds * 4)
    run.lag = [
        {"at_ns": step * _SECOND // 4, "partition": number, "end_offset": at, "committed_offset": at}
        for step in range(samples + 1)
        for number in range(2)
        for at in [starts[number] + (ends[number] - starts[number]) * step // samples]
    ]
    row = {"fault": "broker", "kind": "process-sigkill", "target": "pod/kafka-1", "detail": None}
    steps = {"inject-asked": 19, "bites": 20, "heal-asked": 21, "healed": 25}
    run.faults = [{**row, "step": step, "at_ns": at * _SECOND} for step, at in steps.items()]
    run.manifest["objectives"] = {"recovery_seconds": {"broker": objective} if objective else {}}
    return run


def _event(number: int, n: int, step: tuple[str, int | None, int | None]) -> Row:
    kind, first, after = step
    count = after - first if first is not None and after is not None and kind != "committed" else None
    return {
        "instance": f"pod-{number}/{number:08x}",
        "n": n,
        "kind": kind,
        "partition": number,
        "first": first,
        "next": after,
        "records": count,
        "at_ns": n * MILLISECOND,
        "seen_ns": None,
    }


def _table(kind: str, rows: list[Row]) -> pa.Table:
    return pa.table(
        {field.name: pa.array([row[field.name] for row in rows], type=field.type) for field in SCHEMAS[kind]},
        schema=SCHEMAS[kind],
    )


def write_run(
    folder: Path, messages: int, *, partitions: int = 3, producers: int = 2, rate: float = 10_000.0, seed: int = 1
) -> Path:
    """Write a clean run of any size, with latencies, lag and throughput such as a real one has, and seal it.

    Memory is bounded: the run is made in blocks of a hundred thousand messages.
    """
    story = Run(messages=0, partitions=partitions)
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"load-{number}" for number in range(producers)]
    with contextlib.ExitStack() as open_ones:

        def new(kind: str, producer: str = "") -> LedgerWriter:
            name = f"{kind}.{producer}" if producer else kind
            return open_ones.enter_context(LedgerWriter(folder / f"{name}.arrows", kind, producer))

        attempts, outcomes = [new("attempts", name) for name in names], [new("outcomes", name) for name in names]
        log, sink, lag, events, etl = (new(kind) for kind in ("log", "sink", "lag", "events", "etl"))
        for writer, kind, rows in ((log, "log", story.log), (sink, "sink", story.sink), (etl, "etl", story.etl)):
            writer.append({name: [row[name] for row in rows] for name in SCHEMAS[kind].names})
        for block in _blocks(messages, partitions, producers, rate, seed):
            block.write(attempts, outcomes, log, sink)
            lag.append(block.lag())
            events.append(block.events())
    document = copy.deepcopy(story.manifest)
    document["plan"] |= {"messages": messages, "rate_per_second": rate}
    document["objectives"] = {}
    ends = START + np.bincount(np.arange(partitions), minlength=partitions) * (messages // partitions)
    ends += np.arange(partitions) < messages % partitions
    for given, end in zip(document["partitions"], ends.tolist(), strict=True):
        given |= {"end": end, "committed": end}
    document["phases"] = {
        "up": 28.0,
        "deploy": 61.5,
        "preflight": 4.2,
        "etl": 9.8,
        "load": messages / rate,
        "drain": 1.9,
    }
    document["settings"] = {"kafka min.insync.replicas": "2", "producer acks": "all", "consumer isolation": "read"}
    document["versions"] = {"assay": "0.1.0", "kafka": "4.3.0", "kubernetes": "v1.36.3"}
    document["cluster"] = {"provider": "embedded", "nodes": "3"}
    recording.Run(folder, Manifest.model_validate(document)).seal()
    return folder


class _Block:
    """Some messages of a made-up run: from the `first` to before the `last`."""

    def __init__(self, first: int, last: int, shape: tuple[int, int, float], random: np.random.Generator) -> None:
        """Make them; `shape` is partitions, producers and the rate."""
        self.partitions, self.producers, rate = shape
        self.first, self.number = first, first // _BATCH
        index = np.arange(first, last, dtype=np.int64)
        self.sender, self.seq = (index % self.producers).astype(np.int32), index // self.producers
        self.partition = (index % self.partitions).astype(np.int32)
        self.offset = START + index // self.partitions
        self.intended = (index * (1e9 / rate)).astype(np.int64)
        self.hashes = random.integers(0, 2**63, len(index), dtype=np.uint64)
        wave = 1 + 4 * (np.sin(index / 11_000) ** 8)
        self.ended = self.intended + 50_000 + (random.lognormal(16.2, 0.5, len(index)) * wave).astype(np.int64)

    def write(self, attempts: list[LedgerWriter], outcomes: list[LedgerWriter], *places: LedgerWriter) -> None:
        """Append sends, records and rows."""
        for number in range(self.producers):
            mine = np.flatnonzero(self.sender == number)
            attempts[number].append(
                {
                    "seq": self.seq[mine],
                    "partition": self.partition[mine],
                    "intended_ns": self.intended[mine],
                    "sent_ns": self.intended[mine] + 50_000,
                    "payload_hash": self.hashes[mine],
                }
            )
            learnt = mine[np.argsort(self.ended[mine], kind="stable")]
            outcomes[number].append(
                {
                    "seq": self.seq[learnt],
                    "outcome": np.zeros(len(learnt), dtype=np.int8),
                    "partition": self.partition[learnt],
                    "offset": self.offset[learnt],
                    "ended_ns": self.ended[learnt],
                    "error": _constant(None, len(learnt)),
                }
            )
        stored = np.lexsort((self.offset, self.partition))
        senders = pa.array([f"load-{number}" for number in range(self.producers)])
        columns = {
            "partition": self.partition[stored],
            "offset": self.offset[stored],
            "timestamp_ms": self.intended[stored] // MILLISECOND,
            "leader_epoch": np.zeros(len(stored), dtype=np.int32),
            "run_id": _constant(RUN, len(stored)),
            "producer": pa.DictionaryArray.from_arrays(pa.array(self.sender[stored]), senders),
            "seq": self.seq[stored],
            "payload_hash": self.hashes[stored],
            "claimed_hash": self.hashes[stored],
        }
        for writer in places:
            writer.append({name: columns[name] for name in writer.schema.names})

    def _ends(self) -> tuple[list[int], list[int]]:
        """Each partition's first offset of this block, and the one after its last."""
        mine = [self.offset[self.partition == number] for number in range(self.partitions)]
        firsts = [int(one[0]) if len(one) else START for one in mine]
        return firsts, [int(one[-1]) + 1 if len(one) else first for one, first in zip(mine, firsts, strict=True)]

    def lag(self) -> dict[str, Any]:
        """Two samples: a quarter of the block waits when the last of it was sent, and nothing half a second later."""
        firsts, ends = self._ends()
        most = [(first + 3 * end) // 4 for first, end in zip(firsts, ends, strict=True)]
        at = int(self.intended[-1])
        return {
            "at_ns": [at] * self.partitions + [at + 500 * MILLISECOND] * self.partitions,
            "partition": [*range(self.partitions)] * 2,
            "end_offset": ends * 2,
            "committed_offset": most + ends,
        }

    def events(self) -> dict[str, Any]:
        """The block read, written and committed by each partition's consumer; assigned before the first."""
        rows = []
        before = START - 3  # the ETL's rows
        for number, (first, end) in enumerate(zip(*self._ends(), strict=True)):
            start = before if not self.number and not number else first
            if not self.number:
                rows.append(_event(number, 0, ("assigned", None, start)))
            steps = [(kind, start, end) for kind in ("polled", "written", "committed")]
            rows += [_event(number, 1 + 3 * self.number + place, step) for place, step in enumerate(steps)]
        return {name: [row[name] for row in rows] for name in SCHEMAS["events"].names}


def _blocks(messages: int, partitions: int, producers: int, rate: float, seed: int) -> Iterator[_Block]:
    random = np.random.default_rng(seed)
    for first in range(0, messages, _BATCH):
        yield _Block(first, min(first + _BATCH, messages), (partitions, producers, rate), random)


def _constant(text: str | None, rows: int) -> pa.DictionaryArray:
    codes = pa.array(np.zeros(rows, dtype=np.int32)) if text is not None else pa.nulls(rows, pa.int32())
    return pa.DictionaryArray.from_arrays(codes, pa.array([text or ""]))
