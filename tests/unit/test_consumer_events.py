"""Consumers' events: how a line is read, and that each event is recorded once, whatever happens to pods and streams."""

from __future__ import annotations

import json
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from kubernetes import client

from assay import ledger, pod_logs
from assay.consumer_events import ConsumerEvents, Event, Range, parse
from assay.errors import AssayError
from assay.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOTHING = Range(None, None, None, None)


def line(n: int, kind: str = "polled", *ranges: list[int | None], instance: str = "pod-0/1a2b", **more: Any) -> bytes:
    """A line as a consumer logs it."""
    facts = {"event": f"consumer.{kind}", "instance": instance, "n": n, "monotonic_ns": 1000 + n, "ranges": ranges}
    return json.dumps(facts | more).encode() + b"\n"


# One line


def test_an_event_is_read_with_its_ranges() -> None:
    """Whatever else the line says."""
    assert parse(line(17, "polled", [0, 5, 9, 4], [2, 7, 8, 1], level="info")) == Event(
        "pod-0/1a2b", 17, "polled", 1017, (Range(0, 5, 9, 4), Range(2, 7, 8, 1))
    )


@pytest.mark.parametrize(
    "kind", ["started", "assigned", "revoked", "lost", "polled", "written", "committed", "stopped"]
)
def test_an_event_without_ranges_has_one_range_of_nothing(kind: str) -> None:
    """So that it has a row."""
    assert parse(line(0, kind)) == Event("pod-0/1a2b", 0, kind, 1000, (NOTHING,))


def test_what_an_event_does_not_say_of_a_partition_is_none() -> None:
    """A revoked partition has no offsets; an assigned one only where it starts."""
    assert parse(line(1, "assigned", [2, None, 40, None])).ranges == (Range(2, None, 40, None),)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "other",
    [
        b"",
        b"Traceback (most recent call last):\n",
        b'{"event": "deadletter.value_omitted"}\n',
        b'{"event": "consumer.poison", "partition": 1}\n',
        b'{"event": "said", "what": "consumer.polled"}\n',
        b'["consumer.polled"]\n',
        b'"consumer.polled"\n',
    ],
)
def test_other_lines_are_no_events(other: bytes) -> None:
    """They are skipped, and nothing is said of them."""
    assert parse(other) is None


@pytest.mark.parametrize(
    "bad",
    [
        line(3)[:-5],
        line(-1),
        line(2**63),
        line(0, instance=""),
        line(0, "polled", [0, 1, 2]),
        line(0, "polled", [None, 1, 2, 1]),
        line(0, "polled", [2**31, 1, 2, 1]),
        line(0, "polled", [0, True, 2, 1]),
        line(0, ranges={}),
        line(0, ranges=[7]),
        line(0, monotonic_ns="5"),
        line(0, monotonic_ns=1.5),
        b'{"event": "consumer.assigned", "partitions": [0, 1]}\n',
    ],
)
def test_an_event_that_cannot_be_read_is_an_error(bad: bytes) -> None:
    """It is counted by the recorder, and never guessed at."""
    with pytest.raises(ValueError, match=r".+"):
        parse(bad)


# Many lines of many pods


class Log:
    """The log of one container instance as a kubelet has it: lines are added, readers and followers get them."""

    def __init__(self, *lines: bytes) -> None:
        """A log that has these lines and is not at its end."""
        self.lines = list(lines)
        self.changed = threading.Condition()
        self.ended = False
        self.broken = 0

    def write(self, *lines: bytes, end: bool = False) -> None:
        """Add lines."""
        with self.changed:
            self.lines += lines
            self.ended = self.ended or end
            self.changed.notify_all()

    def cut(self) -> None:
        """Break the streams of everyone who follows now."""
        with self.changed:
            self.broken += 1
            self.changed.notify_all()


class Stream:
    """What the client library answers with: lines, and a way to stop waiting for more."""

    def __init__(self, log: Log, *, follow: bool) -> None:
        """Start at the log's first line."""
        self.log, self.follow, self.over = log, follow, False

    def __iter__(self) -> Iterator[bytes]:
        """Lines; whoever follows waits for the next one."""
        at, broken = 0, self.log.broken
        while True:
            with self.log.changed:
                while at == len(self.log.lines) and self.follow and not (self.over or self.log.ended):
                    if self.log.broken != broken:
                        raise ConnectionResetError("cut")
                    self.log.changed.wait(10)
                if at == len(self.log.lines) or self.over:
                    return
                given = self.log.lines[at]
            at += 1
            yield given

    def shutdown(self) -> None:
        """Let the one who waits go."""
        with self.log.changed:
            self.over = True
            self.log.changed.notify_all()

    def close(self) -> None:
        """Nothing is held."""


class Cluster:
    """The API server: pods by name, each with its logs, the present one last. Stands for a platform."""

    namespace = "production"

    def __init__(self) -> None:
        """No pods yet."""
        self.logs: dict[str, list[Log]] = {}
        self.refuses_following = False
        self.away = False

    def pods(self, component: str, *, leaving: bool) -> list[Any]:
        """The pods as the client library gives them."""
        assert (component, leaving) == ("analytics", True)
        if self.away:
            raise client.ApiException(status=503, reason="Service Unavailable")
        return [
            SimpleNamespace(
                metadata=SimpleNamespace(name=name),
                status=SimpleNamespace(
                    container_statuses=[
                        SimpleNamespace(
                            name="analytics",
                            container_id=f"containerd://{name}/{len(logs)}",
                            restart_count=len(logs) - 1,
                            state=SimpleNamespace(running=None if logs[-1].ended else object()),
                        )
                    ]
                ),
            )
            for name, logs in self.logs.items()
        ]

    def connection(self) -> Cluster:
        """A connection of its own."""
        return self

    def read_namespaced_pod_log(
        self, name: str, namespace: str, *, container: str, follow: bool = False, previous: bool = False, **_: Any
    ) -> Stream:
        """A log's stream."""
        assert (namespace, container) == ("production", "analytics")
        if follow and self.refuses_following:
            raise client.ApiException(status=502, reason="Bad Gateway")
        if name not in self.logs or len(self.logs[name]) < 1 + previous:
            raise client.ApiException(status=404, reason="Not Found")
        return Stream(self.logs[name][-2 if previous else -1], follow=follow)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pods are looked for often enough for a test."""
    monkeypatch.setattr(pod_logs, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(pod_logs, "_AGAIN_SECONDS", 0.05)


@pytest.fixture
def cluster() -> Cluster:
    """One consumer runs, and has logged two events."""
    made = Cluster()
    made.logs["pod-0"] = [Log(line(0, "started"), b"hello\n", line(1, "assigned", [0, None, 5, None]))]
    return made


def recorder(cluster: Cluster, path: Path) -> ConsumerEvents:
    """What is tested."""
    return ConsumerEvents(cluster, "analytics", path)  # type: ignore[arg-type]  # all of a platform that is asked for


def rows(path: Path) -> list[dict[str, Any]]:
    """The ledger's rows as far as they are on disk; none before its first."""
    try:
        found: list[dict[str, Any]] = ledger.read(path).table.to_pylist()
    except AssayError:
        return []
    return found


def numbers(path: Path, instance: str = "pod-0/1a2b") -> list[int]:
    """The numbers of an instance's events, in the ledger's order."""
    return [row["n"] for row in rows(path) if row["instance"] == instance]


def appears(path: Path, count: int) -> None:
    """Wait until the ledger has that many rows: they are on disk while the recording goes on."""
    wait_until(lambda: len(rows(path)) >= count, 20, "The rows do not come.", every=0.02)


def test_what_was_logged_before_has_no_time_and_what_comes_has_one(cluster: Cluster, tmp_path: Path) -> None:
    """Each instance's last assignment is known, though it is older than the recording."""
    path = tmp_path / "events.arrows"
    with recorder(cluster, path) as events:
        cluster.logs["pod-0"][0].write(line(2, "polled", [0, 5, 9, 4], [1, 0, 3, 3]))
        appears(path, 4)
    first, second, third, fourth = rows(path)
    assert (first["kind"], first["partition"], first["seen_ns"]) == ("started", None, None)
    assert (second["kind"], second["partition"], second["next"], second["seen_ns"]) == ("assigned", 0, 5, None)
    assert (third["partition"], third["first"], third["next"], third["records"], third["at_ns"]) == (0, 5, 9, 4, 1002)
    assert fourth["partition"] == 1
    assert third["seen_ns"] == fourth["seen_ns"] > 0
    assert ledger.read(path).complete
    assert list(events.gaps) == []


def test_a_stream_that_breaks_is_taken_up_again(cluster: Cluster, tmp_path: Path) -> None:
    """Nothing is recorded twice, and what came meanwhile is not missed."""
    path = tmp_path / "events.arrows"
    log = cluster.logs["pod-0"][0]
    with recorder(cluster, path) as events:
        log.write(line(2))
        appears(path, 3)
        log.cut()
        log.write(line(3))
        appears(path, 4)
        log.write(line(4))
        appears(path, 5)
    assert numbers(path) == [0, 1, 2, 3, 4]
    assert rows(path)[4]["seen_ns"] is not None
    assert events.gaps == ["the log of pod-0 could not be followed at times (cut)"]


def test_a_new_pod_is_found_and_its_first_lines_are_news(cluster: Cluster, tmp_path: Path) -> None:
    """It was not there at the last look."""
    path = tmp_path / "events.arrows"
    with recorder(cluster, path):
        cluster.logs["pod-1"] = [Log(line(0, "started", instance="pod-1/ff"))]
        appears(path, 3)
    assert numbers(path, "pod-1/ff") == [0]
    assert [row["seen_ns"] is None for row in rows(path)] == [True, True, False]


def test_a_restarted_container_is_another_instance(cluster: Cluster, tmp_path: Path) -> None:
    """The killed one's last lines are kept, and the new one is followed from its start."""
    path = tmp_path / "events.arrows"
    with recorder(cluster, path):
        cluster.logs["pod-0"][0].write(line(2), end=True)
        appears(path, 3)
        cluster.logs["pod-0"].append(Log(line(0, "started", instance="pod-0/ee")))
        appears(path, 4)
    assert numbers(path) == [0, 1, 2]
    assert numbers(path, "pod-0/ee") == [0]


def test_a_deleted_pod_leaves_what_it_had_logged(cluster: Cluster, tmp_path: Path) -> None:
    """At the end its log can't be read any more; it was followed while it could."""
    path = tmp_path / "events.arrows"
    with recorder(cluster, path) as events:
        cluster.logs["pod-0"][0].write(line(2), line(3, "stopped"), end=True)
        appears(path, 4)
        del cluster.logs["pod-0"]
    assert numbers(path) == [0, 1, 2, 3]
    assert events.gaps == []


def test_what_could_not_be_followed_is_read_at_the_end(cluster: Cluster, tmp_path: Path) -> None:
    """Without a time, also from the instance before the present one; that it was not followed is said."""
    path = tmp_path / "events.arrows"
    cluster.refuses_following = True
    with recorder(cluster, path) as events:
        cluster.logs["pod-0"][0].write(line(2), end=True)
        cluster.logs["pod-0"].append(Log(line(0, instance="pod-0/ee")))
        wait_until(lambda: len(numbers(path)) >= 2, 20, "The lines from before do not come.")
    assert sorted(numbers(path)) == [0, 1, 2]
    assert numbers(path, "pod-0/ee") == [0]
    assert {row["seen_ns"] for row in rows(path)} == {None}
    assert events.gaps
    assert all("could not be followed at times" in gap for gap in events.gaps)


def test_an_api_server_that_is_away_for_a_while_is_asked_again(cluster: Cluster, tmp_path: Path) -> None:
    """Even at the start; that the pods could not be listed is said."""
    path = tmp_path / "events.arrows"
    cluster.away = True
    with recorder(cluster, path) as events:
        cluster.away = False
        appears(path, 2)
    assert numbers(path) == [0, 1]
    assert {row["seen_ns"] for row in rows(path)} == {None}
    assert all("could not be listed at" in gap for gap in events.gaps)


def test_a_second_recording_records_what_the_first_did_not(cluster: Cluster, tmp_path: Path) -> None:
    """Load and drain may be two commands: together their ledgers hold each event once."""
    with recorder(cluster, tmp_path / "events-load.arrows"):
        appears(tmp_path / "events-load.arrows", 2)
    cluster.logs["pod-0"][0].write(line(2))
    with recorder(cluster, tmp_path / "events-drain.arrows"):
        pass
    assert numbers(tmp_path / "events-load.arrows") == [0, 1]
    assert numbers(tmp_path / "events-drain.arrows") == [2]


def test_lines_that_cannot_be_read_are_counted(cluster: Cluster, tmp_path: Path) -> None:
    """The others are recorded."""
    cluster.logs["pod-0"][0].write(line(-1), line(2))
    with recorder(cluster, tmp_path / "events.arrows") as events:
        pass
    assert numbers(tmp_path / "events.arrows") == [0, 1, 2]
    assert events.gaps == ["lines of consumers' events could not be read: 1"]
