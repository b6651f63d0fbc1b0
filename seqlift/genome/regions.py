"""Regions of a genome, the windows cut about them, and what becomes of one that passes an edge.

Coordinates are 0-based and half-open throughout; only the text that a person types or reads
(`chr1:1,001-2,000`) is 1-based and closed, as samtools has it. Files of regions are read in `bed`.
"""

import re
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from seqlift.errors import RegionError
from seqlift.genome.text import quote, show

__all__ = [
    "MOST_DIGITS",
    "EdgeOutcome",
    "EdgePolicy",
    "Region",
    "apply_edge_policy",
    "format_region",
    "parse_region",
    "resize",
]

EdgePolicy = Literal["pad", "drop", "error"]

MOST_DIGITS = 15
"""Digits of a position at most: the longest chromosomes have ten, and int64 holds 18."""

# The last colon splits, since names such as HLA-A*01:01 hold colons of their own.
_REGION_TEXT = re.compile(r"(?P<chrom>\S+):(?P<start>[0-9][0-9,]*)-(?P<end>[0-9][0-9,]*)")


@dataclass(frozen=True, slots=True)
class Region:
    """A stretch of a chromosome.

    Parameters
    ----------
    chrom : str
        Name of the chromosome, as the file of regions has it.
    start, end : int
        0-based, half-open, bp. A window may start below 0 or end past the chromosome.
    name : str
        `.` where there is none.
    strand : str
        `+`, `-` or `.`.
    summit : int or None
        bp from `start` to the highest point; None where there is none.
    row : int
        1-based line of the input; 0 where there is no input file.
    """

    chrom: str
    start: int
    end: int
    name: str = "."
    strand: str = "."
    summit: int | None = None
    row: int = 0


class EdgeOutcome(NamedTuple):
    """What becomes of a window: `status`, and in words `reason` (empty when it lies inside)."""

    status: Literal["inside", "padded", "dropped"]
    reason: str


def resize(region: Region, length: int) -> Region:
    """Cut the window of `length` bp about the summit, or about the midpoint.

    With c the summit, or start + (end - start) // 2 without one, the window is [c - length // 2, c
    - length // 2 + length), 0-based half-open: an even length has its centre just right of the
    middle.

    Parameters
    ----------
    region : Region
        Keeps its name, strand and row.
    length : int
        bp, at least 1.

    Returns
    -------
    window : Region
        Its summit is c - window.start. It may start below 0 or end past the chromosome: see
        `apply_edge_policy`.

    Raises
    ------
    RegionError
        If `length` is not positive.

    Examples
    --------
    >>> resize(Region("chr1", 100, 200, summit=10), 20)
    Region(chrom='chr1', start=100, end=120, name='.', strand='.', summit=10, row=0)
    """
    if length < 1:
        raise RegionError(f"a window of {length} bp was asked for; it needs at least 1 bp")
    offset = (region.end - region.start) // 2 if region.summit is None else region.summit
    start = region.start + offset - length // 2
    return replace(region, start=start, end=start + length, summit=length // 2)


def parse_region(text: str) -> Region:
    """Read `chrom:start-end` as samtools does: 1-based, closed, commas allowed.

    Parameters
    ----------
    text : str
        Such as `chr1:1,001-2,000`.

    Returns
    -------
    region : Region
        0-based half-open: the example is chr1, 1000, 2000.

    Raises
    ------
    RegionError
        If the text has another form, starts below 1, ends before it starts, or has a position of
        more than 15 digits.
    """
    match = _REGION_TEXT.fullmatch(text.strip())
    if match is None:
        raise RegionError(f"{quote(text)} is not a region; write it as chr1:1001-2000")
    digits = [match[key].replace(",", "") for key in ("start", "end")]
    if any(len(number) > MOST_DIGITS for number in digits):
        raise RegionError(f"{quote(text)} has a position of more than {MOST_DIGITS} digits")
    start, end = map(int, digits)
    if start < 1:
        raise RegionError(f"{quote(text)} starts at 0, but chrom:start-end counts from 1")
    if end < start:
        raise RegionError(f"{quote(text)} ends ({end}) before it starts ({start})")
    return Region(match["chrom"], start - 1, end)


def format_region(region: Region) -> str:
    """Write a region as `chrom:start-end`, 1-based and closed: the inverse of `parse_region`."""
    return f"{region.chrom}:{region.start + 1}-{region.end}"


def apply_edge_policy(
    region: Region, window: Region, chrom_length: int, policy: EdgePolicy = "pad"
) -> EdgeOutcome:
    """Decide what becomes of a window that may pass an edge of its chromosome.

    Parameters
    ----------
    region : Region
        The region as it was read, 0-based half-open.
    window : Region
        What `resize` made of it.
    chrom_length : int
        bp.
    policy : {"pad", "drop", "error"}
        For a window that lies partly outside: `pad` fills it up with N, `drop` leaves it out,
        `error` raises.

    Returns
    -------
    outcome : EdgeOutcome

    Raises
    ------
    RegionError
        If the policy is `error` and the window lies partly outside; whatever the policy, if nothing
        of the region or of the window is on the chromosome, since that is the wrong genome and not
        an edge.
    """
    chrom = show(region.chrom)
    where = f"{chrom}:{region.start + 1}-{region.end}{_line(region)}"
    size = f"{chrom} ({chrom_length} bp)"
    if region.start >= chrom_length:
        raise RegionError(f"{where} starts past the end of {size}; is this the right genome?")
    if window.start >= chrom_length or window.end <= 0:
        raise RegionError(f"{where}: the window about it has nothing of {size}; check its summit")
    reason = _overhang(window, chrom_length)
    if not reason:
        return EdgeOutcome("inside", "")
    if policy == "error":
        raise RegionError(f"{where}: the window {reason} of {size}; pad or drop such windows")
    return EdgeOutcome("padded" if policy == "pad" else "dropped", f"{reason} of {size}")


def _line(region: Region) -> str:
    return f" (line {region.row})" if region.row else ""


def _overhang(window: Region, chrom_length: int) -> str:
    before, after = max(0, -window.start), max(0, window.end - chrom_length)
    parts = [f"starts {before} bp before the start"] * bool(before)
    parts += [f"ends {after} bp past the end"] * bool(after)
    return " and ".join(parts)
