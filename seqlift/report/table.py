"""The numbers of each region that a page shows, and the letters of its logo."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqlift.genome.regions import Region
from seqlift.logo import CORE_WIDTH, crop_about_core, strongest_stretch
from seqlift.output.reader import ScoresFile
from seqlift.report.tracks import quantise
from seqlift.sequence.onehot import decode

__all__ = ["LOGO_WIDTH", "places", "plain", "region_numbers", "relative_error"]

# Letters of a thumbnail, bp: a core and what stands beside it.
LOGO_WIDTH = 36

Floats = NDArray[np.floating[Any]]


def places(regions: Sequence[Region]) -> dict[str, list[Any]]:
    """Write where regions lie, a list for each column; 0-based half-open."""
    names = ("chrom", "start", "end", "name", "strand", "row")
    return {name: [getattr(region, name) for region in regions] for name in names}


def region_numbers(file: ScoresFile, rows: NDArray[np.int64]) -> dict[str, Any]:
    """Write the numbers of each region, a list for each column; None where there is none.

    Parameters
    ----------
    file : ScoresFile
    rows : int64, shape (shown,)

    Returns
    -------
    columns : dict
        `prediction`, `reference` (mean), `delta` (mean), all in units of the target;
        `completeness`, as `relative_error`; `core_start` (bp from the window's start) and
        `strength` (sum of |score|) of the strongest stretch of `core_width` bp; and `logo`: the
        letters about that core, of `width` bp from `start`, with values as `quantise` writes them.
    """
    tracks = file.track(rows)
    one_hot = file.one_hot(rows)
    crops = [crop_about_core(track, LOGO_WIDTH) for track in tracks]
    cut = [slice(crop.start, crop.end) for crop in crops]
    return {
        "prediction": plain(file.prediction(rows)),
        "reference": plain(_mean(file.prediction_reference(rows))),
        "delta": plain(_mean(file.delta(rows))),
        "completeness": plain(relative_error(file.completeness_error(rows), file.delta(rows))),
        "core_start": [strongest_stretch(track, CORE_WIDTH)[0] for track in tracks],
        "core_width": min(CORE_WIDTH, file.length),
        "strength": plain(crop.strength for crop in crops),
        "logo": {
            "width": min(LOGO_WIDTH, file.length),
            "start": [crop.start for crop in crops],
            "letters": "".join(decode(one_hot[i][:, part]) for i, part in enumerate(cut)),
            **quantise([tracks[i][part] for i, part in enumerate(cut)]),
        },
    }


def relative_error(error: Floats, delta: Floats) -> Floats:
    """Return completeness errors over deltas, both summed over the references of a region.

    Parameters
    ----------
    error, delta : float, shape (region, reference)
        NaN for references that were not used.

    Returns
    -------
    relative : float64, shape (region,)
        0 where both are zero.
    """
    total = np.nansum(error, axis=1, dtype=np.float64)
    size = np.nansum(np.abs(delta), axis=1, dtype=np.float64)
    with np.errstate(divide="ignore"):
        found: Floats = np.divide(total, size, out=np.zeros_like(total), where=total > 0)
    return found


def plain(numbers: Iterable[Any]) -> list[float | None]:
    """Round numbers to six digits for JSON, which knows no NaN and no infinity."""
    return [
        float(f"{number:.6g}") if math.isfinite(number) else None for number in map(float, numbers)
    ]


def _mean(values: Floats) -> Floats:
    """Average over references, those that were not used left out."""
    n = np.isfinite(values).sum(axis=1)
    total: Floats = np.nansum(values, axis=1, dtype=np.float64)
    mean: Floats = np.divide(total, n, out=np.full(len(n), np.nan), where=n > 0)
    return mean
