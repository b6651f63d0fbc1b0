"""Linear operators: the multiplier is the coefficient.

The operator is applied to both lanes; autograd transposes it on the way back. An operator stands
here if it is affine in the arguments that may vary: f(x) − f(r) = A(x − r).
"""

# ruff: noqa: ANN401  (an operator takes and returns anything)

from __future__ import annotations

from typing import Any

import torch

from seqlift.deeplift.lanes import Lanes, each_lane
from seqlift.deeplift.registry import register

__all__: list[str] = []

aten = torch.ops.aten

PAPER = "Shrikumar et al. 2017, section 3.5.1, Linear"
COEFFICIENT = "m = coefficient"
UNCHANGED = "m goes where the value came from"

WEIGHTED = [
    aten.conv2d.default,
    aten.conv3d.default,
    aten.conv1d.padding,
    aten.conv2d.padding,
    aten.conv3d.padding,
    aten.conv_transpose1d.default,
    aten.conv_transpose2d.input,
    aten.conv_transpose3d.input,
    aten.convolution.default,
    aten._native_batch_norm_legit_no_training.default,
]

AVERAGES = [
    aten.adaptive_avg_pool1d.default,
    aten.adaptive_avg_pool2d.default,
    aten.adaptive_avg_pool3d.default,
    aten._adaptive_avg_pool2d.default,
    aten._adaptive_avg_pool3d.default,
    aten.avg_pool1d.default,
    aten.avg_pool2d.default,
    aten.avg_pool3d.default,
    aten.cumsum.default,
    aten.mean.default,
    aten.mean.dim,
    aten.sum.default,
    aten.sum.dim_IntList,
    aten.neg.default,
    aten.upsample_bicubic2d.vec,
    aten.upsample_bilinear2d.vec,
    aten.upsample_linear1d.vec,
    aten.upsample_nearest1d.vec,
    aten.upsample_nearest2d.vec,
    aten.upsample_nearest3d.vec,
    aten.upsample_trilinear3d.vec,
]

VIEWS = [
    aten._to_copy.default,
    aten.alias.default,
    aten.channel_shuffle.default,
    aten.clone.default,
    aten.constant_pad_nd.default,
    aten.contiguous.default,
    aten.diagonal.default,
    aten.expand.default,
    aten.expand_as.default,
    aten.flatten.using_ints,
    aten.flip.default,
    aten.lift_fresh_copy.default,
    aten.masked_fill.Scalar,
    aten.movedim.int,
    aten.narrow.default,
    aten.pad.default,
    aten.permute.default,
    aten.pixel_shuffle.default,
    aten.pixel_unshuffle.default,
    aten.reflection_pad1d.default,
    aten.reflection_pad2d.default,
    aten.repeat.default,
    aten.repeat_interleave.self_int,
    aten.replication_pad1d.default,
    aten.replication_pad2d.default,
    aten.roll.default,
    aten.select.int,
    aten.slice.Tensor,
    aten.squeeze.default,
    aten.squeeze.dim,
    aten.squeeze.dims,
    aten.t.default,
    aten.transpose.int,
    aten.tril.default,
    aten.triu.default,
    aten.unflatten.int,
    aten.unfold.default,
    aten.unsqueeze.default,
]

# They ask for a layout in memory that the value before them may not have.
RIGID_VIEWS = (aten._unsafe_view.default, aten.view.default)

PICKED = [aten.gather.default, aten.index.Tensor, aten.index_select.default]

PIECES = [
    aten.chunk.default,
    aten.split.Tensor,
    aten.split_with_sizes.default,
    aten.unbind.int,
]


@register(WEIGHTED + AVERAGES, "linear", formula=COEFFICIENT, source=PAPER)
def _linear(operator: Any, *args: Any, **kwargs: Any) -> Lanes:
    return each_lane(operator, *args, **kwargs)


# Constant positions (index, mask, padding) pick values; only the picked-from argument may vary.
@register(VIEWS + PICKED, "linear", formula=UNCHANGED, source="our own: a view is a 0/1 matrix")
@register(PIECES, "linear", formula=UNCHANGED, source="our own: views", carries_all=True)
def _moved(operator: Any, *args: Any, **kwargs: Any) -> Lanes:
    return each_lane(operator, *args, **kwargs)


@register(
    [
        aten.add.Tensor,
        aten.add.Scalar,
        aten.sub.Tensor,
        aten.sub.Scalar,
        aten.rsub.Tensor,
        aten.rsub.Scalar,
        aten.cat.default,
        aten.stack.default,
    ],
    "linear",
    varying=None,
    formula="m = ±1 to each term",
    source=PAPER,
)
@register(
    [aten.slice_scatter.default, aten.select_scatter.default],
    "linear",
    varying=(0, 1),
    formula=UNCHANGED,
    source="our own: assignment",
)
@register(
    [aten.where.self],
    "linear",
    varying=(1, 2),
    formula="m to the branch that the constant condition takes",
    source="our own",
)
def _combined(operator: Any, *args: Any, **kwargs: Any) -> Lanes:
    return each_lane(operator, *args, **kwargs)


@register(
    [aten.reshape.default, *RIGID_VIEWS],
    "linear",
    formula=UNCHANGED,
    source="our own: a view",
)
def _reshaped(operator: Any, value: Any, *shape: Any) -> Lanes:
    """Copy where a view cannot be had: rules need not keep the strides of the model's operators."""
    return each_lane(aten.reshape.default, value, *shape)


@register(
    [aten.copy.default], "linear", varying=(0, 1), formula=UNCHANGED, source="our own: assignment"
)
def _copied(operator: Any, onto: Any, value: Any, non_blocking: bool = False) -> Lanes:
    return each_lane(lambda old, new: new.expand_as(old).to(old.dtype), onto, value)


@register(
    [aten.detach.default],
    "linear",
    formula=UNCHANGED,
    source="our own: stops gradients in training, changes nothing in the value",
)
def _detach(operator: Any, value: Lanes) -> Lanes:
    return each_lane(aten.alias.default, value)
