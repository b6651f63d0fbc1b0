"""Cut the shuffling of many sequences into pieces, and draw the random words of each.

Reference k of a sequence depends on the seed, the letters of the sequence and k, and on nothing
else: not on the sequences beside it, their order, the number of references asked for, or threads.
That is seen to here, so that the shuffles (`shuffle.py`) need not think of it.

The raw words of numpy's PCG64DXSM generator are used as they come, because numpy promises to keep
that stream and they cost half of Philox's; integers and permutations are built from them where
they are needed.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from seqlift.sequence.eulerian import END

__all__ = [
    "Job",
    "Stream",
    "alike_of",
    "batches",
    "for_each",
    "jobs",
    "open_stream",
    "rows_of",
    "runs",
    "split",
]

Work = TypeVar("Work")

_ROWS = 2048  # walks at once: enough to outweigh a numpy call, few enough for the cache
_CELLS = 2**25  # letters held at once by long walks
_WORDS = 2**18  # random words at once: 2 MiB
_WORDS_AMONG_THREADS = 2**19  # fewer calls: after each a thread has to wait for the interpreter
_LARGEST = 2**64 - 1  # that a word can be


class Job(NamedTuple):
    """References `first` to `last` of one run of known bases, `start` to `stop`, half-open."""

    region: int
    start: int
    stop: int
    first: int
    last: int

    @property
    def length(self) -> int:
        """Bases of the run."""
        return self.stop - self.start

    @property
    def n_references(self) -> int:
        """References of the run that this job makes."""
        return self.last - self.first


class Stream(NamedTuple):
    """The random words of a job: a stream of its own for each run of each sequence."""

    key: int
    first: int
    n_references: int

    def words(self, n: int, draw: int = 0) -> NDArray[np.uint64]:
        """Draw n words for each reference, uint64 (reference, word).

        What is drawn under one number is independent of what is drawn under another.
        """
        bits = np.random.PCG64DXSM(np.random.SeedSequence(self.key, spawn_key=(draw,)))
        # A fixed share for each reference, so that reference k is the same wherever the drawing
        # began.
        bits.advance(self.first * n)
        # All 64 bits of each word, as from `random_raw`, which would keep other threads waiting.
        generator = np.random.Generator(bits)
        size = self.n_references, n
        return generator.integers(_LARGEST, size=size, dtype=np.uint64, endpoint=True)


def open_stream(scheme: str, seed: int, letters: NDArray[np.uint8], job: Job) -> Stream:
    """Return the stream of a job; `letters` are those of the whole sequence."""
    text = f"{scheme} {int(seed)} {job.start} ".encode() + letters.tobytes()
    key = int.from_bytes(hashlib.blake2b(text, digest_size=16).digest(), "little")
    return Stream(key, job.first, job.n_references)


def runs(regions: NDArray[np.uint8]) -> list[tuple[int, int, int]]:
    """List the maximal runs without N as (region, start, stop), half-open."""
    is_known = np.zeros((len(regions), regions.shape[1] + 2), dtype=np.int8)
    is_known[:, 1:-1] = regions != END
    change = np.diff(is_known, axis=1)
    region, start = np.nonzero(change == 1)
    stop = np.nonzero(change == -1)[1]
    return list(zip(region.tolist(), start.tolist(), stop.tolist(), strict=True))


def jobs(regions: NDArray[np.uint8], n_references: int) -> Iterator[Job]:
    """Cut the work into jobs, longest runs first so that a batch has runs of like length."""
    for region, start, stop in sorted(runs(regions), key=lambda run: run[1] - run[2]):
        yield from split(Job(region, start, stop, 0, n_references))


def split(job: Job) -> Iterator[Job]:
    """Cut a job so that the words of each part are few."""
    step = max(1, _WORDS // max(1, job.length))
    for first in range(job.first, job.last, step):
        yield job._replace(first=first, last=min(first + step, job.last))


def batches(
    todo: Sequence[Job], n_threads: int = 1, bytes_per_letter: int = 1
) -> Iterator[list[Job]]:
    """Gather jobs, longest first, for walks side by side: a batch or more for each thread."""
    share = -(-sum(job.n_references for job in todo) // n_threads)
    most_rows = min(_ROWS, share)
    batch: list[Job] = []
    n_rows = 0
    for job in todo:
        n_rows += job.n_references
        n_cells = n_rows * batch[0].length * bytes_per_letter if batch else 0
        if batch and (n_rows > most_rows or n_cells > _CELLS):
            yield batch
            batch, n_rows = [], job.n_references
        batch.append(job)
    if batch:
        yield batch


def for_each(do: Callable[[Work], None], todo: Iterable[Work], n_threads: int) -> None:
    """Do all the work on so many threads, the caller's own if it is one."""
    if n_threads == 1:
        for work in todo:
            do(work)
        return
    with ThreadPoolExecutor(n_threads, thread_name_prefix="seqlift-shuffle") as threads:
        for _ in threads.map(do, todo):
            pass


def rows_of(batch: list[Job]) -> Iterator[tuple[Job, slice]]:
    """Give each job of a batch its rows, one a reference."""
    stop = 0
    for job in batch:
        start, stop = stop, stop + job.n_references
        yield job, slice(start, stop)


def alike_of(batch: list[Job], n_threads: int = 1) -> Iterator[tuple[list[Job], slice]]:
    """Gather jobs that follow each other and are of one shape, with their rows.

    What is done for several jobs in one call of numpy leaves the interpreter to other threads.
    """
    most = _WORDS if n_threads == 1 else _WORDS_AMONG_THREADS
    group: list[Job] = []
    first = 0
    for job, rows in rows_of(batch):
        is_too_much = (rows.stop - first) * job.length > most
        if group and (is_too_much or job[1:] != group[0][1:]):
            yield group, slice(first, rows.start)
            group, first = [], rows.start
        group.append(job)
    if group:
        yield group, slice(first, rows.stop)
