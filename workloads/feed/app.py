"""The feed's HTTP API: routes, access, rate limit, conditional requests and faults around prepared pages."""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, TypeAlias

import orjson
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_1_0_0
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from workloads.feed.faults import MALFORMATIONS, Dice, Faults
from workloads.feed.pages import Page, Pages
from workloads.feed.rate import Bucket
from workloads.feed.series import catalogue

if TYPE_CHECKING:
    from pathlib import Path

    from workloads.feed.settings import FeedSettings

PAGE_SIZE: Final = 1000
MAX_PAGE_SIZE: Final = 5000
JSON: Final = "application/json"
Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]


class _Metrics:
    """What the feed counts; a registry of its own, so that two feeds can live in one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "feed_requests_total", "Requests by route and status.", ("route", "status"), registry=self.registry
        )
        self.seconds = Histogram(
            "feed_request_seconds", "Time to answer a request, injected slowness included.", registry=self.registry
        )
        self.rows = Counter("feed_rows_served_total", "Rows sent in pages.", registry=self.registry)
        self.faults = Counter("feed_faults_total", "Faults shown to clients.", ("kind",), registry=self.registry)
        self.malformed = Gauge(
            "feed_malformed_rows", "Malformed rows in the catalogue now.", ("kind",), registry=self.registry
        )


class Feed:
    """The API's state: the pages under the present faults, the rate limit, the counters."""

    def __init__(self, settings: FeedSettings) -> None:
        """Load the catalogue; nothing listens yet."""
        self._settings = settings
        self._catalogue = catalogue(settings.seed)
        self._bucket = Bucket(settings.rate_per_second, settings.rate_burst, time.monotonic())
        self._dice = Dice(settings.seed)
        self._metrics = _Metrics()
        self._switch(settings.faults)

    def _switch(self, faults: Faults) -> None:
        self._faults = faults
        self._pages = Pages(self._catalogue, faults.malformed_ratio, self._settings.seed)
        for kind in MALFORMATIONS:
            self._metrics.malformed.labels(kind).set(self._pages.malformed[kind])

    def app(self) -> Starlette:
        """The ASGI application."""
        return Starlette(
            routes=[
                Route("/v1/series", self._timed("/v1/series", self.series)),
                Route("/v1/prices", self._timed("/v1/prices", self.prices)),
                Route("/admin/faults", self._timed("/admin/faults", self.admin), methods=["GET", "PUT"]),
                Route("/healthz", lambda _: Response("ok\n", media_type="text/plain")),
                Route("/metrics", self.metrics),
            ]
        )

    def _timed(self, route: str, endpoint: Endpoint) -> Endpoint:
        async def timed(request: Request) -> Response:
            start = time.perf_counter()
            response = await endpoint(request)
            self._metrics.seconds.observe(time.perf_counter() - start)
            self._metrics.requests.labels(route, response.status_code).inc()
            return response

        return timed

    async def series(self, request: Request) -> Response:
        """`GET /v1/series`: every series with its count of rows."""
        return await self._refusal(request) or _conditional(request, self._pages.series)

    async def prices(self, request: Request) -> Response:
        """`GET /v1/prices`: one page of a commodity's rows."""
        refusal = await self._refusal(request)
        if refusal is not None:
            return refusal
        commodity = request.query_params.get("commodity", "")
        if commodity not in self._pages:
            return _problem(404, f"There is no commodity {commodity!r}: /v1/series lists them.")
        number = _whole(request.query_params.get("page", "1"))
        size = _whole(request.query_params.get("page_size", str(PAGE_SIZE)))
        if number is None or size is None or size > MAX_PAGE_SIZE:
            return _problem(400, f"page must be a number from 1, page_size one from 1 to {MAX_PAGE_SIZE}.")
        page = self._pages.page(commodity, number, size)
        response = _conditional(request, page)
        if response.status_code == 200:  # noqa: PLR2004  # OK
            self._metrics.rows.inc(page.rows)
        return response

    async def admin(self, request: Request) -> Response:
        """`GET|PUT /admin/faults`: the faults that are on and the malformed rows they make; PUT replaces them all."""
        if self._settings.admin_token_file is None:
            return _problem(404, "The admin endpoint is off: start the feed with FEED_ADMIN_TOKEN_FILE.")
        if not _authorised(request, self._settings.admin_token_file):
            return _problem(401, "This needs the admin's bearer token.", {"WWW-Authenticate": "Bearer"})
        if request.method == "PUT":
            try:
                self._switch(Faults.model_validate_json(await request.body()))
            except ValidationError as error:
                first = error.errors(include_url=False)[0]
                return _problem(422, f"Unusable faults: {'.'.join(map(str, first['loc'])) or 'body'}: {first['msg']}.")
        state = {"faults": self._faults.model_dump(), "malformed_rows": dict(self._pages.malformed)}
        return Response(orjson.dumps(state), media_type=JSON)

    async def metrics(self, _request: Request) -> Response:
        """`GET /metrics`: the counters in Prometheus' text format."""
        return Response(generate_latest(self._metrics.registry), media_type=CONTENT_TYPE_PLAIN_1_0_0)

    async def _refusal(self, request: Request) -> Response | None:
        """The answer that access, rate limit or a fault give in the page's place, or None."""
        if not _authorised(request, self._settings.token_file):
            return _problem(401, "This needs a bearer token.", {"WWW-Authenticate": "Bearer"})
        wait = self._bucket.take(time.monotonic())
        if wait:
            return _problem(429, f"Too many requests: try again in {wait} s.", {"Retry-After": str(wait)})
        if self._dice.strikes(self._faults.slow_ratio):
            self._metrics.faults.labels("slow").inc()
            await asyncio.sleep(self._faults.slow_seconds)
        if self._dice.strikes(self._faults.error_ratio):
            self._metrics.faults.labels("error").inc()
            return _problem(503, "An injected fault: try again.")
        return None


def _authorised(request: Request, token_file: Path) -> bool:
    """Whether a request bears one of the file's tokens: one a line, more than one while a rotation is under way."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    try:
        lines = token_file.read_text(encoding="utf-8").splitlines()
    except OSError:
        return False
    given = token.strip().encode()
    right = [hmac.compare_digest(given, line.strip().encode()) for line in lines if line.strip()]
    return scheme.lower() == "bearer" and any(right)


def _conditional(request: Request, page: Page) -> Response:
    headers = {"ETag": page.etag, "Cache-Control": "private, no-cache"}
    wanted = {tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")}
    if page.etag in wanted or "*" in wanted:
        return Response(status_code=304, headers=headers)
    return Response(page.body, media_type=JSON, headers=headers)


def _problem(status: int, sentence: str, headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps({"error": sentence}), status_code=status, media_type=JSON, headers=headers)


def _whole(text: str) -> int | None:
    """A whole number from 1 in at most 9 decimal digits, else None."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 and int(text) > 0 else None  # noqa: PLR2004  # 9 digits
