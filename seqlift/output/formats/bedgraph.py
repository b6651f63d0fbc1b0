"""A track as text, one line a base: bedGraph, for tools that read no bigWig, such as igv-reports.

::

    chrom  start  end  value    separated by tabs; 0-based half-open, end = start + 1

Sorted as `LC_ALL=C sort -k1,1 -k2,2n`, which bedGraphToBigWig and tabix ask for. Bases without a
value (N, or outside every window) have no line. Each value is the shortest text that reads back as
the same float32. There is no `track` line.

References
----------
https://genome.ucsc.edu/goldenPath/help/bedgraph.html
"""

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seqlift.errors import OutputError
from seqlift.output.atomic import final_name, write_errors
from seqlift.output.bgzf import BgzfWriter
from seqlift.output.reader import QUANTITIES, ScoresFile
from seqlift.output.runs import contigs_of, track_runs

__all__ = ["lines", "write"]

_LINES_AT_ONCE = 1 << 12


def write(
    scores: ScoresFile,
    path: Path,
    *,
    quantity: str = QUANTITIES[0],
    overlap: str = "nearest",
) -> None:
    """Write the file; compressed as bgzip does it where its name ends with `.gz`.

    Parameters
    ----------
    scores : ScoresFile
    path : Path
        Where to write; a temporary name of `seqlift.output.atomic` is taken for the target's.
    quantity, overlap : str
        As `lines`.

    Raises
    ------
    OutputError
        If the file cannot be written, or there is no value at all.
    InputError
        If the scores file is damaged, or there is no such quantity or overlap policy.
    """
    is_empty = True
    with write_errors(path), path.open("wb") as file:
        with BgzfWriter(file) if final_name(path).endswith(".gz") else nullcontext(file) as text:
            for block in lines(scores, quantity=quantity, overlap=overlap):
                text.write(block.encode())
                is_empty = False
    if is_empty:
        raise OutputError(f"{scores.path} has no base with a value; a bedGraph would be empty")


def lines(
    scores: ScoresFile, *, quantity: str = QUANTITIES[0], overlap: str = "nearest"
) -> Iterator[str]:
    """Make the text.

    Memory is bounded by a few numbers a window and the longest window.

    Parameters
    ----------
    scores : ScoresFile
    quantity : {"contribution", "standard-error"}
    overlap : {"nearest", "mean", "max-abs"}
        What a base in several windows gets: see `seqlift.output.overlap.resolve`.

    Yields
    ------
    block : str
        Some whole lines.

    Raises
    ------
    OutputError
        If a value is infinite in float32.
    InputError
        If the scores file is damaged, or there is no such quantity or overlap policy.
    """
    runs = track_runs(
        contigs_of(scores), scores, lambda rows: scores.track(rows, quantity), overlap=overlap
    )
    for contig, start, values in runs:
        for i in range(0, len(values), _LINES_AT_ONCE):
            yield _block(contig, start + i, values[i : i + _LINES_AT_ONCE])


def _block(contig: str, start: int, values: NDArray[np.float32]) -> str:
    texts = map(str, values)  # not by a format, which would make a float64 of each
    return "".join(
        f"{contig}\t{base}\t{base + 1}\t{text}\n" for base, text in enumerate(texts, start)
    )
