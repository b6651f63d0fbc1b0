"""What a pilot makes of its measurements: corrected agreement, and the cheapest setting.

Arithmetic on numbers alone; no model and no files.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqlift.faithfulness import Estimate, estimate, spearman_brown
from seqlift.pilot_settings import Setting

__all__ = ["LEVELS", "Outcome", "agree", "choose", "disattenuate", "nearest"]

Floats = NDArray[np.floating[Any]]

# Corrected agreement that a user may want.
LEVELS = (0.95, 0.98, 0.99)
# Costs that differ by less are the same: as much comes and goes with what else a machine does.
SAME_COST = 1.1


class Outcome(NamedTuple):
    """What a pilot found about a setting.

    Attributes
    ----------
    setting : Setting
    agreement : float
        Median over regions of the correlation of the track with that of the independent set.
    corrected : Estimate
        The same, corrected for the noise of that set.
    completeness_error : float
        Of sequence-reference pairs: mean error over mean |delta|.
    sum_error : float
        Of the scores of regions: mean |sum - delta| over mean |delta|.
    seconds : float
        A region.
    """

    setting: Setting
    agreement: float
    corrected: Estimate
    completeness_error: float
    sum_error: float
    seconds: float


def disattenuate(correlation: float, reliability: float) -> float:
    """Correct a correlation for the noise of what it was measured against.

    Parameters
    ----------
    correlation : float
        Of a track with the mean of a set of references.
    reliability : float
        Of that mean: its correlation with another of as many references.

    Returns
    -------
    corrected : float
        r / sqrt(reliability), at most 1: the correlation with the mean of infinitely many
        references. NaN where the set tells nothing (a reliability of zero or less).

    References
    ----------
    Spearman 1904, Am. J. Psychol. 15:72-101, the correction for attenuation, of one side only.

    Examples
    --------
    >>> disattenuate(0.45, 0.25)
    0.9
    """
    if not reliability > 0:
        return math.nan
    return float(np.minimum(1.0, correlation / math.sqrt(reliability)))  # NaN stays NaN


def agree(correlations: Floats, halves: Floats, *, seed: int = 0) -> tuple[float, Estimate]:
    """Give agreement over regions, as measured and corrected.

    Parameters
    ----------
    correlations : float, shape (region,)
        Of each region's track with the mean of the independent set.
    halves : float, shape (region,)
        Of the means of the two halves of that set with each other.
    seed : int
        Of the interval.

    Returns
    -------
    agreement : float
    corrected : Estimate
        Medians are taken before correcting: the reliability of a single region is uncertain, and
        to divide by it would favour what is uncertain.
    """

    def corrected(times: NDArray[np.integer[Any]]) -> float:
        r, half = (float(np.median(np.repeat(v, times))) for v in (correlations, halves))
        whole = spearman_brown(Estimate(half, half, half, len(halves), len(halves)))
        return disattenuate(r, whole.value)

    return float(np.median(correlations)), estimate(corrected, len(halves), seed=seed)


def choose(outcomes: Sequence[Outcome], level: float) -> Outcome | None:
    """Choose the cheapest setting whose corrected agreement is good enough.

    Parameters
    ----------
    outcomes : sequence of Outcome
    level : float
        Corrected agreement, at least.

    Returns
    -------
    chosen : Outcome or None
        Among settings of almost the same cost the one that agrees best, so that no other is both as
        cheap and as good and in one respect better. None if no setting is good enough.
    """
    enough = [found for found in outcomes if found.corrected.value >= level]
    if not enough:
        return None
    limit = SAME_COST * min(found.seconds for found in enough)
    return _best([found for found in enough if found.seconds <= limit])


def nearest(outcomes: Sequence[Outcome]) -> Outcome | None:
    """Return the setting that agrees best, the cheapest of those; None if nothing is known."""
    known = [found for found in outcomes if np.isfinite(found.corrected.value)]
    return _best(known) if known else None


def _best(outcomes: Sequence[Outcome]) -> Outcome:
    return max(outcomes, key=lambda found: (found.corrected.value, -found.seconds))
