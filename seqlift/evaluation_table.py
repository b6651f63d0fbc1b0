"""The table of an evaluation: a line for each number of each scores file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from seqlift.findings import Measure
from seqlift.output.atomic import write_errors

__all__ = ["COLUMNS", "Row", "write_table"]


class Row(NamedTuple):
    """A line of the table: whose number, and which."""

    file: str
    target: str
    method: str
    rules: str
    estimator: str
    references: str
    n_references: int
    measure: Measure


COLUMNS = (
    *Row._fields[:-1],
    *("measure", "detail", "value", "low", "high", "n_regions", "n", "note"),
)


def write_table(path: Path, rows: Sequence[Row]) -> None:
    """Write rows as tab-separated text; NA where there is no number.

    Parameters
    ----------
    path : Path
        Where to write; what is there is replaced.
    rows : sequence of Row

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    lines = [COLUMNS, *map(_cells, rows)]
    with write_errors(path):
        path.write_text("".join("\t".join(line) + "\n" for line in lines), encoding="utf-8")


def _cells(row: Row) -> tuple[str, ...]:
    *own, measure = row
    name, (value, low, high, n_regions, n), detail, note = measure
    numbers = (_number(value), _number(low), _number(high), n_regions, n)
    return tuple(str(cell) for cell in (*own, name, detail, *numbers, note))


def _number(value: float) -> str:
    return f"{value:.6g}" if np.isfinite(value) else "NA"
