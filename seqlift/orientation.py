"""Windows that are read as their reverse complement, and results turned back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqlift.batches import Batch
from seqlift.deeplift.scores import Contributions
from seqlift.sequence.onehot import reverse_complement

__all__ = ["in_genome_orientation", "on_own_strand"]

# Fields along the window, and the axes that change places: bases complement as they are reversed.
TURNED = {
    "hypothetical": (1, 2),
    "scores": (1, 2),
    "standard_error": (1,),
    "multipliers": (2, 3),
    "members": (2,),
}


def on_own_strand(batches: Iterator[Batch]) -> Iterator[Batch]:
    """Read the windows of regions on the minus strand as their reverse complement."""
    for batch in batches:
        is_minus = np.array([item.region.strand == "-" for item in batch.kept], dtype=bool)
        yield batch._replace(one_hot=_turned(batch.one_hot, is_minus), is_reversed=is_minus)


def in_genome_orientation(
    batch: Batch, found: Sequence[Contributions]
) -> tuple[Batch, Sequence[Contributions]]:
    """Turn the windows that were reversed back, and what was found for them."""
    rows = batch.is_reversed
    if rows is None or not rows.any():
        return batch, found
    mask = torch.from_numpy(rows)

    def turned(one: Contributions) -> Contributions:
        fields = one._asdict()
        changed = {
            name: _flipped(fields[name], mask, axes)
            for name, axes in TURNED.items()
            if fields[name] is not None
        }
        return one._replace(**changed)

    return batch._replace(one_hot=_turned(batch.one_hot, rows)), [turned(one) for one in found]


def _turned(one_hot: NDArray[np.uint8], rows: NDArray[np.bool_]) -> NDArray[np.uint8]:
    turned = one_hot.copy()
    turned[rows] = reverse_complement(one_hot[rows])
    return turned


def _flipped(value: Tensor, rows: Tensor, axes: Sequence[int]) -> Tensor:
    turned = value.clone()
    turned[rows] = value[rows].flip(*axes)
    return turned
