"""Runs made by hand, on topics of a test's own, to show the judge a wrong set-up; and a naive look to hold it against.

The producers and the log's reader are the product's, so that a run's folder is like any other. What a finding is held
against is not: a plain consumer, and a set difference.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from confluent_kafka import Consumer, KafkaError, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from pyarrow import parquet

from assay import pods, run, sink
from assay.kafka import identity, reader
from assay.kafka.admin import Admin
from assay.kafka.producer import VerifiableProducer
from assay.ledger import LedgerWriter
from assay.manifest import Objectives, Partition, Plan
from assay.platform import ANALYTICS, GROUP
from assay.prices import PriceMessages
from assay.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from assay.platform import Platform


Sends = set[tuple[str, int]]
_START = datetime(2026, 1, 1, tzinfo=UTC)


@contextmanager
def new_topic(bootstrap: str, name: str, leaders: list[int], settings: dict[str, str]) -> Iterator[str]:
    """A topic with one partition a preferred leader, each on all three brokers; deleted at the end."""
    admin = AdminClient({"bootstrap.servers": bootstrap, **identity.settings()})
    assignment = [[leader, (leader + 1) % 3, (leader + 2) % 3] for leader in leaders]
    new = NewTopic(name, num_partitions=len(leaders), replica_assignment=assignment, config=settings)
    admin.create_topics([new])[name].result(20)
    try:
        wait_until(lambda: all_in_sync(Admin(bootstrap), name), 20, f"the topic {name} does not get in sync")
        yield name
    finally:
        admin.delete_topics([name])[name].result(20)


def all_in_sync(admin: Admin, topic: str) -> bool:
    """Whether every partition has a leader and all three replicas in sync."""
    partitions = admin.topic(topic).partitions.values()
    return bool(partitions) and all(one.leader is not None and len(one.in_sync) == 3 for one in partitions)


class HandmadeRun:
    """A run of one producer on one topic.

    Attributes:
        folder: Its evidence.
        name: Its id, and that of its producer.
        faults: Its ledger of faults.
    """

    def __init__(self, folder: Path, bootstrap: str, topic: str, overrides: Mapping[str, str | int]) -> None:
        """Note where the partitions stand, and connect a producer."""
        folder.mkdir()
        self.folder = folder
        self._bootstrap = bootstrap
        self._admin = Admin(bootstrap)
        self._topic = topic
        marks = self._admin.watermarks(topic)
        plan = Plan(messages=1, rate_per_second=0, seed=1, topic=topic, group=GROUP, partitions=len(marks))
        self._run = run.begin(folder, plan, Objectives(), {})
        self.name = self._run.manifest.run_id
        self._run.note(
            partitions=tuple(
                Partition(partition=number, log_start=low, start=high, end=high, log_start_after=low, committed=None)
                for number, (low, high) in sorted(marks.items())
            )
        )
        self.faults = LedgerWriter(folder / "faults.arrows", "faults")
        self._prices = PriceMessages(1, self.name, _START)
        self._producer = VerifiableProducer(
            bootstrap,
            topic,
            run_id=self.name,
            producer=self.name,
            partitions=len(marks),
            folder=folder,
            overrides=overrides,
        )
        self._producer.connect()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: None)

    @property
    def acknowledged(self) -> int:
        """How many sends were acknowledged by now."""
        return self._producer.counts.ok

    def send(self, count: int) -> None:
        """Send so many messages at once; they are acknowledged later."""
        self._producer.send_batch(self._prices.take(count), time.monotonic_ns())

    def serve(self, seconds: float) -> None:
        """Collect acknowledgements."""
        self._producer.serve_until(time.monotonic_ns() + int(seconds * 1e9))

    def serve_until_acknowledged(self, count: int) -> None:
        """Collect acknowledgements until there are so many."""
        deadline = time.monotonic() + 60
        while self.acknowledged < count:
            assert time.monotonic() < deadline, f"only {self.acknowledged} of {count} were acknowledged"
            self.serve(0.1)

    def start_sending(self, rate: int) -> None:
        """Send so many messages a second from a thread, until `stop_sending`."""

        def work() -> None:
            due = time.monotonic()
            while not self._stop.is_set():
                self.send(rate // 50)
                due += 0.02
                self.serve(max(0.0, due - time.monotonic()))

        self._thread = threading.Thread(target=work)
        self._thread.start()

    def stop_sending(self) -> None:
        """End the thread."""
        self._stop.set()
        self._thread.join()

    def _settled(self) -> dict[int, tuple[int, int]]:
        """First and end offsets, once these move no more: what nobody waits for arrives after it was acknowledged."""
        seen: list[dict[int, tuple[int, int]]] = []

        def still() -> bool:
            seen.append(self._admin.watermarks(self._topic))
            return len(seen) > 4 and all(one == seen[-1] for one in seen[-5:])

        wait_until(still, 30, f"the topic {self._topic} does not come to rest")
        return seen[-1]

    def judged(self, other_runs: tuple[str, ...] = (), platform: Platform | None = None) -> Judged:
        """Close the producer, read the log back (and, of a platform, its sink), seal the folder, and judge it."""
        counts = self._producer.close(60)
        self.faults.close()
        marks = self._settled()
        self._run.note(
            plan=self._run.manifest.plan.model_copy(update={"messages": counts.attempted}),
            partitions=tuple(
                one.model_copy(update={"end": marks[one.partition][1], "log_start_after": marks[one.partition][0]})
                for one in self._run.manifest.partitions
            ),
            other_runs=other_runs,
        )
        ranges = {one.partition: (one.start, one.end) for one in self._run.manifest.partitions}
        reader.read_log(self._bootstrap, self._topic, ranges, self.folder / "log.arrows")
        if platform is not None:
            committed = self._admin.committed(GROUP, self._topic)
            self._run.note(
                partitions=tuple(
                    one.model_copy(update={"committed": committed[one.partition]})
                    for one in self._run.manifest.partitions
                )
            )
            sink.record(platform, ranges, self.folder / "sink.arrows")
        self._run.seal()
        return judged(self.folder)


def acked(folder: Path) -> Sends:
    """Producer and seq of every acknowledged send of a judged run, by a plain look into its file."""
    return {
        (path.name.split(".")[1], row["seq"])
        for path in folder.glob("outcomes.*.parquet")
        for row in parquet.read_table(path).to_pylist()
        if row["outcome"] == 0
    }


def read_plainly(bootstrap: str, topic: str, run_id: str) -> Sends:
    """Producer and seq of every record of a run in a topic, by a plain consumer that reads all of it."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": f"naive-{run_id}",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
            **identity.settings(),
        }
    )
    numbers = set(consumer.list_topics(topic, 10).topics[topic].partitions)
    consumer.assign([TopicPartition(topic, number, 0) for number in numbers])
    found: Sends = set()
    deadline = time.monotonic() + 60
    while numbers:
        assert time.monotonic() < deadline, f"partitions {numbers} of {topic} can't be read to their end"
        message = consumer.poll(1.0)
        if message is None:
            continue
        error = message.error()
        if error is not None:
            assert error.code() == KafkaError._PARTITION_EOF, error  # noqa: SLF001  # librdkafka's codes are named so
            numbers.discard(message.partition())
            continue
        headers: dict[str, Any] = dict(message.headers() or [])
        if headers.get("run-id") == run_id.encode():
            found.add((headers["producer"].decode(), int(headers["seq"])))
    consumer.close()
    return found


def read_sink_plainly(platform: Platform, run_id: str) -> Sends:
    """Producer and seq of every row of a run in the sink, by a scan of the table."""
    labels = {"app.kubernetes.io/name": "sink-reader", "app.kubernetes.io/component": "sink-reader"}
    with pods.temporary_pod(platform, platform.template("Deployment", ANALYTICS), ["sleep", "120"], labels) as pod:
        printed = pods.execute(platform, pod, ["python3", "-c", _SCAN, run_id], 60)
    assert printed.exit_code == 0, printed.stderr
    return {(producer, seq) for producer, seq in json.loads(printed.stdout)}


_SCAN = """
import json, sys
from pyiceberg.catalog.sql import SqlCatalog
from workloads.analytics.settings import AnalyticsSettings
settings = AnalyticsSettings()
catalog = SqlCatalog(settings.catalog_name, uri=settings.catalog_address(), warehouse=settings.warehouse)
# What the table has of other runs is more than a pod can hold
scan = catalog.load_table("commodity.prices").scan(f"run_id == '{sys.argv[1]}'", ("producer", "seq"))
print(json.dumps([[row["producer"], row["seq"]] for row in scan.to_arrow().to_pylist()]))
"""


@dataclass(frozen=True)
class Found:
    """A finding as users get it: its verdict, everything that it lists, and producer and seq of each of that."""

    verdict: str
    rows: list[dict[str, Any]]

    @property
    def named(self) -> Sends:
        """Producer and seq of everything that it lists."""
        return {(str(row["producer"]), int(row["seq"])) for row in self.rows}


@dataclass(frozen=True)
class Judged:
    """A verdict as users get it, and its findings by check."""

    verdict: str
    findings: dict[str, Found]


def judged(folder: Path) -> Judged:
    """Have `assay judge` judge a run's folder, and read what it wrote there."""
    command = [sys.executable, "-m", "assay.cli", "judge", "--processes", "1", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    document = json.loads((folder / "verdict.json").read_text())
    assert done.returncode == document["exit_code"], done.stderr
    return Judged(document["verdict"], {one["check"]: _found(folder, one) for one in document["findings"]})


def _found(folder: Path, one: dict[str, Any]) -> Found:
    rows: list[dict[str, Any]] = one["examples"]
    if one["listing"]:
        with (folder / one["listing"]).open() as listing:
            rows = list(csv.DictReader(listing))
    assert len(rows) == one["total"]
    return Found(one["verdict"], rows)
