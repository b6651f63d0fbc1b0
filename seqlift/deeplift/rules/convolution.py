"""One-dimensional convolution, laid out so that the processor is quick at it.

The linear rule asks for nothing but the operator and its transpose. On a CPU, in float32 or
bfloat16, the convolution of a (row, channel, 1, position) view with channels last is two to three
times as fast as `conv1d`; so it is on CUDA devices in bfloat16 and TF32, whose tensor cores read
channels side by side. The transpose is, at stride 1, the forward convolution with the weights
flipped and their channels exchanged, which keeps that speed where autograd's own backward pass does
not, and sums in the same order every time. Whatever does not fit goes through the plain operator.
"""

# ruff: noqa: ANN401  (an operator takes and returns anything)

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from seqlift.deeplift.lanes import Lanes, each_lane
from seqlift.deeplift.program import is_followed
from seqlift.deeplift.registry import register
from seqlift.deeplift.rules.linear import COEFFICIENT, PAPER
from seqlift.deeplift.rules.winograd import convolve_winograd, takes_winograd

__all__ = ["convolution", "differentiable_convolution"]

aten = torch.ops.aten


# Output channels that a vector register holds in float32. A convolution to fewer leaves it partly
# empty, as the last one on the way back does, whose channels are the four bases.
FULL = 16


def _convolve(value: Tensor, weight: Tensor, bias: Any, padding: int, dilation: int) -> Tensor:
    if dilation == 1 and _is_narrow(weight):
        return _convolve_narrow(value, weight, bias, padding)
    if is_followed() and takes_winograd(value, weight):  # what is followed is compiled
        return convolve_winograd(value, weight, bias, padding, dilation)
    return _convolve_image(value, weight, bias, 1, padding, dilation)


def _convolve_image(
    value: Tensor, weight: Tensor, bias: Any, stride: int, padding: int, dilation: int
) -> Tensor:
    last = torch.channels_last
    image = value.unsqueeze(2).contiguous(memory_format=last)
    kernel = weight.unsqueeze(2).contiguous(memory_format=last)
    return F.conv2d(image, kernel, bias, (1, stride), (0, padding), (1, dilation)).squeeze(2)


def _is_narrow(weight: Tensor) -> bool:
    """Say whether several positions at once fill a register, at half the work or less."""
    n_channels, _, width = weight.shape
    at_once = FULL // n_channels
    return at_once > 1 and at_once * width >= 2 * (width + at_once - 1)


def _convolve_narrow(value: Tensor, weight: Tensor, bias: Any, padding: int) -> Tensor:
    """Compute neighbouring positions as channels of one strided convolution.

    Each has the same weights, moved on by one position.
    """
    n_channels, _, width = weight.shape
    at_once = FULL // n_channels
    n_positions = value.shape[2] + 2 * padding - width + 1
    n_steps = -(-n_positions // at_once)
    spare = n_steps * at_once - n_positions  # padding is the same on both sides: shift by it
    moved = [F.pad(weight, (spare + i, at_once - 1 - i)) for i in range(at_once)]
    biases = None if bias is None else bias.repeat(at_once)
    found = _convolve_image(value, torch.cat(moved), biases, at_once, padding + spare, 1)
    by_position = found.transpose(1, 2).reshape(len(value), n_steps * at_once, n_channels)
    return by_position[:, :n_positions].transpose(1, 2)


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
    is_quick = value.device.type in ("cpu", "cuda") and has_type and value.dim() == 3
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


def differentiable_convolution(
    value: Tensor,
    weight: Tensor,
    bias: Any = None,
    stride: Any = (1,),
    padding: Any = (0,),
    dilation: Any = (1,),
    groups: int = 1,
) -> Tensor:
    """Convolve as `convolution` does, with a way back that is as quick."""
    reach = dilation[0] * (weight.shape[2] - 1)
    if not _is_plain(value, reach, stride[0], padding[0], groups):
        return torch.conv1d(value, weight, bias, stride, padding, dilation, groups)
    return _Convolution.apply(value, weight, bias, padding[0], dilation[0])  # type: ignore[no-any-return,no-untyped-call]


@register([aten.conv1d.default], "linear", formula=COEFFICIENT, source=PAPER)
def _conv1d(operator: Any, value: Lanes, *args: Any, **kwargs: Any) -> Lanes:
    return each_lane(differentiable_convolution, value, *args, **kwargs)
