"""Windows to a bigWig, one value a base.

The values are those of `runs`; this gives them to the file, and sums them up.
"""

from collections.abc import Mapping
from pathlib import Path

from seqlift.errors import OutputError
from seqlift.output.bigwig_file import BigWigFile
from seqlift.output.runs import TrackSource, Windows, track_runs
from seqlift.output.track_summary import TrackSummary, TrackTally

__all__ = ["write_bigwig"]


def write_bigwig(
    path: str | Path,
    contigs: Mapping[str, int],
    windows: Windows,
    tracks: TrackSource,
    *,
    overlap: str = "nearest",
) -> TrackSummary:
    """Write the track of some windows as a bigWig.

    Memory grows by a few numbers a window, which put them in order.

    Parameters
    ----------
    path : str or Path
        Where to write; what is there is replaced. See `seqlift.output.atomic` for results that
        appear whole.
    contigs : mapping of str to int
        Lengths in bp, in the order that the header will have; that of the genome's index, say.
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
    summary : TrackSummary
        Of the values as written.

    Raises
    ------
    OutputError
        If a window lies on a contig that is not listed, a value past a contig's end, or is infinite
        in float32; if the file cannot be written.
    InputError
        If there is no such overlap policy.
    """
    if not contigs:
        raise OutputError("a bigWig needs the lengths of the contigs, and there are none")
    runs = track_runs(contigs, windows, tracks, overlap=overlap)
    tally = TrackTally()
    with BigWigFile(path, contigs) as bigwig:
        for contig, start, values in runs:
            tally.add(values)
            bigwig.add(contig, start, values)
    return tally.summary()
