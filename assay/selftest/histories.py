"""Clean histories of every kind that a sound platform can leave: the judge must not find anything in them.

Elections, sends whose end nobody learnt, sends that failed, acknowledgements without an offset, other runs' traffic and
the platform's own, dead letters, retention of older records, a reader that reads twice, consumers that come and go and
start again from what is committed or from what the sink has: all of it happens to platforms that lose nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from assay.ledger import SCHEMA_VERSION, SCHEMAS, Outcome
from assay.manifest import Manifest
from assay.selftest.story import Story

if TYPE_CHECKING:
    Row = dict[str, Any]

RUN, ETL_RUN = "selftest", "selftest-etl"
_MS: Final = 1_000_000
_ETL_ROWS: Final = 4


class Maker:
    """Makes one history, message by message, from a seed."""

    def __init__(self, seed: int, messages: int, partitions: int, producers: int, *, troubles: bool = True) -> None:
        """Choose what the platform is like.

        Args:
            seed: What is random follows from it.
            messages: How many sends, at least one a partition.
            partitions: How many partitions.
            producers: How many producers.
            troubles: Whether anything out of the ordinary happens.
        """
        self._random = np.random.default_rng(seed)
        self._troubles = troubles
        self._partitions = partitions
        self._messages = messages
        self._producers = [f"load-{number}" for number in range(producers)]
        self._start = [self._whole(0, 500) + _ETL_ROWS for _ in range(partitions)]
        self._end = list(self._start)
        self._epoch = [self._whole(0, 4) for _ in range(partitions)]
        self._rows: dict[tuple[str, str], list[Row]] = {("log", ""): [], ("sink", ""): [], ("etl", ""): []}
        self._now = self._whole(1, 10**6) * _MS

    def story(self) -> Story:
        """The whole history."""
        for name in self._producers:
            self._rows["attempts", name], self._rows["outcomes", name] = [], []
        self._etl()
        seqs = dict.fromkeys(self._producers, 0)
        for index in range(self._messages):
            # Each producer sends something to each partition, whatever the dice say.
            producer = self._producers[index % len(self._producers)]
            partition = (index // len(self._producers)) % self._partitions
            self._send(producer, seqs[producer], partition, ordinary=index < len(self._producers) * self._partitions)
            seqs[producer] += 1
            self._between(partition)
        self._consume()
        self._observe()
        tables = {
            (kind, producer): _table(kind, rows)
            for (kind, producer), rows in self._rows.items()
            if rows or kind not in {"deadletters", "faults"}
        }
        # Through the model, so that whatever has a default stands there.
        return Story(Manifest.model_validate(self._manifest()).model_dump(mode="json"), tables)

    def _chance(self, probability: float) -> bool:
        return self._troubles and bool(self._random.random() < probability)

    def _whole(self, low: int, high: int) -> int:
        return int(self._random.integers(low, high + 1))

    def _etl(self) -> None:
        for number in range(_ETL_ROWS):
            place = {"partition": 0, "offset": self._start[0] - _ETL_ROWS + number}
            record = self._record(ETL_RUN, "etl", number, place)
            self._rows["log", ""].append(record)
            row = {"run_id": ETL_RUN, "row_id": f"gold/index/{number}", "fate": "topic", "reason": None}
            self._rows["etl", ""].append(row | {"commodity": "gold", "synthetic": False, **place})

    def _record(self, run: str | None, producer: str | None, seq: int | None, place: Row) -> Row:
        value = int(self._random.integers(0, 2**63))
        return {
            **place,
            "timestamp_ms": self._now // _MS,
            "leader_epoch": None if self._chance(0.01) else self._epoch[place["partition"]],
            "run_id": run,
            "producer": producer,
            "seq": seq,
            "payload_hash": value,
            "claimed_hash": None if run is None or self._chance(0.02) else value,
        }

    def _place(self, partition: int) -> Row:
        self._end[partition] += 1
        return {"partition": partition, "offset": self._end[partition] - 1}

    def _send(self, producer: str, seq: int, partition: int, *, ordinary: bool) -> None:
        self._now += self._whole(1, 3) * _MS
        sent = self._now + (self._whole(0, 2000) * 1000 if self._chance(0.3) else 0)
        outcome, ended = Outcome.OK, sent + self._whole(1, 400) * _MS // 10
        if not ordinary and self._chance(0.06):
            outcome = Outcome(self._whole(1, 2))
        written = outcome is Outcome.OK or (outcome is Outcome.UNKNOWN and self._chance(0.5))
        offset = None
        value = int(self._random.integers(0, 2**63))
        if written:
            place = self._place(partition)
            record = self._record(RUN, producer, seq, place) | {"payload_hash": value}
            record["claimed_hash"] = None if record["claimed_hash"] is None else value
            self._rows["log", ""].append(record)
            offset = place["offset"] if outcome is Outcome.OK and not self._chance(0.02) else None
            if self._chance(0.02):  # the reader saw it twice
                self._rows["log", ""].append(dict(record))
        attempt = {"seq": seq, "partition": partition, "intended_ns": self._now, "sent_ns": sent, "payload_hash": value}
        self._rows["attempts", producer].append(attempt)
        self._now = max(self._now, sent)
        if outcome is Outcome.UNKNOWN and self._chance(0.4):
            return  # nobody learnt its end
        error = {Outcome.OK: None, Outcome.FAIL: "MSG_SIZE_TOO_LARGE", Outcome.UNKNOWN: "_MSG_TIMED_OUT"}[outcome]
        self._rows["outcomes", producer].append(
            {
                "seq": seq,
                "outcome": int(outcome),
                "partition": partition,
                "offset": offset,
                "ended_ns": ended,
                "error": error,
            }
        )

    def _between(self, partition: int) -> None:
        """What others do meanwhile: an election, the platform's own records, another known run's."""
        if self._chance(0.02):
            self._epoch[partition] += 1
        if self._chance(0.04):
            self._rows["log", ""].append(self._record(None, None, None, self._place(partition)))
        if self._chance(0.03):
            seq = _ETL_ROWS + len(self._rows["log", ""])
            self._rows["log", ""].append(self._record(ETL_RUN, "etl", seq, self._place(partition)))

    def _consume(self) -> None:
        """Each partition is read by one consumer after the other; what each wrote before it went is not repeated."""
        dead: list[Row] = []
        events: list[Row] = []
        records = {(row["partition"], row["offset"]): row for row in self._rows["log", ""]}
        for partition in range(self._partitions):
            numbers = sorted(offset for number, offset in records if number == partition)
            first = numbers[0] if numbers else self._start[partition]
            reader = _Consumer(f"pod-{partition}", partition, events, self._random)
            at = first
            reader.assigned(None if first == 0 and self._chance(0.5) else first)
            while at < self._end[partition]:
                after = min(at + self._whole(1, 40), self._end[partition])
                reader.told("polled", at, after)
                for offset in range(at, after):
                    self._write(records[partition, offset], dead)
                if self._chance(
                    0.05
                ):  # killed between write and commit, its last lines lost: the next one asks the sink
                    lost = self._chance(0.5)
                    if not lost:
                        reader.told("written", at, after)
                    reader = _Consumer(f"{reader.pod}x", partition, events, self._random)
                    reader.told("committed", at, after)
                    reader.assigned(after)
                else:
                    reader.told("written", at, after)
                    reader.told("committed", at, after)
                    if self._chance(0.05):  # gives the partition up in peace
                        reader.told("revoked", None, None)
                        reader = _Consumer(f"{reader.pod}y", partition, events, self._random)
                        reader.assigned(after)
                at = after
        self._rows["events", ""] = events
        self._rows["deadletters", ""] = dead
        self._random.shuffle(self._rows["sink", ""])
        if self._troubles:
            for name in self._producers:
                self._random.shuffle(self._rows["outcomes", name])

    def _write(self, record: Row, dead: list[Row]) -> None:
        place = {"partition": record["partition"], "offset": record["offset"]}
        if record["run_id"] is None and self._chance(0.5):
            dead.append(place | {"reason": "not_json"})
        else:
            self._rows["sink", ""].append({name: record[name] for name in SCHEMAS["sink"].names})

    def _observe(self) -> None:
        lag = []
        for step, share in enumerate((0.0, 0.4, 0.9, 1.0)):
            for number in range(self._partitions):
                span = self._end[number] - self._start[number]
                end = self._start[number] + int(span * share)
                committed = self._start[number] + int(span * share * (0.8 if share < 1 else 1))
                lag.append(
                    {
                        "at_ns": step * 500 * _MS,
                        "partition": number,
                        "end_offset": end,
                        "committed_offset": None if step == 0 and self._start[number] == _ETL_ROWS else committed,
                    }
                )
        self._rows["lag", ""] = lag
        self._rows["leaders", ""] = [
            {"at_ns": 0, "partition": number, "leader": number % 3, "in_sync": [0, 1, 2]}
            for number in range(self._partitions)
        ]

    def _manifest(self) -> dict[str, Any]:
        partitions = [
            {
                "partition": number,
                "log_start": 0,
                "start": self._start[number],
                "end": self._end[number],
                "log_start_after": self._whole(0, self._start[number] - _ETL_ROWS) if self._chance(0.2) else 0,
                "committed": self._end[number],
            }
            for number in range(self._partitions)
        ]
        return {
            "schema_version": SCHEMA_VERSION,
            "run_id": RUN,
            "created_at": "2026-01-01T00:00:00+00:00",
            "plan": {
                "messages": self._messages,
                "rate_per_second": 0.0,
                "seed": 1,
                "topic": "commodity-prices",
                "group": "commodity-analytics",
                "partitions": self._partitions,
            },
            "objectives": {"throughput_per_second": 1.0, "success_ratio": 0.0},
            "partitions": partitions,
            "replicas": [
                {"pod": f"pod-{number}", "node": f"node-{number}", "ready": True, "partitions": [number]}
                for number in range(3)
            ],
            "preflight": [{"name": "dns", "verdict": "pass", "detail": "Every name resolves."}],
            "etl": {
                "run_id": ETL_RUN,
                "extracted": _ETL_ROWS,
                "accepted": _ETL_ROWS,
                "produced": _ETL_ROWS,
                "rejected": 0,
                "unaccounted": 0,
                "produce_records_per_second": 9000.0,
                "exit_code": 0,
                "feed_rows": _ETL_ROWS,
                "real_rows": _ETL_ROWS,
            },
            "other_runs": [ETL_RUN],
            "drained": True,
        }


class _Consumer:
    """One instance that tells of itself."""

    def __init__(self, pod: str, partition: int, events: list[Row], random: np.random.Generator) -> None:
        self.pod = pod
        self._instance = f"{pod}/{int(random.integers(0, 2**32)):08x}"
        self._partition = partition
        self._events = events
        self._n = 0

    def assigned(self, start: int | None) -> None:
        """It begins there; None: nothing was committed."""
        self.told("assigned", None, start)

    def told(self, kind: str, first: int | None, after: int | None) -> None:
        """One event."""
        self._events.append(
            {
                "instance": self._instance,
                "n": self._n,
                "kind": kind,
                "partition": self._partition,
                "first": first,
                "next": after,
                "records": after - first if kind in {"polled", "written"} and first is not None and after else None,
                "at_ns": self._n,
                "seen_ns": None,
            }
        )
        self._n += 1


def _table(kind: str, rows: list[Row]) -> pa.Table:
    return pa.table(
        {item.name: pa.array([row[item.name] for row in rows], type=item.type) for item in SCHEMAS[kind]},
        schema=SCHEMAS[kind],
    )
