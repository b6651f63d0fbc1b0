"""A bigWig from a scores file that is there already."""

from __future__ import annotations

from seqlift.genome.fasta import Genome
from seqlift.output.atomic import whole_file
from seqlift.output.bigwig import write_bigwig
from seqlift.output.hdf5 import ScoresFile
from seqlift.output.track_summary import TrackSummary

__all__ = ["write_track"]


def write_track(
    scores: str,
    output: str,
    genome: str,
    *,
    fai: str | None = None,
    quantity: str = "contribution",
    overlap: str = "nearest",
    force: bool = False,
) -> TrackSummary:
    """Write one value a base of a scores file as a bigWig.

    Parameters
    ----------
    scores : str
        A file that `seqlift score` wrote.
    output : str
        The bigWig; appears whole or not at all.
    genome : str
        FASTA that was scored; gives the order and the lengths of the contigs.
    fai : str or None
        Its index, where that is not beside it.
    quantity : {"contribution", "standard-error"}
    overlap : {"nearest", "mean", "max-abs"}
    force : bool
        Replace a bigWig that exists.

    Returns
    -------
    TrackSummary

    Raises
    ------
    InputError, OutputError
    """
    with (
        whole_file(output, force=force) as path,
        ScoresFile(scores) as file,
        Genome(genome, index=fai) as sizes,
    ):
        return write_bigwig(
            path,
            sizes.contigs,
            file,
            lambda rows: file.track(rows, quantity),
            overlap=overlap,
        )
