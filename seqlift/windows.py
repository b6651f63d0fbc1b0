"""From input files to rows, and to the windows that are scored.

Two sources: regions of a genome, and sequences of a FASTA. Both are read more than once: every row
is checked before any work is done, and read again to be scored. Memory does not grow with the
input; what comes from a pipe is kept on the disk. An input that changes between two passes is an
error at the end of the later one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Generic, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from seqlift.errors import InputError, RegionError, SequenceError
from seqlift.genome.bed import read_regions
from seqlift.genome.fasta import Genome
from seqlift.genome.records import read_fasta
from seqlift.genome.regions import EdgePolicy, Region, apply_edge_policy, format_region, resize
from seqlift.genome.text import quote, source_name, spool
from seqlift.sequence.onehot import encode, encode_many

__all__ = [
    "Counted",
    "FastaSource",
    "GenomeSource",
    "Item",
    "Source",
    "count_items",
    "count_scored",
    "encode_windows",
    "first_length",
    "is_read_once",
]

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
        self._read = _Rows(read_regions, regions, RegionError)
        self._contig_of = genome.match_contigs(region.chrom for region in self._read())

    def items(self) -> Iterator[Item]:
        """Yield every region in the order of the file."""
        return map(self._item, self._read())

    def letters(self, item: Item) -> str:
        """Fetch a window from the genome, N past the ends of its chromosome."""
        return self.genome.fetch(item.window.chrom, item.window.start, item.window.end)

    def close(self) -> None:
        """Let go of the regions; the genome is the caller's."""
        self._read.close()

    def _item(self, region: Region) -> Item:
        contig = self._contig_of.get(region.chrom)
        if contig is None:
            raise self._read.changed()
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
        self._read = _Rows(read_fasta, path, SequenceError)

    def items(self) -> Iterator[Item]:
        """Yield every sequence in the order of the file."""
        for row, (name, letters) in enumerate(self._read(), start=1):
            if len(letters) != self._length:
                raise SequenceError(
                    f"{source_name(self._path)}: sequence {quote(name)} has {len(letters)} bp; "
                    f"the model takes {self._length}"
                )
            region = Region(name, 0, len(letters), name=name, row=row)
            yield Item(region, region, letters=letters)

    def letters(self, item: Item) -> str:
        """Return the sequence that came with the row."""
        return item.letters

    def close(self) -> None:
        """Let go of the file."""
        self._read.close()


def is_read_once(path: str) -> bool:
    """Tell whether an input can be read only once: `-` is stdin, and a shell's <(...) is a pipe."""
    return path == "-" or Path(path).is_fifo() or Path(path).is_char_device()


class _Rows(Generic[T]):
    """The rows of an input, from its start every time they are asked for.

    They are the same rows every time, or an error: what was checked in the first pass must be what
    is scored in the last. Only what is read counts, so that neither clocks nor copies matter.
    """

    def __init__(
        self, read: Callable[[str, str], Iterable[T]], path: str, error: type[InputError]
    ) -> None:
        self._read, self._name, self._error = read, source_name(path), error
        self._digest: int | None = None
        self._kept = spool(path, error) if is_read_once(path) else None
        self._path = path if self._kept is None else self._kept.name

    def __call__(self) -> Iterator[T]:
        digest = 0
        for row in self._read(self._path, self._name):
            digest = hash((digest, row))
            yield row
        if self._digest is None:
            self._digest = digest
        if digest != self._digest:
            raise self.changed()

    def changed(self) -> InputError:
        """Return the error of an input that is not what it was in the first pass."""
        return self._error(f"{self._name} changed while it was being read; start again")

    def close(self) -> None:
        if self._kept is not None:
            self._kept.close()


def first_length(path: str) -> int:
    """Return the length of the first sequence of a FASTA file, bp."""
    return len(next(iter(read_fasta(path)))[1])


class Counted(NamedTuple):
    """What is known of the rows of an input once they have been read.

    Attributes
    ----------
    n_rows, n_scored : int
        All of them, and those that are not dropped.
    digest : str
        SHA-256 of what they say, hexadecimal; of sequences that come with the rows too.
    """

    n_rows: int
    n_scored: int
    digest: str


def count_items(source: Source) -> Counted:
    """Read all rows once, so that every mistake in them is found before any work.

    Returns
    -------
    Counted

    Raises
    ------
    InputError
        For the first row that cannot be used, or if none is left to score.
    """
    n_rows = n_scored = 0
    digest = hashlib.sha256()
    for item in source.items():
        n_rows += 1
        n_scored += item.status != "dropped"
        digest.update(_line(item).encode())
    if not n_scored:
        raise RegionError(f"all {n_rows} regions were dropped; nothing is left to score")
    return Counted(n_rows, n_scored, digest.hexdigest())


def _line(item: Item) -> str:
    region, window = item.region, item.window
    asked = (region.chrom, region.start, region.end, region.name, region.strand, region.summit)
    return f"{asked} {(window.chrom, window.start, window.end)} {item.letters}\n"


def count_scored(source: Source, rows: range) -> int:
    """Return how many of some rows, counting from 0, are not dropped."""
    some = islice(source.items(), rows.start, rows.stop)
    return sum(item.status != "dropped" for item in some)


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
