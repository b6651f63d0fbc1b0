"""Windows to a bigWig, one value a base.

Everything that libBigWig takes without a word and gets wrong is checked here first: unknown
contigs, values past an end, NaN and infinity, order. Windows are read in the order of the track and
never all at once.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seqlift.errors import OutputError
from seqlift.genome.regions import Region, format_region
from seqlift.output.bigwig_process import BigWigProcess
from seqlift.output.overlap import Window, resolve
from seqlift.output.schema import rows_at_once
from seqlift.output.track_summary import TrackSummary, TrackTally

__all__ = ["write_bigwig"]

# Gives the windows' values, (region, position), for an array of indices into the regions.
TrackSource = Callable[[NDArray[np.int64]], NDArray[np.floating]]


def write_bigwig(
    path: str | Path,
    contigs: Mapping[str, int],
    regions: Sequence[Region],
    tracks: TrackSource,
    *,
    overlap: str = "nearest",
) -> TrackSummary:
    """Write the track of some windows as a bigWig, and read it back to compare.

    Parameters
    ----------
    path : str or Path
        Where to write; what is there is replaced. See `seqlift.output.atomic` for results that
        appear whole.
    contigs : mapping of str to int
        Lengths in bp, in the order that the header will have; that of the genome's index, say.
    regions : sequence of Region
        The windows, 0-based half-open, in any order. They may hang over the ends of a contig.
    tracks : callable
        Takes indices into `regions` (int64) and returns their values, shape (region, position), NaN
        where there is none: `ScoresFile.track`, or that with another quantity bound. At most
        `rows_at_once` are asked for.
    overlap : {"nearest", "mean", "max-abs"}
        What a base that several windows cover gets: see `seqlift.output.overlap.resolve`. The
        centre of a window is its summit, or its midpoint without one.

    Returns
    -------
    summary : TrackSummary
        Of the values as written.

    Raises
    ------
    OutputError
        If a region lies on a contig that is not listed, a value past a contig's end, or is infinite
        in float32; if the file cannot be written.
    InputError
        If there is no such overlap policy.
    """
    order = _track_order(regions, contigs)
    tally = TrackTally()
    with BigWigProcess(path, contigs) as bigwig:
        for contig, windows in groupby(
            _windows(order, contigs, regions, tracks), key=itemgetter(0)
        ):
            for start, values in resolve((window for _, window in windows), overlap):
                _require_finite(contig, start, values)
                tally.add(values)
                bigwig.add(contig, start, values)
    return tally.summary()


def _track_order(regions: Sequence[Region], contigs: Mapping[str, int]) -> NDArray[np.int64]:
    """Return indices by contig and start; equal ones stay in the order of `regions`."""
    if not contigs:
        raise OutputError("a bigWig needs the lengths of the contigs, and there are none")
    index = {name: i for i, name in enumerate(contigs)}
    for region in regions:
        if region.chrom not in index:
            raise OutputError(_unknown_contig(region, contigs))
    starts = [region.start for region in regions]
    return np.lexsort([starts, [index[region.chrom] for region in regions]])


def _unknown_contig(region: Region, contigs: Mapping[str, int]) -> str:
    some = ", ".join(repr(name) for name in list(contigs)[:3])
    return (
        f"{format_region(region)} (line {region.row}): {region.chrom!r} is not among "
        f"the {len(contigs)} contigs of the track ({some}, …); "
        "give the sizes of the genome that was scored"
    )


def _windows(
    order: NDArray[np.int64],
    contigs: Mapping[str, int],
    regions: Sequence[Region],
    tracks: TrackSource,
) -> Iterator[tuple[str, Window]]:
    longest = max((region.end - region.start for region in regions), default=0)
    step = rows_at_once(longest)
    for i in range(0, len(order), step):
        rows = order[i : i + step]
        for row, values in zip(rows.tolist(), tracks(rows), strict=True):
            region = regions[row]
            yield region.chrom, _clipped(region, values, contigs[region.chrom])


def _clipped(region: Region, values: NDArray[np.floating], size: int) -> Window:
    if len(values) != region.end - region.start:
        raise OutputError(f"{format_region(region)} has {len(values)} values; it needs one a base")
    first = min(max(0, -region.start), len(values))
    last = max(first, min(len(values), size - region.start))
    if not (np.isnan(values[:first]).all() and np.isnan(values[last:]).all()):
        raise OutputError(
            f"{format_region(region)} (line {region.row}) has values past the ends of "
            f"{region.chrom!r} ({size:,} bp); give the sizes of the genome that was scored"
        )
    centre = region.summit if region.summit is not None else (region.end - region.start) // 2
    return Window(max(0, region.start), values[first:last], region.start + centre)


def _require_finite(contig: str, start: int, values: NDArray[np.float32]) -> None:
    is_finite = np.isfinite(values)
    if not is_finite.all():
        base = start + int(np.argmin(is_finite)) + 1
        raise OutputError(
            f"the value at {contig}:{base:,} is infinite in float32; a bigWig cannot hold it"
        )
