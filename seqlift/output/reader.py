"""Read a scores file.

Rows can be asked for in any order. A file is checked when it is opened, so that what is handed on
is known to be complete and of a known layout.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np
from numpy.typing import NDArray

from seqlift.errors import InputError
from seqlift.genome.regions import Region
from seqlift.output import schema

__all__ = ["QUANTITIES", "Rows", "ScoresFile"]

Rows = slice | NDArray[np.integer]
_ALL = slice(None)
_LONGEST_REASON = 200

QUANTITIES = ("contribution", "standard-error")


class ScoresFile:
    """A scores file, open for reading; a context manager.

    Every method takes `rows`, a slice or an array of indices in any order, and returns the rows in
    that order. Memory is bounded by the rows asked for.

    Parameters
    ----------
    path : str or Path
        A file that `ScoresWriter` finished.

    Raises
    ------
    InputError
        If the file is missing, is no HDF5, is cut short, has another layout or comes from a newer
        seqlift. Reading a damaged file raises it too.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._file = _open(self.path)
        try:
            with self._reading():
                _require_layout(self._file, self.path)
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
        self.close()

    def close(self) -> None:
        """Close the file; does nothing the second time."""
        self._file.close()

    @property
    def n_regions(self) -> int:
        """Number of windows."""
        return int(self._file[schema.SCORES].shape[0])

    @property
    def n_references(self) -> int:
        """References per window, at most."""
        return int(self._file[schema.DELTA].shape[1])

    @property
    def length(self) -> int:
        """Length of every window in bp."""
        return int(self._file[schema.SCORES].shape[2])

    @property
    def dtype(self) -> str:
        """Type of the scores, "float32" or "float64"."""
        return str(self._file[schema.SCORES].dtype)

    @property
    def extra(self) -> tuple[schema.Dataset, ...]:
        """The datasets that only some files have, and this one does."""
        return tuple(dataset for dataset in schema.EXTRA if dataset.name in self._file)

    def slices(self, chunks: int = 1) -> Iterator[slice]:
        """Go through the rows, as many at a time as the file stores together.

        Parameters
        ----------
        chunks : int
            Or so many times that.

        Yields
        ------
        rows : slice
        """
        step = chunks * schema.rows_at_once(self.length)
        for start in range(0, self.n_regions, step):
            yield slice(start, min(start + step, self.n_regions))

    def columns(self, rows: Rows = _ALL) -> dict[str, NDArray[Any]]:
        """Return every dataset by its name, as `ScoresWriter.append_columns` takes them."""
        return {d.name: self._read(d.name, rows) for d in (*schema.DATASETS, *self.extra)}

    @property
    def attributes(self) -> dict[str, object]:
        """Root attributes as plain Python values; arrays are lists."""
        with self._reading():
            return {name: _plain(value) for name, value in sorted(self._file.attrs.items())}

    def regions(self, rows: Rows = _ALL) -> list[Region]:
        """Return the windows, 0-based half-open."""
        names = ("chrom", "start", "end", "name", "strand", "summit", "row")
        columns = [self._read(f"regions/{name}", rows).tolist() for name in names]
        return [_region(*values) for values in zip(*columns, strict=True)]

    def one_hot(self, rows: Rows = _ALL) -> NDArray[np.uint8]:
        """Return the one-hot, uint8, shape (region, base=4, position); N = all zeros."""
        return self._read(schema.ONE_HOT, rows).view(np.uint8)

    def hypothetical(self, rows: Rows = _ALL) -> NDArray[np.floating]:
        """Return the hypothetical contributions, shape (region, base=4, position)."""
        return self._read(schema.HYPOTHETICAL, rows)

    def scores(self, rows: Rows = _ALL) -> NDArray[np.floating]:
        """Return the contribution scores, shape (region, base=4, position)."""
        return self._read(schema.SCORES, rows)

    def standard_error(self, rows: Rows = _ALL) -> NDArray[np.floating]:
        """Return the standard error of the track over references, shape (region, position)."""
        return self._read(schema.STANDARD_ERROR, rows)

    def delta(self, rows: Rows = _ALL) -> NDArray[np.floating]:
        """Return the deltas from reference, shape (region, reference)."""
        return self._read(schema.DELTA, rows)

    def completeness_error(self, rows: Rows = _ALL) -> NDArray[np.floating]:
        """Return the completeness errors, shape (region, reference)."""
        return self._read(schema.COMPLETENESS_ERROR, rows)

    def prediction(self, rows: Rows = _ALL) -> NDArray[np.floating]:
        """Return the target output at the sequences, shape (region,)."""
        return self._read(schema.PREDICTION, rows)

    def prediction_reference(self, rows: Rows = _ALL) -> NDArray[np.floating]:
        """Return the target output at the references, shape (region, reference)."""
        return self._read(schema.PREDICTION_REFERENCE, rows)

    def references_used(self, rows: Rows = _ALL) -> NDArray[np.int64]:
        """Return how many references each window used, shape (region,)."""
        if schema.N_REFERENCES in self._file:
            return self._read(schema.N_REFERENCES, rows)
        return np.full(len(self.prediction(rows)), self.n_references)

    def strand_asymmetry(self, rows: Rows = _ALL) -> NDArray[np.floating]:
        """Return how much the strands differ, shape (region,), of a file that has both."""
        return self._read(schema.STRAND_ASYMMETRY.name, rows)

    def track(self, rows: Rows = _ALL, quantity: str = "contribution") -> NDArray[np.floating]:
        """Return one value a base, NaN where the base is N.

        Parameters
        ----------
        rows : slice or array of int
            Which windows, in any order.
        quantity : {"contribution", "standard-error"}
            "contribution" is the contribution score of the base that is there.

        Returns
        -------
        track : float, shape (region, position)
            In units of the target output.

        Raises
        ------
        InputError
            If there is no such quantity.
        """
        if quantity not in QUANTITIES:
            raise InputError(
                f"{quantity!r} is not kept per base; choose one of {', '.join(QUANTITIES)}"
            )
        track: NDArray[np.floating]
        if quantity == "contribution":
            track = self.scores(rows).sum(axis=1)  # three of the four are zero, so it is exact
        else:
            track = self.standard_error(rows)
        track[self._is_unknown(rows)] = np.nan
        return track

    def _is_unknown(self, rows: Rows) -> NDArray[np.bool_]:
        """Say where the Ns are, shape (region, position)."""
        if isinstance(rows, slice):
            found: NDArray[np.bool_] = self.one_hot(rows).max(axis=1) == 0
            return found
        rows = _indices(rows, self.n_regions)
        known_rows, bits = self._packed_unknown
        places = np.searchsorted(known_rows, rows).clip(max=max(0, len(known_rows) - 1))
        is_unknown = np.zeros((len(rows), self.length), dtype=bool)
        if len(known_rows):
            has_any = known_rows[places] == rows
            packed = bits[places[has_any]]
            is_unknown[has_any] = np.unpackbits(packed, axis=1, count=self.length)
        return is_unknown

    @cached_property
    def _packed_unknown(self) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
        """Which rows have Ns, and where, as bits, shape (row, byte).

        The one-hot is compressed, and to unpack a chunk for each row asked for out of order takes
        as long as scoring. Rows with an N are few, so one pass in the file's order finds them.
        """
        rows, bits = [np.empty(0, np.int64)], [np.empty((0, -(-self.length // 8)), np.uint8)]
        for some in self.slices():
            is_unknown = self._is_unknown(some)
            found = np.flatnonzero(is_unknown.any(axis=1))
            rows.append(found + some.start)
            bits.append(np.packbits(is_unknown[found], axis=1))
        return np.concatenate(rows), np.concatenate(bits)

    def _read(self, name: str, rows: Rows) -> NDArray[Any]:
        with self._reading():
            dataset = self._file[name]
            is_text = h5py.check_string_dtype(dataset.dtype) is not None
            source = dataset.asstr() if is_text else dataset
            if isinstance(rows, slice) and rows.step in (None, 1):
                return np.asarray(source[rows])
            wanted, places = np.unique(_indices(rows, len(dataset)), return_inverse=True)
            # h5py reads a list of rows one by one; neighbours are read together.
            stretches = (
                np.split(wanted, np.flatnonzero(np.diff(wanted) != 1) + 1) if len(wanted) else []
            )
            parts = [source[int(part[0]) : int(part[-1]) + 1] for part in stretches]
            return np.concatenate([source[:0], *parts])[places]

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except InputError:
            raise
        except MemoryError as exc:
            raise InputError(f"{self.path} does not fit into memory ({_one_line(exc)})") from exc
        except Exception as exc:  # h5py raises a dozen kinds at a damaged file
            raise InputError(
                f"{self.path} cannot be read ({_one_line(exc)}); it is damaged"
            ) from exc


def _indices(rows: Rows, n_rows: int) -> NDArray[np.int64]:
    if isinstance(rows, slice):
        return np.arange(n_rows)[rows]
    indices = np.asarray(rows, dtype=np.int64)
    outside = indices[(indices < 0) | (indices >= n_rows)]
    if outside.size:
        raise InputError(f"there is no region {outside[0]}; the file has {n_rows}, counted from 0")
    return indices


def _open(path: Path) -> h5py.File:
    if path.is_dir():
        raise InputError(f"{path} is a directory; give the name of a scores file")
    try:
        with path.open("rb"):
            pass
    except OSError as exc:
        raise InputError(f"{path} cannot be read: {exc.strerror or exc}") from exc
    if not h5py.is_hdf5(path):
        raise InputError(f"{path} is not an HDF5 file; a scores file of seqlift was expected")
    try:
        # Finished files do not change, and many network file systems cannot lock.
        return h5py.File(path, "r", locking=False)
    except OSError as exc:
        raise InputError(
            f"{path} is damaged or cut short ({_one_line(exc)}); make it again"
        ) from exc


def _require_layout(file: h5py.File, path: Path) -> None:
    if file.attrs.get("format") != schema.FORMAT:
        lacks = "" if "regions" in file else ": it has no /regions"
        raise InputError(
            f"{path} was not written by seqlift{lacks}; score the regions with seqlift first"
        )
    version = int(file.attrs.get("format_version", 0))
    if version > schema.FORMAT_VERSION:
        raise InputError(
            f"{path} has format version {version}; this seqlift reads up to "
            f"{schema.FORMAT_VERSION}: update it"
        )
    for dataset in schema.DATASETS:
        if dataset.name not in file and version >= schema.NEWER.get(dataset.name, 0):
            raise InputError(f"{path} has no /{dataset.name}; it is damaged or was never finished")
    n_regions, _, length = file[schema.SCORES].shape
    sizes = {"base": 4, "position": length, "reference": file[schema.DELTA].shape[1]}
    for dataset in schema.DATASETS:
        if dataset.name in file:
            shape = (n_regions, *(sizes[axis] for axis in dataset.axes))
            _require_kind(file[dataset.name], dataset, shape, path)


def _require_kind(
    found: h5py.Dataset, dataset: schema.Dataset, shape: tuple[int, ...], path: Path
) -> None:
    kinds = {"text": "O", "float": "f"}.get(dataset.dtype, "iu")
    is_text = h5py.check_string_dtype(found.dtype) is not None
    if found.shape != shape or found.dtype.kind not in kinds or is_text != (kinds == "O"):
        raise InputError(
            f"{path} has a /{dataset.name} of shape {found.shape} and type {found.dtype}, where "
            f"{dataset.dtype} of shape {shape} was expected; it is damaged"
        )


def _region(
    chrom: str, start: int, end: int, name: str, strand: str, summit: int, row: int
) -> Region:
    return Region(
        chrom, start, end, name, strand, None if summit == schema.NO_SUMMIT else summit, row
    )


def _plain(value: Any) -> object:  # noqa: ANN401  h5py hands out scalars, arrays and strings
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def _one_line(exc: Exception) -> str:
    return " ".join(str(exc).split())[:_LONGEST_REASON] or type(exc).__name__
