"""A whole ETL run against a faked feed and librdkafka's own mock brokers: retries, accounting, the summary."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import httpx
import pytest
import stamina
from confluent_kafka import Producer

from workloads.etl import pipeline, produce
from workloads.etl.extract import Feed, FeedError, retry_after
from workloads.etl.summary import Summary
from workloads.timeouts import KafkaTimeouts

if TYPE_CHECKING:
    from pathlib import Path

    from mock_brokers import MockBrokers

Answer = Callable[[httpx.Request], httpx.Response]


@pytest.fixture(autouse=True)
def _no_waiting() -> Iterator[None]:
    """Retries happen at once, at most five of them."""
    with stamina.set_testing(True, attempts=5):
        yield


def row(day: int, **changes: object) -> dict[str, object]:
    """A row of gold."""
    return {
        "commodity": "gold",
        "series": "spot",
        "date": f"2000-01-{day:02}",
        "price": 1.0 + day,
        "unit": "index",
        "synthetic": False,
    } | changes


def feed_of(rows: list[object], total: int | None = None, size: int = 3) -> Answer:
    """A feed with one commodity of these rows."""

    def answer(request: httpx.Request) -> httpx.Response:
        assert request.headers["authorization"] == "Bearer token"
        if request.url.path == "/v1/series":
            return httpx.Response(200, json={"series": [{"commodity": "gold"}]})
        page = int(request.url.params["page"])
        part = rows[(page - 1) * size : page * size]
        more = f"/v1/prices?commodity=gold&page={page + 1}&page_size={size}" if page * size < len(rows) else None
        return httpx.Response(200, json={"rows": part, "next": more, "total": len(rows) if total is None else total})

    return answer


def first_fails(answer: Answer, *failures: httpx.Response | Exception) -> Answer:
    """The feed after these failures of its first requests."""
    left = list(failures)

    def failing(request: httpx.Request) -> httpx.Response:
        if not left:
            return answer(request)
        failure = left.pop(0)
        if isinstance(failure, Exception):
            raise failure
        return failure

    return failing


def client(answer: Answer) -> Feed:
    """The ETL's client of this feed."""
    return Feed("http://feed", "token", 5.0, httpx.MockTransport(answer))


def run(answer: Answer, producer: Producer) -> Summary:
    """One run; the summary as far as it came where the feed fails."""
    summary = Summary("run-1")
    outlets = pipeline.Outlets(
        produce.Outlet(producer, "commodity-prices", "run-1", "etl"),
        produce.Outlet(producer, "commodity-price-rejects", "run-1", "etl-rejects"),
    )
    with client(answer) as feed:
        try:
            pipeline.run(feed, 3, outlets, lambda: produce.drain(producer, 10.0), summary)
        except FeedError as error:
            summary.problem = str(error)
    return summary


def test_every_row_ends_in_exactly_one_topic(brokers: MockBrokers) -> None:
    """Seven rows: four good, one without price, one twice, one nothing at all; all seven are found again."""
    producer = brokers.producer()
    rows: list[object] = [row(1), row(2), row(3, price=None), row(1), None, row(4), row(5)]
    summary = run(feed_of(rows), producer)
    said = json.loads(summary.line())
    assert (said["extracted"], said["accepted"], said["produced"], said["rejected"], said["unaccounted"]) == (
        7, 4, 4, 3, 0,
    )  # fmt: skip
    assert said["reasons"] == {"missing_field": 1, "duplicate": 1, "not_an_object": 1}
    assert said["by_commodity"]["gold"] == {"extracted": 7, "accepted": 4, "produced": 4, "rejected": 3}
    assert said["outcome"] == "ok"
    prices = brokers.read("commodity-prices", 4)
    assert {message.key() for message in prices} == {f"gold/spot/2000-01-0{day}".encode() for day in (1, 2, 4, 5)}
    assert sorted(int(dict(message.headers())["seq"]) for message in prices) == [0, 1, 2, 3]
    rejects = brokers.read("commodity-price-rejects", 3)
    assert Counter(json.loads(message.value())["reason"] for message in rejects) == Counter(said["reasons"])
    assert {dict(message.headers())["producer"] for message in rejects} == {b"etl-rejects"}


def test_a_second_run_writes_the_same_keyed_values(brokers: MockBrokers) -> None:
    """Keys and values of two runs of one day are equal."""
    producer = brokers.producer()
    rows: list[object] = [row(day) for day in range(1, 8)]
    run(feed_of(rows), producer)
    run(feed_of(rows), producer)
    pairs = Counter((message.key(), message.value()) for message in brokers.read("commodity-prices", 14))
    assert set(pairs.values()) == {2}


@pytest.mark.parametrize(
    "failure",
    [
        httpx.Response(500),
        httpx.Response(503, headers={"Retry-After": "0"}),
        httpx.Response(429, headers={"Retry-After": "0"}),
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("slow"),
    ],
)
def test_a_passing_fault_is_survived(failure: httpx.Response | Exception) -> None:
    """Three failures in a row are retried, and nothing is read twice."""
    with client(first_fails(feed_of([row(1)]), failure, failure, failure)) as feed:
        assert feed.commodities() == ["gold"]
        assert list(feed.pages("gold", 3)) == [[row(1)]]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda _: httpx.Response(401), "check the token"),
        (lambda _: httpx.Response(404), "check the address"),
        (lambda _: httpx.Response(500), "answers 500"),
        (lambda _: httpx.Response(200, text="<html>"), "no JSON object"),
        (lambda _: httpx.Response(200, json=[1]), "no JSON object"),
        (lambda _: httpx.Response(200, json={}), "without a list of series"),
        (
            first_fails(lambda _: httpx.Response(200), *[httpx.ConnectError("refused")] * 9),
            "can't be reached (refused)",
        ),
    ],
)
def test_a_feed_that_is_none_is_one_sentence(answer: Answer, words: str) -> None:
    """What can't be read for good ends the run with where, why and what to do."""
    with client(answer) as feed, pytest.raises(FeedError, match=r"http://feed.*[.?]$") as caught:
        feed.commodities()
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "link", ["/v1/prices?commodity=gold&page=1&page_size=3", "http://elsewhere/v1/prices?page=2", "//elsewhere/x"]
)
def test_the_token_is_not_carried_elsewhere_nor_round_in_circles(link: str) -> None:
    """A next link to another host or to a page already read is refused."""

    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"rows": [], "next": link, "total": 0})

    with client(answer) as feed, pytest.raises(FeedError, match="can't be followed"):
        list(feed.pages("gold", 3))


def test_rows_that_the_feed_announced_and_did_not_give_fail_the_run(brokers: MockBrokers) -> None:
    """The run is not sound, though every row that came is accounted for."""
    summary = run(feed_of([row(1)], total=2), brokers.producer())
    said = json.loads(summary.line())
    assert (said["outcome"], said["unaccounted"], said["produced"]) == ("failed", 0, 1)
    assert "announced 2 rows of gold and gave 1" in said["problem"]


def test_a_feed_that_dies_half_way_leaves_what_was_read_accounted_for(brokers: MockBrokers) -> None:
    """The first page is in the topic, the summary says so and that the run failed."""
    rows: list[object] = [row(day) for day in range(1, 6)]
    whole = feed_of(rows)

    def dying(request: httpx.Request) -> httpx.Response:
        return whole(request) if request.url.params.get("page", "1") == "1" else httpx.Response(500)

    said = json.loads(run(dying, brokers.producer()).line())
    assert (said["outcome"], said["extracted"], said["produced"], said["unaccounted"]) == ("failed", 3, 3, 0)


def test_a_delivery_that_fails_is_neither_produced_nor_forgotten() -> None:
    """With no broker to reach, the rows are unaccounted for and the error is named."""
    producer = Producer({"bootstrap.servers": "127.0.0.1:1", "message.timeout.ms": 300, "log_level": 0})
    said = json.loads(run(feed_of([row(1), row(2, price=-1)]), producer).line())
    assert (said["produced"], said["rejected"], said["unaccounted"], said["outcome"]) == (0, 0, 2, "failed")
    assert said["delivery_errors"] == {"_MSG_TIMED_OUT": 2}


def test_kafka_that_does_not_answer_or_lacks_the_topic_is_one_sentence(brokers: MockBrokers) -> None:
    """Both are said before a row is read."""
    with pytest.raises(produce.KafkaUnusableError, match=r"127\.0\.0\.1:1 can't be reached .*\.$"):
        produce.connect("127.0.0.1:1", ["commodity-prices"], 0.3, 1.0, KafkaTimeouts().client())
    with pytest.raises(produce.KafkaUnusableError, match="has no topic absent: create it"):
        produce.connect(brokers.address, ["absent"], 10.0, 1.0, KafkaTimeouts().client())


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("3", 3.0), ("0", 0.0), ("86400", 60.0), ("", None), ("-1", None), ("Wed, 21 Oct 2026 07:28:00 GMT", None)],
)
def test_retry_after_is_honoured_in_seconds_and_bounded(text: str, seconds: float | None) -> None:
    """A wait of more than a minute is not taken in one piece; other forms fall back to back-off."""
    assert retry_after(httpx.Response(429, headers={"Retry-After": text})) == seconds


def test_the_metrics_file_says_what_the_summary_says(brokers: MockBrokers, tmp_path: Path) -> None:
    """Prometheus text format, base units."""
    summary = run(feed_of([row(1), row(2, price=-1)]), brokers.producer())
    summary.write_metrics(tmp_path / "etl.prom")
    text = (tmp_path / "etl.prom").read_text()
    assert 'etl_run_rows{commodity="gold",outcome="produced"} 1.0' in text
    assert "etl_run_success 1.0" in text
    assert 'etl_run_stage_seconds{stage="produce"}' in text
