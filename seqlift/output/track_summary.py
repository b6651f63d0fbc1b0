"""What a track looks like in a few numbers, kept as it is written.

The header of a bigWig cannot tell: its minimum, maximum and sum are cut to integers.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["QUANTILES", "TrackSummary", "TrackTally"]

QUANTILES = (0.001, 0.01, 0.5, 0.99, 0.999)


class TrackSummary(NamedTuple):
    """The values of one track; NaN where a track without values has none to give.

    Parameters
    ----------
    n_bases : int
        Bases that have a value.
    minimum, maximum, mean : float
        In the units of the track.
    quantiles : dict of str to float
        By their fraction, such as "0.99"; low by at most one part in 128.
    """

    n_bases: int
    minimum: float
    maximum: float
    mean: float
    quantiles: dict[str, float]


class TrackTally:
    """Count values into a `TrackSummary`, in constant memory.

    Quantiles come from a histogram whose bins are the upper half of the bits of a float32: sign,
    exponent and seven bits of the fraction. Bins are narrow about zero and wide far from it, and no
    range has to be guessed.
    """

    def __init__(self) -> None:
        self._counts = np.zeros(1 << 16, dtype=np.int64)
        self._minimum = np.inf
        self._maximum = -np.inf
        self._total = 0.0
        self._waiting: list[NDArray[np.uint16]] = []
        self._n_waiting = 0

    def add(self, values: NDArray[np.float32]) -> None:
        """Count some finite values.

        Parameters
        ----------
        values : float32, shape (position,)
        """
        if not len(values):
            return
        self._minimum = min(self._minimum, float(values.min()))
        self._maximum = max(self._maximum, float(values.max()))
        self._total += float(values.sum(dtype=np.float64))
        self._waiting.append(_bins(values))
        self._n_waiting += len(values)
        if self._n_waiting >= len(self._counts):
            self._count()

    def _count(self) -> None:
        """Count what waits: for a short run alone, all bins would be gone through in vain."""
        bins = np.concatenate([np.empty(0, np.uint16), *self._waiting])
        self._counts += np.bincount(bins, minlength=len(self._counts))
        self._waiting.clear()
        self._n_waiting = 0

    def summary(self) -> TrackSummary:
        """Return what was counted so far."""
        self._count()
        n_bases = int(self._counts.sum())
        if not n_bases:
            return TrackSummary(0, np.nan, np.nan, np.nan, {str(q): np.nan for q in QUANTILES})
        cumulative = np.cumsum(self._counts)
        ranks = np.array(QUANTILES) * (n_bases - 1)
        edges = _lower_edges(np.searchsorted(cumulative, ranks, side="right"))
        # The lowest value lies above the edge of its bin.
        quantiles = np.clip(edges, self._minimum, self._maximum).tolist()
        named = {str(fraction): value for fraction, value in zip(QUANTILES, quantiles, strict=True)}
        return TrackSummary(n_bases, self._minimum, self._maximum, self._total / n_bases, named)


# As integers, the bits of floats ascend for positive numbers and descend for negative ones;
# flipping all bits of a negative number, and the sign of a positive one, puts all of them in order.
_SIGN = np.uint32(1 << 31)


def _bins(values: NDArray[np.float32]) -> NDArray[np.uint16]:
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    ordered = np.where(bits & _SIGN, ~bits, bits | _SIGN)
    return (ordered >> np.uint32(16)).astype(np.uint16)


def _lower_edges(bins: NDArray[np.integer]) -> NDArray[np.float64]:
    ordered = bins.astype(np.uint32) << np.uint32(16)
    bits = np.where(ordered & _SIGN, ordered ^ _SIGN, ~ordered).astype(np.uint32)
    return bits.view(np.float32).astype(np.float64)
