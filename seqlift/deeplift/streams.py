"""A difference in two parts: what raises a value, and what lowers it.

RevealCancel needs to know of a value's difference from reference how much is made of positive
contributions and how much of negative ones, since the two may cancel. `Streams` carries both
parts, and autograd watches them in place of the reference lane: what arrives at the positive part
on the way back is the multiplier of the positive part.

Only the values on the way to an operator with the RevealCancel rule are carried so (see
`rulesets.py`); `by_sign` and `merged` lead from one way to the other.
"""

# ruff: noqa: ANN401  (an operator takes and returns anything)

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from seqlift.deeplift.lanes import Lanes, difference

__all__ = ["Streams", "by_sign", "merge_all", "merged", "part_by_sign"]


@dataclass(frozen=True, slots=True)
class Streams:
    """A value on two lanes, and the two parts of the difference between them.

    Attributes
    ----------
    lanes : Lanes
        The reference lane is cut from the autograd graph.
    positive, negative : Tensor, shape of the reference lane, or a tuple of those
        They sum to sequence minus reference.
    """

    lanes: Lanes
    positive: Any
    negative: Any


class _BySign(torch.autograd.Function):
    """The parts of a difference, by the sign of each element.

    An element that does not differ takes half of either multiplier, which is what scores the bases
    that are not there.
    """

    @staticmethod
    def forward(ctx: Any, reference: Tensor, delta: Tensor) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(delta)
        return delta.clamp(min=0), delta.clamp(max=0)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (delta,) = ctx.saved_tensors
        positive, negative = gradients
        one_sided = torch.where(delta > 0, positive, negative)
        return torch.where(delta == 0, (positive + negative) / 2, one_sided), None


class _Merged(torch.autograd.Function):
    """A value at the references whose multiplier goes to both parts alike."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, Tensor, Tensor]:
        return None, gradients[0], gradients[0]


def part_by_sign(value: Lanes) -> tuple[Tensor, Tensor]:
    """Return the positive and the negative part of a difference that is known as a whole.

    Returns
    -------
    positive, negative : Tensor, shape of the reference lane
        Zero where the other is not; autograd leads from both to the reference lane.
    """
    found: tuple[Tensor, Tensor] = _BySign.apply(value.reference, difference(value).detach())  # type: ignore[no-untyped-call]
    return found


def by_sign(value: Lanes) -> Streams:
    """Carry on in two parts a value that an operator's rule knows as a whole."""
    if not isinstance(value.sequence, (tuple, list)):
        positive, negative = part_by_sign(value)
        return Streams(Lanes(value.sequence, value.reference.detach()), positive, negative)
    # Beside its value an operator may return positions or statistics, which carry nothing.
    pieces = [
        by_sign(Lanes(*lanes)) if isinstance(lanes[0], Tensor) else Streams(Lanes(*lanes), 0, 0)
        for lanes in zip(value.sequence, value.reference, strict=True)
    ]
    return Streams(
        Lanes(value.sequence, tuple(piece.lanes.reference for piece in pieces)),
        tuple(piece.positive for piece in pieces),
        tuple(piece.negative for piece in pieces),
    )


def merged(value: Streams) -> Lanes:
    """Carry on as a whole a value that is known in two parts."""
    if not isinstance(value.positive, (tuple, list)):
        both = _Merged.apply(value.lanes.reference, value.positive, value.negative)  # type: ignore[no-untyped-call]
        return Lanes(value.lanes.sequence, both)
    pieces = zip(value.lanes.reference, value.positive, value.negative, strict=True)
    whole = tuple(
        _Merged.apply(*piece) if isinstance(piece[1], Tensor) else piece[0]  # type: ignore[no-untyped-call]
        for piece in pieces
    )
    return Lanes(value.lanes.sequence, whole)


def is_streams(value: object) -> bool:
    """Say whether a value is carried in two parts."""
    return isinstance(value, Streams)


def merge_all(arguments: Any) -> Any:
    """Merge every value in nested arguments."""

    def merge(leaf: object) -> object:
        return merged(leaf) if isinstance(leaf, Streams) else leaf

    return pytree.tree_map(merge, arguments, is_leaf=is_streams)
