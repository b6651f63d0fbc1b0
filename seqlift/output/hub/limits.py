"""What a browser needs to know of a track's values: view limits, and a place worth a look."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqlift.errors import InputError
from seqlift.output.bigwig_reader import BigWigReader, Values

__all__ = ["BEYOND", "Limits", "find_limits"]

# Part of the bases that lie beyond each view limit: a window of 2 kb has a fifth of one, so that
# the strongest letters of most windows fit, and one outlier does not flatten the others.
BEYOND = 1e-4
# Spread evenly over the file; some 2 million bases of our own tracks.
_BLOCKS_READ = 2048
_VIEW = 100  # bp, so that letters are drawn


class Limits(NamedTuple):
    """Values of a track, in the units of the target output.

    Parameters
    ----------
    lower, upper : float
        View limits; zero lies between, or is one of them.
    minimum, maximum : float
        Of the whole track.
    contig : str
    start, end : int
        About the strongest base that was seen, 0-based half-open.
    """

    lower: float
    upper: float
    minimum: float
    maximum: float
    contig: str
    start: int
    end: int


def find_limits(track: BigWigReader) -> Limits:
    """Find view limits from the quantiles of a track, and a strong place in it.

    At most 2,048 blocks are read, spread evenly over the file, so that large tracks take no longer.

    Parameters
    ----------
    track : BigWigReader

    Returns
    -------
    Limits

    Raises
    ------
    InputError
        If the track has no values or is damaged.
    """
    wanted = np.linspace(0, track.n_blocks - 1, min(_BLOCKS_READ, track.n_blocks)).astype(int)
    blocks = [_usable(track.block(number)) for number in wanted.tolist()]
    blocks = [block for block in blocks if len(block.value)]
    if not blocks:
        raise InputError(f"{track.path} has no values; give a track of at least one region")
    value = np.concatenate([block.value for block in blocks])
    width = np.concatenate([block.end - block.start for block in blocks])
    lower, upper = _quantiles(value, width)
    seen = float(value.min()), float(value.max())
    if not (math.isfinite(track.minimum) and math.isfinite(track.maximum)):
        whole = seen
    else:
        whole = min(track.minimum, seen[0]), max(track.maximum, seen[1])
    contig, start, end = _strongest(blocks, track.contigs)
    return Limits(*_view(lower, upper), *whole, contig, start, end)


def _usable(block: Values) -> Values:
    """Leave out what other writers let pass: NaN, infinity and runs of no base."""
    is_usable = np.isfinite(block.value) & (block.end > block.start)
    contig, start, end, value = block
    return Values(contig, start[is_usable], end[is_usable], value[is_usable])


def _quantiles(value: NDArray[np.float32], width: NDArray[np.int64]) -> tuple[float, float]:
    """Return quantiles over bases: a value counts once for each base that it holds for.

    At most the named part lies beyond either, and of few bases none.
    """
    order = np.argsort(value, kind="stable")
    ends = np.cumsum(width[order])
    n_beyond = int(BEYOND * ends[-1])
    low, high = np.searchsorted(ends, [n_beyond, ends[-1] - 1 - n_beyond], side="right")
    return float(value[order[low]]), float(value[order[high]])


def _view(lower: float, upper: float) -> tuple[float, float]:
    """Return limits of two digits that hold these and zero."""
    lower, upper = min(lower, 0.0), max(upper, 0.0)
    if lower == upper:
        return -1.0, 1.0
    unit = 10.0 ** (math.floor(math.log10(max(-lower, upper))) - 1)
    return _times(math.floor(lower / unit), unit), _times(math.ceil(upper / unit), unit)


def _times(count: int, unit: float) -> float:
    return float(f"{count * unit:.6g}")


def _strongest(blocks: list[Values], contigs: dict[str, int]) -> tuple[str, int, int]:
    best = max(blocks, key=lambda block: float(np.abs(block.value).max()))
    centre = int(best.start[np.abs(best.value).argmax()])
    end = min(max(centre + _VIEW // 2, _VIEW), contigs[best.contig])
    return best.contig, max(0, end - _VIEW), end
