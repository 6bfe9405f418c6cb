"""An audit log as Kubernetes writes it: what is read of it, what is kept, and how it is summed up."""

from __future__ import annotations

import json
import os
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from assay import audit
from assay.audit import Audit, Event
from assay.errors import AssayError

if TYPE_CHECKING:
    from pathlib import Path

#: An exec with a password on its command line, as Kubernetes 1.36 writes it at the level Metadata, and more than that.
EXEC: dict[str, Any] = {
    "kind": "Event",
    "apiVersion": "audit.k8s.io/v1",
    "level": "Metadata",
    "auditID": "0b9d8a53-5b0e-4c9a-9f5b-6f1f0a3f9f11",
    "stage": "ResponseComplete",
    "requestURI": "/api/v1/namespaces/production/pods/kafka-0/exec?command=login&command=hidden-7f3a9c&stdout=true",
    "verb": "get",
    "user": {
        "username": "assay-admin",
        "groups": ["system:masters", "system:authenticated"],
        "extra": {"authentication.kubernetes.io/credential-id": ["X509SHA256=hidden-7f3a9c"]},
    },
    "sourceIPs": ["203.0.113.9", "10.201.0.1"],
    "userAgent": "OpenAPI-Generator/33.1.0/python",
    "objectRef": {
        "resource": "pods",
        "namespace": "production",
        "name": "kafka-0",
        "apiVersion": "v1",
        "subresource": "exec",
    },
    "requestObject": {"data": {"password": "hidden-7f3a9c"}},
    "responseObject": {"data": {"password": "hidden-7f3a9c"}},
    "responseStatus": {"metadata": {}, "message": "hidden-7f3a9c", "code": 101},
    "requestReceivedTimestamp": "2026-03-01T10:00:00.250000Z",
    "stageTimestamp": "2026-03-01T10:00:01.000000Z",
    "annotations": {
        "authorization.k8s.io/decision": "allow",
        "authorization.k8s.io/reason": "",
        "some.plugin/told": "hidden-7f3a9c",
    },
}
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def document(at: datetime = NOON, **changes: Any) -> dict[str, Any]:
    """An event of `list pods` in production by the ETL's account, with changes; None takes a field away."""
    usual = EXEC | {
        "auditID": "a",
        "requestURI": "/api/v1/namespaces/production/pods?limit=500",
        "verb": "list",
        "user": {"username": "system:serviceaccount:production:etl"},
        "sourceIPs": ["10.201.1.7"],
        "objectRef": {"resource": "pods", "namespace": "production", "apiVersion": "v1"},
        "responseStatus": {"metadata": {}, "code": 200},
        "requestReceivedTimestamp": at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
    }
    return {name: value for name, value in (usual | changes).items() if value is not None}


def event(at: datetime = NOON, **changes: Any) -> Event:
    """The same, as it is kept."""
    return Event.model_validate(document(at, **changes))


def line(at: datetime = NOON, **changes: Any) -> str:
    """The same, as a line of a log."""
    return json.dumps(document(at, **changes)) + "\n"


def test_what_can_hold_a_secret_is_not_kept() -> None:
    """Neither bodies, messages and annotations of plugins, nor the command that an exec's URL holds."""
    kept = Event.model_validate(EXEC)
    assert "hidden" not in kept.model_dump_json(by_alias=True)
    assert (kept.actor, kept.verb, kept.resource, kept.source) == ("assay-admin", "get", "pods/exec", "10.201.0.1")
    assert (kept.decision, kept.reason, kept.user_agent) == ("allow", "", "OpenAPI-Generator/33.1.0/python")


def test_what_is_kept_is_an_event_again() -> None:
    """The evidence is in Kubernetes' own format, for whoever has tools for it, and for us."""
    kept = Event.model_validate(EXEC)
    text = kept.model_dump_json(by_alias=True, exclude_none=True)
    assert Event.model_validate_json(text) == kept
    assert json.loads(text).keys() <= EXEC.keys()


@pytest.mark.parametrize(
    ("changes", "decision"),
    [
        ({}, "allow"),
        ({"annotations": {"authorization.k8s.io/decision": "forbid"}}, "forbid"),
        ({"annotations": None, "responseStatus": {"code": 401}}, "unauthenticated"),
        ({"annotations": None}, "unknown"),
        ({"annotations": None, "responseStatus": {"code": 200}}, "unknown"),
    ],
)
def test_a_decision_is_the_authorizers(changes: dict[str, Any], decision: str) -> None:
    """Where the log does not say, it is unknown: a success is not taken for a permission."""
    assert event(**changes).decision == decision


def test_a_half_written_last_line_is_no_line_yet() -> None:
    """One that is damaged elsewhere is counted, whatever it is."""
    whole = line().encode()
    assert [one is not None for one in audit.parse([whole, b"{}\n", b"\xff\n", b"[1]\n", whole[:-9]])] == [
        True,
        False,
        False,
        False,
    ]
    assert len(list(audit.parse([whole.rstrip(b"\n")]))) == 1


def test_rotated_files_are_read_first(tmp_path: Path) -> None:
    """In the order of their times, and the file that is written into last; others in the folder are not of the log."""
    times = [NOON + timedelta(minutes=number) for number in range(3)]
    (tmp_path / "audit-2026-03-01T12-01-30.000.log").write_text(line(times[1]))
    (tmp_path / "audit-2026-03-01T12-00-30.000.log").write_text(line(times[0]))
    (tmp_path / "audit.log").write_text(line(times[2]) + '{"kind": "Ev')
    (tmp_path / "other.log").write_text("no event\n")
    (tmp_path / "policy.yaml").write_text("no event\n")
    read = audit.read_log(tmp_path / "audit.log")
    assert [one.received for one in read.events] == times
    assert (read.begins, read.unreadable) == (times[0], 0)


def test_nothing_is_missed_while_files_are_rotated(tmp_path: Path) -> None:
    """A log that is written and rotated meanwhile is read up to some moment, without a hole and without repetition."""
    log, ended = tmp_path / "audit.log", threading.Event()
    log.touch()

    def write() -> None:
        for number in range(60):
            with log.open("a") as stream:
                stream.writelines(line(NOON + timedelta(seconds=10 * number + one)) for one in range(10))
            log.rename(tmp_path / f"audit-2026-03-01T12-00-{number:02}.000.log")
            log.touch()
            ended.wait(0.005)
        ended.set()

    writer = threading.Thread(target=write)
    writer.start()
    reads = []
    while not ended.is_set():
        reads.append(audit.read_events(log))
    writer.join()
    for events in (*reads, whole := audit.read_events(log)):
        assert [one.received for one in events] == [NOON + timedelta(seconds=number) for number in range(len(events))]
    assert len(whole) == 600


def test_only_a_time_is_read(tmp_path: Path) -> None:
    """By when a request was received, ends included; when the log begins is said all the same."""
    times = [NOON + timedelta(minutes=number) for number in range(5)]
    (tmp_path / "audit.log").write_text("".join(map(line, times)))
    read = audit.read_log(tmp_path / "audit.log", times[1], times[3])
    assert [one.received for one in read.events] == times[1:4]
    assert read.begins == times[0]
    assert audit.read_events(tmp_path / "audit.log", times[1], times[3]) == read.events


def test_a_file_from_before_is_not_read_through(tmp_path: Path) -> None:
    """A log of hours is as fast to read as one of minutes; but when it begins is looked up."""
    old = tmp_path / "audit-2026-03-01T11-00-00.000.log"
    old.write_text(line(NOON - timedelta(hours=2)) + "damaged\n" * 3)
    os.utime(old, (0, (NOON - timedelta(hours=1)).timestamp()))
    (tmp_path / "audit.log").write_text(line())
    read = audit.read_log(tmp_path / "audit.log", NOON)
    assert (len(read.events), read.begins, read.unreadable) == (1, NOON - timedelta(hours=2), 0)


def test_a_file_whose_time_lags_behind_is_read(tmp_path: Path) -> None:
    """The kernel dates a change by its last tick: a request just after `since` stands in a file of just before."""
    log = tmp_path / "audit.log"
    log.write_text(line(NOON + timedelta(milliseconds=1)))
    os.utime(log, (0, (NOON - timedelta(milliseconds=9)).timestamp()))
    assert len(audit.read_events(log, NOON)) == 1


def test_a_log_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    """Never an empty log."""
    with pytest.raises(AssayError, match="not there"):
        audit.read_log(tmp_path / "audit.log")


def test_requests_alike_are_one_row() -> None:
    """With their number, how many failed, and the first and the last time; what differs is another row."""
    later = NOON + timedelta(seconds=5)
    created = {"verb": "create", "objectRef": {"resource": "deployments", "apiGroup": "apps", "namespace": "p"}}
    rows = audit.touched(
        [
            event(later, auditID="b", responseStatus={"code": 500}),
            event(),
            event(impersonatedUser={"username": "jane"}),
            event(**created),
        ]
    )
    assert [(one.impersonated, one.verb, one.group, one.resource, one.count, one.failed) for one in rows] == [
        ("", "create", "apps", "deployments", 1, 0),
        ("", "list", "", "pods", 2, 1),
        ("jane", "list", "", "pods", 1, 0),
    ]
    assert (rows[1].first, rows[1].last) == (NOON, later)


def test_a_request_that_takes_long_counts_once() -> None:
    """A watch has an event when it begins and one when it ends; one that goes on has only the first."""
    begun, ended = event(verb="watch", stage="ResponseStarted"), event(verb="watch")
    assert [one.count for one in audit.touched([begun, ended])] == [1]
    assert [one.count for one in audit.touched([begun])] == [1]


def test_nobody_hides_behind_the_id_of_another_request() -> None:
    """Whoever asks may choose the id of a request: the same one on two requests makes them no one."""
    secret = {"resource": "secrets", "namespace": "production", "name": "keys"}
    hidden = event(verb="watch", stage="ResponseStarted", objectRef=secret)
    rows = audit.touched([hidden, event()])
    assert sorted((one.resource, one.count) for one in rows) == [("pods", 1), ("secrets", 1)]


def test_a_path_that_is_no_resource_is_named() -> None:
    """Without its query."""
    (row,) = audit.touched([event(verb="get", requestURI="/metrics?token=hidden", objectRef=None)])
    assert (row.resource, row.name, row.changes) == ("", "/metrics", False)


@pytest.mark.parametrize(
    ("verb", "subresource", "changes"),
    [("get", "", False), ("watch", "", False), ("get", "log", False), ("get", "exec", True), ("patch", "scale", True)],
)
def test_an_exec_by_get_is_no_read(verb: str, subresource: str, changes: bool) -> None:
    """It is what WebSocket clients send; what comes of it is a process."""
    (row,) = audit.touched([event(verb=verb, objectRef={"resource": "pods", "subresource": subresource})])
    assert row.changes is changes


def test_a_run_has_its_events_and_their_table(tmp_path: Path) -> None:
    """Of its time, and without what is secret; what may be missing is said."""
    log = tmp_path / "audit.log"
    run = tmp_path / "run"
    run.mkdir()
    log.write_text(line(NOON - timedelta(hours=1)) + json.dumps(EXEC | {"requestReceivedTimestamp": f"{NOON:%FT%TZ}"}))
    found = audit.record(log, run, NOON)
    assert [(one.user, one.resource, one.count) for one in found.touched] == [("assay-admin", "pods/exec", 1)]
    assert (found.requests, found.gaps, found.unavailable) == (1, (), "")
    assert Audit.model_validate_json((run / audit.FILE).read_text()) == found
    assert len(audit.read_events(run / audit.EVENTS)) == 1
    assert "hidden" not in (run / audit.FILE).read_text() + (run / audit.EVENTS).read_text()


def test_a_cluster_without_a_log_is_said_to_have_none(tmp_path: Path) -> None:
    """There is no list of events then, which would be an empty one; so with a log that has gone."""
    (tmp_path / audit.EVENTS).write_text("of an earlier attempt")
    for log in (None, tmp_path / "audit.log"):
        found = audit.record(log, tmp_path, NOON)
        assert found.unavailable
        assert Audit.model_validate_json((tmp_path / audit.FILE).read_text()).unavailable == found.unavailable
        assert not (tmp_path / audit.EVENTS).exists()


def test_what_may_be_missing_is_said(tmp_path: Path) -> None:
    """A log that begins later than the run, lines that are damaged, a log without an event."""
    log = tmp_path / "audit.log"
    log.write_text(line() + "damaged\n")
    first, second = audit.record(log, tmp_path, NOON - timedelta(hours=1)).gaps
    assert "begins only at 2026-03-01 12:00:00" in first
    assert second == "1 of its lines can't be read"
    log.write_text("")
    assert audit.record(log, tmp_path, NOON).gaps == ("the log has no event at all",)
