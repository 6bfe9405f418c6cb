"""Histograms of durations with a bounded relative error: they can be added up, and quantiles read from the sum.

The buckets are those of HdrHistogram: exact below a power of two, and from there on so many equal buckets an octave, so
that a bucket is never wider than 1/`resolution` of its values. Nothing about them depends on the data.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    Array = np.ndarray[Any, Any]

#: Values are cut at about 70 minutes in nanoseconds: a send that took longer took too long.
_LONGEST_BITS: Final = 42


class Buckets:
    """Buckets with `resolution` (a power of two) of them an octave.

    Attributes:
        count: How many buckets there are.
    """

    def __init__(self, resolution: int) -> None:
        """Lay the buckets out."""
        self._bits = resolution.bit_length() - 1
        self._resolution = resolution
        self.count = (_LONGEST_BITS - self._bits + 1) * resolution

    def place(self, values: Array) -> Array:
        """The bucket of each value (whole numbers, at least 0; too large ones go into the last)."""
        values = np.minimum(values, (1 << _LONGEST_BITS) - 1)
        # The exponent of a float is the position of the highest bit; 2^42 is exact in a double.
        octave = np.maximum(np.frexp(values.astype(np.float64))[1] - 1 - self._bits, 0)
        places: Array = (octave.astype(np.int64) << self._bits) + (values >> octave)
        return places

    def counts(self, values: Array) -> Array:
        """How many values are in each bucket."""
        return np.bincount(self.place(values), minlength=self.count)

    def middle(self, place: Array | int) -> Array:
        """The middle of buckets: what their values are taken for."""
        places = np.asarray(place)
        octave = np.maximum((places >> self._bits) - 1, 0)
        low = (places - (octave << self._bits)) << octave
        middles: Array = low + ((1 << octave) - 1) / 2
        return middles

    def quantiles(self, counts: Array, quantiles: Sequence[float] | Array) -> Array:
        """Quantiles by nearest rank; of a histogram that is not empty."""
        sums = np.cumsum(counts)
        ranks = np.clip(np.ceil(np.asarray(quantiles) * sums[-1]), 1, sums[-1])
        return self.middle(np.searchsorted(sums, ranks))
