"""Which regions of scores files a page shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqlift.errors import InputError, UsageError
from seqlift.genome.regions import Region, format_region
from seqlift.logo import CORE_WIDTH, crop_about_core
from seqlift.output.reader import ScoresFile
from seqlift.output.schema import rows_at_once

__all__ = ["MOST_BYTES", "Selection", "select"]

Rows = NDArray[np.int64]

DEFAULT_SHOWN = 500
# Of data. Larger pages open too slowly to be looked at.
MOST_BYTES = 60_000_000
# Two tracks of two bytes, in base64, and a letter of the sequence for the first file.
_BYTES_PER_BASE = 2 * 2 * 4 / 3 + 1


class Selection(NamedTuple):
    """The regions that are shown.

    Attributes
    ----------
    rows : list of int64 array (shown,)
        For each file, where they are in it; in the order of the first.
    n_common : int
        Regions that all files have.
    """

    rows: list[Rows]
    n_common: int


def select(files: Sequence[ScoresFile], n_shown: int | None = None) -> Selection:
    """Choose the regions with the strongest cores in the first file, of those in all files.

    Parameters
    ----------
    files : sequence of ScoresFile
    n_shown : int or None
        How many at most; None for 500, or as many as `MOST_BYTES` hold.

    Returns
    -------
    selection : Selection

    Raises
    ------
    InputError
        If the files have no region in common, differ in length, or have other sequences.
    UsageError
        If so many regions do not fit.
    """
    length = _common_length(files)
    n_fitting = max(1, int(MOST_BYTES / (_BYTES_PER_BASE * length * len(files))))
    n_asked = min(n_shown or 0, files[0].n_regions)
    if n_asked > n_fitting:
        raise UsageError(
            f"{n_asked:,} regions of {length:,} bp from {len(files)} files are more than a browser "
            f"opens; --regions-shown {n_fitting} fits"
        )
    n_shown = min(DEFAULT_SHOWN if n_shown is None else n_shown, n_fitting)
    rows = _common_rows(files)
    n_common = len(rows[0])
    strength = np.concatenate([np.zeros(0), *_strengths(files[0])])[rows[0]]
    # Of equals the first; then back to the order of the file.
    strongest = np.sort(np.argsort(-strength, kind="stable")[:n_shown])
    chosen = Selection([found[strongest] for found in rows], n_common)
    _require_same_sequences(files, chosen.rows)
    return chosen


def _common_length(files: Sequence[ScoresFile]) -> int:
    first = files[0]
    for other in files[1:]:
        if other.length != first.length:
            raise InputError(
                f"the regions of {other.path} have {other.length} bp and those of {first.path} "
                f"{first.length}; make a report of each"
            )
    if not first.n_regions:
        raise InputError(f"{first.path} has no regions; there is nothing to report")
    return first.length


def _common_rows(files: Sequence[ScoresFile]) -> list[Rows]:
    if len(files) == 1:
        return [np.arange(files[0].n_regions)]
    indices = [{key: i for i, key in reversed(list(_keys(file)))} for file in files]
    others = indices[1:]
    common = [(i, key) for i, key in _keys(files[0]) if all(key in other for other in others)]
    if not common:
        raise InputError(
            f"{files[1].path} and {files[0].path} have no regions in common; make a report of each"
            if len(files) == 2
            else "the files have no regions in common; make a report of each"
        )
    own = np.array([i for i, _ in common], dtype=np.int64)
    return [own, *(np.array([other[key] for _, key in common], np.int64) for other in others)]


def _keys(file: ScoresFile) -> Iterator[tuple[int, tuple[str, int, str]]]:
    for i, region in enumerate(file.regions()):
        yield i, (region.chrom, region.start, region.name)


def _strengths(file: ScoresFile) -> Iterator[NDArray[np.float64]]:
    for rows in file.slices():
        tracks = file.track(rows)
        yield np.array([crop_about_core(track, CORE_WIDTH).strength for track in tracks])


def _require_same_sequences(files: Sequence[ScoresFile], rows: Sequence[Rows]) -> None:
    for file, own in zip(files[1:], rows[1:], strict=True):
        step = rows_at_once(file.length)
        for i in range(0, len(own), step):
            first = files[0].one_hot(rows[0][i : i + step])
            differs = (file.one_hot(own[i : i + step]) != first).any(axis=(1, 2))
            if differs.any():
                place = _place(file, int(own[i + int(np.argmax(differs))]))
                raise InputError(
                    f"{file.path} has another sequence than {files[0].path} at "
                    f"{format_region(place)}; both must be of the same genome"
                )


def _place(file: ScoresFile, row: int) -> Region:
    return file.regions(slice(row, row + 1))[0]
