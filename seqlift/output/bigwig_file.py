"""A bigWig, written as its values come, in memory that does not grow with them but for an index.

References
----------
Kent et al. 2010, "BigWig and BigBed: enabling browsing of large distributed datasets",
Bioinformatics 26:2204, supplement: tables 5 to 7, 12, 13, 18 and 19.
"""

import shutil
import struct
import zlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from seqlift.output.atomic import write_errors
from seqlift.output.bigwig_index import Blocks, contig_tree, place_tree
from seqlift.output.bigwig_zoom import (
    COMPRESSION,
    MOST_LEVELS,
    RECORD_SIZE,
    RECORDS_AT_ONCE,
    ZoomLevel,
    ZoomLevels,
)

__all__ = ["BigWigFile"]

_MAGIC = 0x888FFC26
_VERSION = 4
_HEADER = struct.Struct("<IHHQQQHHQQIQ")
_ZOOM_HEADER = struct.Struct("<IIQQ")
_SUMMARY = struct.Struct("<Qdddd")
_SECTION = struct.Struct("<5IBBH")
_FIXED_STEP = 3

_SUMMARY_AT = _HEADER.size + MOST_LEVELS * _ZOOM_HEADER.size
_TREE_AT = _SUMMARY_AT + _SUMMARY.size

_VALUES_AT_ONCE = 1024  # in a block; what is read of a track is read in blocks
_LARGEST_BLOCK = max(_SECTION.size + 4 * _VALUES_AT_ONCE, RECORD_SIZE * RECORDS_AT_ONCE)
# Values that wait to be written: short runs are compressed, and summed up, together.
_WAITING = 1 << 16
# That compress, which is most of the work; more of them wait for the one that sums up.
_THREADS = 4


class BigWigFile:
    """Write a bigWig; a context manager, which finishes it when the block ends well.

    Parameters
    ----------
    path : str or Path
        Where to write; what is there is replaced.
    contigs : mapping of str to int
        Lengths in bp, in the order of the values; at least one.

    Raises
    ------
    OutputError
        If the file cannot be written (here, and by every method).
    """

    def __init__(self, path: str | Path, contigs: Mapping[str, int]) -> None:
        self._path = Path(path)
        self._numbers = {name: i for i, name in enumerate(contigs)}
        self._blocks = Blocks()
        self._contig = ""
        self._waiting: list[tuple[int, NDArray[np.float32]]] = []
        self._n_waiting = 0
        self._totals = [0, np.inf, -np.inf, 0.0, 0.0]
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="seqlift-compress")
        with write_errors(path):
            self._file = self._path.open("wb")
            self._zooms = ZoomLevels(self._path.parent, max(contigs.values()))
            try:
                self._file.write(bytes(_TREE_AT))
                self._file.write(contig_tree(contigs, _TREE_AT))
                self._data_at = self._file.tell()
                self._file.write(bytes(8))
            except BaseException:
                self._release()
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if exc_type is None:
                with write_errors(self._path):
                    self._finish()
        finally:
            self._release()

    def _release(self) -> None:
        self._threads.shutdown(cancel_futures=True)
        for held in (self._zooms, self._file):
            with suppress(OSError):  # what a full disk did not take has been reported
                held.close()

    def add(self, contig: str, start: int, values: NDArray[np.float32]) -> None:
        """Add a run of values.

        Parameters
        ----------
        contig : str
            One of the contigs, in their order.
        start : int
            0-based, at or after the end of the run before.
        values : float32, shape (position,)
            Finite, at least one, none past the contig's end.
        """
        with write_errors(self._path):
            if contig != self._contig:
                self._end_contig()
                self._contig = contig
            self._waiting.append((start, values))
            self._n_waiting += len(values)
            if self._n_waiting >= _WAITING:
                self._write_waiting()

    def _write_waiting(self) -> None:
        """Write the sections of what waits, while it is given to the zoom levels."""
        if not self._waiting:
            return
        number = self._numbers[self._contig]
        sections = [
            (number, start + first, values[first : first + _VALUES_AT_ONCE])
            for start, values in self._waiting
            for first in range(0, len(values), _VALUES_AT_ONCE)
        ]
        compressed = self._threads.map(_packed, sections)
        self._sum_up()
        for (_, start, values), data in zip(sections, compressed, strict=True):
            self._blocks.add(number, start, start + len(values), self._file.tell(), len(data))
            self._file.write(data)
        self._waiting.clear()
        self._n_waiting = 0

    def _sum_up(self) -> None:
        """Give what waits to the zoom levels."""
        values = np.concatenate([run for _, run in self._waiting])
        starts = np.concatenate([np.arange(i, i + len(run)) for i, run in self._waiting])
        self._zooms.add(self._numbers[self._contig], starts, values)
        wide = values.astype(np.float64)
        n, minimum, maximum, total, squares = self._totals
        self._totals = [
            n + len(wide),
            min(minimum, float(wide.min())),
            max(maximum, float(wide.max())),
            total + float(wide.sum()),
            squares + float((wide**2).sum()),
        ]

    def _end_contig(self) -> None:
        if self._contig:
            self._write_waiting()
            self._zooms.end_contig(self._numbers[self._contig])

    def _finish(self) -> None:
        self._end_contig()
        index_at = self._write_index(self._blocks)
        zoom_headers = [self._write_zoom(level) for level in self._zooms]
        self._file.write(struct.pack("<I", _MAGIC))
        self._file.seek(0)
        offsets = (_TREE_AT, self._data_at, index_at)
        header = (_MAGIC, _VERSION, len(zoom_headers), *offsets, 0, 0, 0, _SUMMARY_AT)
        self._file.write(_HEADER.pack(*header, _LARGEST_BLOCK, 0))
        self._file.write(b"".join(zoom_headers))
        self._file.seek(_SUMMARY_AT)
        is_empty = not self._totals[0]
        self._file.write(_SUMMARY.pack(*([0] * 5 if is_empty else self._totals)))
        self._file.seek(self._data_at)
        self._file.write(struct.pack("<Q", len(self._blocks)))
        self._file.flush()

    def _write_index(self, blocks: Blocks, moved_by: int = 0) -> int:
        at = self._file.tell()
        self._file.write(place_tree(blocks.leaves(moved_by), at))
        return at

    def _write_zoom(self, level: ZoomLevel) -> bytes:
        """Write the bins of a level behind everything else; return its header."""
        data_at = self._file.tell()
        self._file.write(struct.pack("<I", level.n_records))
        moved_by = self._file.tell()
        level.spool.seek(0)
        shutil.copyfileobj(level.spool, self._file)
        index_at = self._write_index(level.blocks, moved_by)
        return _ZOOM_HEADER.pack(level.width, 0, data_at, index_at)


def _packed(section: tuple[int, int, NDArray[np.float32]]) -> bytes:
    """Return a section as it lies in the file: the contig's number, where it starts, its values."""
    number, start, values = section
    end = start + len(values)
    head = _SECTION.pack(number, start, end, 1, 1, _FIXED_STEP, 0, len(values))
    return zlib.compress(head + values.astype("<f4").tobytes(), COMPRESSION)
