"""What became of the rows of the input: read from the PREFIX.regions.tsv beside a scores file."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from seqlift.errors import InputError
from seqlift.output.reader import ScoresFile
from seqlift.output.regions_tsv import STATUSES

__all__ = ["find_table", "read_fates"]

# Lines of a page; of more, their counts say enough.
MOST_LISTED = 1000
_COMPARED = 1000
_COLUMNS = ("row", "chrom", "start", "end", "name", "status", "reason", "window_start")

Line = dict[str, str]


def find_table(file: ScoresFile) -> Path | None:
    """Find the table of regions of the run that wrote a scores file.

    PREFIX.TARGET.h5 belongs to PREFIX.regions.tsv. A table of other regions is passed over.

    Parameters
    ----------
    file : ScoresFile

    Returns
    -------
    path : Path or None

    Raises
    ------
    InputError
        If a table of that name cannot be read, or is something else.
    """
    stem = file.path.name.removesuffix(".h5")
    while stem:
        path = file.path.with_name(f"{stem}.regions.tsv")
        if path.is_file() and _is_of(path, file):
            return path
        stem = stem.rpartition(".")[0]
    return None


def read_fates(path: Path) -> dict[str, Any]:
    """Count the rows of the input by what became of them; list those that were not scored whole.

    Parameters
    ----------
    path : Path
        A `PREFIX.regions.tsv`.

    Returns
    -------
    fates : dict
        `counts` of rows by status, each row once; `reasons`, (status, reason, rows); `listed`,
        (row, place, name, status, reason) of the first 1,000 that are not plainly scored.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    counts: Counter[str] = Counter()
    reasons: Counter[tuple[str, str]] = Counter()
    listed: list[list[str]] = []
    row, seen = "", set[tuple[str, str]]()
    for line in _lines(path):
        if line["row"] != row:  # the lines of a row, one for each target, follow each other
            row, seen = line["row"], set()
        fate = line["status"], line["reason"]
        if fate in seen:
            continue
        seen.add(fate)
        counts[line["status"]] += 1
        if line["status"] == "scored":
            continue
        reasons[fate] += 1
        if len(listed) < MOST_LISTED:
            listed.append([row, _place(line), line["name"], *fate])
    return {
        "table": path.name,
        "counts": [[status, counts[status]] for status in STATUSES],
        "reasons": [[*fate, n] for fate, n in reasons.most_common(MOST_LISTED)],
        "listed": listed,
    }


def _place(line: Line) -> str:
    return f"{line['chrom']}:{int(line['start']) + 1:,}-{int(line['end']):,}"


def _is_of(path: Path, file: ScoresFile) -> bool:
    """Say whether the first regions of the file have their lines in the table."""
    first = file.regions(slice(0, _COMPARED))
    wanted = {str(region.row): (region.chrom, str(region.start)) for region in first}
    for line in _lines(path):
        if wanted.get(line["row"]) == (line["chrom"], line["window_start"]):
            del wanted[line["row"]]
            if not wanted:
                return True
    return not wanted


def _lines(path: Path) -> Iterator[Line]:
    with _reading(path), path.open(encoding="utf-8", newline="") as stream:
        lines = csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE)
        missing = [name for name in _COLUMNS if name not in (lines.fieldnames or ())]
        if missing:
            raise InputError(
                f"{path} has no column {missing[0]!r}; it should be the table that seqlift score "
                "wrote: move it away or make it again"
            )
        for line in lines:
            if None in line.values() or not line["start"].lstrip("-").isdigit():
                raise InputError(f"{path}:{lines.line_num}: the line is cut short; make it again")
            yield line


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, UnicodeDecodeError, csv.Error) as exc:
        reason = getattr(exc, "strerror", None) or exc
        raise InputError(f"{path} cannot be read: {reason}") from exc
