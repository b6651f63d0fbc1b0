"""Files of regions: BED3 to BED12, narrowPeak and broadPeak, read as a stream.

The number of columns tells the formats apart: ten are narrowPeak (BED6+4, summit in column 10),
nine are BED9 or broadPeak (BED6+3), which carry no summit. A BED of ten columns is not written by
any tool we know, and is refused unless columns 7 to 10 read as narrowPeak. Strict: a line that
cannot be trusted is an error, never skipped.

References
----------
UCSC Genome Browser FAQ, "Data File Formats": BED, narrowPeak, broadPeak.
"""

import re
import warnings
from collections.abc import Iterator

from seqlift.errors import InputDataWarning, RegionError
from seqlift.genome.regions import MOST_DIGITS, Region
from seqlift.genome.text import UTF8_MARK, StrPath, quote, read_lines, source_name

__all__ = ["read_regions"]

_MAX_PROBLEMS = 10
# A line of BED12 may list thousands of exons.
_LONGEST_LINE = 1 << 20
_MIN_COLUMNS, _MAX_COLUMNS = 3, 12
_NARROW_PEAK = 10
# How many columns from the seventh are numbers; in BED9 they are thickStart and thickEnd.
_N_FLOATS = {9: 2, _NARROW_PEAK: 3}
# First bytes of lines that may hold no region: comment, `track`, `browser`, blank, byte order mark.
_MAYBE_SKIPPED = frozenset(b"#tb \t\r\n\v\f\xef")
_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")
_STRANDS = {b"+": "+", b"-": "-", b".": "."}


class _BadLineError(Exception):
    """What is wrong with one line; `read_regions` collects these."""


def read_regions(path: StrPath, source: str | None = None) -> Iterator[Region]:
    """Read regions from a BED, narrowPeak or broadPeak file, one at a time.

    gzip and bgzip are told by content. Lines that begin with `#`, `track` or `browser`, and blank
    lines, are skipped. Memory does not grow with the file.

    Parameters
    ----------
    path : str or os.PathLike
        `-` is stdin.
    source : str or None
        What to call it in messages, if not by its path.

    Yields
    ------
    region : Region
        0-based half-open, in the order of the file; `row` is the line, counted from 1. `summit` is
        column 10 of narrowPeak, None for -1 and for all other formats.

    Raises
    ------
    RegionError
        If the file cannot be read, holds no regions, or has bad lines. Reading goes on after a bad
        line to find up to ten of them, and so good regions behind the first bad line are still
        yielded before the error.

    Warns
    -----
    InputDataWarning
        Once, if columns are separated by spaces. If the file ends in a number without a line end:
        it may have been cut, which nothing else would tell.
    """
    source = source or source_name(path)
    parser = _Parser(source)
    problems: list[tuple[int, str]] = []
    lines = read_lines(path, RegionError, "a BED file", source, longest=_LONGEST_LINE)
    line = b""
    for row, line in enumerate(lines, start=1):
        if line[0] in _MAYBE_SKIPPED and _is_skipped(line):
            continue
        try:
            yield parser.parse(line, row)
        except _BadLineError as exc:
            problems.append((row, str(exc)))
            if len(problems) == _MAX_PROBLEMS:
                break
    if problems:
        raise RegionError(_report(source, problems))
    if not parser.n_columns:
        raise RegionError(f"{source} holds no regions")
    if line[-1:].isdigit():
        message = f"{source} ends in a number without a line end; was the file cut?"
        warnings.warn(message, InputDataWarning, stacklevel=2)


def _is_skipped(line: bytes) -> bool:
    words = line.removeprefix(UTF8_MARK).split(maxsplit=1)
    return not words or words[0].startswith(b"#") or words[0] in (b"track", b"browser")


def _report(source: str, problems: list[tuple[int, str]]) -> str:
    (first_row, first), *others = problems
    message = f"{source}:{first_row}: {first}"
    if not others:
        return message
    rows = ", ".join(str(row) for row, _ in others)
    more = f"{message}; and {len(others)} more: line{'s' * (len(others) > 1)} {rows}"
    return f"{more} (stopped there)" if len(problems) == _MAX_PROBLEMS else more


class _Parser:
    """Turns lines into regions; keeps what all lines of one file must share."""

    def __init__(self, source: str) -> None:
        self.n_columns = 0
        self._source = source
        self._has_warned = False
        self._chroms: dict[bytes, str] = {}

    def parse(self, line: bytes, row: int) -> Region:
        columns = line.rstrip(b"\r\n").split(b"\t")
        n = len(columns)
        if n == 1:
            columns = self._split_at_spaces(line, row)
            n = len(columns)
        if n != self.n_columns:
            self._start_or_refuse(columns)
        chrom, start, end = columns[:3]
        if not (_is_position(start) and _is_position(end)):
            # Before the first good line, a line of words is most likely a header.
            is_header = not self._chroms and start.isalpha()
            hint = "; begin a header line with #" if is_header else ""
            raise _BadLineError(_integer_problem(start, end) + hint)
        first, last = int(start), int(end)
        if last <= first:
            raise _BadLineError(f"end ({last}) is not after start ({first})")
        known = self._chroms.get(chrom) or self._new_chrom(chrom)
        if n == _MIN_COLUMNS:
            return Region(known, first, last, ".", ".", None, row)
        name = _decode(columns[3], "name") or "."
        strand = _read_strand(columns[5]) if n > 5 else "."
        if n in _N_FLOATS:
            _require_floats(columns, _N_FLOATS[n])
        summit = _read_summit(columns[9], last - first) if n == _NARROW_PEAK else None
        return Region(known, first, last, name, strand, summit, row)

    def _split_at_spaces(self, line: bytes, row: int) -> list[bytes]:
        columns = line.split()
        if len(columns) >= _MIN_COLUMNS and not self._has_warned:
            self._has_warned = True
            message = f"{self._source}:{row}: columns are separated by spaces; BED has tabs"
            warnings.warn(message, InputDataWarning, stacklevel=4)
        return columns

    def _start_or_refuse(self, columns: list[bytes]) -> None:
        n = len(columns)
        found = f"has {n} column{'s' * (n > 1)}"
        if self.n_columns:
            raise _BadLineError(f"{found} where the lines before have {self.n_columns}")
        if n < _MIN_COLUMNS:
            raise _BadLineError(
                f"{found} ({quote(columns[0])}); BED has at least chrom, start and end"
            )
        if n > _MAX_COLUMNS:
            raise _BadLineError(f"{found}; BED has 3 to 12, narrowPeak 10, broadPeak 9")
        self.n_columns = n

    def _new_chrom(self, column: bytes) -> str:
        chrom = _decode(column.removeprefix(UTF8_MARK), "chrom")
        if not chrom:
            raise _BadLineError("chrom is empty")
        self._chroms[column] = chrom
        return chrom


def _is_position(column: bytes) -> bool:
    return column.isdigit() and len(column) <= MOST_DIGITS


def _decode(column: bytes, what: str) -> str:
    if _CONTROL.search(column):
        raise _BadLineError(f"{what} ({quote(column)}) has control characters")
    try:
        return column.decode()
    except UnicodeDecodeError:
        raise _BadLineError(f"{what} ({quote(column)}) is not UTF-8 text") from None


def _integer_problem(start: bytes, end: bytes) -> str:
    what, text = ("end", end) if _is_position(start) else ("start", start)
    if text.isdigit():
        return f"{what} ({quote(text)}) has more than {MOST_DIGITS} digits"
    if text.startswith(b"-") and _is_position(text[1:]):
        return f"{what} ({text.decode()}) is negative"
    return f"{what} ({quote(text)}) is not an integer"


def _read_strand(column: bytes) -> str:
    strand = _STRANDS.get(column)
    if strand is None:
        raise _BadLineError(f"strand ({quote(column)}) is not +, - or .")
    return strand


def _require_floats(columns: list[bytes], n_floats: int) -> None:
    i = 6
    try:
        for i in range(6, 6 + n_floats):
            float(columns[i])
    except ValueError:
        kind = "narrowPeak" if len(columns) == _NARROW_PEAK else "BED9 and broadPeak"
        found = f"column {i + 1} ({quote(columns[i])}) is not a number"
        raise _BadLineError(f"{found}, as {kind} has there") from None


def _read_summit(column: bytes, length: int) -> int | None:
    if column == b"-1":
        return None
    if not _is_position(column):
        raise _BadLineError(
            f"summit ({quote(column)}) is not an integer from 0, or -1 for none; "
            "a file with 10 columns is read as narrowPeak"
        )
    summit = int(column)
    if summit >= length:
        raise _BadLineError(
            f"summit ({summit}) is outside the region of {length} bp; it counts from start"
        )
    return summit
