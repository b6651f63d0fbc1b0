"""What is written about the members of an ensemble: how models differ, and strands."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqlift.output.schema import MODEL_DEVIATION, STRAND_ASYMMETRY, Dataset

__all__ = ["datasets_of", "of_members"]


def datasets_of(n_models: int, n_strands: int) -> list[Dataset]:
    """Return the datasets that an ensemble adds to a scores file."""
    found = [MODEL_DEVIATION] if n_models > 1 else []
    return [*found, STRAND_ASYMMETRY] if n_strands > 1 else found


def of_members(
    tracks: NDArray[Any] | None, n_models: int, n_strands: int
) -> dict[str, NDArray[Any]]:
    """Compute those datasets.

    Parameters
    ----------
    tracks : float, shape (region, member, position), or None
        Model by model, and for each strand by strand.
    n_models, n_strands : int

    Returns
    -------
    dict of str to array
        By the names of `datasets_of`. The standard deviation is that of the models' own tracks,
        each the mean over its strands, with n - 1 in the denominator; the asymmetry is of the mean
        over models.
    """
    if tracks is None:
        return {}
    each = tracks.reshape(len(tracks), n_models, n_strands, -1)
    found = {}
    if n_models > 1:
        found[MODEL_DEVIATION.name] = each.mean(2).std(1, ddof=1)
    if n_strands > 1:
        forward, reverse = each.mean(1).transpose(1, 0, 2)
        apart, size = np.abs(forward - reverse).sum(1), (np.abs(forward) + np.abs(reverse)).sum(1)
        found[STRAND_ASYMMETRY.name] = apart / np.where(size > 0, size, 1)
    return found
