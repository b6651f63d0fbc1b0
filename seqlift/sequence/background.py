"""Frequencies of the four bases, for the flat reference."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from seqlift.errors import SequenceError, UsageError

__all__ = [
    "UNIFORM",
    "Background",
    "count_bases",
    "frequencies",
    "parse_background",
    "require_background",
]

Background = Sequence[float]

UNIFORM = (0.25, 0.25, 0.25, 0.25)

_EXPECTED = "expected four frequencies of A, C, G, T that are not negative and have a sum of 1"


def parse_background(text: str) -> tuple[float, ...]:
    """Read frequencies that a person typed.

    Parameters
    ----------
    text : str
        Of A, C, G and T, with commas between them.

    Returns
    -------
    background : tuple of 4 float

    Raises
    ------
    UsageError
        If they are not four numbers, not frequencies, or their sum is not 1.

    Examples
    --------
    >>> parse_background("0.3,0.2,0.2,0.3")
    (0.3, 0.2, 0.2, 0.3)
    """
    try:
        background = tuple(float(word) for word in text.split(","))
    except ValueError:
        raise UsageError(
            f"found background {text!r}; {_EXPECTED}, such as 0.3,0.2,0.2,0.3"
        ) from None
    require_background(background)
    return background


def require_background(background: Background) -> None:
    """Raise an error unless four numbers are frequencies of the bases.

    Parameters
    ----------
    background : sequence of float
        Of A C G T.

    Raises
    ------
    UsageError
        If there are other than four, one is negative or not finite, or their sum is not 1.
    """
    is_distribution = (
        len(background) == 4
        and all(frequency >= 0 for frequency in background)  # not so for NaN
        and math.isclose(sum(background), 1, rel_tol=1e-6)
    )
    if not is_distribution:
        found = ", ".join(f"{frequency:g}" for frequency in background)
        raise UsageError(f"found background ({found}); {_EXPECTED}: divide them by their sum")


def count_bases(one_hot: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Count the bases of any number of sequences.

    Parameters
    ----------
    one_hot : uint8, shape (…, base=4, position)

    Returns
    -------
    counts : int64, shape (base=4,)
    """
    by_sequence = one_hot.sum(axis=-1, dtype=np.int64)
    counts: NDArray[np.int64] = by_sequence.reshape(-1, 4).sum(axis=0)
    return counts


def frequencies(counts: NDArray[np.int64]) -> tuple[float, ...]:
    """Turn counts of bases into their frequencies.

    Parameters
    ----------
    counts : int64, shape (base=4,)

    Returns
    -------
    background : tuple of 4 float

    Raises
    ------
    SequenceError
        If there are none.
    """
    total = int(counts.sum())
    if not total:
        raise SequenceError(
            "found no known base (A, C, G or T) to count; give the frequencies themselves"
        )
    return tuple((counts / total).tolist())
