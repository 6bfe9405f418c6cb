"""Made-up commodity prices for a load: five commodities in turn, each a random walk, each message marked synthetic.

What a producer's n-th message holds follows from the seed, the producer's name and the time from which its observations
count, so that any payload can be made again from the run's plan and held against its hash.
"""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import blake2b
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping


class _Market(NamedTuple):
    """A commodity's usual price in US dollars per `unit`, its volatility a year, and its usual volume a tick."""

    price: float
    unit: str
    volatility: float
    volume: float


#: Round figures of the right size; they claim nothing about any day's market.
MARKETS: Final[Mapping[str, _Market]] = {
    "gold": _Market(2000.0, "troy-ounce", 0.15, 30.0),
    "silver": _Market(25.0, "troy-ounce", 0.28, 400.0),
    "copper": _Market(4.0, "pound", 0.22, 2500.0),
    "oil": _Market(80.0, "barrel", 0.35, 900.0),
    "natural-gas": _Market(3.0, "mmbtu", 0.60, 1200.0),
}
COMMODITIES: Final = tuple(MARKETS)
SERIES: Final = "load"

_BLOCK: Final = 5000  # messages generated at once: whole rounds of the five commodities
_TICK_NS: Final = 1_000_000  # observed time between two messages of one producer
_TICKS_A_YEAR: Final = 252 * 86_400  # trading days of seconds: one step of the walk counts as a second of trading
_PULL: Final = 0.001  # of the way back to the usual price with each step, so that no walk runs away


class PriceMessages:
    """The endless sequence of one producer's messages, taken from the front."""

    def __init__(self, seed: int, producer: str, observed_from: datetime) -> None:
        """Start at the first message.

        Args:
            seed: The load's seed, at least 0.
            producer: The producer's id: each has its own walk.
            observed_from: The first message's observation time; the others follow a millisecond apart.
        """
        digest = blake2b(f"{seed}/{producer}".encode(), digest_size=8).digest()
        self._random = np.random.Generator(np.random.Philox(int.from_bytes(digest, "big")))
        self._start_ms = int(observed_from.astimezone(UTC).timestamp() * 1000)
        self._walks = np.zeros(len(COMMODITIES))
        self._made = 0
        self._ready: list[tuple[bytes, bytes]] = []
        self._taken = 0

    def take(self, count: int) -> list[tuple[bytes, bytes]]:
        """The next `count` messages, each a key (the commodity) and a value (UTF-8 JSON)."""
        while len(self._ready) - self._taken < count:
            self._ready = self._ready[self._taken :] + self._block()
            self._taken = 0
        first, self._taken = self._taken, self._taken + count
        return self._ready[first : self._taken]

    def _block(self) -> list[tuple[bytes, bytes]]:
        steps, kinds = _BLOCK // len(COMMODITIES), len(COMMODITIES)
        markets = MARKETS.values()
        sigma = np.array([market.volatility for market in markets]) / np.sqrt(_TICKS_A_YEAR)
        moves = self._random.standard_normal((steps, kinds)) * sigma
        walks, at = np.empty_like(moves), self._walks
        for step in range(steps):
            at = at * (1 - _PULL) + moves[step]
            walks[step] = at
        self._walks = at
        prices = np.exp(walks) * [market.price for market in markets]
        volumes = self._random.poisson([market.volume for market in markets], (steps, kinds))
        times_ms = self._start_ms + np.arange(self._made, self._made + _BLOCK) * (_TICK_NS // 1_000_000)
        observed = np.datetime_as_string(times_ms.astype("datetime64[ms]")).tolist()
        self._made += _BLOCK
        return [
            (key, form % (at, price, volume))
            for (key, form), at, price, volume in zip(
                _FORMS * steps,
                (text.encode() for text in observed),
                prices.ravel().tolist(),
                volumes.ravel().tolist(),
                strict=True,
            )
        ]


_FORMS: Final = [
    (
        name.encode(),
        (
            f'{{"commodity":"{name}","series":"{SERIES}","observed_at":"%sZ","price":%.4f,'
            f'"currency":"USD","unit":"{market.unit}","volume":%d,"synthetic":true}}'
        ).encode(),
    )
    for name, market in MARKETS.items()
]
