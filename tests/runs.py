"""Runs for tests: a small clean one told in literal facts, to be changed by a test, and a clean one of any size.

`Run` is the whole story of a clean run as plain rows. A test changes the rows that its story is about and asks for the
history or the folder; what it doesn't change stays clean, so a finding can only come from the change.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from assay import manifest as manifests
from assay.checks import CHECKS, History, UndecidedError
from assay.checks.vacuity import preflight
from assay.ledger import SCHEMA_VERSION, SCHEMAS, LedgerWriter, Outcome, Recorded
from assay.manifest import Manifest
from assay.verdict import Finding, Verdict

if TYPE_CHECKING:
    from pathlib import Path

RUN, ETL, START = "run-1", "etl-1", 100
MILLISECOND = 1_000_000
_BATCH = 100_000
Row = dict[str, Any]


class Run:
    """A clean run of `messages` sends by two producers over three partitions, after one ETL run of three rows.

    Message n of producer p has hash 1000 * p + n, goes to partition n % 3, is sent at n ms and acknowledged 5 ms later;
    this run's records start at offset 100 of each partition.
    """

    def __init__(self, messages: int = 12, partitions: int = 3, producers: int = 2) -> None:
        """Tell the clean story."""
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

    def ledgers(self) -> list[Recorded]:
        """The ledgers in memory."""
        return [
            Recorded(_table(kind, rows), kind, producer, complete=kind not in self.torn)
            for kind, producer, rows in self._all()
        ]

    def history(self) -> History:
        """The run as checks see it."""
        return History(Manifest.model_validate(self.manifest), self.ledgers())

    def finding(self, check: str) -> Finding:
        """What one check finds in it."""
        return CHECKS[check](self.history())

    def complaints(self) -> dict[str, str]:
        """The verdict of every check that does not pass, by its name: a story with one flaw has one complaint."""
        history = self.history()
        verdicts = {}
        for name, check in CHECKS.items():
            try:
                verdicts[name] = check(history).verdict
            except UndecidedError:
                verdicts[name] = Verdict.UNKNOWN
        verdicts |= {found.check: found.verdict for found in preflight(history)}
        return {name: verdict.value for name, verdict in verdicts.items() if verdict is not Verdict.PASS}

    def write(self, folder: Path) -> Path:
        """The run as an evidence folder."""
        folder.mkdir(parents=True, exist_ok=True)
        for kind, producer, rows in self._all():
            writer = LedgerWriter(folder / f"{kind}{'-' + producer if producer else ''}.arrows", kind, producer)
            writer.append({name: [row[name] for row in rows] for name in SCHEMAS[kind].names})
            writer.close()
        document = copy.deepcopy(self.manifest) | {"files": manifests.digests(folder)}
        Manifest.model_validate(document).write(folder)
        return folder

    def _all(self) -> list[tuple[str, str, list[Row]]]:
        per_producer = [("attempts", name, rows) for name, rows in self.attempts.items()]
        per_producer += [("outcomes", name, rows) for name, rows in self.outcomes.items()]
        others = {"log": self.log, "sink": self.sink, "lag": self.lag, "etl": self.etl}
        return per_producer + [(kind, "", rows) for kind, rows in others.items()]


def _table(kind: str, rows: list[Row]) -> pa.Table:
    return pa.table(
        {field.name: pa.array([row[field.name] for row in rows], type=field.type) for field in SCHEMAS[kind]},
        schema=SCHEMAS[kind],
    )


def write_run(
    folder: Path, messages: int, *, partitions: int = 3, producers: int = 2, rate: float = 10_000.0, seed: int = 1
) -> Path:
    """Write a clean run of any size, with latencies, lag and throughput such as a real one has."""
    story = Run(messages=0, partitions=partitions)
    random = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    index = np.arange(messages, dtype=np.int64)
    sender, seq = index % producers, index // producers
    partition = (index % partitions).astype(np.int32)
    offset = START + index // partitions
    intended = (index * (1e9 / rate)).astype(np.int64)
    hashes = random.integers(0, 2**63, messages, dtype=np.uint64)
    wave = 1 + 4 * (np.sin(index / max(messages, 1) * 9) ** 8)
    ended = intended + (random.lognormal(16.2, 0.5, messages) * wave).astype(np.int64)
    for number in range(producers):
        mine = np.flatnonzero(sender == number)
        columns = {
            "seq": seq[mine],
            "partition": partition[mine],
            "intended_ns": intended[mine],
            "sent_ns": intended[mine] + 50_000,
            "payload_hash": hashes[mine],
        }
        _append(folder, "attempts", f"load-{number}", columns)
        learnt = mine[np.argsort(ended[mine], kind="stable")]
        columns = {
            "seq": seq[learnt],
            "outcome": np.zeros(len(learnt), dtype=np.int8),
            "partition": partition[learnt],
            "offset": offset[learnt],
            "ended_ns": ended[learnt],
            "error": _constant(None, len(learnt)),
        }
        _append(folder, "outcomes", f"load-{number}", columns)
    stored = np.lexsort((offset, partition))
    senders = pa.array([f"load-{number}" for number in range(producers)])
    columns = {
        "partition": partition[stored],
        "offset": offset[stored],
        "timestamp_ms": intended[stored] // MILLISECOND,
        "leader_epoch": np.zeros(messages, dtype=np.int32),
        "run_id": _constant(RUN, messages),
        "producer": pa.DictionaryArray.from_arrays(pa.array(sender[stored], type=pa.int32()), senders),
        "seq": seq[stored],
        "payload_hash": hashes[stored],
        "claimed_hash": hashes[stored],
    }
    before = [row for row in story.log if row["offset"] < START]
    _append(folder, "log", "", columns, before=_table("log", before))
    _append(folder, "sink", "", {name: columns[name] for name in SCHEMAS["sink"].names}, before=_table("sink", before))
    ends = START + np.bincount(partition, minlength=partitions)
    times = np.arange(0, int(ended.max(initial=0)) + 2 * 10**9, 5 * 10**8)
    samples = {"at_ns": np.repeat(times, partitions), "partition": np.tile(np.arange(partitions), len(times))}
    written = np.minimum(ends[None, :], START + (times[:, None] / 1e9 * rate / partitions).astype(np.int64))
    done = np.minimum(
        ends[None, :], START + (np.maximum(times[:, None] / 1e9 - 0.4, 0) * rate / partitions).astype(int)
    )
    _append(folder, "lag", "", {**samples, "end_offset": written.ravel(), "committed_offset": done.ravel()})
    writer = LedgerWriter(folder / "etl.arrows", "etl")
    writer.append({name: [row[name] for row in story.etl] for name in SCHEMAS["etl"].names})
    writer.close()
    document = copy.deepcopy(story.manifest)
    document["plan"] |= {"messages": messages, "rate_per_second": rate}
    document["objectives"] = {}
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
    document["files"] = manifests.digests(folder)
    Manifest.model_validate(document).write(folder)
    return folder


def _append(
    folder: Path,
    kind: str,
    producer: str,
    columns: dict[str, Any],
    *,
    before: pa.Table | None = None,
) -> None:
    with LedgerWriter(folder / f"{kind}{'-' + producer if producer else ''}.arrows", kind, producer) as writer:
        if before is not None:
            writer.append({name: before[name].to_pylist() for name in before.column_names})
        rows = len(next(iter(columns.values())))
        for start in range(0, rows, _BATCH):
            writer.append({name: values[start : start + _BATCH] for name, values in columns.items()})


def _constant(text: str | None, rows: int) -> pa.DictionaryArray:
    codes = pa.array(np.zeros(rows, dtype=np.int32)) if text is not None else pa.nulls(rows, pa.int32())
    return pa.DictionaryArray.from_arrays(codes, pa.array([text or ""]))
