"""How faithful scores are to a model: arithmetic on what was measured, no model and no files.

Every number comes with an interval from drawing the regions again (bootstrap). The region is what
is drawn, because neighbouring bases tell about one another and regions hardly do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "FRACTIONS",
    "Estimate",
    "Progress",
    "area",
    "by_region",
    "correlation",
    "estimate",
    "gain",
    "median",
    "pooled",
    "progress",
    "ranks",
    "ratio",
    "replaced",
    "replacement_order",
    "spearman_brown",
]

Floats = NDArray[np.floating[Any]]
Counts = NDArray[np.integer[Any]]

# Of a region's bases; dense where a motif's few bases make the difference.
FRACTIONS = np.array(
    [0, 0.005, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1]
)
N_DRAWS = 1000
LEVEL = 95.0
# Below this share of the sum of squares, a spread is rounding.
ROUNDING = 1e-12


class Estimate(NamedTuple):
    """A number about a sample of regions.

    Attributes
    ----------
    value : float
        NaN where there is none.
    low, high : float
        95 % interval from drawing the regions again; NaN with fewer than two.
    n_regions : int
        Regions that the number is about.
    n : int
        Things that were counted: positions, substitutions, regions.
    """

    value: float
    low: float
    high: float
    n_regions: int
    n: int


def estimate(
    statistic: Callable[[Counts], float], n_regions: int, n: int | None = None, *, seed: int = 0
) -> Estimate:
    """Give a statistic of regions with its bootstrap interval.

    Parameters
    ----------
    statistic : callable
        From how often each region counts, int (region,), to a number.
    n_regions : int
    n : int or None
        What `Estimate.n` says; None stands for the regions.
    seed : int
        Samples of as many regions are drawn alike, so that files are compared on the same draws.

    Returns
    -------
    Estimate

    References
    ----------
    Efron 1979, Ann. Statist. 7:1-26; the percentile interval.
    """
    n = n_regions if n is None else n
    if n_regions == 0:
        return Estimate(np.nan, np.nan, np.nan, 0, n)
    value = float(statistic(np.ones(n_regions, dtype=np.int64)))
    if n_regions == 1:
        return Estimate(value, np.nan, np.nan, 1, n)
    generator = np.random.default_rng(seed)
    draws = [
        statistic(np.bincount(generator.integers(n_regions, size=n_regions), minlength=n_regions))
        for _ in range(N_DRAWS)
    ]
    found = np.array([draw for draw in draws if np.isfinite(draw)])
    if not len(found):
        return Estimate(value, np.nan, np.nan, n_regions, n)
    low, high = np.percentile(found, [50 - LEVEL / 2, 50 + LEVEL / 2])
    return Estimate(value, float(low), float(high), n_regions, n)


def ratio(numerator: Floats, denominator: Floats, *, seed: int = 0) -> Estimate:
    """Give the sum of one quantity over the sum of another, both of shape (region,).

    A ratio of sums, because that of a single region may divide by almost nothing.
    """
    return estimate(
        lambda times: _divided(float(times @ numerator), float(times @ denominator)),
        len(numerator),
        seed=seed,
    )


def _divided(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator else np.nan


def median(values: Floats, *, seed: int = 0) -> Estimate:
    """Give the median of a quantity of shape (region,); regions where it is NaN do not count."""
    known = values[np.isfinite(values)]
    return estimate(lambda times: float(np.median(np.repeat(known, times))), len(known), seed=seed)


# --- correlations ---------------------------------------------------------------------------------


def ranks(values: Floats) -> Floats:
    """Return ranks from 1; equal values share the mean of theirs.

    Examples
    --------
    >>> ranks(np.array([5.0, 2.0, 5.0])).tolist()
    [2.5, 1.0, 2.5]
    """
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    mean: Floats = (last - (counts - 1) / 2)[places]
    return mean


def correlation(one: Floats, other: Floats, *, ranked: bool = False) -> float:
    """Return Pearson's correlation, or Spearman's; NaN where either side does not vary."""
    if not len(one):
        return np.nan
    if ranked:
        one, other = ranks(one), ranks(other)
    return _from_sums(_sums(one, other).sum(1))


def pooled(
    one: Sequence[Floats], other: Sequence[Floats], *, ranked: bool = False, seed: int = 0
) -> Estimate:
    """Give the correlation over all that was measured, whatever the region.

    Parameters
    ----------
    one, other : sequence of float arrays
        An array for each region, of the same sizes in both.
    ranked : bool
        Spearman's instead of Pearson's. Its interval keeps the ranks of the whole sample.
    seed : int

    Returns
    -------
    Estimate
        Its `n` counts the pairs of values.
    """
    sizes = [len(values) for values in one]
    if not sum(sizes):
        return estimate(lambda _: np.nan, 0)
    x, y = np.concatenate(one), np.concatenate(other)
    if ranked:
        x, y = ranks(x), ranks(y)
    region = np.repeat(np.arange(len(sizes)), sizes)
    # The sums of each region are all that a draw of regions needs.
    by_sum = [np.bincount(region, column, len(sizes)) for column in _sums(x, y)]
    sums = np.stack(by_sum).astype(np.float64)
    return estimate(lambda times: _from_sums(sums @ times), len(sizes), len(x), seed=seed)


def by_region(
    one: Sequence[Floats], other: Sequence[Floats], *, ranked: bool = False, seed: int = 0
) -> Estimate:
    """Give the median of the regions' own correlations; see `pooled`."""
    pairs = zip(one, other, strict=True)
    return median(np.array([correlation(x, y, ranked=ranked) for x, y in pairs]), seed=seed)


def _sums(one: Floats, other: Floats) -> Floats:
    """Return what Pearson's correlation adds up, shape (6, value)."""
    x, y = (
        values.astype(np.float64) - np.mean(values, dtype=np.float64) for values in (one, other)
    )
    return np.stack([np.ones_like(x), x, y, x * x, y * y, x * y])


def _from_sums(sums: Floats) -> float:
    n, x, y, xx, yy, xy = sums
    spread_x, spread_y = xx - x * x / n, yy - y * y / n
    if spread_x <= ROUNDING * xx or spread_y <= ROUNDING * yy:
        return np.nan
    return float(np.clip((xy - x * y / n) / np.sqrt(spread_x * spread_y), -1, 1))


def spearman_brown(halves: Estimate) -> Estimate:
    """Correct the correlation of two halves for their size: that of two wholes, 2r / (1 + r).

    References
    ----------
    Spearman 1910, Br. J. Psychol. 3:271-295; Brown 1910, Br. J. Psychol. 3:296-322.

    Examples
    --------
    >>> spearman_brown(Estimate(0.5, 0.0, 1.0, 10, 10)).high
    1.0
    """
    value, low, high = (_divided(2 * r, 1 + r) for r in halves[:3])
    return Estimate(value, low, high, halves.n_regions, halves.n)


# --- deletion and insertion -----------------------------------------------------------------------


class Progress(NamedTuple):
    """How far the output of one region has come while its bases are replaced.

    Everything is a sum over references, in units of the target, with the sign that makes the whole
    way positive; divided by `whole`, sums over regions are fractions of the way.

    Attributes
    ----------
    deletion : float, shape (fraction,)
        From the sequence towards the reference.
    insertion : float, shape (fraction,)
        From the reference towards the sequence.
    whole : float
        |output at the sequence − mean output at the references|, times their number.
    """

    deletion: Floats
    insertion: Floats
    whole: float


def replacement_order(track: Floats, is_base: NDArray[np.bool_], seed: int) -> Counts:
    """Rank bases by their score, largest first; equal ones in random order.

    Parameters
    ----------
    track : float, shape (position,)
    is_base : bool, shape (position,)
        False at N, which has no rank.
    seed : int
        Of the random order.

    Returns
    -------
    rank : int, shape (position,)
        From 0; at N the length of the region, which is never reached.
    """
    places = np.random.default_rng(seed).permutation(np.flatnonzero(is_base))
    places = places[np.argsort(-track[places], kind="stable")]
    rank = np.full(len(track), len(track))
    rank[places] = np.arange(len(places))
    return rank


def replaced(
    one_hot: NDArray[Any], reference: NDArray[Any], rank: Counts, fractions: Floats = FRACTIONS
) -> NDArray[Any]:
    """Give a sequence with a growing part of its bases taken from a reference.

    Parameters
    ----------
    one_hot, reference : shape (base=4, position)
    rank : int, shape (position,)
        As `replacement_order` gives it.
    fractions : float, shape (fraction,)
        Of the bases that have a rank, from 0 to 1.

    Returns
    -------
    sequences : shape (fraction, base=4, position)

    Examples
    --------
    >>> replaced(np.eye(4), np.zeros((4, 4)), np.arange(4), np.array([0.5]))[0].sum(0).tolist()
    [0.0, 0.0, 1.0, 1.0]
    """
    counts = np.rint(fractions * (rank < len(rank)).sum())
    is_replaced = rank < counts[:, None]
    return np.where(is_replaced[:, None], reference, one_hot)


def area(curve: Floats) -> float:
    """Return the area under a curve over `FRACTIONS`, by trapezoids."""
    return float(np.diff(FRACTIONS) @ (curve[1:] + curve[:-1]) / 2)


def progress(prediction: float, reference: Floats, deletion: Floats, insertion: Floats) -> Progress:
    """Put the outputs of one region's curves together.

    Parameters
    ----------
    prediction : float
        At the sequence.
    reference : float, shape (reference,)
        At the references.
    deletion, insertion : float, shape (reference, fraction)
        At the sequences between.

    Returns
    -------
    Progress
    """
    way = float((prediction - reference).sum())
    sign = np.sign(way) or 1.0
    return Progress(
        sign * (prediction - deletion).sum(0),
        sign * (insertion - reference[:, None]).sum(0),
        abs(way),
    )


def gain(
    found: Floats, random: Floats, whole: Floats, *, seed: int = 0
) -> tuple[Estimate, Estimate, Estimate]:
    """Give the area under a curve, that of a random order, and how much better the first is.

    Parameters
    ----------
    found, random : float, shape (region,)
        Areas under `Progress.deletion` or `Progress.insertion`.
    whole : float, shape (region,)
    seed : int

    Returns
    -------
    found, random, gain : Estimate
        Areas as fractions of the way, and their difference: 0 for an order no better than random.
        It is a difference and no share of what is left to gain, because an output may go further
        than all the way, even in a random order.
    """
    return (
        ratio(found, whole, seed=seed),
        ratio(random, whole, seed=seed),
        ratio(found - random, whole, seed=seed),
    )
