"""Several devices: a process for each, which loads the model by itself and explains batches.

Reading and writing stay in this process. Windows travel to the workers and scores back, as numpy
arrays through pipes; references are made where they are used. A batch is the same whichever worker
explains it, so the results are those of one device.
"""

from __future__ import annotations

import threading
import warnings
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from seqlift.batches import Batch, References
from seqlift.errors import SeqliftWarning
from seqlift.explaining import Explained, explain
from seqlift.packing import Packed, packed, unpacked
from seqlift.plan import Plan
from seqlift.preparing import expect, prepare, regions_at_once
from seqlift.processes import Processes

__all__ = ["Workers"]


class Workers:
    """Processes that explain, one a device; a context manager, which ends them.

    They load the model as soon as they are made, while the caller does something else.

    Parameters
    ----------
    plan : Plan
    devices : sequence of torch.device
        May name one twice. The CPU threads are divided among them.

    Raises
    ------
    SeqliftError
        When asked, if a worker has died, or whatever ended it.
    """

    def __init__(self, plan: Plan, devices: Sequence[torch.device]) -> None:
        n_threads = max(1, torch.get_num_threads() // len(devices))
        arguments = {
            f"worker {i} on {device}": (plan, device, n_threads)
            for i, device in enumerate(devices, start=1)
        }
        self._n_workers = len(devices)
        self._processes = Processes(_work, arguments)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:  # noqa: ANN401
        self._processes.__exit__(*error)

    def begin(self, schemes: Sequence[References], n_windows: int) -> int:
        """Tell the workers how references are made, and wait until each has its model.

        Parameters
        ----------
        schemes : sequence of References
        n_windows : int
            To be scored by all workers together.

        Returns
        -------
        int
            Regions that every worker's model takes at a time.
        """
        answers = self._processes.ask_all((schemes, n_windows // self._n_workers))
        for _, warned in answers:
            _warn(warned)
        return int(min(at_once for at_once, _ in answers))

    def explain(self, read: Iterator[Batch]) -> Generator[Explained, None, None]:
        """Score the windows of batches, in their order; see `seqlift.explaining.explain`."""
        kept: deque[Batch] = deque()

        def questions() -> Iterator[Batch]:
            for batch in read:
                kept.append(batch)
                yield batch._replace(items=[])

        for answer in self._processes.deal(questions()):
            _warn(answer.warned)
            batch = kept.popleft()._replace(is_unshufflable=answer.is_unshufflable)
            yield Explained(batch, [unpacked(f) for f in answer.found], answer.seconds)


class _Answer(NamedTuple):
    """What a worker found for a batch.

    Attributes
    ----------
    found : list of Packed
    is_unshufflable : sequence of bool array, shape (region,)
        For each scheme.
    seconds : float
    warned : list
        See `_warn`.
    """

    found: list[Packed]
    is_unshufflable: Sequence[NDArray[np.bool_]]
    seconds: float
    warned: list[tuple[str, type[Warning]]]


def _work(
    questions: Iterator[Any], plan: Plan, device: torch.device, n_threads: int
) -> Iterator[Any]:
    """Be a worker: the first question is what is to come, the others are batches."""
    torch.set_num_threads(n_threads)
    # Its own lock is a semaphore, which would outlive this process when that is ended.
    tqdm.set_lock(threading.RLock())
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", SeqliftWarning)
        explainers = prepare(plan, plan.load(), device)
        schemes, n_windows = next(questions)
        expect(explainers, schemes, n_windows)
        yield regions_at_once(plan, explainers, schemes), _taken(heard)
        for one in explain(questions, schemes, explainers, plan.reference_error):
            found = [packed(contributions) for contributions in one.found]
            yield _Answer(found, one.batch.is_unshufflable, one.seconds, _taken(heard))


def _taken(heard: list[warnings.WarningMessage]) -> list[tuple[str, type[Warning]]]:
    """Take the warnings that were heard since the last time."""
    taken = [(str(warning.message), warning.category) for warning in heard]
    heard.clear()
    return taken


def _warn(heard: list[tuple[str, type[Warning]]]) -> None:
    """Give the warnings of a worker in this process."""
    for message, category in heard:
        warnings.warn(message, category, stacklevel=4)
