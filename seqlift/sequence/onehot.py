"""One-hot DNA: letters to arrays and back.

Axis order is (…, base, position), bases A C G T, dtype uint8. A position that is not one known
base (N and the other ambiguity codes) is a column of zeros. How sequences are shuffled is in
`shuffle.py`, how references are made from them in `references.py`.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seqlift.errors import SequenceError

__all__ = [
    "BASES",
    "decode",
    "encode",
    "encode_many",
    "from_indices",
    "is_one_hot",
    "require_one_hot",
    "require_one_sequence",
    "reverse_complement",
    "to_indices",
]

BASES = "ACGT"

_UNKNOWN = 4  # the index of a position that is not one known base
_AMBIGUOUS = "RYSWKMBDHVN"
_INVALID = 255
_LETTERS = np.frombuffer(f"{BASES}N".encode(), dtype=np.uint8)


def _lookup_table() -> NDArray[np.uint8]:
    table = np.full(256, _INVALID, dtype=np.uint8)
    # U is T in RNA: the base is known, so zeros would lose it.
    for letters, index in [*zip([*BASES, "U"], [0, 1, 2, 3, 3], strict=True), (_AMBIGUOUS, 4)]:
        for letter in letters:
            table[[ord(letter), ord(letter.lower())]] = index
    return table


_INDEX_OF = _lookup_table()


def encode(sequence: str) -> NDArray[np.uint8]:
    """Encode a DNA sequence as one-hot.

    Parameters
    ----------
    sequence : str
        Upper or lower case. N and the other IUPAC ambiguity codes become columns of zeros; U is
        read as T.

    Returns
    -------
    one_hot : uint8, shape (base=4, position)

    Raises
    ------
    SequenceError
        If a character is not an IUPAC nucleotide letter.

    Examples
    --------
    >>> encode("ACN").tolist()
    [[1, 0, 0], [0, 1, 0], [0, 0, 0], [0, 0, 0]]
    """
    return from_indices(_indices_of(sequence, "the sequence"))


def encode_many(sequences: Sequence[str]) -> NDArray[np.uint8]:
    """Encode DNA sequences of one length as one-hot.

    Parameters
    ----------
    sequences : sequence of str
        As for `encode`, all of the same length.

    Returns
    -------
    one_hot : uint8, shape (region, base=4, position)

    Raises
    ------
    SequenceError
        If a length differs from the others, or a character is not an IUPAC nucleotide letter.
    """
    length = _common_length(sequences)
    indices = np.empty((len(sequences), length), dtype=np.uint8)
    for row, sequence in enumerate(sequences):
        indices[row] = _indices_of(sequence, f"sequence {row}")
    return from_indices(indices)


def _common_length(sequences: Sequence[str]) -> int:
    lengths = [len(sequence) for sequence in sequences]
    if not lengths:
        return 0
    common = Counter(lengths).most_common(1)[0][0]
    for row, length in enumerate(lengths):
        if length != common:
            raise SequenceError(
                f"sequence {row} (counting from 0) has {length} bases; expected {common} like the "
                "others: pad or cut it to that length"
            )
    return common


def _indices_of(sequence: str, name: str) -> NDArray[np.uint8]:
    # "?" stands in for what is not ASCII, is not a letter either, and keeps one byte a character.
    letters = np.frombuffer(sequence.encode("ascii", errors="replace"), dtype=np.uint8)
    indices = _INDEX_OF[letters]
    invalid = np.flatnonzero(indices == _INVALID)
    if invalid.size:
        position = int(invalid[0])
        raise SequenceError(
            f"found {sequence[position]!r} at position {position} (counting from 0) of {name}; "
            "expected A, C, G, T or an IUPAC code: write N where the base is not known"
        )
    return indices


def decode(one_hot: ArrayLike) -> str:
    """Write a one-hot sequence as letters.

    Parameters
    ----------
    one_hot : uint8, shape (base=4, position)

    Returns
    -------
    sequence : str
        Upper case, N where the column is all zeros.

    Raises
    ------
    SequenceError
        If `one_hot` is not one-hot, or has axes before (base, position).

    Examples
    --------
    >>> decode(encode("acgtryn"))
    'ACGTNNN'
    """
    require_one_sequence(one_hot)
    return _LETTERS[to_indices(one_hot)].tobytes().decode("ascii")


def to_indices(one_hot: ArrayLike) -> NDArray[np.uint8]:
    """Write one-hot as the index of each base.

    Parameters
    ----------
    one_hot : uint8, shape (…, base=4, position)

    Returns
    -------
    indices : uint8, shape (…, position)
        0 to 3 for A C G T, 4 where the column is all zeros.

    Raises
    ------
    SequenceError
        If `one_hot` is not one-hot.
    """
    require_one_hot(one_hot)
    columns = np.asarray(one_hot).astype(np.uint8, copy=False)
    a, c, g, t = (columns[..., base, :] for base in range(4))
    indices: NDArray[np.uint8] = _UNKNOWN - 4 * a - 3 * c - 2 * g - t
    return indices


def from_indices(
    indices: NDArray[np.uint8], out: NDArray[np.uint8] | None = None
) -> NDArray[np.uint8]:
    """Write base indices as one-hot; the inverse of `to_indices`.

    Parameters
    ----------
    indices : uint8, shape (…, position)
        0 to 3 for A C G T, anything else for a column of zeros.
    out : uint8, shape (…, base=4, position), optional
        Where to write; a new array if left out.

    Returns
    -------
    one_hot : uint8, shape (…, base=4, position)
    """
    bases = np.arange(4, dtype=np.uint8)[:, None]
    place = None if out is None else out.view(np.bool_)
    return np.equal(indices[..., None, :], bases, out=place).view(np.uint8)


def is_one_hot(array: ArrayLike) -> bool:
    """Tell whether an array is one-hot DNA.

    Parameters
    ----------
    array : array_like, shape (…, base=4, position)
        Any number type.

    Returns
    -------
    is_one_hot : bool
        True if every column is one 1 and three 0, or all 0.
    """
    return _fault(np.asarray(array)) is None


def require_one_hot(array: ArrayLike) -> None:
    """Raise an error unless an array is one-hot DNA.

    Parameters
    ----------
    array : array_like, shape (…, base=4, position)
        Any number type.

    Raises
    ------
    SequenceError
        If `is_one_hot` is False; the message says what was found.
    """
    fault = _fault(np.asarray(array))
    if fault is not None:
        raise SequenceError(
            f"found {fault}; expected one-hot DNA of shape (…, 4, position), bases A C G T, with "
            "one 1 in a column, or none for N: make it with seqlift.sequence.onehot.encode"
        )


def require_one_sequence(array: ArrayLike) -> None:
    """Raise an error unless an array has the axes of a single sequence.

    Parameters
    ----------
    array : array_like, shape (base=4, position)
        Its values are not looked at; see `require_one_hot`.

    Raises
    ------
    SequenceError
        If there are other than two axes.
    """
    shape = np.shape(array)
    if len(shape) != 2:
        raise SequenceError(
            f"found shape {shape}; expected a single sequence of shape (4, position): pass "
            "sequences one at a time"
        )


def _fault(array: NDArray[np.generic]) -> str | None:
    if array.dtype.kind not in "buif":
        return f"dtype {array.dtype}"
    if array.ndim < 2 or array.shape[-2] != 4:
        return f"shape {array.shape}"
    if array.dtype == np.uint8 and _is_one_hot_fast(array):
        return None
    is_one = array == 1
    odd = np.argwhere(~is_one & (array != 0))
    if odd.size:
        place = tuple(int(i) for i in odd[0])
        return f"the value {array[place].item()!r} at index {place}"
    n_ones = is_one.sum(axis=-2, dtype=np.uint8)
    crowded = np.argwhere(n_ones > 1)
    if crowded.size:
        place = tuple(crowded[0].tolist())
        axes = ", ".join(map(str, (*place[:-1], ":", place[-1])))
        return f"{n_ones[place]} bases set at once in the column at index ({axes})"
    return None


def _is_one_hot_fast(array: NDArray[Any]) -> bool:
    """Answer without temporaries the size of the array; every batch passes here."""
    # Four values of at most 1 cannot overflow, and the maximum is looked at first.
    return array.size == 0 or bool(
        array.max() <= 1 and array.sum(axis=-2, dtype=np.uint8).max() <= 1
    )


def reverse_complement(one_hot: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Read one-hot DNA on the other strand.

    Parameters
    ----------
    one_hot : uint8, shape (…, base=4, position)

    Returns
    -------
    reversed : uint8, shape (…, base=4, position)
        A copy. Position i of the input is position length − 1 − i of the result.

    Examples
    --------
    >>> decode(reverse_complement(encode("AACGN")))
    'NCGTT'
    """
    # A C G T read backwards is T G C A: turning the base axis round is the complement.
    return np.ascontiguousarray(one_hot[..., ::-1, ::-1])
