"""From rows of input to batches of one-hot windows with their references.

A batch is made in two steps, which run at the same time: its windows are read, and then its
references are made. Memory is bounded by a batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice, repeat
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from seqlift.windows import Item, Source, encode_windows

__all__ = ["Batch", "References", "add_references", "batches", "read_batches"]

# Letters of references in one batch: enough rows for the shuffle to be quick, small beside a
# model's activations.
LETTERS_AT_ONCE = 4_000_000
MOST_REGIONS_AT_ONCE = 512


class References(Protocol):
    """How the references of every sequence are made; `schemes.py` has the kinds there are.

    Attributes
    ----------
    label : str
        What names of files and tables call it.
    n_made : int
        References a sequence.
    attributes : dict
        What a result says of it.
    """

    label: str
    n_made: int
    attributes: dict[str, Any]

    def make(self, one_hot: NDArray[np.uint8], rows: Sequence[int]) -> NDArray[Any]:
        """Make references, shape (region, reference, base=4, position).

        `rows` says which rows of the input the sequences are, counting from 0.
        """

    def find_unshufflable(self, one_hot: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Tell which sequences have no reference but themselves, shape (region,)."""


class Batch(NamedTuple):
    """Some rows of the input, ready to be scored once the references are there.

    Attributes
    ----------
    items : list of Item
        In the order of the input, those that are dropped among them.
    rows : list of int
        Which rows of the input the others are, counting from 0.
    one_hot : uint8, shape (region, base=4, position)
        Their sequences.
    references : sequence of array, shape (region, reference, base=4, position)
        For each scheme.
    is_unshufflable : sequence of bool array, shape (region,)
        For each scheme.
    is_reversed : bool array, shape (region,), or None
        Windows that are read as their reverse complement; None for none.
    """

    items: list[Item]
    rows: list[int]
    one_hot: NDArray[np.uint8]
    references: Sequence[NDArray[Any]] = ()
    is_unshufflable: Sequence[NDArray[np.bool_]] = ()
    is_reversed: NDArray[np.bool_] | None = None

    @property
    def kept(self) -> list[Item]:
        """The items that are scored."""
        return [item for item in self.items if item.status != "dropped"]


def batches(source: Source, length: int, schemes: Sequence[References]) -> Iterator[Batch]:
    """Yield the rows of a source in batches, with sequences and the references of each scheme.

    Raises
    ------
    InputError
        Naming the region whose sequence cannot be read.
    """
    return add_references(read_batches(source, length, schemes), schemes)


def read_batches(
    source: Source,
    length: int,
    schemes: Sequence[References],
    whole: int = 1,
    rows: range | None = None,
    sizes: Iterable[int] = (),
) -> Iterator[Batch]:
    """Yield the rows of a source in batches without references, sized for those of the schemes.

    Parameters
    ----------
    source : Source
    length : int
        Positions of a window.
    schemes : sequence of References
    whole : int
        Regions that the model takes at a time; a batch has a multiple of them if it can.
    rows : range or None
        Which rows of the input, counting from 0; None for all.
    sizes : iterable of int
        Rows of the first batches, where these are given.

    Raises
    ------
    InputError
        Naming the region whose sequence cannot be read.
    """
    size = LETTERS_AT_ONCE // (length * sum(scheme.n_made for scheme in schemes))
    size = max(1, min(MOST_REGIONS_AT_ONCE, size))
    if whole < size:
        size -= size % whole
    first, stop = (0, None) if rows is None else (rows.start, rows.stop)
    every = source.items()
    items = islice(every, first, stop)
    each = chain(sizes, repeat(size))
    while some := list(islice(items, next(each))):
        kept = [row for row, item in enumerate(some, first) if item.status != "dropped"]
        yield Batch(some, kept, encode_windows(source, some, length))
        first += len(some)
    for _ in every:  # a source knows at its end whether it is what it was
        pass


def add_references(read: Iterable[Batch], schemes: Sequence[References]) -> Iterator[Batch]:
    """Make the references of batches, for each scheme."""
    for batch in read:
        yield batch._replace(
            references=[scheme.make(batch.one_hot, batch.rows) for scheme in schemes],
            is_unshufflable=[scheme.find_unshufflable(batch.one_hot) for scheme in schemes],
        )
