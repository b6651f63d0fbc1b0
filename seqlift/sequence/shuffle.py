"""Shuffle DNA, keeping its letters, its dinucleotides or its k-lets.

A shuffle leaves N (columns of zeros) where it is. Reference k of a sequence depends on the seed,
the letters of the sequence and k, and on nothing else: `jobs.py` sees to that. How walks are drawn
is in `eulerian.py` for dinucleotides and in `klet.py` for longer words, how they are followed in
`walks.py`.
"""

import math
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seqlift.errors import UsageError
from seqlift.sequence.eulerian import END, has_one_walk, order_edges
from seqlift.sequence.jobs import (
    Job,
    alike_of,
    batches,
    for_each,
    jobs,
    open_stream,
    rows_of,
    runs,
    split,
)
from seqlift.sequence.klet import has_one_klet_walk, klet_graph, order_klets
from seqlift.sequence.onehot import (
    from_indices,
    require_one_hot,
    require_one_sequence,
    to_indices,
)
from seqlift.sequence.walks import walk, walk_bases

__all__ = [
    "count_dinucleotides",
    "dinucleotide_shuffle",
    "is_unshufflable",
    "klet_shuffle",
    "mononucleotide_shuffle",
    "require_n_references",
]

_Walked = Iterator[NDArray[np.uint8]]


def dinucleotide_shuffle(
    sequence: ArrayLike, n_references: int, *, seed: int, n_threads: int = 1
) -> NDArray[np.uint8]:
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
    n_threads : int
        Threads to use at the most, at least 1. The shuffles are the same whatever it is.

    Returns
    -------
    references : uint8, shape (…, reference, base=4, position)

    Raises
    ------
    SequenceError
        If `sequence` is not one-hot.
    UsageError
        If `n_references` or `n_threads` is less than 1.

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
    return _shuffle_runs(
        sequence,
        n_references,
        2,
        n_threads,
        lambda regions, batch: _walk_bases(regions, batch, seed, n_threads),
    )


def mononucleotide_shuffle(
    sequence: ArrayLike, n_references: int, *, seed: int, n_threads: int = 1
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
    seed, n_threads : int
        As for `dinucleotide_shuffle`.

    Returns
    -------
    references : uint8, shape (…, reference, base=4, position)

    Raises
    ------
    SequenceError
        If `sequence` is not one-hot.
    UsageError
        If `n_references` or `n_threads` is less than 1.
    """
    regions, references = _prepare(sequence, n_references, n_threads)

    def fill(job: Job) -> None:
        letters = regions[job.region]
        known = np.flatnonzero(letters != END)
        # Sort 62 random bits; the base that rides in the lowest two comes along.
        keys = open_stream("mononucleotide", seed, letters, job).words(len(known))
        keys &= ~np.uint64(3)
        keys |= letters[known]
        keys.sort(axis=1)
        shuffled = np.full((job.n_references, len(letters)), END, dtype=np.uint8)
        shuffled[:, known] = keys.astype(np.uint8) & np.uint8(3)
        from_indices(shuffled, out=references[job.region, job.first : job.last])

    length = regions.shape[1]
    todo = (Job(region, 0, length, 0, n_references) for region in range(len(regions)))
    for_each(fill, (part for job in todo for part in split(job)), n_threads)
    return references.reshape(*np.shape(sequence)[:-2], *references.shape[1:])


def klet_shuffle(
    sequence: ArrayLike, n_references: int, *, k: int, seed: int, n_threads: int = 1
) -> NDArray[np.uint8]:
    """Shuffle sequences, keeping the count of every word of k bases.

    Draws uniformly among all Eulerian walks through the graph of (k-1)-mers, so the first k - 1
    bases, the last k - 1 bases and all counts of k-lets are those of the sequence.

    Parameters
    ----------
    sequence : uint8, shape (…, base=4, position)
        One-hot, order A C G T; one sequence or any number. N (all zeros) stays where it is: each
        run of bases between Ns is shuffled on its own and keeps its own ends and counts.
    n_references : int
        Number of independent shuffles of each sequence, at least 1.
    k : int
        At least 1. With 1 this is `mononucleotide_shuffle`, with 2 `dinucleotide_shuffle`.
    seed, n_threads : int
        As for `dinucleotide_shuffle`.

    Returns
    -------
    references : uint8, shape (…, reference, base=4, position)

    Raises
    ------
    SequenceError
        If `sequence` is not one-hot.
    UsageError
        If `n_references`, `k` or `n_threads` is less than 1.

    References
    ----------
    Altschul & Erickson (1985), Mol. Biol. Evol. 2:526-538; Propp & Wilson (1998), J. Algorithms
    27:170-217; Jiang et al. (2008), BMC Bioinformatics 9:192.
    """
    _require_k(k)
    if k in _SHORT:
        return _SHORT[k](sequence, n_references, seed=seed, n_threads=n_threads)
    return _shuffle_runs(
        sequence,
        n_references,
        k,
        n_threads,
        lambda regions, batch: _walk_klets(regions, batch, k, seed),
    )


_SHORT = {1: mononucleotide_shuffle, 2: dinucleotide_shuffle}


def _shuffle_runs(
    sequence: ArrayLike,
    n_references: int,
    k: int,
    n_threads: int,
    walk_batch: Callable[[NDArray[np.uint8], list[Job]], _Walked],
) -> NDArray[np.uint8]:
    """Shuffle each run of known bases by itself, many at once."""
    regions, references = _prepare(sequence, n_references, n_threads)
    todo = [job for job in jobs(regions, n_references) if job.length > k]
    whole = {job.region for job in todo if job.length == regions.shape[1]}
    for region in set(range(len(regions))) - whole:  # Ns and runs of k bases or fewer stay
        references[region] = from_indices(regions[region])

    def fill(batch: list[Job]) -> None:
        for job, bases in zip(batch, walk_batch(regions, batch), strict=True):
            place = references[job.region, job.first : job.last, :, job.start : job.stop]
            from_indices(bases, out=place)

    # A vertex of four bases is a byte, and its pointer next to nothing; not so for longer words.
    for_each(fill, batches(todo, n_threads, bytes_per_letter=1 if k == 2 else 8), n_threads)
    return references.reshape(*np.shape(sequence)[:-2], *references.shape[1:])


def _walk_bases(regions: NDArray[np.uint8], batch: list[Job], seed: int, n_threads: int) -> _Walked:
    """Shuffle the runs of a batch; yield uint8 (reference, position) for each job."""
    n_rows = sum(job.n_references for job in batch)
    successors = np.full((n_rows, batch[0].length), END, dtype=np.uint8)
    first_edges = np.zeros((n_rows, 5), dtype=np.intp)
    starts = np.empty(n_rows, dtype=np.uint8)
    for alike, rows in alike_of(batch, n_threads):
        bases = np.stack([regions[job.region, job.start : job.stop] for job in alike])
        streams = [open_stream("dinucleotide", seed, regions[job.region], job) for job in alike]
        ordered = order_edges(bases, [stream.words for stream in streams])
        successors[rows, : bases.shape[1]] = ordered.reshape(-1, bases.shape[1])
    for job, rows in rows_of(batch):
        bases = regions[job.region, job.start : job.stop]
        first_edges[rows, 1:] = np.bincount(bases, minlength=4).cumsum()
        starts[rows] = bases[0]
    walks = walk_bases(successors, first_edges, starts)
    for job, rows in rows_of(batch):
        yield np.ascontiguousarray(walks[: job.length, rows].T)


def _walk_klets(regions: NDArray[np.uint8], batch: list[Job], k: int, seed: int) -> _Walked:
    """Do the same for words of k bases."""
    graphs = [klet_graph(regions[job.region, job.start : job.stop], k) for job in batch]
    n_rows = sum(job.n_references for job in batch)
    n_vertices = max(len(graph.targets) for graph in graphs)
    successors = np.zeros((n_rows, batch[0].length), dtype=np.min_scalar_type(n_vertices))
    first_edges = np.zeros((n_rows, n_vertices), dtype=np.intp)
    starts = np.zeros(n_rows, dtype=successors.dtype)
    for (job, rows), graph in zip(rows_of(batch), graphs, strict=True):
        stream = open_stream(f"{k}-let", seed, regions[job.region], job)
        successors[rows, : len(graph.edges)] = order_klets(graph, stream.words)
        first_edges[rows, 1 : len(graph.targets)] = graph.counts.sum(axis=1).cumsum()[:-1]
        starts[rows] = graph.walk[0]
    walks = walk(successors, first_edges, starts)
    for (job, rows), graph in zip(rows_of(batch), graphs, strict=True):
        bases = regions[job.region, job.start : job.stop]
        last_base = np.zeros(len(graph.targets), dtype=np.uint8)
        last_base[graph.walk] = bases[k - 2 :]
        shuffled = np.repeat(bases[None], job.n_references, axis=0)
        shuffled[:, k - 2 :] = last_base[walks[: len(graph.walk), rows].T]
        yield shuffled


def _prepare(
    sequence: ArrayLike, n_references: int, n_threads: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Give base indices (region, position) and room (region, reference, base, position)."""
    require_n_references(n_references)
    _require_n_threads(n_threads)
    indices = to_indices(sequence)
    length = indices.shape[-1]
    regions = indices.reshape(math.prod(indices.shape[:-1]), length)
    return regions, np.empty((len(regions), n_references, 4, length), dtype=np.uint8)


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


def _require_n_threads(n_threads: int) -> None:
    if n_threads < 1:
        raise UsageError(f"found {n_threads} threads; expected at least 1: ask for 1 or more")


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


def is_unshufflable(sequence: ArrayLike, k: int = 2) -> bool:
    """Tell whether a sequence has no other shuffle that keeps its words of k bases.

    Poly-A is the plain case; for k = 2 `ACACAC` and `AACCGGTT` are others. References made by
    shuffling such a sequence are the sequence itself, and nothing can be learned from them.

    Parameters
    ----------
    sequence : uint8, shape (base=4, position)
        One-hot, order A C G T, with or without N (all zeros).
    k : int
        At least 1; 2 stands for the dinucleotide shuffle.

    Returns
    -------
    is_unshufflable : bool
        True if every shuffle spells the sequence; exact, and True where all is N.

    Raises
    ------
    SequenceError
        If `sequence` is not one-hot, or has axes before (base, position).
    UsageError
        If `k` is less than 1.
    """
    _require_k(k)
    require_one_sequence(sequence)
    indices = to_indices(sequence)
    if k == 1:
        return len(np.unique(indices[indices != END])) <= 1
    found = (indices[start:stop] for _, start, stop in runs(indices[None]))
    return all(_has_one_shuffle(bases, k) for bases in found)


def _has_one_shuffle(bases: NDArray[np.uint8], k: int) -> bool:
    if k == 2:
        return has_one_walk(bases)
    return len(bases) <= k or has_one_klet_walk(klet_graph(bases, k))


def _require_k(k: int) -> None:
    if k < 1:
        raise UsageError(f"found words of {k} bases; expected k to be at least 1: 2 keeps pairs")
