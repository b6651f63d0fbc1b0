"""Random windows of a genome outside the regions, for references that are genomic.

Where windows may lie, which of them are taken, and their letters. How references are drawn from
them is in `seqlift.sequence.matching`.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterable
from itertools import accumulate
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqlift.errors import RegionError
from seqlift.genome.fasta import Genome
from seqlift.sequence.matching import WindowPool
from seqlift.sequence.onehot import encode, to_indices
from seqlift.windows import Item

__all__ = ["collect_pool"]

# Enough that each step of GC content has its windows; less where they are long.
MOST_WINDOWS = 16_384
MOST_LETTERS = 2**26
# So many tries for each window, and so many in vain beyond every other one, before the whole genome
# is read to see where it has N.
TRIES = 2
IN_VAIN = 500
LETTERS_AT_ONCE = 2**23

_Stretches = dict[str, list[tuple[int, int]]]


class _Starts(NamedTuple):
    """Where windows of a contig may start: `first` to `last`, 0-based half-open."""

    contig: str
    first: int
    last: int


def collect_pool(
    genome: Genome, items: Iterable[Item], length: int, n_references: int, *, seed: int
) -> WindowPool:
    """Take windows at random that touch no region and hold no N.

    Every place has the same chance. The same genome, regions and seed give the same windows.

    Parameters
    ----------
    genome : Genome
    items : iterable of Item
        Rows of the input, dropped ones too; neither their regions nor their windows are touched.
    length : int
        Of the windows, bp. Contigs that are shorter are passed over.
    n_references : int
        How many windows are needed at least.
    seed : int

    Returns
    -------
    pool : WindowPool
        At most `MOST_WINDOWS` windows or `MOST_LETTERS` letters, unless more are needed.

    Raises
    ------
    RegionError
        If there are fewer windows than needed.
    """
    n_windows = max(n_references, min(MOST_WINDOWS, MOST_LETTERS // length))
    taken = _taken(items)
    windows = _windows(genome, taken, length, n_windows, seed)
    if len(windows) < n_windows:
        _add_unknown(taken, genome, length)
        windows = _windows(genome, taken, length, n_windows, seed)
    if len(windows) < n_references:
        found = f"only {len(windows)} windows" if windows else "no window"
        fewer = f"ask for fewer references (-n {len(windows)}), " if windows else ""
        raise RegionError(
            f"found {found} of {length} bp without N in {genome.name} outside the regions; "
            f"expected at least {n_references} for genomic references: {fewer}use a whole genome "
            "or another scheme"
        )
    return WindowPool(np.stack(windows))


def _taken(items: Iterable[Item]) -> _Stretches:
    """Return the stretches of each contig that regions and their windows cover."""
    taken: _Stretches = {}
    for item in items:
        region, window = item.region, item.window
        stretch = min(region.start, window.start), max(region.end, window.end)
        taken.setdefault(window.chrom, []).append(stretch)
    return taken


def _add_unknown(taken: _Stretches, genome: Genome, length: int) -> None:
    """Add the stretches of N; those with less than a window between them as one."""
    for contig, size in genome.contigs.items():
        for start in range(0, size, LETTERS_AT_ONCE):
            letters = genome.fetch(contig, start, min(start + LETTERS_AT_ONCE, size))
            codes = np.frombuffer(letters.encode(), dtype=np.uint8)
            is_unknown = np.concatenate([[False], ~np.isin(codes, _KNOWN), [False]])
            firsts, lasts = np.flatnonzero(np.diff(is_unknown)).reshape(-1, 2).T + start
            is_wide = firsts[1:] - lasts[:-1] >= length
            firsts = firsts[np.concatenate([[True], is_wide])[: len(firsts)]]
            lasts = lasts[np.concatenate([is_wide, [True]])[: len(lasts)]]
            unknown = zip(firsts.tolist(), lasts.tolist(), strict=True)
            taken.setdefault(contig, []).extend(unknown)


_KNOWN = np.frombuffer(b"ACGT", dtype=np.uint8)


def _free_starts(contigs: dict[str, int], taken: _Stretches, length: int) -> list[_Starts]:
    """Return where windows may start, in the order of the genome."""
    free = []
    for contig, size in contigs.items():
        first = 0
        for start, end in sorted(taken.get(contig, ())):
            if start - length + 1 > first:
                free.append(_Starts(contig, first, min(start, size) - length + 1))
            first = max(first, end)
        free.append(_Starts(contig, first, size - length + 1))
    return [starts for starts in free if starts.first < starts.last]


def _windows(
    genome: Genome, taken: _Stretches, length: int, n_windows: int, seed: int
) -> list[NDArray[np.uint8]]:
    """Take windows without N at random places, none of them twice; as base indices."""
    starts = _free_starts(genome.contigs, taken, length)
    ends = list(accumulate(stretch.last - stretch.first for stretch in starts))
    windows: list[NDArray[np.uint8]] = []
    for n_tried, place in enumerate(_places(ends[-1] if ends else 0, TRIES * n_windows, seed)):
        if len(windows) == n_windows or len(windows) < n_tried // 2 - IN_VAIN:
            break
        stretch = bisect_right(ends, place)
        start = starts[stretch].last - ends[stretch] + place
        letters = genome.fetch(starts[stretch].contig, start, start + length)
        if not letters.encode().translate(None, b"ACGT"):
            windows.append(to_indices(encode(letters)))
    return windows


def _places(n: int, n_tries: int, seed: int) -> list[int]:
    """Draw different numbers below n, all of them if they are few."""
    key = hashlib.blake2b(f"genomic-pool {int(seed)}".encode(), digest_size=16).digest()
    stream = np.random.Philox(key=int.from_bytes(key, "little"))
    if n <= 2 * n_tries:
        return np.argsort(stream.random_raw(n), kind="stable")[:n_tries].tolist() if n else []
    # The remainder of 64 bits favours no place by more than one part in a thousand million.
    drawn: list[int] = (stream.random_raw(n_tries) % np.uint64(n)).tolist()
    return list(dict.fromkeys(drawn))
