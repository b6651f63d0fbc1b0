"""Fi-NeMo's own .npz: what `finemo extract-regions-*` makes, for `finemo call-hits -r`.

::

    sequences      int8     (region, base, position)  one-hot, N = all zeros
    contributions  float16  (region, base, position)  hypothetical contributions
    chr            text     (region)
    chr_id         int64    (region)                  contigs numbered as they first come
    start          int64    (region)                  0-based, of the window
    peak_id        uint32   (region)                  row in the scores file, from 0
    peak_name      text     (region)

`finemo extract-regions-chrombpnet-h5` makes the same from a scores file and a narrowPeak file. It
takes the coordinates from the latter, row by row, as start + summit: hits are misplaced where a
summit is -1, and where `seqlift score` left a region out. Here they are those of the windows.

References
----------
`write_regions_npz`, `load_regions_npz` and `load_peaks` in `finemo/data_io.py` of finemo 0.41.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqlift.genome.regions import Region
from seqlift.output.formats.windows import half_hypothetical, one_hot
from seqlift.output.npz_file import Member, write_npz
from seqlift.output.reader import ScoresFile

__all__ = ["write"]

_REGIONS_AT_ONCE = 4096


def write(scores: ScoresFile, path: Path) -> None:
    """Write the archive.

    Parameters
    ----------
    scores : ScoresFile
    path : Path
        Where to write.

    Raises
    ------
    OutputError
        If the file cannot be written, or a value is too large for half precision.
    InputError
        If the scores file is damaged.
    """
    n, shape = scores.n_regions, (scores.n_regions, 4, scores.length)
    letters = (one_hot(scores, rows) for rows in scores.slices())
    values = (half_hypothetical(scores, rows) for rows in scores.slices())
    ids, chrom_width, name_width = _survey(scores)
    int64 = np.dtype(np.int64)
    write_npz(
        path,
        [
            Member("sequences", np.dtype(np.int8), shape, letters),
            Member("contributions", np.dtype(np.float16), shape, values),
            _column(scores, "chr", np.dtype(f"U{chrom_width}"), lambda region: region.chrom),
            _column(scores, "chr_id", int64, lambda region: ids[region.chrom]),
            _column(scores, "start", int64, lambda region: region.start),
            Member("peak_id", np.dtype(np.uint32), (n,), [np.arange(n)]),
            _column(scores, "peak_name", np.dtype(f"U{name_width}"), lambda region: region.name),
        ],
    )


def _survey(scores: ScoresFile) -> tuple[dict[str, int], int, int]:
    """Give each contig a number, and find the longest names; NumPy's text has a fixed width."""
    ids: dict[str, int] = {}
    name_width = 1
    for regions in _regions(scores):
        for region in regions:
            ids.setdefault(region.chrom, len(ids))
            name_width = max(name_width, len(region.name))
    return ids, max(map(len, ids), default=1), name_width


def _column(
    scores: ScoresFile, name: str, dtype: np.dtype[Any], value: Callable[[Region], object]
) -> Member:
    def parts() -> Iterator[NDArray[Any]]:
        for regions in _regions(scores):
            yield np.array([value(region) for region in regions], dtype=dtype)

    return Member(name, dtype, (scores.n_regions,), parts())


def _regions(scores: ScoresFile) -> Iterator[list[Region]]:
    for start in range(0, scores.n_regions, _REGIONS_AT_ONCE):
        yield scores.regions(slice(start, start + _REGIONS_AT_ONCE))
