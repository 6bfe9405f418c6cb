"""The feed's rate limit: a token bucket over all clients."""

from __future__ import annotations

import math


class Bucket:
    """A token bucket: `burst` requests at once, `per_second` in the long run."""

    def __init__(self, per_second: float, burst: int, now: float) -> None:
        """Start full; `now` in seconds of any monotonic clock, the same that `take` is given."""
        self._per_second = per_second
        self._burst = burst
        self._tokens = float(burst)
        self._then = now

    def take(self, now: float) -> int:
        """0 where the request may go on; else after how many whole seconds (≥ 1) one may."""
        self._tokens = min(self._burst, self._tokens + (now - self._then) * self._per_second)
        self._then = now
        if self._tokens >= 1.0:
            self._tokens -= 1.0
            return 0
        return max(1, math.ceil((1.0 - self._tokens) / self._per_second))
