"""Windows of a scores file to the runs of a track: sorted, resolved, checked.

What no track can hold is refused here: unknown contigs, values past an end, infinity. Windows are
read in the order of the track and never all at once.
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from seqlift.errors import OutputError
from seqlift.genome.regions import Region, format_region
from seqlift.output.overlap import Window, resolve
from seqlift.output.schema import rows_at_once

__all__ = ["ContigRun", "TrackSource", "Windows", "contigs_of", "track_runs"]

# Gives the windows' values, (region, position), for an array of indices into the regions.
TrackSource = Callable[[NDArray[np.int64]], NDArray[np.floating]]

# A contig, a first base (0-based), and float32 values from there on, all of them finite.
ContigRun = tuple[str, int, NDArray[np.float32]]

_REGIONS_AT_ONCE = 4096


class Windows(Protocol):
    """Windows that are read when they are needed: a `ScoresFile`."""

    @property
    def n_regions(self) -> int:
        """Number of windows."""

    def regions(self, rows: slice) -> list[Region]:
        """Return some of them, 0-based half-open."""


def track_runs(
    contigs: Mapping[str, int],
    windows: Windows,
    tracks: TrackSource,
    *,
    overlap: str = "nearest",
) -> Iterator[ContigRun]:
    """Turn windows into the runs of one track.

    Memory grows by a few numbers a window, which put them in order.

    Parameters
    ----------
    contigs : mapping of str to int
        Lengths in bp, in the order that the track will have.
    windows : Windows
        0-based half-open, in any order. They may hang over the ends of a contig.
    tracks : callable
        Takes indices of windows (int64) and returns their values, shape (region, position), NaN
        where there is none: `ScoresFile.track`, or that with another quantity bound. At most
        `rows_at_once` are asked for.
    overlap : {"nearest", "mean", "max-abs"}
        What a base that several windows cover gets: see `seqlift.output.overlap.resolve`. The
        centre of a window is its summit, or its midpoint without one.

    Returns
    -------
    runs : iterator of (str, int, float32 of shape (position,))
        Contig, first base (0-based), values. By contig and start; runs do not overlap.

    Raises
    ------
    OutputError
        If a window lies on a contig that is not listed, here; while iterating, if a value lies past
        a contig's end, or is infinite in float32.
    InputError
        If there is no such overlap policy, while iterating.
    """
    return _runs(_read_places(windows, contigs), contigs, windows, tracks, overlap)


def contigs_of(windows: Windows) -> dict[str, int]:
    """Return the contigs that windows lie on, for a track that needs no genome.

    Parameters
    ----------
    windows : Windows

    Returns
    -------
    contigs : dict of str to int
        In the order of `LC_ALL=C sort`. The length of each, in bp, is where its last window ends:
        what hangs over the contig's own end is N, and so has no value there.
    """
    ends: dict[str, int] = {}
    for _, region in _numbered(windows):
        ends[region.chrom] = max(region.end, ends.get(region.chrom, 0))
    return dict(sorted(ends.items()))


def _numbered(windows: Windows) -> Iterator[tuple[int, Region]]:
    for first in range(0, windows.n_regions, _REGIONS_AT_ONCE):
        yield from enumerate(windows.regions(slice(first, first + _REGIONS_AT_ONCE)), first)


def _runs(
    places: "_Places",
    contigs: Mapping[str, int],
    windows: Windows,
    tracks: TrackSource,
    overlap: str,
) -> Iterator[ContigRun]:
    for contig, some in groupby(_in_order(places, contigs, windows, tracks), key=itemgetter(0)):
        for start, values in resolve((window for _, window in some), overlap):
            _require_finite(contig, start, values)
            yield contig, start, values


class _Places(NamedTuple):
    """Where each window lies: numbers in place of objects, since there may be millions.

    `contig` is an index into the contigs, int32; the others are coordinates, int64.
    """

    contig: NDArray[np.int32]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    centre: NDArray[np.int64]


def _read_places(windows: Windows, contigs: Mapping[str, int]) -> _Places:
    index = {name: i for i, name in enumerate(contigs)}
    n = windows.n_regions
    contig = np.empty(n, np.int32)
    start, end, centre = (np.empty(n, np.int64) for _ in range(3))
    for row, region in _numbered(windows):
        if region.chrom not in index:
            raise OutputError(_unknown_contig(region, contigs))
        offset = (region.end - region.start) // 2 if region.summit is None else region.summit
        contig[row], start[row], end[row] = index[region.chrom], region.start, region.end
        centre[row] = region.start + offset
    return _Places(contig, start, end, centre)


def _unknown_contig(region: Region, contigs: Mapping[str, int]) -> str:
    some = ", ".join(repr(name) for name in list(contigs)[:3])
    return (
        f"{format_region(region)} (line {region.row}): {region.chrom!r} is not among "
        f"the {len(contigs)} contigs of the track ({some}, …); "
        "give the sizes of the genome that was scored"
    )


def _in_order(
    places: _Places, contigs: Mapping[str, int], windows: Windows, tracks: TrackSource
) -> Iterator[tuple[str, Window]]:
    """Yield the windows by contig and start; equal ones stay in their order."""
    order = np.lexsort((places.start, places.contig))
    names = list(contigs)
    longest = int((places.end - places.start).max(initial=0))
    step = rows_at_once(longest)
    for i in range(0, len(order), step):
        rows = order[i : i + step]
        for row, values in zip(rows.tolist(), tracks(rows), strict=True):
            contig = names[places.contig[row]]
            start, end, centre = (int(c[row]) for c in (places.start, places.end, places.centre))
            first = min(max(0, -start), len(values))
            last = max(first, min(len(values), contigs[contig] - start))
            is_outside = ~np.isnan(np.concatenate([values[:first], values[last:]]))
            if len(values) != end - start or is_outside.any():
                (region,) = windows.regions(slice(row, row + 1))
                raise OutputError(_misfit(region, values, contigs[contig]))
            yield contig, Window(max(0, start), values[first:last], centre)


def _misfit(region: Region, values: NDArray[np.floating], size: int) -> str:
    if len(values) != region.end - region.start:
        return f"{format_region(region)} has {len(values)} values; it needs one a base"
    return (
        f"{format_region(region)} (line {region.row}) has values past the ends of "
        f"{region.chrom!r} ({size:,} bp); give the sizes of the genome that was scored"
    )


def _require_finite(contig: str, start: int, values: NDArray[np.float32]) -> None:
    is_finite = np.isfinite(values)
    if not is_finite.all():
        base = start + int(np.argmin(is_finite)) + 1
        raise OutputError(
            f"the value at {contig}:{base:,} is infinite in float32; a track cannot hold it"
        )
