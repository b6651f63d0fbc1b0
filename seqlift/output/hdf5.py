"""The scores file: every window whole, with what is needed to trust it.

`ScoresWriter` streams batches into it and `ScoresFile` reads it back. The layout is in `schema`;
reading needs no plugin. Nothing here renames anything: see `atomic`.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np
from numpy.typing import NDArray

from seqlift.errors import OutputError
from seqlift.genome.regions import Region, format_region
from seqlift.output import schema
from seqlift.output.atomic import final_name
from seqlift.output.reader import ScoresFile
from seqlift.output.sink import Sink

__all__ = ["ScoredBatch", "ScoresFile", "ScoresWriter"]

_Columns = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class ScoredBatch:
    """What was computed for some windows, in the order of `regions`.

    Parameters
    ----------
    regions : sequence of Region
        The windows, 0-based half-open, all of one length.
    one_hot : uint8, shape (region, base=4, position)
        Order A C G T, N = all zeros.
    hypothetical, scores : float, shape (region, base=4, position)
        Hypothetical contributions, and contribution scores, in units of the target output.
    delta, completeness_error, prediction_reference : float, shape (region, reference)
        In units of the target output; NaN for references that a region did not use.
    prediction : float, shape (region,)
        The target output at the sequence.
    standard_error : float, shape (region, position)
        Of the track, over the references; NaN where there is none (a single reference).
    n_references : int, shape (region,)
        References that each region used.
    extra : mapping of str to array
        Datasets that only some runs have, by name.
    """

    regions: Sequence[Region]
    one_hot: NDArray[np.uint8]
    hypothetical: NDArray[np.floating]
    scores: NDArray[np.floating]
    delta: NDArray[np.floating]
    completeness_error: NDArray[np.floating]
    prediction: NDArray[np.floating]
    prediction_reference: NDArray[np.floating]
    standard_error: NDArray[np.floating]
    n_references: NDArray[np.integer]
    extra: Mapping[str, NDArray[Any]] = field(default_factory=dict)


class ScoresWriter:
    """Stream batches into a new scores file.

    Batches may have any size: they are gathered into whole chunks, and memory is bounded by a chunk
    and a batch. Use it as a context manager; when the block fails, the file is closed as it is.

    Parameters
    ----------
    path : str or Path
        Where to write; what is there is replaced.
    length : int
        Length of every window in bp.
    n_references : int
        References per window, at most.
    dtype : {"float32", "float64"}
        Type of every number that is not an integer.
    extra : sequence of Dataset
        Datasets that only some runs have.
    attributes : mapping of str to str, int, float, bool, or a list of one of these
        Root attributes. `format` and `format_version` are added.

    Raises
    ------
    OutputError
        If the file cannot be written (here, and by every method).
    """

    def __init__(
        self,
        path: str | Path,
        length: int,
        n_references: int,
        *,
        dtype: str = "float32",
        extra: Sequence[schema.Dataset] = (),
        attributes: Mapping[str, object] | None = None,
    ) -> None:
        self._sizes = {"base": 4, "position": length, "reference": n_references}
        self._dtype = np.dtype(dtype)
        self._datasets = (*schema.DATASETS, *extra)
        self._chunk_rows = schema.rows_at_once(length)
        self._pending: list[_Columns] = []
        self._n_pending = 0
        self._n_written = 0
        self._name = final_name(path)
        self._sink = Sink(path)
        self._file = h5py.File(self._sink, "w")
        own = {"format": schema.FORMAT, "format_version": schema.FORMAT_VERSION}
        try:
            self.set_attributes({**(attributes or {}), **own})
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
        if exc_type is None:
            self.close()
        else:
            self._release()

    def append(self, batch: ScoredBatch) -> None:
        """Add windows after those already there.

        Parameters
        ----------
        batch : ScoredBatch
            Its arrays are copied.

        Raises
        ------
        OutputError
            If a score is not finite (or does not fit the file's type), or a shape is not the
            file's.
        """
        self.append_columns(self._checked_columns(batch))

    def append_columns(self, columns: Mapping[str, NDArray[Any]]) -> None:
        """Add windows that a scores file like this one has, as `ScoresFile.columns` gives them.

        Parameters
        ----------
        columns : mapping of str to array, shape (region, ...)
            Every dataset by its name; not changed afterwards.
        """
        self._pending.append(dict(columns))
        self._n_pending += len(columns[schema.SCORES])
        if self._n_pending >= self._chunk_rows:
            self._flush(self._n_pending - self._n_pending % self._chunk_rows)

    def set_attributes(self, attributes: Mapping[str, object]) -> None:
        """Set root attributes, replacing those of the same name.

        Parameters
        ----------
        attributes : mapping of str to str, int, float, bool, or a list of one of these
            Small things: what was run, on what, with which settings.
        """
        with self._writing():
            for name, value in attributes.items():
                self._file.attrs[name] = value

    def close(self) -> None:
        """Write what is still held and finish the file; does nothing the second time."""
        if not self._file:
            return
        try:
            self._flush(self._n_pending)
        finally:
            self._release()
        self._sink.require_written()

    def _release(self) -> None:
        self._pending.clear()
        try:
            self._file.close()
        finally:
            self._sink.close()

    def _flush(self, n_rows: int) -> None:
        if not self._n_written:
            # A file of three regions should not carry a chunk of 64.
            self._create_datasets(min(self._chunk_rows, max(n_rows, 1)))
        start, stop = self._n_written, self._n_written + n_rows
        rest = {}
        for name in [d.name for d in self._datasets] if self._pending else ():
            values = np.concatenate([columns[name] for columns in self._pending])
            rest[name] = values[n_rows:].copy()  # a view would keep all of it alive
            with self._writing():
                self._file[name].resize(stop, axis=0)
                self._file[name][start:stop] = values[:n_rows]
        self._pending = [rest] if rest else []
        self._n_pending -= n_rows
        self._n_written = stop

    def _create_datasets(self, chunk_rows: int) -> None:
        for dataset in self._datasets:
            shape = tuple(self._sizes[axis] for axis in dataset.axes)
            # Scores hardly compress, and trying costs ten times the write; one-hot does.
            packing: dict[str, Any] = (
                {"compression": "gzip", "compression_opts": 4, "shuffle": True}
                if dataset.name == schema.ONE_HOT
                else {}
            )
            is_wide = "position" in dataset.axes
            with self._writing():
                self._file.create_dataset(
                    dataset.name,
                    shape=(0, *shape),
                    maxshape=(None, *shape),
                    chunks=(chunk_rows if is_wide else _NARROW_ROWS, *shape),
                    dtype=self._stored_dtype(dataset),
                    **packing,
                )

    def _stored_dtype(self, dataset: schema.Dataset) -> Any:  # noqa: ANN401  h5py's string type has no name of its own
        if dataset.dtype == "text":
            return h5py.string_dtype("utf-8")
        return self._dtype if dataset.dtype == "float" else np.dtype(dataset.dtype)

    def _checked_columns(self, batch: ScoredBatch) -> _Columns:
        columns = _columns(batch)
        for dataset in self._datasets:
            values = columns[dataset.name]
            expected = (len(batch.regions), *(self._sizes[axis] for axis in dataset.axes))
            if values.shape != expected:
                raise OutputError(
                    f"/{dataset.name} of a batch has shape {values.shape}; it needs {expected}"
                )
            if dataset.dtype != "text":
                with np.errstate(over="ignore"):  # found below, with the region's name
                    columns[dataset.name] = values.astype(self._stored_dtype(dataset))
        for name in (schema.HYPOTHETICAL, schema.SCORES):
            self._require_finite(columns[name], batch.regions)
        return columns

    def _require_finite(self, values: NDArray[np.floating], regions: Sequence[Region]) -> None:
        is_finite = np.isfinite(values).all(axis=(1, 2))
        if not is_finite.all():
            region = regions[int(np.argmin(is_finite))]
            raise OutputError(
                f"{format_region(region)} (line {region.row}): the scores are not finite in "
                f"{self._dtype}; the model gives NaN or infinity there, "
                "or numbers that need --precision float64"
            )

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except (OSError, RuntimeError) as exc:
            # Once the disk is full, HDF5 may stumble over what it could not write: say the cause,
            # not that.
            self._sink.require_written()
            reason = " ".join(str(exc).split())
            raise OutputError(f"{self._name} cannot be written: {reason}") from exc
        self._sink.require_written()


def _columns(batch: ScoredBatch) -> _Columns:
    regions = batch.regions
    return {
        schema.ONE_HOT: batch.one_hot,
        schema.HYPOTHETICAL: batch.hypothetical,
        schema.SCORES: batch.scores,
        "regions/chrom": np.array([region.chrom for region in regions], dtype=object),
        "regions/start": np.array([region.start for region in regions], dtype=np.int64),
        "regions/end": np.array([region.end for region in regions], dtype=np.int64),
        "regions/name": np.array([region.name for region in regions], dtype=object),
        "regions/strand": np.array([region.strand for region in regions], dtype=object),
        "regions/summit": np.array([_stored_summit(region) for region in regions], dtype=np.int64),
        "regions/row": np.array([region.row for region in regions], dtype=np.int64),
        schema.DELTA: batch.delta,
        schema.COMPLETENESS_ERROR: batch.completeness_error,
        schema.PREDICTION: batch.prediction,
        schema.PREDICTION_REFERENCE: batch.prediction_reference,
        schema.STANDARD_ERROR: batch.standard_error,
        schema.N_REFERENCES: batch.n_references,
        **batch.extra,
    }


def _stored_summit(region: Region) -> int:
    return schema.NO_SUMMIT if region.summit is None else region.summit


# Numbers by the row are small, and a chunk of 64 of them would be mostly bookkeeping.
_NARROW_ROWS = 256
