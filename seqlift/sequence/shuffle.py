"""Shuffle DNA, keeping its dinucleotides or its letters.

A shuffle leaves N (columns of zeros) where it is. Reference k of a sequence depends on the seed,
the letters of the sequence and k, and on nothing else: not on the sequences beside it, their
order, the number of references asked for, or threads.

The raw words of numpy's Philox generator are used as they come, because numpy promises to keep
that stream; integers and permutations are built from them here and in `eulerian.py`.
"""

import hashlib
import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seqlift.errors import UsageError
from seqlift.sequence.eulerian import END, has_one_walk, order_edges, walk
from seqlift.sequence.onehot import (
    from_indices,
    require_one_hot,
    require_one_sequence,
    to_indices,
)

__all__ = [
    "count_dinucleotides",
    "dinucleotide_shuffle",
    "is_unshufflable",
    "mononucleotide_shuffle",
    "require_n_references",
]

_ROWS = 2048  # walks at once: enough to outweigh a numpy call, few enough for the cache
_CELLS = 2**25  # letters held at once by long walks
_WORDS = 2**18  # random words at once: 2 MiB


class _Job(NamedTuple):
    """References `first` to `last` of one run of known bases, `start` to `stop`, half-open."""

    region: int
    start: int
    stop: int
    first: int
    last: int

    @property
    def length(self) -> int:
        return self.stop - self.start

    @property
    def n_references(self) -> int:
        return self.last - self.first


def dinucleotide_shuffle(sequence: ArrayLike, n_references: int, *, seed: int) -> NDArray[np.uint8]:
    """Shuffle sequences, keeping every dinucleotide count.

    Draws uniformly among all Eulerian walks through the graph of base-to-base steps, so the first
    base, the last base and all 16 dinucleotide counts are those of the sequence.

    Parameters
    ----------
    sequence : uint8, shape (…, base=4, position)
        One-hot, order A C G T; one sequence or any number. N (all zeros) stays where it is: each
        run of bases between Ns is shuffled on its own and keeps its own ends and counts.
    n_references : int
        Number of independent shuffles of each sequence, at least 1.
    seed : int
        Same seed, same shuffles. Shuffle k does not depend on `n_references`, nor on the other
        sequences.

    Returns
    -------
    references : uint8, shape (…, reference, base=4, position)

    Raises
    ------
    SequenceError
        If `sequence` is not one-hot.
    UsageError
        If `n_references` is less than 1.

    References
    ----------
    Altschul & Erickson (1985), Mol. Biol. Evol. 2:526-538.

    Examples
    --------
    >>> from seqlift.sequence.onehot import encode
    >>> sequence = encode("ACGTTGCATGACCGT")
    >>> shuffled = dinucleotide_shuffle(sequence, 1, seed=0)[0]
    >>> bool((count_dinucleotides(shuffled) == count_dinucleotides(sequence)).all())
    True
    """
    regions, references = _prepare(sequence, n_references)
    for batch in _batches(_jobs(regions, n_references)):
        for job, bases in zip(batch, _walk_batch(regions, batch, seed), strict=True):
            place = references[job.region, job.first : job.last]
            place[..., job.start : job.stop] = from_indices(bases)
    return references.reshape(*np.shape(sequence)[:-2], *references.shape[1:])


def mononucleotide_shuffle(
    sequence: ArrayLike, n_references: int, *, seed: int
) -> NDArray[np.uint8]:
    """Shuffle sequences, keeping the number of each base.

    Draws uniformly among all orders of the bases.

    Parameters
    ----------
    sequence : uint8, shape (…, base=4, position)
        One-hot, order A C G T; one sequence or any number. N (all zeros) stays where it is, and
        bases move across it.
    n_references : int
        Number of independent shuffles of each sequence, at least 1.
    seed : int
        As for `dinucleotide_shuffle`.

    Returns
    -------
    references : uint8, shape (…, reference, base=4, position)

    Raises
    ------
    SequenceError
        If `sequence` is not one-hot.
    UsageError
        If `n_references` is less than 1.
    """
    regions, references = _prepare(sequence, n_references)
    for region, letters in enumerate(regions):
        known = np.flatnonzero(letters != END)
        for job in _split(_Job(region, 0, len(known), 0, n_references)):
            # Sort 62 random bits; the base that rides in the lowest two comes along.
            keys = _random_words("mononucleotide", seed, letters, job) & ~np.uint64(3)
            keys |= letters[known]
            keys.sort(axis=1)
            shuffled = np.full((job.n_references, len(letters)), END, dtype=np.uint8)
            shuffled[:, known] = keys.astype(np.uint8) & np.uint8(3)
            references[region, job.first : job.last] = from_indices(shuffled)
    return references.reshape(*np.shape(sequence)[:-2], *references.shape[1:])


def _prepare(sequence: ArrayLike, n_references: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Give base indices (region, position) and zeros (region, reference, base, position)."""
    require_n_references(n_references)
    indices = to_indices(sequence)
    length = indices.shape[-1]
    regions = indices.reshape(math.prod(indices.shape[:-1]), length)
    return regions, np.zeros((len(regions), n_references, 4, length), dtype=np.uint8)


def require_n_references(n_references: int) -> None:
    """Raise an error unless a number of references is at least 1.

    Parameters
    ----------
    n_references : int

    Raises
    ------
    UsageError
        If it is less than 1.
    """
    if n_references < 1:
        raise UsageError(f"found {n_references} references; expected at least 1: ask for 20 or so")


def count_dinucleotides(one_hot: ArrayLike) -> NDArray[np.intp]:
    """Count the 16 dinucleotides of a sequence.

    Parameters
    ----------
    one_hot : uint8, shape (…, base=4, position)
        One-hot, order A C G T. Pairs with an N (all zeros) are not counted.

    Returns
    -------
    counts : int, shape (…, base=4, base=4)
        `counts[i, j]`: how often base i is followed by base j.

    Raises
    ------
    SequenceError
        If `one_hot` is not one-hot.
    """
    require_one_hot(one_hot)
    columns = np.asarray(one_hot).astype(np.float64)  # float: integer products are far slower
    return (columns[..., :-1] @ columns[..., 1:].swapaxes(-1, -2)).astype(np.intp)


def is_unshufflable(sequence: ArrayLike) -> bool:
    """Tell whether a sequence has no other dinucleotide shuffle.

    Poly-A is the plain case; `ACACAC` and `AACCGGTT` are others. References made by shuffling such
    a sequence are the sequence itself, and nothing can be learned from them.

    Parameters
    ----------
    sequence : uint8, shape (base=4, position)
        One-hot, order A C G T, with or without N (all zeros).

    Returns
    -------
    is_unshufflable : bool
        True if every Eulerian walk spells the sequence; exact, and True where all is N.

    Raises
    ------
    SequenceError
        If `sequence` is not one-hot, or has axes before (base, position).
    """
    require_one_sequence(sequence)
    indices = to_indices(sequence)
    runs = _runs(indices[None])
    return all(has_one_walk(indices[start:stop]) for _, start, stop in runs)


def _runs(regions: NDArray[np.uint8]) -> list[tuple[int, int, int]]:
    """List the maximal runs without N as (region, start, stop), half-open."""
    is_known = np.zeros((len(regions), regions.shape[1] + 2), dtype=np.int8)
    is_known[:, 1:-1] = regions != END
    change = np.diff(is_known, axis=1)
    region, start = np.nonzero(change == 1)
    stop = np.nonzero(change == -1)[1]
    return list(zip(region.tolist(), start.tolist(), stop.tolist(), strict=True))


def _jobs(regions: NDArray[np.uint8], n_references: int) -> Iterator[_Job]:
    """Cut the work into jobs, longest runs first so that a batch has runs of like length."""
    for region, start, stop in sorted(_runs(regions), key=lambda run: run[1] - run[2]):
        yield from _split(_Job(region, start, stop, 0, n_references))


def _split(job: _Job) -> Iterator[_Job]:
    step = max(1, _WORDS // max(1, job.length))
    for first in range(job.first, job.last, step):
        yield job._replace(first=first, last=min(first + step, job.last))


def _batches(jobs: Iterator[_Job]) -> Iterator[list[_Job]]:
    """Gather jobs, longest first, for one call of `walk`."""
    batch: list[_Job] = []
    n_rows = 0
    for job in jobs:
        n_rows += job.n_references
        if batch and (n_rows > _ROWS or n_rows * batch[0].length > _CELLS):
            yield batch
            batch, n_rows = [], job.n_references
        batch.append(job)
    if batch:
        yield batch


def _walk_batch(
    regions: NDArray[np.uint8], batch: list[_Job], seed: int
) -> Iterator[NDArray[np.uint8]]:
    """Shuffle the runs of a batch; yield uint8 (reference, position) for each job."""
    n_rows = sum(job.n_references for job in batch)
    successors = np.full((n_rows, batch[0].length), END, dtype=np.uint8)
    first_edges = np.zeros((n_rows, 5), dtype=np.intp)
    starts = np.empty(n_rows, dtype=np.uint8)
    for job, rows in _rows(batch):
        bases = regions[job.region, job.start : job.stop]
        words = _random_words("dinucleotide", seed, regions[job.region], job)
        successors[rows, : job.length] = order_edges(bases, words)
        first_edges[rows, 1:] = np.bincount(bases, minlength=4).cumsum()
        starts[rows] = bases[0]
    walks = walk(successors, first_edges, starts)
    for job, rows in _rows(batch):
        yield np.ascontiguousarray(walks[: job.length, rows].T)


def _rows(batch: list[_Job]) -> Iterator[tuple[_Job, slice]]:
    stop = 0
    for job in batch:
        start, stop = stop, stop + job.n_references
        yield job, slice(start, stop)


def _random_words(
    scheme: str, seed: int, letters: NDArray[np.uint8], job: _Job
) -> NDArray[np.uint64]:
    """Draw uint64 (reference, position) for a job from the stream of its run."""
    # A stream of its own for each run; in it a fixed share for each reference, so that reference
    # k is the same wherever the drawing began. Philox counts in blocks of four words.
    text = f"{scheme} {int(seed)} {job.start} ".encode() + letters.tobytes()
    key = int.from_bytes(hashlib.blake2b(text, digest_size=16).digest(), "little")
    n_blocks = -(-job.length // 4)
    stream = np.random.Philox(key=key, counter=job.first * n_blocks)
    words = stream.random_raw(job.n_references * n_blocks * 4)
    return words.reshape(job.n_references, -1)[:, : job.length]
