"""The price feed, through its ASGI interface: what it serves, to whom, how fast, and with which faults."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from workloads.feed.app import Feed
from workloads.feed.faults import MALFORMATIONS, Faults, spoil
from workloads.feed.rate import Bucket
from workloads.feed.series import catalogue
from workloads.feed.settings import FeedSettings

if TYPE_CHECKING:
    from pathlib import Path

TOKEN = {"Authorization": "Bearer reader"}
ADMIN = {"Authorization": "Bearer admin"}


class Client:
    """A client of an application in this process, a request at a time."""

    def __init__(self, feed: Feed) -> None:
        """Nothing is asked yet."""
        self._app = feed.app()

    def get(self, path: str, headers: dict[str, str] | None = None) -> httpx.Response:
        """GET."""
        return asyncio.run(self._ask("GET", path, headers=headers))

    def put(self, path: str, json: object, headers: dict[str, str]) -> httpx.Response:
        """PUT with a JSON body."""
        return asyncio.run(self._ask("PUT", path, headers=headers, json=json))

    async def _ask(self, method: str, path: str, **rest: Any) -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(self._app), base_url="http://feed") as client:
            return await client.request(method, path, **rest)


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    """A folder with both tokens, as a Secret is mounted."""
    (tmp_path / "token").write_text("reader\n")
    (tmp_path / "admin").write_text("admin\n")
    return tmp_path


def client(tokens: Path, **settings: Any) -> Client:
    """A client of a feed with these settings."""
    return Client(Feed(FeedSettings(token_file=tokens / "token", admin_token_file=tokens / "admin", **settings)))


def test_the_real_series_are_whole_and_the_others_say_that_they_are_synthetic(tokens: Path) -> None:
    """9,132 days of gold and silver and 138 state-years of natural gas are real; copper and oil are marked."""
    series = client(tokens).get("/v1/series", headers=TOKEN).json()["series"]
    counts: Counter[tuple[str, bool]] = Counter()
    for one in series:
        counts[one["commodity"], one["synthetic"]] += one["count"]
    assert counts == {
        ("gold", False): 9132,
        ("silver", False): 9132,
        ("copper", True): 9132,
        ("oil", True): 9132,
        ("natural-gas", False): 138,
    }


def test_the_first_day_is_the_base_of_the_index(tokens: Path) -> None:
    """Gold on 1977-12-30 is 100, and its row id names commodity, series and day."""
    first = client(tokens).get("/v1/prices?commodity=gold&page_size=1", headers=TOKEN).json()["rows"][0]
    assert (first["id"], first["price"], first["synthetic"]) == ("gold/spot-index/1977-12-30", 100.0, False)


def test_following_next_gives_every_row_once(tokens: Path) -> None:
    """Pages are linked; together they are the whole series, and the last has no next."""
    feed = client(tokens)
    link, ids = "/v1/prices?commodity=silver&page_size=4000", []
    while link:
        page = feed.get(link, headers=TOKEN).json()
        ids += [row["id"] for row in page["rows"]]
        link = page["next"]
    assert len(ids) == len(set(ids)) == page["total"] == 9132


def test_the_synthetic_series_depend_on_the_seed_alone() -> None:
    """The same seed gives the same prices, another one others, and none is below zero."""
    assert catalogue(7)["oil"] == catalogue(7)["oil"] != catalogue(8)["oil"]
    assert all(isinstance(row["price"], float) and row["price"] > 0 for row in catalogue(7)["copper"])


def test_an_unchanged_page_is_not_sent_twice(tokens: Path) -> None:
    """`If-None-Match` with the page's ETag gives 304 and no body; with another one the page."""
    feed = client(tokens)
    first = feed.get("/v1/prices?commodity=gold", headers=TOKEN)
    again = feed.get("/v1/prices?commodity=gold", headers=TOKEN | {"If-None-Match": first.headers["etag"]})
    other = feed.get("/v1/prices?commodity=gold&page=2", headers=TOKEN | {"If-None-Match": first.headers["etag"]})
    assert (first.status_code, again.status_code, again.content, other.status_code) == (200, 304, b"", 200)


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "reader"}, ADMIN])
def test_without_the_right_token_nothing_is_served(tokens: Path, headers: dict[str, str]) -> None:
    """No token, a wrong one, one without its scheme, and another door's token are all refused."""
    assert client(tokens).get("/v1/prices?commodity=gold", headers=headers).status_code == 401


def test_an_empty_token_file_opens_no_door(tokens: Path) -> None:
    """A Secret that is mounted empty must not make the empty token valid."""
    feed = client(tokens)
    (tokens / "token").write_text("")
    assert feed.get("/v1/series", headers={"Authorization": "Bearer "}).status_code == 401


def test_a_rotated_token_counts_at_once(tokens: Path) -> None:
    """The token is read at every request."""
    feed = client(tokens)
    (tokens / "token").write_text("new")
    assert feed.get("/v1/series", headers=TOKEN).status_code == 401
    assert feed.get("/v1/series", headers={"Authorization": "Bearer new"}).status_code == 200


@pytest.mark.parametrize(("name", "path"), [("token", "/v1/series"), ("admin", "/admin/faults")])
def test_while_tokens_are_rotated_each_line_is_one(tokens: Path, name: str, path: str) -> None:
    """The old and the new one are accepted, in either order; not both as one, nor an empty one. Then the old is not."""
    feed = client(tokens)

    def answers(*asked: str) -> list[int]:
        return [feed.get(path, headers={"Authorization": f"Bearer {one}"}).status_code for one in asked]

    for text in ("old\n\nnew\n", "new\r\nold"):
        (tokens / name).write_text(text)
        assert answers("old", "new", "oldnew", "old new", "other", "") == [200, 200, 401, 401, 401, 401]
    (tokens / name).write_text("new")
    assert answers("old", "new") == [401, 200]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("commodity=tin", 404),
        ("", 404),
        ("commodity=gold&page=0", 400),
        ("commodity=gold&page=-1", 400),
        ("commodity=gold&page=x", 400),
        ("commodity=gold&page_size=5001", 400),
        ("commodity=gold&page=1&page_size=0", 400),
    ],
)
def test_a_wrong_question_is_told_what_is_wrong(tokens: Path, query: str, status: int) -> None:
    """Unknown commodities and impossible pages get a sentence, not a failure."""
    answer = client(tokens).get(f"/v1/prices?{query}", headers=TOKEN)
    assert (answer.status_code, answer.json()["error"][-1]) == (status, ".")


def test_a_page_after_the_last_is_empty(tokens: Path) -> None:
    """It is no error, and has no next."""
    page = client(tokens).get("/v1/prices?commodity=gold&page=999", headers=TOKEN).json()
    assert (page["rows"], page["next"]) == ([], None)


def test_beyond_the_rate_limit_the_feed_says_when_to_come_back(tokens: Path) -> None:
    """After the burst: 429 with Retry-After in whole seconds."""
    feed = client(tokens, rate_per_second=0.5, rate_burst=2)
    answers = [feed.get("/v1/series", headers=TOKEN) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[2].headers["retry-after"] == "2"


def test_the_bucket_refills_with_time_and_not_beyond_its_burst() -> None:
    """2 per second, burst 3: three at once, a wait of a second, and after an hour again only three."""
    bucket = Bucket(2.0, 3, now=0.0)
    assert [bucket.take(0.0) for _ in range(4)] == [0, 0, 0, 1]
    assert [bucket.take(1.0) for _ in range(3)] == [0, 0, 1]
    assert [bucket.take(3600.0) for _ in range(4)] == [0, 0, 0, 1]


def test_faults_are_switched_by_the_admin_only(tokens: Path) -> None:
    """PUT with the admin's token replaces all faults; the reader's token can't; unknown faults are refused."""
    feed = client(tokens)
    assert feed.put("/admin/faults", json={"error_ratio": 1}, headers=TOKEN).status_code == 401
    assert feed.put("/admin/faults", json={"error": 1}, headers=ADMIN).status_code == 422
    assert feed.put("/admin/faults", json={"error_ratio": 2}, headers=ADMIN).status_code == 422
    assert feed.get("/v1/series", headers=TOKEN).status_code == 200
    assert feed.put("/admin/faults", json={"error_ratio": 1}, headers=ADMIN).status_code == 200
    assert feed.get("/v1/series", headers=TOKEN).status_code == 503
    assert feed.put("/admin/faults", json={}, headers=ADMIN).status_code == 200
    assert feed.get("/v1/series", headers=TOKEN).status_code == 200


def test_malformed_rows_are_the_same_at_every_request_and_counted(tokens: Path) -> None:
    """What the admin endpoint counts is what a reader finds, kind by kind."""
    feed = client(tokens)
    told = feed.put("/admin/faults", json={"malformed_ratio": 0.01}, headers=ADMIN).json()["malformed_rows"]
    found: Counter[str] = Counter()
    for commodity in ("gold", "silver", "copper", "oil", "natural-gas"):
        link, ids = f"/v1/prices?commodity={commodity}&page_size=5000", Counter[str]()
        while link:
            page = feed.get(link, headers=TOKEN).json()
            for row in page["rows"]:
                ids[row["id"]] += 1
                price = row.get("price")
                found["missing_price"] += price is None
                found["wrong_type"] += isinstance(price, str)
                found["negative_price"] += price == -1.0
                found["bad_date"] += row["date"].endswith("-02-31")
            link = page["next"]
        found["duplicate_id"] += sum(count - 1 for count in ids.values())
    assert set(told) == set(MALFORMATIONS)
    assert found == told
    assert 200 < sum(told.values()) < 600


def test_spoiling_with_ratio_zero_or_one_spoils_nothing_or_everything() -> None:
    """The ends of the scale are exact."""
    rows = catalogue(7)["natural-gas"]
    assert spoil(rows, 0.0, 7) == (rows, Counter())
    assert spoil(rows, 1.0, 7)[1].total() == len(rows)


def test_slowness_delays_and_nothing_else(tokens: Path) -> None:
    """A slow answer is late and right."""
    feed = client(tokens, faults=Faults(slow_ratio=1.0, slow_seconds=0.05))
    start = time.monotonic()
    assert feed.get("/v1/series", headers=TOKEN).status_code == 200
    assert time.monotonic() - start >= 0.05


def test_metrics_count_requests_rows_and_faults(tokens: Path) -> None:
    """`/metrics` and `/healthz` need no token."""
    feed = client(tokens, faults=Faults(error_ratio=1.0))
    feed.get("/v1/prices?commodity=gold", headers=TOKEN)
    text = feed.get("/metrics").text
    assert 'feed_requests_total{route="/v1/prices",status="503"} 1.0' in text
    assert 'feed_faults_total{kind="error"} 1.0' in text
    assert feed.get("/healthz").status_code == 200
