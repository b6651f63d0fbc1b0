"""How good the scores of a file are, over all of its regions and not only those shown."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqlift.output.reader import ScoresFile
from seqlift.report.table import plain, relative_error

__all__ = ["file_quality", "histogram"]

N_BINS = 40
# Powers of ten; two bins each. What is less, zero too, counts with the least.
ERROR_RANGE = (-10, 2)

Floats = NDArray[np.floating[Any]]


def file_quality(file: ScoresFile) -> dict[str, Any]:
    """Summarise completeness and predictions of all regions of a file.

    Parameters
    ----------
    file : ScoresFile

    Returns
    -------
    quality : dict
        `n_regions`; `references`, the fewest and the most that a region used; `completeness`:
        `mean` (sum of the errors over that of |delta|), `median` and `largest` of regions, and
        `counts` of log10 in bins over `range`; `predictions`: `range` and the fractions of
        `regions` and `references` in each bin of it, with their `medians`; `above`, the fraction
        of regions that are predicted higher than all of their references.
    """
    error, delta = file.completeness_error(), file.delta()
    relative = relative_error(error, delta)
    own, references = file.prediction(), file.prediction_reference()
    used = file.references_used()
    total = float(np.nansum(np.abs(delta), dtype=np.float64))
    with np.errstate(divide="ignore"):
        powers = np.clip(np.log10(relative), ERROR_RANGE[0], np.nextafter(ERROR_RANGE[1], 0))
    counts, _ = np.histogram(powers, 2 * (ERROR_RANGE[1] - ERROR_RANGE[0]), ERROR_RANGE)
    mean = float(np.nansum(error, dtype=np.float64)) / total if total else 0.0
    highest = np.where(np.isfinite(references), references, -np.inf).max(axis=1)
    return {
        "n_regions": file.n_regions,
        "references": [int(used.min()), int(used.max())],
        "completeness": {
            "mean": plain([mean])[0],
            "median": plain([np.median(relative)])[0],
            "largest": plain([relative.max()])[0],
            "range": list(ERROR_RANGE),
            "counts": counts.tolist(),
        },
        "predictions": histogram({"regions": own, "references": references}),
        "above": float((own > highest).mean()),
    }


def histogram(samples: dict[str, Floats]) -> dict[str, Any]:
    """Count several samples in the same bins.

    Parameters
    ----------
    samples : dict of float, any shape
        Numbers that are not finite are left out.

    Returns
    -------
    counts : dict
        `range` of the bins, `medians`, and for each sample its fraction in each bin.

    Examples
    --------
    >>> histogram({"a": np.array([0.0, 1.0])})["range"]
    [0.0, 1.0]
    """
    finite = {name: values[np.isfinite(values)] for name, values in samples.items()}
    together = np.concatenate([*finite.values(), np.zeros(0)])
    edges = np.histogram_bin_edges(together, N_BINS)
    found: dict[str, Any] = {"range": plain(edges[[0, -1]]), "medians": {}}
    for name, values in finite.items():
        counts, _ = np.histogram(values, edges)
        found[name] = plain(counts / max(1, len(values)))
        found["medians"][name] = plain([np.median(values)])[0] if len(values) else None
    return found
