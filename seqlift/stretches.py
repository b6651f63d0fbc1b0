"""The stretches of a track that stand out: what may be a seqlet, before any p-value.

A track less a drift is mostly negative. A stretch is then a maximal-scoring one, which no shorter
or longer one beats: Ruzzo & Tompa (1999), whose largest is that of Karlin & Altschul (1990). All
of a track are found, reading it from either end gives the same, and no length is asked for.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["MAX_GAP", "MIN_LENGTH", "SIGNS", "Stretches", "find_stretches"]

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.int64]

# Of a stretch: what has fewer bases is no motif.
MIN_LENGTH = 4
# Bases in a row that do not exceed the drift. More of them end a stretch however much follows, or
# two strong motifs would be one stretch with all that is between them.
MAX_GAP = 10
SIGNS = (1, -1)


class Stretches(NamedTuple):
    """Stretches of some tracks, by track and start.

    Attributes
    ----------
    track : int64, shape (stretch,)
        Index of the track.
    start, end : int64, shape (stretch,)
        0-based half-open, counted from the start of the track, bp.
    score : float64, shape (stretch,)
        Sum of sign * track - drift over the stretch, in units of the track; above 0.
    """

    track: Ints
    start: Ints
    end: Ints
    score: NDArray[np.float64]


def find_stretches(tracks: Floats, drift: float, sign: int) -> Stretches:
    """Find every maximal-scoring stretch of some tracks.

    Parameters
    ----------
    tracks : float, shape (track, position)
        Contribution scores; NaN, as at N, is in no stretch.
    drift : float
        What a base must exceed to add to a stretch, at least 0, in units of the tracks.
    sign : {1, -1}
        Look for positive or for negative contributions.

    Returns
    -------
    Stretches
        Of `MIN_LENGTH` bp or more, with no more than `MAX_GAP` bases in a row that do not exceed
        the drift. Those of a track depend on no other track.

    References
    ----------
    Ruzzo & Tompa (1999), ISMB, 234-241. The limits of length and of gaps are our own.

    Examples
    --------
    >>> track = np.array([[0, 3, 3, 0, 3, 3, 0, -3, -3, -3, -3]])
    >>> find_stretches(track, drift=1, sign=1)[1:]
    (array([1]), array([6]), array([7.]))
    """
    runs = _Runs.of(np.asarray(tracks, dtype=np.float64) * sign - drift)
    found = list(_merged(runs))
    rows = np.array(found, dtype=np.float64).reshape(-1, 3)
    first, last = rows[:, 0].astype(np.int64), rows[:, 1].astype(np.int64)
    start, end = runs.start[first], runs.end[last]
    is_long = end - start >= MIN_LENGTH
    picked = first[is_long]
    return Stretches(runs.track[picked], start[is_long], end[is_long], rows[is_long, 2])


class _Runs(NamedTuple):
    """Runs of positive bases; `gap` is the sum from the run before, -inf where none is in reach."""

    track: Ints
    start: Ints
    end: Ints
    score: NDArray[np.float64]
    gap: NDArray[np.float64]

    @classmethod
    def of(cls, values: NDArray[np.float64]) -> _Runs:
        n, length = values.shape
        is_positive = np.zeros((n, length + 2), dtype=np.int8)
        is_positive[:, 1:-1] = values > 0  # not so for NaN
        steps = np.diff(is_positive, axis=1)
        track, start = np.nonzero(steps == 1)
        end = np.nonzero(steps == -1)[1]
        if not len(track):
            return cls(track, start, end, np.empty(0), np.empty(0))
        flat = np.append(values.ravel(), 0.0)  # so that an end may lie one past the last base
        bounds = np.stack([track * length + start, track * length + end], 1).ravel()
        # Sums of a run, and of what follows it, in turn: each adds up its own bases alone.
        sums = np.add.reduceat(flat, bounds)
        gap = np.append(-np.inf, sums[1:-1:2])
        width = np.append(MAX_GAP + 1, bounds[2::2] - bounds[1:-1:2])
        is_first = np.append(True, track[1:] != track[:-1])
        # What lies between two tracks, even nothing, joins no runs.
        gap[is_first | (width > MAX_GAP) | np.isnan(gap)] = -np.inf
        return cls(track, start, end, sums[::2], gap)


def _merged(runs: _Runs) -> list[tuple[int, int, float]]:
    """Merge runs where that scores more; return the first run, the last and the score of each."""
    begins = np.flatnonzero(np.isneginf(runs.gap))
    ends = np.append(begins, len(runs.gap))[1:]
    scores, gaps = runs.score.tolist(), runs.gap.tolist()
    found: list[tuple[int, int, float]] = []
    for begin, end in zip(begins.tolist(), ends.tolist(), strict=True):
        if end == begin + 1:
            found.append((begin, begin, scores[begin]))
        else:
            found += _maximal(scores[begin:end], gaps[begin:end], begin)
    return found


def _maximal(scores: list[float], gaps: list[float], offset: int) -> list[tuple[int, int, float]]:
    """Find the maximal-scoring stretches of runs within reach of each other, in linear time."""
    kept: list[tuple[float, float, int, int]] = []  # sums up to its start and end; first, last run
    total = 0.0
    for i, score in enumerate(scores):
        left = total + (gaps[i] if i else 0.0)
        total = left + score
        first = i
        while True:
            # The nearest before it with a smaller sum to its left.
            j = len(kept) - 1
            while j >= 0 and kept[j][0] >= left:
                j -= 1
            if j < 0 or kept[j][1] >= total:
                break
            left, first = kept[j][0], kept[j][2]
            del kept[j:]
        kept.append((left, total, first, i))
    return [(first + offset, last + offset, right - left) for left, right, first, last in kept]
