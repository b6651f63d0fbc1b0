"""PREFIX.regions.tsv: what became of every line of the input.

One line for each region that was asked for, in the order of the input, scored or not: a region that
is missing from the other files is explained here.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from operator import attrgetter
from pathlib import Path
from types import TracebackType
from typing import Self

from seqlift.errors import OutputError
from seqlift.output.atomic import final_name, write_errors

__all__ = ["STATUSES", "RegionRow", "RegionsWriter"]

STATUSES = ("scored", "padded", "dropped", "unshufflable")

# As R and pandas read it.
_MISSING = "NA"


@dataclass(frozen=True, slots=True)
class RegionRow:
    """One line of the table; None where a number does not exist.

    Parameters
    ----------
    row : int
        1-based line of the input.
    chrom, start, end, name, strand : str, int, int, str, str
        As the input has them; 0-based half-open.
    summit : int or None
        bp from `start`; -1 in the file where there is none.
    window_start, window_end : int or None
        What was scored, 0-based half-open.
    status : {"scored", "padded", "dropped", "unshufflable"}
        "padded" is scored, with N past a chromosome's end; "unshufflable" is a sequence that has no
        other shuffle.
    reason : str
        Why, where the status is not "scored".
    prediction, prediction_reference_mean, delta_mean : float or None
        Target output at the sequence, mean at its references, and mean delta.
    completeness_error_max : float or None
        Largest over the references, in units of the target output.
    completeness_error_relative : float or None
        Largest over the references, as a fraction of |delta|.
    n_unknown : int or None
        Ns in the window.
    strongest_position : int or None
        0-based position of the base with the largest |contribution score|.
    target : str
        Whose numbers these are; `.` in a line of a region that was dropped.
    references : str
        What the region was compared with; `.` likewise.
    n_references : int or None
        With how many of them.
    """

    row: int
    chrom: str
    start: int
    end: int
    name: str
    strand: str
    summit: int | None
    window_start: int | None
    window_end: int | None
    status: str
    reason: str = ""
    prediction: float | None = None
    prediction_reference_mean: float | None = None
    delta_mean: float | None = None
    completeness_error_max: float | None = None
    completeness_error_relative: float | None = None
    n_unknown: int | None = None
    strongest_position: int | None = None
    target: str = "."
    references: str = "."
    n_references: int | None = None


class RegionsWriter:
    """Stream rows into a new table; a context manager.

    Parameters
    ----------
    path : str or Path
        Where to write; what is there is replaced.

    Raises
    ------
    OutputError
        If the file cannot be written (here, and by every method).
    """

    def __init__(self, path: str | Path) -> None:
        self._name = final_name(path)
        self._last_row = 0
        with write_errors(path):
            self._file = Path(path).open("w", encoding="utf-8", newline="\n")
            self._file.write("\t".join(field.name for field in fields(RegionRow)) + "\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def write(self, row: RegionRow) -> None:
        """Add one line.

        Parameters
        ----------
        row : RegionRow
            Not before the row of the input that was written last.

        Raises
        ------
        OutputError
            If rows come out of order, or the status is not one of `STATUSES`.
        """
        if row.row < self._last_row:
            raise OutputError(
                f"{self._name}: row {row.row} comes after row {self._last_row}; keep their order"
            )
        if row.status not in STATUSES:
            raise OutputError(
                f"{self._name}: {row.status!r} is not a status; use one of {', '.join(STATUSES)}"
            )
        self._last_row = row.row
        cells = [_FORMATS.get(type(value), _text)(value) for value in _values(row)]
        if row.summit is None:
            cells[_SUMMIT] = "-1"
        with write_errors(self._name):
            self._file.write("\t".join(cells) + "\n")

    def close(self) -> None:
        """Finish the file; does nothing the second time."""
        with write_errors(self._name):
            self._file.close()


def _text(value: object) -> str:
    return " ".join(str(value).split()) or "."


_FORMATS: dict[type, Callable[[object], str]] = {
    # Six digits: enough to sort and plot by; the exact numbers are in the HDF5.
    int: str,
    float: lambda value: _MISSING if value != value else f"{value:.6g}",
    type(None): lambda value: _MISSING,
}

_NAMES = [field.name for field in fields(RegionRow)]
_SUMMIT = _NAMES.index("summit")
_values = attrgetter(*_NAMES)
