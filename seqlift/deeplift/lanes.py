"""One value, twice: at the sequence and at its references.

Every value of the graph that depends on the input is carried as `Lanes`. The sequence lane has one
row a sequence; the reference lane has K rows a sequence, in the order (sequence, reference), and is
the only one that autograd watches. What arrives at the reference lane's input on the way back is
the multiplier.

Some models fold the batch into another dimension (attention heads, time steps). There the
interpreter starts with the sequence repeated K times, so that both lanes have the same shape all
the way; nothing here changes.
"""

# ruff: noqa: ANN401  (an operator takes and returns anything)

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

__all__ = [
    "Lanes",
    "difference",
    "each_lane",
    "flat",
    "holds_lanes",
    "is_floating",
    "midpoint",
    "paired",
    "with_multiplier",
]


@dataclass(frozen=True, slots=True)
class Lanes:
    """A value at the sequence and at its references.

    Attributes
    ----------
    sequence : Tensor, shape (region, ...), or int, or a tuple of those
    reference : the same, shape (region × reference, ...)
    """

    sequence: Any
    reference: Any


def _is_lanes(value: object) -> bool:
    return isinstance(value, Lanes)


def holds_lanes(tree: object) -> bool:
    """Say whether any leaf of nested arguments is carried on two lanes."""
    return any(map(_is_lanes, pytree.tree_leaves(tree, is_leaf=_is_lanes)))


def is_floating(value: object) -> bool:
    """Say whether a value is on two lanes and of a kind that can vary: not a size, not a mask."""
    if not isinstance(value, Lanes):
        return False
    leaves = pytree.tree_leaves(value.sequence)
    return any(isinstance(leaf, Tensor) and leaf.is_floating_point() for leaf in leaves)


def _lane(tree: Any, name: str) -> Any:
    def pick(leaf: object) -> object:
        return getattr(leaf, name) if isinstance(leaf, Lanes) else leaf

    return pytree.tree_map(pick, tree, is_leaf=_is_lanes)


def each_lane(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Lanes:
    """Apply a function to the sequence lane and to the reference lane by themselves.

    Parameters
    ----------
    function : callable
        Usually an ATen operator.
    *args, **kwargs
        Its arguments; those that are not `Lanes` go to both calls.

    Returns
    -------
    Lanes
    """
    sequence = function(*_lane(args, "sequence"), **_lane(kwargs, "sequence"))
    reference = function(*_lane(args, "reference"), **_lane(kwargs, "reference"))
    return Lanes(sequence, reference)


def paired(value: Lanes) -> tuple[Tensor, Tensor]:
    """Return both lanes, cut from the autograd graph and shaped so that they broadcast.

    Returns
    -------
    sequence : Tensor, shape (region, 1, ...)
    reference : Tensor, shape (region, reference, ...)
        Where both lanes have the same number of rows they are returned as they are.
    """
    sequence, reference = value.sequence.detach(), value.reference.detach()
    if sequence.shape == reference.shape:
        return sequence, reference
    rows = sequence.shape[0]
    return sequence.unsqueeze(1), reference.unflatten(0, (rows, -1))


def flat(pairs: Tensor, like: Tensor) -> Tensor:
    """Undo `paired`: (region, reference, ...) back to the rows of the reference lane."""
    return pairs if pairs.dim() == like.dim() else pairs.flatten(0, 1)


def difference(value: Lanes) -> Tensor:
    """Return sequence minus reference, one row for each row of the reference lane."""
    sequence, reference = paired(value)
    return flat(sequence - reference, value.reference)


def midpoint(value: Lanes) -> Tensor:
    """Return the points halfway, one row for each row of the reference lane."""
    sequence, reference = paired(value)
    halfway = torch.add(sequence / 2, reference, alpha=0.5)  # in one pass
    return flat(halfway, value.reference)


class _WithMultiplier(torch.autograd.Function):
    """A value whose derivative is given: the straight line from reference to sequence."""

    @staticmethod
    def forward(ctx: Any, source: Tensor, value: Tensor, multiplier: Tensor) -> Tensor:
        ctx.save_for_backward(multiplier)
        return value

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (multiplier,) = ctx.saved_tensors
        return multiplier * gradients[0], None, None


def with_multiplier(source: Tensor, value: Tensor, multiplier: Tensor) -> Tensor:
    """Return `value`, and make the backward pass multiply by `multiplier` on its way to `source`.

    Parameters
    ----------
    source, multiplier : Tensor of one shape
        Multipliers are Δout/Δin for each element of the source.
    value : Tensor
        Of the same shape, or of one that broadcasts to it (a sum over axes that are kept).

    Returns
    -------
    Tensor
    """
    return _WithMultiplier.apply(source, value.detach(), multiplier.detach())  # type: ignore[no-any-return,no-untyped-call]
