"""Convolutions in bfloat16, of differences.

bfloat16 has the range of float32 and eight bits of precision. Rounding the values of both lanes to
it would drown a small difference in the rounding of two large values. A convolution is linear, so
the difference itself is what is rounded and convolved, and the reference lane is the sequence lane
less that: every error is relative to the difference, and where the two lanes are the same nothing
is wrong at all. The sequence lane is one row among many and stays in float32; multipliers are
convolved in bfloat16 on the way back. All else is computed in float32.
"""

# ruff: noqa: ANN401  (an operator takes and returns anything)

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from seqlift.deeplift.lanes import Lanes, each_lane
from seqlift.deeplift.rules.convolution import differentiable_convolution
from seqlift.deeplift.rules.product import value_of

__all__ = ["lowered_convolution"]

aten = torch.ops.aten


def lowered_convolution(
    operator: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Lanes, Lanes]:
    """Convolve the difference between the lanes in bfloat16.

    Parameters
    ----------
    operator : OpOverload
        A convolution of any kind.
    args, kwargs
        Its arguments: the value, on two lanes, the weights, and so on.

    Returns
    -------
    after : Lanes
        Float32.
    rounded : Lanes
        The value, with the difference as it was rounded. What else reads the value may as well
        read this: then only the rounded difference need be held in memory.
    """
    value, weight, bias, *rest = [*args, None] if len(args) == 2 else args
    convolve = differentiable_convolution if operator is aten.conv1d.default else operator
    # Written with channels last, as convolutions read and write.
    turn = _swapped if value.reference.dim() == 3 else _as_it_is
    turned = each_lane(turn, value)
    sequence = _expanded(turned.sequence, turned.reference)
    narrow = (sequence - turned.reference).bfloat16()
    rounded = value_of(sequence - narrow.detach().float(), turned.reference)
    at_sequence = turn(convolve(value.sequence, weight, bias, *rest, **kwargs))
    moved = turn(convolve(turn(narrow), weight.bfloat16(), None, *rest, **kwargs)).float()
    after = Lanes(at_sequence, _expanded(at_sequence, moved) - moved)
    return each_lane(turn, after), Lanes(value.sequence, turn(rounded))


def _swapped(value: Tensor) -> Tensor:
    return value.permute(0, 2, 1)


def _as_it_is(value: Tensor) -> Tensor:
    return value


def _expanded(sequence: Tensor, reference: Tensor) -> Tensor:
    """Repeat the rows of a sequence lane for each reference, without copying where one will do."""
    if len(sequence) in (1, len(reference)):
        return sequence
    return sequence.repeat_interleave(len(reference) // len(sequence), 0)
