"""What live and ready mean, with a clock of our own."""

from __future__ import annotations

import urllib.error
import urllib.request

import pytest
from structlog.testing import capture_logs

from workloads.analytics.health import Health
from workloads.analytics.metrics import Metrics, serve


class Clock:
    """Time that stands until it is moved."""

    def __init__(self) -> None:
        """Zero."""
        self.now = 0.0

    def __call__(self) -> float:
        """Seconds."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """A clock at zero."""
    return Clock()


def test_without_a_partition_a_living_consumer_is_not_ready(clock: Clock) -> None:
    """Running is not serving."""
    health = Health(10.0, clock)
    assert health.live()[0]
    assert health.ready() == (False, "no partition is assigned")


def test_assigned_and_without_lag_it_is_ready_for_ever(clock: Clock) -> None:
    """An idle topic is no fault, as long as the loop turns."""
    health = Health(10.0, clock)
    health.assign({0})
    health.progress(0, 5, 0)
    clock.now = 1000.0
    health.beat()
    assert health.ready()[0]


def test_lag_that_stands_still_is_not_progress(clock: Clock) -> None:
    """One stuck partition is enough, and the sentence names it; it moves again: ready again."""
    health = Health(10.0, clock)
    health.assign({0, 1})
    health.progress(0, 5, 7)
    health.progress(1, 5, 7)
    clock.now = 9.0
    health.beat()
    health.progress(1, 6, 6)
    assert health.ready()[0]
    clock.now = 11.0
    health.beat()
    health.progress(0, 5, 9)
    assert health.ready() == (False, "partitions 0 have lag and stand still")
    health.progress(0, 6, 8)
    assert health.ready()[0]


def test_a_loop_that_stands_is_neither_live_nor_ready(clock: Clock) -> None:
    """Beyond the limit."""
    health = Health(10.0, clock)
    health.assign({0})
    clock.now = 10.5
    assert not health.live()[0]
    assert not health.ready()[0]
    health.beat()
    assert health.live()[0]


def test_a_partition_given_up_is_no_more_asked_for(clock: Clock) -> None:
    """Late news of it is ignored too."""
    health = Health(10.0, clock)
    health.assign({0})
    health.give_up({0})
    health.progress(0, 1, 1)
    assert not health.ready()[0]


def test_the_three_doors(clock: Clock) -> None:
    """200 or 503 with the reason as text; anything else is 404."""
    health, metrics = Health(10.0, clock), Metrics()
    metrics.poison.labels("not_json").inc()
    server = serve("127.0.0.1", 0, metrics, health)

    def get(path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{server.server_address[1]}{path}") as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    try:
        assert get("/ready") == (503, "no partition is assigned\n")
        health.assign({2})
        assert get("/ready") == (200, "partitions 2 progress\n")
        assert get("/live")[0] == 200
        assert get("/other")[0] == 404
        assert 'analytics_dlq_total{reason="not_json"} 1.0' in get("/metrics")[1]
    finally:
        server.shutdown()
        server.server_close()


def test_a_request_that_fails_is_a_line_of_the_log(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And not a traceback that tears the lines of others; the next request is answered."""
    server = serve("127.0.0.1", 0, Metrics(), Health(10.0))

    def broken(_: object) -> bytes:
        raise BrokenPipeError

    monkeypatch.setattr("workloads.analytics.metrics.generate_latest", broken)
    port = server.server_address[1]
    try:
        with capture_logs() as lines:
            with pytest.raises((urllib.error.URLError, ConnectionError)):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics")
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/live") as answer:
                assert answer.status == 200
    finally:
        server.shutdown()
        server.server_close()
    assert [(line["event"], line["error"]) for line in lines] == [("http.failed", "BrokenPipeError()")]
    assert capsys.readouterr().err == ""
