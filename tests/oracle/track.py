"""One value a base from overlapping windows, base by base and by the definition of each policy."""

from __future__ import annotations

import math
from pathlib import Path

import h5py
import numpy as np

NOTHING = math.nan


def literal_track(path: Path, chrom: str, size: int, policy: str, dataset: str) -> list[float]:
    """Return the value of every base of a contig, NaN where there is none.

    Of windows at equal distance, or of values of equal size, the one that starts first counts, and
    of those that start together the one that comes first in the file.
    """
    with h5py.File(path) as file:
        known = file["raw/seq"][:].sum(axis=1) == 1
        values = file[dataset][:]
        chroms = [name.decode() for name in file["regions/chrom"][:]]
        starts = file["regions/start"][:].tolist()
        centres = (file["regions/start"][:] + file["regions/summit"][:]).tolist()
    if values.ndim == 3:
        values = values.sum(axis=1)
    rows = sorted((start, i) for i, start in enumerate(starts) if chroms[i] == chrom)
    track = []
    for base in range(size):
        here = []
        for start, i in rows:
            column = base - start
            if 0 <= column < values.shape[1] and known[i, column]:
                here.append((abs(base - centres[i]), float(values[i, column])))
        track.append(_resolved(here, policy))
    return track


def _resolved(here: list[tuple[int, float]], policy: str) -> float:
    if not here:
        return NOTHING
    if policy == "nearest":
        return min(here, key=lambda window: window[0])[1]
    if policy == "max-abs":
        return max((value for _, value in here), key=abs)
    return float(np.float32(sum(value for _, value in here) / len(here)))
