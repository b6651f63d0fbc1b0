"""One-dimensional convolution, laid out so that a CPU is quick at it.

The linear rule asks for nothing but the operator and its transpose. On a CPU, in float32 or
bfloat16, the convolution of a (row, channel, 1, position) view with channels last is two to three
times as fast as `conv1d`; the transpose is, at stride 1, the forward convolution with the weights
flipped and their channels exchanged, which keeps that speed where autograd's own backward pass does
not. Whatever does not fit goes through the plain operator.
"""

# ruff: noqa: ANN401  (an operator takes and returns anything)

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from seqlift.deeplift.lanes import Lanes, each_lane
from seqlift.deeplift.registry import register
from seqlift.deeplift.rules.linear import COEFFICIENT, PAPER

__all__ = ["convolution"]

aten = torch.ops.aten


def _convolve(value: Tensor, weight: Tensor, bias: Any, padding: int, dilation: int) -> Tensor:
    last = torch.channels_last
    image = value.unsqueeze(2).contiguous(memory_format=last)
    kernel = weight.unsqueeze(2).contiguous(memory_format=last)
    return F.conv2d(image, kernel, bias, 1, (0, padding), (1, dilation)).squeeze(2)


class _Convolution(torch.autograd.Function):
    """A convolution of stride 1, whose transpose is one too."""

    @staticmethod
    def forward(
        ctx: Any, value: Tensor, weight: Tensor, bias: Any, padding: int, dilation: int
    ) -> Tensor:
        ctx.save_for_backward(weight)
        ctx.padding = dilation * (weight.shape[2] - 1) - padding
        ctx.dilation = dilation
        return _convolve(value, weight, bias, padding, dilation)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (weight,) = ctx.saved_tensors
        flipped = weight.transpose(0, 1).flip(2)
        found = _convolve(gradients[0], flipped, None, ctx.padding, ctx.dilation)
        return found, None, None, None, None


def _is_plain(value: Tensor, reach: int, stride: int, padding: Any, groups: int) -> bool:
    """Say whether the quick way is exact: stride 1, one group, padding within reach."""
    has_type = value.dtype in (torch.float32, torch.bfloat16)
    is_quick = value.device.type == "cpu" and has_type and value.dim() == 3
    return is_quick and stride == 1 and groups == 1 and 0 <= padding <= reach


def convolution(
    value: Tensor,
    weight: Tensor,
    bias: Any = None,
    stride: Any = (1,),
    padding: Any = (0,),
    dilation: Any = (1,),
    groups: int = 1,
) -> Tensor:
    """Convolve plain tensors, on the quick way where there is one.

    Parameters
    ----------
    value : Tensor, shape (row, channel, position)
    weight, bias, stride, padding, dilation, groups
        As `aten.conv1d` takes them.

    Returns
    -------
    Tensor, shape (row, channel, position)
        With channels last in memory where it came on the quick way.
    """
    reach = dilation[0] * (weight.shape[2] - 1)
    if not _is_plain(value, reach, stride[0], padding[0], groups):
        return torch.conv1d(value, weight, bias, stride, padding, dilation, groups)
    return _convolve(value, weight, bias, padding[0], dilation[0])


@register([aten.conv1d.default], "linear", formula=COEFFICIENT, source=PAPER)
def _conv1d(
    operator: Any,
    value: Lanes,
    weight: Tensor,
    bias: Any = None,
    stride: Any = (1,),
    padding: Any = (0,),
    dilation: Any = (1,),
    groups: int = 1,
) -> Lanes:
    reach = dilation[0] * (weight.shape[2] - 1)
    if not _is_plain(value.reference, reach, stride[0], padding[0], groups):
        return each_lane(operator, value, weight, bias, stride, padding, dilation, groups)
    return each_lane(
        lambda lane: _Convolution.apply(lane, weight, bias, padding[0], dilation[0]),  # type: ignore[no-untyped-call]
        value,
    )
