"""The zoom levels of a bigWig: a track seen from further and further away, made as it is written.

Each level sums up bins of a fixed width, four of them make one of the next, and only the last bin
of a level can still grow. Finished bins wait on the disk, since their place is behind the values.
A bin is a column of seven numbers: first and last base with a value, how many there are, and their
minimum, maximum, sum and sum of squares.
"""

import tempfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from seqlift.output.bigwig_index import Blocks

__all__ = [
    "COMPRESSION",
    "MOST_LEVELS",
    "RECORDS_AT_ONCE",
    "RECORD_SIZE",
    "ZoomLevel",
    "ZoomLevels",
]

Floats = NDArray[np.float64]

# More effort makes scores smaller by one part in a hundred.
COMPRESSION = 1
MOST_LEVELS = 10
_FIRST, _STEP = 10, 4
RECORDS_AT_ONCE = 512
_NUMBERS = ("start", "end", "n", "minimum", "maximum", "sum", "squares")
_FOLDS = (np.minimum, np.maximum, np.add, np.minimum, np.maximum, np.add, np.add)
_RECORD = np.dtype(
    [("contig", "<u4"), *((name, "<u4" if i < 3 else "<f4") for i, name in enumerate(_NUMBERS))]
)
RECORD_SIZE = _RECORD.itemsize


class ZoomLevel:
    """One level, on its way to the file.

    Attributes
    ----------
    width : int
        Of a bin, bp.
    n_records : int
        Bins so far.
    blocks : Blocks
        With their places in `spool`.
    spool : binary file
        What is finished, compressed.
    """

    def __init__(self, width: int, spool: IO[bytes]) -> None:
        self.width = width
        self.spool = spool
        self.blocks = Blocks()
        self.n_records = 0
        self._bins = np.empty(0, np.int64)
        self._numbers: Floats = np.empty((len(_NUMBERS), 0))

    def add(self, numbers: Floats) -> None:
        """Add what lies behind what came before to the bins that it begins in."""
        bins = np.concatenate([self._bins, numbers[0].astype(np.int64) // self.width])
        numbers = np.concatenate([self._numbers, numbers], axis=1)
        edges = np.flatnonzero(np.diff(bins, prepend=-1))
        self._bins = bins[edges]
        self._numbers = np.stack(
            [fold.reduceat(row, edges) for fold, row in zip(_FOLDS, numbers, strict=True)]
        )

    def take(self, *, all_of_them: bool) -> Floats:
        """Take the bins that are finished: all but the last, or that as well."""
        n_done = len(self._bins) if all_of_them else max(0, len(self._bins) - 1)
        done = self._numbers[:, :n_done]
        self._bins, self._numbers = self._bins[n_done:], self._numbers[:, n_done:]
        return done

    def write(self, contig: int, numbers: Floats) -> None:
        """Write finished bins to the spool."""
        records = np.zeros(numbers.shape[1], _RECORD)
        records["contig"] = contig
        for name, values in zip(_NUMBERS, numbers, strict=True):
            records[name] = values
        for first in range(0, len(records), RECORDS_AT_ONCE):
            some = records[first : first + RECORDS_AT_ONCE]
            data = zlib.compress(some.tobytes(), COMPRESSION)
            place = (contig, int(some["start"][0]), int(some["end"][-1]))
            self.blocks.add(*place, self.spool.tell(), self.spool.write(data))
        self.n_records += len(records)


class ZoomLevels:
    """All levels; a context manager, which closes their spools.

    Parameters
    ----------
    folder : Path
        On the disk that will hold the track.
    longest : int
        Length of the longest contig, bp; no bin is wider.
    """

    def __init__(self, folder: Path, longest: int) -> None:
        widths = [_FIRST * _STEP**i for i in range(MOST_LEVELS)]
        self._stack = ExitStack()
        self._levels = [
            ZoomLevel(width, self._stack.enter_context(tempfile.TemporaryFile(dir=folder)))
            for width in widths
            if width < longest
        ]

    def close(self) -> None:
        """Let go of what was spooled."""
        self._stack.close()

    def __iter__(self) -> Iterator[ZoomLevel]:
        """Go through the levels that hold anything."""
        return (level for level in self._levels if level.n_records)

    def add(self, contig: int, starts: NDArray[np.int64], values: NDArray[np.float32]) -> None:
        """Add values of a contig, one a base, behind those before."""
        wide = values.astype(np.float64)
        once = np.ones(len(wide))
        numbers = np.stack([starts, starts + 1, once, wide, wide, wide, wide**2])
        self._pass_on(contig, numbers, all_of_them=False)

    def end_contig(self, contig: int) -> None:
        """Finish the bins of a contig."""
        self._pass_on(contig, np.empty((len(_NUMBERS), 0)), all_of_them=True)

    def _pass_on(self, contig: int, numbers: Floats, *, all_of_them: bool) -> None:
        for level in self._levels:
            level.add(numbers)
            numbers = level.take(all_of_them=all_of_them)
            level.write(contig, numbers)
