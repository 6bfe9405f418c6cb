"""The consumer's loop against librdkafka's own mock brokers and an Iceberg sink in a temporary folder."""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from workloads.analytics import sink as sink_module
from workloads.analytics.consumer import Analytics
from workloads.analytics.deadletters import DeadLetters
from workloads.analytics.health import Health
from workloads.analytics.journal import Journal
from workloads.analytics.metrics import Metrics
from workloads.analytics.settings import AnalyticsSettings
from workloads.analytics.sink import SinkError
from workloads.analytics.window import Windows

if TYPE_CHECKING:
    from collections.abc import Callable

    from lake import Lake
    from mock_brokers import MockBrokers

TOPIC = "commodity-prices"
GOOD = {"commodity": "gold", "series": "s", "observed_at": "2024-01-01T00:00:00Z", "price": 1.5}


class Cluster:
    """Mocked brokers, a producer of theirs, and a sink beside them."""

    def __init__(self, brokers: MockBrokers, lake: Lake) -> None:
        """Use these."""
        self.brokers = brokers
        self.lake = lake
        self._producer = brokers.producer()
        self.sent = 0

    def send(self, *values: bytes) -> None:
        """Append messages, their headers numbering them."""
        for value in values:
            headers: Any = [("run-id", b"r"), ("producer", b"p"), ("seq", str(self.sent).encode())]
            self._producer.produce(TOPIC, value, key=b"gold", partition=0, headers=headers)
            self.sent += 1
        assert self._producer.flush(10) == 0

    def member(self, name: str = "one", **settings: Any) -> Member:
        """A consumer of these brokers, running in a thread."""
        return Member(
            name,
            self.lake,
            AnalyticsSettings(
                bootstrap_servers=self.brokers.address,
                catalog_uri=self.lake.uri,
                warehouse=self.lake.warehouse,
                flush_seconds=0.05,
                session_timeout_ms=1500,  # so long the mocked group waits for members that left it
                heartbeat_interval_ms=300,
                **settings,
            ),
        )

    def committed(self) -> int:
        """The group's committed offset."""
        return self.brokers.committed("commodity-analytics", TOPIC)


class Member:
    """One consumer in a thread of its own."""

    def __init__(self, name: str, lake: Lake, settings: AnalyticsSettings) -> None:
        """Start it."""
        self.health = Health(30.0)
        self.metrics = Metrics()
        self.error: Exception | None = None
        self._stop = threading.Event()
        sink = lake.sink(name, retry_seconds=settings.sink_retry_seconds, beat=self.health.beat)
        letters = DeadLetters(settings.producer(), settings.dlq_topic)
        self._analytics = Analytics(settings, sink, letters, Journal(name), metrics=self.metrics, health=self.health)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._analytics.run(self._stop.is_set)
        except Exception as error:  # noqa: BLE001  # the test looks at it
            self.error = error

    def value(self, name: str, **labels: str) -> float:
        """A metric's value; 0 where it has none yet."""
        return self.metrics.registry.get_sample_value(name, labels) or 0.0

    def stop(self) -> None:
        """As SIGTERM does."""
        self._stop.set()
        self._thread.join(20)
        assert not self._thread.is_alive()

    def wait_end(self) -> None:
        """Until it ended by itself."""
        self._thread.join(30)
        assert not self._thread.is_alive()


@pytest.fixture
def cluster(brokers: MockBrokers, lake: Lake) -> Cluster:
    """Empty brokers and an empty sink."""
    return Cluster(brokers, lake)


def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition, at most half a minute."""
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "the condition did not come true"
        time.sleep(0.05)


def test_every_message_ends_in_the_sink_or_with_the_dead_letters(cluster: Cluster) -> None:
    """Poison between good messages stops nothing; committed is what both have; the windows have what the rows have."""
    good = json.dumps(GOOD).encode()
    cluster.send(good, b"not json", good, json.dumps(GOOD | {"price": -1}).encode(), good)
    member = cluster.member(window_seconds=0.1, lateness_seconds=0.1)
    until(lambda: cluster.committed() == 5)
    assert member.health.ready()[0]
    until(lambda: member.value("analytics_rows_written_total", table="windows") > 0)
    member.stop()
    assert member.error is None
    rows = cluster.lake.rows()
    assert sorted(row["kafka_offset"] for row in rows) == [0, 2, 4]
    assert sorted(row["seq"] for row in rows) == [0, 2, 4]
    assert sum(row["count"] for row in cluster.lake.rows("commodity.windows")) == 3
    letters = {
        dict(letter.headers())["dlq-offset"]: letter for letter in cluster.brokers.read("commodity-prices-dlq", 2)
    }
    assert {offset: dict(letter.headers())["dlq-reason"] for offset, letter in letters.items()} == {
        b"1": b"not_json",
        b"3": b"out_of_range",
    }
    first = letters[b"1"]
    assert (first.key(), first.value()) == (b"gold", b"not json")
    assert dict(first.headers()) == {
        "run-id": b"r",
        "producer": b"p",
        "seq": b"1",
        "dlq-reason": b"not_json",
        "dlq-topic": TOPIC.encode(),
        "dlq-partition": b"0",
        "dlq-offset": b"1",
    }


def test_what_the_sink_could_not_take_is_not_committed_and_comes_again(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sink that fails for too long ends the member with nothing committed; the next one begins where it was."""
    cluster.send(*[json.dumps(GOOD).encode()] * 3)
    original = sink_module._append  # noqa: SLF001  # the sink's failure has no other door

    def failing(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(sink_module, "_append", failing)
    broken = cluster.member(sink_retry_seconds=0.2)
    broken.wait_end()
    assert isinstance(broken.error, SinkError)
    assert cluster.committed() < 0
    monkeypatch.setattr(sink_module, "_append", original)
    member = cluster.member("two")
    until(lambda: cluster.committed() == 3)
    member.stop()
    assert sorted(row["kafka_offset"] for row in cluster.lake.rows()) == [0, 1, 2]


def test_a_crash_between_sink_and_commit_writes_no_row_twice(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sink is ahead of the group: the new member commits that first and goes on from there."""
    cluster.send(*[json.dumps(GOOD).encode()] * 3)
    with monkeypatch.context() as crash:
        crash.setattr(Analytics, "_commit", lambda _: None)
        first = cluster.member()
        until(lambda: first.value("analytics_rows_written_total", table="prices") == 3)
        first.stop()
    assert cluster.committed() < 0
    cluster.send(json.dumps(GOOD).encode())
    second = cluster.member("two")
    until(lambda: cluster.committed() == 4)
    second.stop()
    assert sorted(row["kafka_offset"] for row in cluster.lake.rows()) == [0, 1, 2, 3]
    assert second.value("analytics_rows_skipped_total", table="prices") == 0.0
    assert second.value("analytics_messages_total", partition="0") == 1.0


def test_windows_that_were_open_when_their_owner_went_are_whole(cluster: Cluster) -> None:
    """Three records, a change of owner, two more: one window of five (or two, where the clock passed a border)."""
    cluster.send(*[json.dumps(GOOD).encode()] * 3)
    first = cluster.member(window_seconds=3600)
    until(lambda: cluster.committed() == 3)
    first.stop()
    assert cluster.lake.rows("commodity.windows") == []
    cluster.send(*[json.dumps(GOOD).encode()] * 2)
    second = cluster.member("two", window_seconds=3600)
    until(lambda: cluster.committed() == 5)
    second.stop()
    found = cluster.lake.sink("three").claim({0})[0]
    windows = Windows(3_600_000_000, 0)
    assert found.windows is not None
    windows.restore(0, found.windows, 0, now=0.0)
    assert sum(row.count for row in windows.closed(now=1e9)) == 5


def test_a_whole_life_is_told(cluster: Cluster) -> None:
    """Start, assignment without an offset, a good and a poison message, a second round, and an orderly end."""
    with capture_logs() as lines:
        member = cluster.member("pod/0")
        until(lambda: any(line["event"] == "consumer.assigned" for line in lines))
        cluster.send(json.dumps(GOOD).encode(), b"not json")
        until(lambda: cluster.committed() == 2)
        cluster.send(json.dumps(GOOD).encode())
        until(lambda: cluster.committed() == 3)
        member.stop()
    events = [line for line in lines if "ranges" in line]
    assert [line["n"] for line in events] == list(range(len(events)))
    assert {line["instance"] for line in events} == {"pod/0"}
    assert sorted(line["monotonic_ns"] for line in events) == [line["monotonic_ns"] for line in events]
    told = [(line["event"].removeprefix("consumer."), line["ranges"]) for line in events]
    assert told[:2] == [("started", []), ("assigned", [[0, None, None, None]])]
    assert told[-2:] == [("revoked", [[0, None, None, None]]), ("stopped", [])]
    rounds = [told[place : place + 3] for place in range(2, len(told) - 2, 3)]
    position, before = 0, None  # librdkafka may hand the two messages over in one batch or in two
    for polled, written, committed in rounds:
        ((_, first, after, records),) = polled[1]
        assert (polled[0], first, records) == ("polled", position, after - first)
        assert written == ("written", polled[1])
        assert committed == ("committed", [[0, before, after, None]])
        position = before = after
    assert position == 3


def test_a_member_that_the_sink_refuses_joins_again(cluster: Cluster) -> None:
    """Another claims its partition, though Kafka's group knows of none: it drops what it has, and starts over."""
    cluster.send(*[json.dumps(GOOD).encode()] * 3)
    with capture_logs() as lines:
        member = cluster.member("pod/0")
        until(lambda: cluster.committed() == 3)
        cluster.lake.sink("pod/1").claim({0})
        cluster.send(*[json.dumps(GOOD).encode()] * 2)
        until(lambda: cluster.committed() == 5)
        member.stop()
    assert member.error is None
    assert cluster.lake.places() == [(0, offset) for offset in range(5)]
    told = [(line["event"], line["ranges"]) for line in lines if "ranges" in line]
    lost = told.index(("consumer.lost", [[0, None, None, None]]))
    assert told[lost + 1] == ("consumer.assigned", [[0, None, 3, None]])
    assert told[lost + 2][1][0][1] == 3
