"""Whole windows out of a scores file, in the types that other tools store."""

import numpy as np
from numpy.typing import NDArray

from seqlift.errors import OutputError
from seqlift.genome.regions import format_region
from seqlift.output.reader import ScoresFile

__all__ = ["half_hypothetical", "one_hot"]

_LARGEST_HALF = float(np.finfo(np.float16).max)


def one_hot(scores: ScoresFile, rows: slice) -> NDArray[np.int8]:
    """Return the one-hot, int8, shape (region, base=4, position); N = all zeros."""
    return scores.one_hot(rows).view(np.int8)


def half_hypothetical(scores: ScoresFile, rows: slice) -> NDArray[np.float16]:
    """Return hypothetical contributions in half precision, shape (region, base=4, position).

    Parameters
    ----------
    scores : ScoresFile
    rows : slice

    Returns
    -------
    hypothetical : float16
        In units of the target output; within 2^-11 of each value, or 2^-25 of a small one.

    Raises
    ------
    OutputError
        If a value is beyond the largest of half precision, 65,504.
    """
    values = scores.hypothetical(rows)
    with np.errstate(over="ignore"):
        half = values.astype(np.float16)
    is_finite = np.isfinite(half).all(axis=(1, 2))
    if not is_finite.all():
        bad = int(np.argmin(is_finite))
        (region,) = scores.regions(slice(rows.start + bad, rows.start + bad + 1))
        raise OutputError(
            f"{format_region(region)} (line {region.row}) has a hypothetical contribution of "
            f"{np.abs(values[bad]).max():.4g}; this format holds half precision, up to "
            f"{_LARGEST_HALF:,.0f}: use --format npz"
        )
    return half
