"""The stages between reading and writing: references are made, and the model explains.

The references of the next batch are made while the model works on this one. What comes out lies in
the host's memory, so the clock of the model stops when its numbers are really there.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from typing import Any, NamedTuple

import torch
from numpy.typing import NDArray
from torch import Tensor

from seqlift.batches import Batch, References, add_references
from seqlift.deeplift.scores import Contributions
from seqlift.explain import Explainer
from seqlift.stages import ahead

__all__ = ["Explained", "explain"]


class Explained(NamedTuple):
    """A batch and what the model gave for it.

    Attributes
    ----------
    batch : Batch
        Without the references, which are large.
    found : list of Contributions
        Target by target, and for each scheme by scheme, on the CPU; empty if no window is scored.
    seconds : float
        What the explainers took.
    """

    batch: Batch
    found: list[Contributions]
    seconds: float


class _Ready(NamedTuple):
    """A batch as tensors, from where a device takes them best."""

    batch: Batch
    one_hot: Tensor
    references: list[Tensor]


def explain(
    read: Iterator[Batch],
    schemes: Sequence[References],
    explainers: Sequence[Explainer],
    reference_error: float | None = None,
) -> Generator[Explained, None, None]:
    """Make the references of batches and score their windows, in the order of the batches.

    Parameters
    ----------
    read : iterator of Batch
        Without references; used on another thread.
    schemes : sequence of References
    explainers : sequence of Explainer
        Of one target or several each, all on one device.
    reference_error : float or None
        See `Explainer.contribute`.

    Yields
    ------
    Explained
    """
    is_pinned = explainers[0].device.type == "cuda"
    with closing(ahead(_ready(add_references(read, schemes), is_pinned))) as coming:
        for ready in coming:
            started = time.perf_counter()
            found = _contribute(ready, explainers, reference_error)
            yield Explained(ready.batch, found, time.perf_counter() - started)


def _ready(batches: Iterator[Batch], is_pinned: bool) -> Iterator[_Ready]:
    for batch in batches:
        references = [_as_tensor(array, is_pinned) for array in batch.references]
        one_hot = _as_tensor(batch.one_hot, is_pinned)
        yield _Ready(batch._replace(references=()), one_hot, references)


def _as_tensor(array: NDArray[Any], is_pinned: bool) -> Tensor:
    tensor = torch.from_numpy(array)
    # A device copies from pinned memory while the CPU goes on.
    return tensor.pin_memory() if is_pinned else tensor


def _contribute(
    ready: _Ready, explainers: Sequence[Explainer], reference_error: float | None
) -> list[Contributions]:
    if not len(ready.one_hot):
        return []
    found: list[Contributions] = []
    for explainer in explainers:
        by_scheme = [
            explainer.contribute_each(ready.one_hot, references, reference_error=reference_error)
            for references in ready.references
        ]
        found += [_on_host(one) for of_target in zip(*by_scheme, strict=True) for one in of_target]
    return found


def _on_host(found: Contributions) -> Contributions:
    return Contributions(*(None if value is None else value.cpu() for value in found))  # type: ignore[arg-type]
