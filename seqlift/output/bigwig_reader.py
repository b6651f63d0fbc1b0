"""Read a bigWig: its contigs, where its values lie, and some or all of them.

Any writer's files are read: values in runs, in steps or one by one, of either byte order, packed or
not. Nothing in a damaged file is believed before it is checked.

References
----------
Kent et al. 2010, "BigWig and BigBed: enabling browsing of large distributed datasets",
Bioinformatics 26:2204, supplement: tables 5 to 19.
"""

import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from seqlift.errors import InputError

__all__ = ["BigWigReader", "Values"]

_MAGIC, _BIGBED_MAGIC = 0x888FFC26, 0x8789F2EB
_CONTIG_MAGIC, _PLACE_MAGIC = 0x78CA8C91, 0x2468ACE0
_RUNS, _STEPS, _REGULAR = 1, 2, 3

# Levels of a tree, bytes of a name and of a block: more than any writer makes, less than does harm.
_DEEPEST = 32
_LONGEST_NAME = 1 << 16
_LARGEST_BLOCK = 1 << 26


class Values(NamedTuple):
    """The values of one block.

    Parameters
    ----------
    contig : str
    start, end : int64, shape (value,)
        Where each value holds: 0-based half-open.
    value : float32, shape (value,)
    """

    contig: str
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    value: NDArray[np.float32]


class BigWigReader:
    """A bigWig, open for reading; a context manager.

    Memory grows by 32 bytes a block of the file, which has some thousand values.

    Parameters
    ----------
    path : str or Path

    Attributes
    ----------
    contigs : dict of str to int
        Lengths in bp, in the order of their numbers in the file.
    n_blocks : int
    minimum, maximum : float
        Of all values; 0 where there are none, and NaN where the file does not say.

    Raises
    ------
    InputError
        If the file is missing, is no bigWig or is damaged (here, and by every method).
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        with self._reading():
            if self.path.exists() and not (self.path.is_file() or self.path.is_dir()):
                raise InputError(f"{path} is a pipe or a device; give a file")
            self._file = self.path.open("rb")
            try:
                self._size = os.fstat(self._file.fileno()).st_size
                self._read_header()
            except BaseException:
                self._file.close()
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()

    @property
    def n_blocks(self) -> int:
        """Number of blocks of values."""
        return len(self._blocks)

    def contigs_with_values(self) -> list[str]:
        """Return the contigs that have values, in the order of the file."""
        return [self._names[number] for number in np.unique(self._blocks["contig"]).tolist()]

    def block(self, number: int) -> Values:
        """Read one block.

        Parameters
        ----------
        number : int
            From 0 to `n_blocks`, in the order of the genome.

        Returns
        -------
        Values
        """
        place = self._blocks[number]
        with self._reading():
            data = self._unpacked(int(place["offset"]), int(place["size"]))
            values = _decode(data, self._order)
            contig = struct.unpack_from(f"{self._order}I", data)[0]
            return Values(self._names[contig], *values)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Report what is wrong with the file in one line."""
        try:
            yield
        except OSError as exc:
            raise InputError(f"{self.path} cannot be read: {exc.strerror or exc}") from exc
        except (struct.error, zlib.error, ValueError, KeyError, MemoryError) as exc:
            raise InputError(
                f"{self.path} is damaged or cut short: it begins as a bigWig and does not go on as "
                "one; write or copy it again"
            ) from exc

    def _at(self, offset: int, size: int) -> bytes:
        if offset + size > self._size:
            raise ValueError("past the end")
        self._file.seek(offset)
        data = self._file.read(size)
        if len(data) < size:
            raise ValueError("past the end")
        return data

    def _unpack_at(self, offset: int, form: str) -> tuple[Any, ...]:
        form = self._order + form
        return struct.unpack(form, self._at(offset, struct.calcsize(form)))

    def _read_header(self) -> None:
        self._order = self._byte_order()
        # What stands before and between: zoom levels, data, the columns of a bigBed.
        _, contigs_at, _, index_at, _, _, _, summary_at, unpacked = self._unpack_at(6, "HQQQHHQQI")
        self._is_packed = unpacked > 0
        numbered = self._contig_leaves(contigs_at)
        self._names = {number: name for number, name, _ in numbered}
        self.contigs = {name: length for _, name, length in sorted(numbered)}
        self._blocks = self._place_leaves(index_at)
        if not set(np.unique(self._blocks["contig"]).tolist()) <= self._names.keys():
            raise ValueError("a contig without a name")
        n, low, high = self._unpack_at(summary_at, "Qdd") if summary_at else (1, np.nan, np.nan)
        self.minimum, self.maximum = (float(low), float(high)) if n else (0.0, 0.0)

    def _byte_order(self) -> str:
        start = self._file.read(4)
        for order in "<>":
            if start == struct.pack(f"{order}I", _MAGIC):
                return order
            if start == struct.pack(f"{order}I", _BIGBED_MAGIC):
                raise InputError(f"{self.path} is a bigBed; give a bigWig")
        raise InputError(
            f"{self.path} is not a bigWig; give a track that `seqlift score` or "
            "`seqlift tracks` wrote"
        )

    def _contig_leaves(self, at: int) -> list[tuple[int, str, int]]:
        """Return number, name and length of each contig."""
        magic, _, key_size = self._unpack_at(at, "III")
        if magic != _CONTIG_MAGIC or not 0 < key_size <= _LONGEST_NAME:
            raise ValueError("no contigs")
        key = ("key", f"S{key_size}")
        number, length = ("number", f"{self._order}u4"), ("length", f"{self._order}u4")
        leaf = np.dtype([key, number, length])
        inner = np.dtype([key, ("child", f"{self._order}u8")])
        leaves = self._leaves(at + 32, leaf, inner)
        return [
            (int(row["number"]), bytes(row["key"]).decode(), int(row["length"])) for row in leaves
        ]

    def _place_leaves(self, at: int) -> NDArray[np.void]:
        """Return where each block lies, in the genome and in the file."""
        (magic,) = self._unpack_at(at, "I")
        if magic != _PLACE_MAGIC:
            raise ValueError("no index")
        names = ("contig", "start", "end_contig", "end")
        place = [(name, f"{self._order}u4") for name in names]
        offset, size = ("offset", f"{self._order}u8"), ("size", f"{self._order}u8")
        leaf = np.dtype([*place, offset, size])
        inner = np.dtype([*place, ("child", f"{self._order}u8")])
        return self._leaves(at + 48, leaf, inner)

    def _leaves(
        self, root: int, leaf: np.dtype[np.void], inner: np.dtype[np.void]
    ) -> NDArray[np.void]:
        """Return the leaves of a tree, level by level; all nodes of a level are of one kind."""
        found: list[NDArray[np.void]] = []
        level, seen = [root], 0
        for _ in range(_DEEPEST):
            children: list[int] = []
            for node in level:
                seen += 4
                is_leaf, _, count = self._unpack_at(node, "BBH")
                items = leaf if is_leaf else inner
                data = self._at(node + 4, count * items.itemsize)
                seen += len(data)
                if seen > self._size:
                    raise ValueError("nodes that are their own children")
                rows = np.frombuffer(data, items)
                if is_leaf:
                    found.append(rows)
                else:
                    children += rows["child"].tolist()
            level = children
            if not level:
                return np.concatenate(found) if found else np.empty(0, leaf)
        raise ValueError("a tree without leaves")

    def _unpacked(self, offset: int, size: int) -> bytes:
        data = self._at(offset, size)
        if not self._is_packed:
            return data
        unpacker = zlib.decompressobj()
        unpacked = unpacker.decompress(data, _LARGEST_BLOCK)
        if not unpacker.eof:
            raise ValueError("a block that is cut or endless")
        return unpacked


def _decode(
    data: bytes, order: str
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Return starts, ends and values of an unpacked block."""
    _, first, _, step, span, kind, _, count = struct.unpack_from(f"{order}5IBBH", data)
    place, value = f"{order}u4", ("value", f"{order}f4")
    columns = {
        _RUNS: [("start", place), ("end", place), value],
        _STEPS: [("start", place), value],
        _REGULAR: [value],
    }
    rows = np.frombuffer(data, np.dtype(columns[kind]), count, offset=24)
    if kind == _REGULAR:
        starts = first + step * np.arange(count, dtype=np.int64)
    else:
        starts = rows["start"].astype(np.int64)
    ends = rows["end"].astype(np.int64) if kind == _RUNS else starts + span
    return starts, ends, rows["value"].astype(np.float32)
