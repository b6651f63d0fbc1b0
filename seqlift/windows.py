"""From input files to batches of one-hot windows with their references.

Two sources: regions of a genome, and sequences of a FASTA. Both are read more than once: every row
is checked before any work is done, and read again to be scored. Memory is bounded by a batch,
except that input from a pipe is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from seqlift.errors import RegionError, SequenceError
from seqlift.genome.bed import read_regions
from seqlift.genome.fasta import Genome
from seqlift.genome.records import read_fasta
from seqlift.genome.regions import EdgePolicy, Region, apply_edge_policy, format_region, resize
from seqlift.genome.text import source_name
from seqlift.sequence.onehot import encode, encode_many

__all__ = [
    "Batch",
    "FastaSource",
    "GenomeSource",
    "Item",
    "References",
    "Source",
    "ahead",
    "batches",
    "count_items",
    "encode_windows",
    "first_length",
    "is_read_once",
]

# Letters of references in one batch: enough rows for the shuffle to be quick, small beside a
# model's activations.
LETTERS_AT_ONCE = 4_000_000
MOST_REGIONS_AT_ONCE = 128

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Item:
    """One row of the input and what became of it.

    Attributes
    ----------
    region : Region
        As it was read, 0-based half-open.
    window : Region
        What is scored, named as the genome names it.
    status : str
        "scored", "padded" or "dropped".
    reason : str
        Why, where it is not "scored".
    letters : str
        The sequence, where the source reads it with the row.
    """

    region: Region
    window: Region
    status: str = "scored"
    reason: str = ""
    letters: str = ""


class Source(Protocol):
    """Rows of input of one length."""

    contigs: dict[str, int] | None

    def items(self) -> Iterator[Item]:
        """Yield every row in the order of the input."""

    def letters(self, item: Item) -> str:
        """Return the sequence of a window."""


class GenomeSource:
    """Windows about the regions of a BED file.

    Parameters
    ----------
    genome : Genome
    regions : str
        A path, or `-` for standard input.
    length : int
        Of the windows, bp.
    edges : {"pad", "drop", "error"}
        For windows that pass the end of a chromosome.
    """

    def __init__(self, genome: Genome, regions: str, length: int, edges: EdgePolicy) -> None:
        self.contigs: dict[str, int] | None = genome.contigs
        self.genome = genome
        self._length = length
        self._edges = edges
        self._read = _repeatable(read_regions, regions)
        self._contig_of = genome.match_contigs(region.chrom for region in self._read())

    def items(self) -> Iterator[Item]:
        """Yield every region in the order of the file."""
        return map(self._item, self._read())

    def letters(self, item: Item) -> str:
        """Fetch a window from the genome, N past the ends of its chromosome."""
        return self.genome.fetch(item.window.chrom, item.window.start, item.window.end)

    def _item(self, region: Region) -> Item:
        contig = self._contig_of[region.chrom]
        window = replace(resize(region, self._length), chrom=contig)
        length = self.genome.contigs[contig]
        outcome = apply_edge_policy(region, window, length, self._edges)
        return Item(region, window, _STATUS[outcome.status], outcome.reason)


_STATUS = {"inside": "scored", "padded": "padded", "dropped": "dropped"}


class FastaSource:
    """Sequences of a FASTA file, scored whole.

    Parameters
    ----------
    path : str
        A path, or `-` for standard input.
    length : int
        What the model takes, bp.
    """

    def __init__(self, path: str, length: int) -> None:
        self.contigs: dict[str, int] | None = None
        self._length = length
        self._path = path
        self._read = _repeatable(read_fasta, path)

    def items(self) -> Iterator[Item]:
        """Yield every sequence in the order of the file."""
        for row, (name, letters) in enumerate(self._read(), start=1):
            if len(letters) != self._length:
                raise SequenceError(
                    f"{source_name(self._path)}: sequence {name!r} has {len(letters)} bp; "
                    f"the model takes {self._length}"
                )
            region = Region(name, 0, len(letters), name=name, row=row)
            yield Item(region, region, letters=letters)

    def letters(self, item: Item) -> str:
        """Return the sequence that came with the row."""
        return item.letters


def is_read_once(path: str) -> bool:
    """Tell whether an input can be read only once: `-` is stdin, and a shell's <(...) is a pipe."""
    return path == "-" or Path(path).is_fifo() or Path(path).is_char_device()


def _repeatable(read: Callable[[str], Iterable[T]], path: str) -> Callable[[], Iterable[T]]:
    """Return a function that reads an input from its start, every time."""
    if not is_read_once(path):
        return lambda: read(path)
    kept = list(read(path))
    return lambda: kept


def first_length(path: str) -> int:
    """Return the length of the first sequence of a FASTA file, bp."""
    return len(next(iter(read_fasta(path)))[1])


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
    """Some rows of the input, ready to be scored.

    Attributes
    ----------
    items : list of Item
        In the order of the input, those that are dropped among them.
    one_hot : uint8, shape (region, base=4, position)
        Of the items that are not dropped.
    references : list of array, shape (region, reference, base=4, position)
        For each scheme.
    is_unshufflable : list of bool array, shape (region,)
        For each scheme.
    """

    items: list[Item]
    one_hot: NDArray[np.uint8]
    references: list[NDArray[Any]]
    is_unshufflable: list[NDArray[np.bool_]]

    @property
    def kept(self) -> list[Item]:
        """The items that are scored."""
        return [item for item in self.items if item.status != "dropped"]


def count_items(source: Source) -> tuple[int, int]:
    """Read all rows once, so that every mistake in them is found before any work.

    Returns
    -------
    n_rows, n_scored : int

    Raises
    ------
    InputError
        For the first row that cannot be used, or if none is left to score.
    """
    n_rows = n_scored = 0
    for item in source.items():
        n_rows += 1
        n_scored += item.status != "dropped"
    if not n_scored:
        raise RegionError(f"all {n_rows} regions were dropped; nothing is left to score")
    return n_rows, n_scored


def batches(source: Source, length: int, schemes: Sequence[References]) -> Iterator[Batch]:
    """Yield the rows of a source in batches, with sequences and the references of each scheme.

    Raises
    ------
    InputError
        Naming the region whose sequence cannot be read.
    """
    size = LETTERS_AT_ONCE // (length * sum(scheme.n_made for scheme in schemes))
    size = max(1, min(MOST_REGIONS_AT_ONCE, size))
    rows = source.items()
    first = 0
    while items := list(islice(rows, size)):
        kept = [row for row, item in enumerate(items, first) if item.status != "dropped"]
        one_hot = encode_windows(source, items, length)
        yield Batch(
            items,
            one_hot,
            [scheme.make(one_hot, kept) for scheme in schemes],
            [scheme.find_unshufflable(one_hot) for scheme in schemes],
        )
        first += len(items)


def encode_windows(source: Source, items: list[Item], length: int) -> NDArray[np.uint8]:
    """Read the windows of the items that are not dropped as one-hot.

    Raises
    ------
    InputError
        Naming the region whose sequence cannot be read.
    """
    kept = [item for item in items if item.status != "dropped"]
    if not kept:
        return np.zeros((0, 4, length), np.uint8)
    letters = [source.letters(item) for item in kept]
    try:
        return encode_many(letters)
    except SequenceError:
        _blame(kept, letters)
        raise


def _blame(items: list[Item], letters: list[str]) -> None:
    """Raise the error of the first window that cannot be encoded, with its place."""
    for item, sequence in zip(items, letters, strict=True):
        try:
            encode(sequence)
        except SequenceError as error:
            place = f"{format_region(item.window)} (line {item.region.row})"
            raise SequenceError(f"{place}: {error}") from error


def ahead(items: Iterator[T]) -> Iterator[T]:
    """Make the next item on a thread of its own while the caller works on this one."""
    end = object()
    with ThreadPoolExecutor(1, thread_name_prefix="seqlift-read") as thread:
        coming = thread.submit(next, items, end)
        while (item := coming.result()) is not end:
            coming = thread.submit(next, items, end)
            yield item  # type: ignore[misc]  # end never gets here
