"""What the browser of a page draws: sequence and values along the genome.

Windows that overlap or touch are one stretch, so that the page has each base once. Values are
whole numbers of two bytes times a scale for each stretch: 30,000 steps from zero to the largest,
finer than a screen, at a quarter of the size of text.
"""

from __future__ import annotations

import base64
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqlift.errors import GenomeError
from seqlift.genome.fasta import Genome
from seqlift.genome.regions import Region, format_region
from seqlift.output.reader import QUANTITIES, ScoresFile
from seqlift.output.runs import contigs_of, track_runs
from seqlift.sequence.onehot import decode, encode

__all__ = ["CONTEXT", "Stretch", "letters", "merge", "quantise", "track_values"]

# Sequence beside the windows, where there is a genome, bp.
CONTEXT = 500

_STEPS = 32_767
_NO_VALUE = -32_768


class Stretch(NamedTuple):
    """A part of a contig that the page has; 0-based half-open."""

    chrom: str
    start: int
    end: int


def merge(regions: Iterable[Region], context: int = 0) -> list[Stretch]:
    """Join windows that overlap or touch.

    Parameters
    ----------
    regions : iterable of Region
        In any order. What lies left of a contig's first base is left out.
    context : int
        Added on both sides, bp.

    Returns
    -------
    stretches : list of Stretch
        By contig, in the order in which the contigs come, and by start.

    Examples
    --------
    >>> merge([Region("b", 30, 40), Region("b", 0, 10), Region("a", 5, 9), Region("b", 8, 20)])
    [Stretch(chrom='b', start=0, end=20), Stretch(chrom='b', start=30, end=40), \
Stretch(chrom='a', start=5, end=9)]
    """
    by_contig: dict[str, list[tuple[int, int]]] = {}
    for region in regions:
        bounds = max(0, region.start - context), region.end + context
        by_contig.setdefault(region.chrom, []).append(bounds)
    return [
        Stretch(chrom, *bounds)
        for chrom, found in by_contig.items()
        for bounds in _union(sorted(found))
    ]


def _union(bounds: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for start, end in bounds:
        if joined and start <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(end, joined[-1][1])
        else:
            joined.append((start, end))
    return joined


def letters(
    stretches: Sequence[Stretch],
    regions: Sequence[Region],
    one_hot: NDArray[np.uint8],
    genome: Genome | None = None,
) -> list[str]:
    """Write the sequence of each stretch.

    Parameters
    ----------
    stretches : sequence of Stretch
        From `merge`; no base of a region but those left of its contig lies outside.
    regions : sequence of Region
    one_hot : uint8, shape (region, base=4, position)
    genome : Genome or None
        For what no region covers; without one that is N.

    Returns
    -------
    sequences : list of str
        A C G T N.

    Raises
    ------
    GenomeError
        If a region has another sequence in the genome.
    """
    rows = [_fetched(stretch, genome) for stretch in stretches]
    index = _Index(stretches)
    for region, own in zip(regions, one_hot, strict=True):
        i, first = index.find(region.chrom, max(0, region.start))
        cut = max(0, -region.start)
        text = np.frombuffer(decode(own).encode(), np.uint8)[cut:]
        place = slice(first, first + len(text))
        if genome is not None and not np.array_equal(rows[i][place], text):
            raise GenomeError(
                f"{genome.name} has another sequence at {format_region(region)} than was scored; "
                "give the genome that was scored"
            )
        rows[i][place] = text
    return [row.tobytes().decode() for row in rows]


def _fetched(stretch: Stretch, genome: Genome | None) -> NDArray[np.uint8]:
    if genome is None:
        return np.full(stretch.end - stretch.start, ord("N"), np.uint8)
    text = decode(encode(genome.fetch(*stretch)))
    return np.frombuffer(text.encode(), np.uint8).copy()


class _Index:
    """Where in which stretch a base lies."""

    def __init__(self, stretches: Sequence[Stretch]) -> None:
        self._starts: dict[str, list[int]] = {}
        self._first: dict[str, int] = {}
        for i, stretch in enumerate(stretches):  # those of a contig follow each other, by start
            self._first.setdefault(stretch.chrom, i)
            self._starts.setdefault(stretch.chrom, []).append(stretch.start)

    def find(self, chrom: str, position: int) -> tuple[int, int]:
        """Return the number of the stretch, and how far from its start."""
        starts = self._starts[chrom]
        i = bisect_right(starts, position) - 1
        return self._first[chrom] + i, position - starts[i]


def track_values(
    file: ScoresFile,
    rows: NDArray[np.int64],
    regions: Sequence[Region],
    stretches: Sequence[Stretch],
) -> dict[str, Any]:
    """Write the tracks of a file, one value a base: that of the window with the nearest centre.

    Parameters
    ----------
    file : ScoresFile
    rows : int64, shape (shown,)
    regions : sequence of Region
        At those rows.
    stretches : sequence of Stretch

    Returns
    -------
    tracks : dict
        For each quantity, `scales` for each stretch and `values` of all stretches behind each
        other, as `quantise` has them.
    """
    index, shown = _Index(stretches), _Shown(regions)
    contigs = contigs_of(shown)
    tracks = {}
    for quantity in QUANTITIES:
        values = file.track(rows, quantity)
        laid = [np.full(s.end - s.start, np.nan, np.float32) for s in stretches]
        for chrom, start, run in track_runs(contigs, shown, values.__getitem__):
            i, first = index.find(chrom, start)
            laid[i][first : first + len(run)] = run
        tracks[quantity] = quantise(laid)
    return tracks


class _Shown:
    """Some windows of a file, as `track_runs` takes them."""

    def __init__(self, regions: Sequence[Region]) -> None:
        self._regions = regions

    @property
    def n_regions(self) -> int:
        return len(self._regions)

    def regions(self, rows: slice) -> list[Region]:
        return list(self._regions[rows])


def quantise(arrays: Sequence[NDArray[np.floating]]) -> dict[str, Any]:
    """Write numbers as text.

    Parameters
    ----------
    arrays : sequence of float, shape (position,)
        NaN where there is no value.

    Returns
    -------
    text : dict
        `scales`, a number for each array, and `values`: the arrays behind each other, each number
        divided by the scale of its array, as int16 (little-endian) in base64; -32768 for NaN.

    Examples
    --------
    >>> quantise([np.array([1.0, -1.0, np.nan])])["values"]
    '/38BgACA'
    """
    scales, parts = [], []
    for array in arrays:
        known = np.isfinite(array)
        scale = float(f"{np.abs(array[known]).max(initial=0.0) / _STEPS:.6g}") or 1.0
        steps = np.clip(np.round(np.where(known, array, 0.0) / scale), -_STEPS, _STEPS)
        scales.append(scale)
        parts.append(np.where(known, steps, _NO_VALUE).astype("<i2"))
    packed = b"".join(part.tobytes() for part in parts)
    return {"scales": scales, "values": base64.b64encode(packed).decode()}
