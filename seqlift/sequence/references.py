"""Make the references that sequences are compared against, by the name of a scheme.

Axis order is (region, reference, base, position). Whatever the scheme, a reference that is made
here is all zeros where its sequence is (N), so such a position never contributes. References that
the caller brings are checked by `require_references` and left as they are.
"""

import difflib
import re
from collections.abc import Callable, Collection
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seqlift.errors import SequenceError, UsageError
from seqlift.sequence.background import UNIFORM, Background, require_background
from seqlift.sequence.onehot import require_one_hot
from seqlift.sequence.shuffle import is_unshufflable, klet_shuffle, require_n_references

__all__ = [
    "DEFAULT_SCHEME",
    "KLET_SHUFFLE",
    "SCHEMES",
    "Scheme",
    "find_scheme",
    "find_unshufflable",
    "klet_of",
    "make_references",
    "require_references",
    "require_shuffles",
]

DEFAULT_SCHEME = "dinucleotide-shuffle"

KLET_SHUFFLE = "K-let-shuffle"

_Make = Callable[[NDArray[np.generic], int, int, Background, int], NDArray[np.generic]]


class Scheme(NamedTuple):
    """One way to make references.

    Attributes
    ----------
    description : str
        Half a sentence for the command line's help.
    is_random : bool
        Whether it makes as many references as are asked for; the others make exactly one.
    has_no_other : callable
        Tells of one sequence (4, position) whether all its references are the sequence itself
        because the scheme leaves no choice.
    make : callable
        From (sequences, n_references, seed, background, n_threads) to (region, reference, 4,
        position).
    """

    description: str
    is_random: bool
    has_no_other: Callable[[NDArray[np.generic]], bool]
    make: _Make


def _flat(
    sequences: NDArray[np.generic], _n: int, _seed: int, background: Background, _n_threads: int
) -> NDArray[np.generic]:
    is_known = (sequences != 0).any(axis=1)[:, None, None, :]
    frequencies = np.asarray(background, dtype=np.float32)[:, None]
    return np.where(is_known, frequencies, np.float32(0))


def _shuffle(k: int, description: str) -> Scheme:
    return Scheme(
        description,
        True,
        partial(is_unshufflable, k=k),
        lambda sequences, n, seed, _, n_threads: klet_shuffle(
            sequences, n, k=k, seed=seed, n_threads=n_threads
        ),
    )


SCHEMES: dict[str, Scheme] = {
    "dinucleotide-shuffle": _shuffle(2, "the sequence shuffled, all dinucleotide counts kept"),
    "mononucleotide-shuffle": _shuffle(1, "the sequence shuffled, the count of each base kept"),
    "flat": Scheme(
        "one reference: the background frequencies at every position",
        False,
        lambda _: False,
        _flat,
    ),
    "zeros": Scheme(
        "one reference: all zeros",
        False,
        lambda _: False,
        lambda sequences, *_: np.zeros((len(sequences), 1, *sequences.shape[1:]), dtype=np.uint8),
    ),
}
_LETS = {"mononucleotide-shuffle": 1, "dinucleotide-shuffle": 2}


def klet_of(name: str) -> int | None:
    """Tell how long the words are that a scheme keeps the counts of.

    Parameters
    ----------
    name : str
        Any text.

    Returns
    -------
    k : int or None
        None if it is not the name of a shuffle.

    Raises
    ------
    UsageError
        If it has the form of one, but k is 0.

    Examples
    --------
    >>> klet_of("3-let-shuffle"), klet_of("dinucleotide-shuffle"), klet_of("flat")
    (3, 2, None)
    """
    if name in _LETS:
        return _LETS[name]
    found = re.fullmatch(r"(0|[1-9][0-9]{0,8})-let-shuffle", name)
    if found is None:
        return None
    if found[1] == "0":
        raise UsageError(f"found reference scheme {name!r}; expected a k of at least 1")
    return int(found[1])


def require_shuffles(scheme: str, estimator: str) -> None:
    """Raise an error unless the references have the composition of their sequence.

    Raises
    ------
    UsageError
        If the estimator takes that composition for theirs, and the scheme does not shuffle.
    """
    if estimator == "base-marginal" and not scheme.endswith("-shuffle"):
        raise UsageError(
            "the estimator base-marginal expects references of the sequence's own composition; "
            f"found {scheme}: use shuffles, or the estimator plain"
        )


def find_scheme(name: str, others: Collection[str] = ()) -> Scheme:
    """Look a scheme up by its name.

    Parameters
    ----------
    name : str
        One of `SCHEMES`, or `K-let-shuffle` with a number for K: 1-let and 2-let are other names
        of the mononucleotide and the dinucleotide shuffle.
    others : collection of str
        What else the caller knows, for the message.

    Returns
    -------
    scheme : Scheme

    Raises
    ------
    UsageError
        If there is none of that name; the message lists them all.
    """
    if name in SCHEMES:
        return SCHEMES[name]
    k = klet_of(name)
    if k is not None:
        return _shuffle(k, f"the sequence shuffled, all counts of {k}-lets kept")
    known = [*SCHEMES, KLET_SHUFFLE, *others]
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]!r}?" if close else "choose one of them"
    if close == [KLET_SHUFFLE]:
        hint = "write a number for K, such as 3-let-shuffle"
    raise UsageError(f"found reference scheme {name!r}; expected one of {', '.join(known)}: {hint}")


def make_references(
    sequences: ArrayLike,
    scheme: str = DEFAULT_SCHEME,
    n_references: int = 20,
    *,
    seed: int,
    background: Background = UNIFORM,
    n_threads: int = 1,
) -> NDArray[np.generic]:
    """Make the references of many sequences.

    Parameters
    ----------
    sequences : uint8, shape (region, base=4, position)
        One-hot, order A C G T.
    scheme : str
        A name from `SCHEMES`, or `K-let-shuffle` with a number for K.
    n_references : int
        References of each sequence, at least 1. `flat` and `zeros` make one whatever it says.
    seed : int
        Same seed, same references. Reference k of a sequence depends on the seed, the sequence's
        letters and k alone.
    background : sequence of 4 float
        Frequencies of A C G T for `flat`: not negative, with a sum of 1.
    n_threads : int
        Threads for shuffles to use at the most. References are the same whatever it is.

    Returns
    -------
    references : shape (region, reference, base=4, position)
        uint8 one-hot for shuffles and `zeros`, float32 for `flat`. All zeros where the sequence is.

    Raises
    ------
    SequenceError
        If `sequences` is not one-hot with three axes.
    UsageError
        If the scheme is unknown, `n_references` or `n_threads` is less than 1, or `background` is
        not four frequencies.

    Examples
    --------
    >>> from seqlift.sequence.onehot import encode_many
    >>> make_references(encode_many(["ACNG", "TTTT"]), "flat", seed=0)[0, 0, 0].tolist()
    [0.25, 0.25, 0.0, 0.25]
    """
    made_by = find_scheme(scheme)
    require_n_references(n_references)
    require_background(background)
    regions = _require_regions(sequences)
    return made_by.make(regions, n_references, seed, background, n_threads)


def find_unshufflable(sequences: ArrayLike, scheme: str = DEFAULT_SCHEME) -> NDArray[np.bool_]:
    """Find the sequences whose every reference is the sequence itself.

    Parameters
    ----------
    sequences : uint8, shape (region, base=4, position)
        One-hot, order A C G T.
    scheme : str
        As for `make_references`; nothing is found for those that do not shuffle.

    Returns
    -------
    is_unshufflable : bool, shape (region,)
        True where no choice is left, as in poly-A, so that all contributions would be zero.

    Raises
    ------
    SequenceError
        If `sequences` is not one-hot with three axes.
    UsageError
        If the scheme is unknown.
    """
    made_by = find_scheme(scheme)
    regions = _require_regions(sequences)
    return np.array([made_by.has_no_other(region) for region in regions], dtype=np.bool_)


def require_references(array: ArrayLike, n_sequences: int, length: int) -> NDArray[np.generic]:
    """Check references that the caller brings, and give each sequence its own.

    Parameters
    ----------
    array : array_like, shape (region, reference, base=4, position) or (reference, 4, position)
        Any finite numbers, one-hot or not. With three axes, all sequences share the references.
    n_sequences : int
        Number of sequences they are for.
    length : int
        Length of these sequences, bp.

    Returns
    -------
    references : shape (region, reference, base=4, position)
        A read-only view of the input; nothing is copied.

    Raises
    ------
    SequenceError
        If the array is not of numbers, does not fit the sequences, or is not finite.
    """
    references = np.asarray(array)
    if references.dtype.kind not in "buif":
        raise SequenceError(
            f"found references of dtype {references.dtype}; expected real numbers: convert them, "
            "for instance to float32"
        )
    shape = references.shape
    is_own = len(shape) == 4 and shape[0] == n_sequences
    n_references = shape[-3] if is_own or len(shape) == 3 else 0
    if n_references < 1 or shape[-2:] != (4, length):
        raise SequenceError(
            f"found references of shape {shape}; expected ({n_sequences}, n_references, 4, "
            f"{length}), or (n_references, 4, {length}) for all sequences alike, n_references at "
            "least 1: reshape or transpose them"
        )
    for first, part in enumerate(references):  # one by one: the array may be larger than memory
        odd = np.argwhere(~np.isfinite(part))
        if odd.size:
            place = (first, *odd[0].tolist())
            raise SequenceError(
                f"found {references[place]} in the references at index {place}; expected finite "
                "numbers: replace it, by 0 where there is no base"
            )
    return np.broadcast_to(references, (n_sequences, n_references, 4, length))


def _require_regions(sequences: ArrayLike) -> NDArray[np.generic]:
    array = np.asarray(sequences)
    if array.ndim != 3:
        raise SequenceError(
            f"found sequences of shape {array.shape}; expected (region, 4, position): add the "
            "region axis to a single sequence with sequence[None]"
        )
    require_one_hot(array)
    return array
