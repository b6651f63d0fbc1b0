"""Which regions have the strongest cores, found while their tracks go by, and their logos."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seqlift.genome.regions import format_region
from seqlift.logo import DEFAULT_WIDTH, crop_about_core, draw_logo, save_logo
from seqlift.output.hdf5 import ScoresFile

__all__ = ["Strongest", "draw_region", "strongest_of"]


class Strongest:
    """Remembers the regions whose cores are strongest.

    Parameters
    ----------
    n : int
        How many.
    width : int
        Of the stretch about a core, bp.
    """

    def __init__(self, n: int, width: int = DEFAULT_WIDTH) -> None:
        self._n, self._width = n, width
        self._found: list[tuple[float, int]] = []
        self._n_seen = 0

    def add(self, tracks: Iterable[NDArray[np.floating]]) -> None:
        """Look at the tracks of the next regions, each (position,)."""
        for track in tracks if self._n else ():
            strength = crop_about_core(track, self._width).strength
            # Of equals the first wins, whatever the batches.
            heapq.heappush(self._found, (strength, -self._n_seen))
            if len(self._found) > self._n:
                heapq.heappop(self._found)
            self._n_seen += 1

    def rows(self) -> list[int]:
        """Return which they are, counting from 0, the strongest first."""
        return [-position for _, position in sorted(self._found, reverse=True)]


def strongest_of(scores: ScoresFile, n: int, width: int = DEFAULT_WIDTH) -> list[int]:
    """Return which n regions of a file have the strongest cores, the strongest first."""
    strongest = Strongest(n, width)
    for rows in scores.slices() if n else ():
        strongest.add(scores.track(rows))
    return strongest.rows()


def draw_region(scores: ScoresFile, row: int, path: Path, of: str) -> None:
    """Draw the core of one region as a PNG.

    Parameters
    ----------
    scores : ScoresFile
    row : int
        Counting from 0.
    path : Path
        What is there is replaced.
    of : str
        What was scored, for the title.
    """
    rows = slice(row, row + 1)
    region = scores.regions(rows)[0]
    label = region.name if region.name != "." else format_region(region)
    figure = draw_logo(
        scores.scores(rows)[0],
        region=region,
        title=f"{label}, {of}",
        reverse=region.strand == "-",
    )
    save_logo(figure, path, format="png")
