"""Extract: every page of every commodity from the feed, with retries that a rate limit or a passing fault survives.

Retried are failed connections, time-outs, 408, 429 and 5xx: with exponential back-off and jitter, or after exactly what
`Retry-After` asks for; one request at most for a set time. Anything else the feed says is an answer, not a fault.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Self

import httpx
import orjson
import stamina

if TYPE_CHECKING:
    from collections.abc import Iterator

_PASSING: Final = frozenset({408, 429, 500, 502, 503, 504})
_TIMEOUT: Final = httpx.Timeout(5.0, connect=3.0)
#: A longer `Retry-After` than this is not waited for in one piece (seconds).
_LONGEST_WAIT: Final = 60.0


class FeedError(RuntimeError):
    """The feed can't be read; the message says where, why and what to do."""


class Feed:
    """A client of the price feed; use as a context manager."""

    def __init__(
        self, url: str, token: str, retry_seconds: float, transport: httpx.BaseTransport | None = None
    ) -> None:
        """Make the client; nothing is asked yet.

        Args:
            url: Base address of the API.
            token: Bearer token, sent to that address only.
            retry_seconds: How long one request is retried before `FeedError`.
            transport: Where requests go instead of the network (tests).
        """
        self._url = url
        self._retry_seconds = retry_seconds
        self._client = httpx.Client(
            base_url=url,
            headers={"Authorization": f"Bearer {token}"},
            timeout=_TIMEOUT,
            transport=transport,
            trust_env=transport is None,
        )

    def __enter__(self) -> Self:
        """The client itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close its connections."""
        self._client.close()

    def commodities(self) -> list[str]:
        """The names of all commodities, in the feed's order.

        Raises:
            FeedError: The feed can't be read.
        """
        answer = self._get("/v1/series")
        try:
            return list(dict.fromkeys(str(series["commodity"]) for series in answer["series"]))  # type: ignore[attr-defined]
        except (KeyError, TypeError):
            raise FeedError(f"{self._url}/v1/series answers without a list of series: is it a price feed?") from None

    def pages(self, commodity: str, page_size: int) -> Iterator[list[object]]:
        """The rows of one commodity, page by page, as the feed gives them.

        Raises:
            FeedError: The feed can't be read, its pages go round in circles, or it gave fewer or more rows than it
                announced.
        """
        link: str | None = f"/v1/prices?commodity={commodity}&page=1&page_size={page_size}"
        visited: set[str] = set()
        count, total = 0, None
        while link is not None:
            if link in visited or not link.startswith("/"):
                raise FeedError(f"{self._url} links to {link!r} as the next page, which can't be followed: report it.")
            visited.add(link)
            answer = self._get(link)
            rows, link, total = answer.get("rows"), answer.get("next"), answer.get("total")  # type: ignore[assignment]
            if not isinstance(rows, list) or not (link is None or isinstance(link, str)):
                raise FeedError(f"{self._url} answers without rows for {commodity}: is it a price feed?")
            count += len(rows)
            yield rows
        if total is not None and total != count:
            raise FeedError(f"{self._url} announced {total} rows of {commodity} and gave {count}: run again.")

    def _get(self, link: str) -> dict[str, object]:
        try:
            for attempt in stamina.retry_context(
                on=_back_off,
                attempts=None,
                timeout=self._retry_seconds,
                wait_initial=0.1,
                wait_max=5.0,
                wait_jitter=0.5,
            ):
                with attempt:
                    response = self._client.get(link)
                    response.raise_for_status()
        except httpx.HTTPStatusError as error:
            status = error.response.status_code
            advice = "check the token" if status in {401, 403} else "check the address, or wait until the feed is well"
            raise FeedError(f"The feed {self._url} answers {status} to {link}: {advice}.") from None
        except httpx.HTTPError as error:
            cause = str(error) or type(error).__name__
            raise FeedError(
                f"The feed {self._url} can't be reached ({cause}): check the address and the feed."
            ) from None
        try:
            answer = orjson.loads(response.content)
        except orjson.JSONDecodeError:
            answer = None
        if not isinstance(answer, dict):
            raise FeedError(
                f"The feed {self._url} answers {link} with something that is no JSON object: is it a price feed?"
            )
        return answer


def _back_off(error: Exception) -> bool | float:
    """Whether to retry after this error: False, True (exponential back-off), or after how many seconds."""
    if isinstance(error, httpx.HTTPStatusError):
        if error.response.status_code not in _PASSING:
            return False
        wait = retry_after(error.response)
        return True if wait is None else wait
    return isinstance(error, httpx.TransportError)


def retry_after(response: httpx.Response) -> float | None:
    """What `Retry-After` asks for, in seconds and at most a minute; None where it is absent or no number of seconds."""
    text = response.headers.get("retry-after", "")
    return min(float(text), _LONGEST_WAIT) if text.isascii() and text.isdecimal() else None
