"""Which operators keep a change within a window, and where they move it.

An operator is here if it works on each position by itself, or slides a kernel along them. All
others (flatten, a mean over positions, attention) are run on whole values (`locality.py`), as is
any use of an operator that does not fit what is said of it here.
"""

# ruff: noqa: ANN401  (an operator takes and returns anything)

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from seqlift.deeplift.methods.local_kernels import (
    convolved,
    max_pooled,
    mean_pooled,
    padded,
    sliced,
)
from seqlift.deeplift.methods.local_site import Site, Step, in_place
from seqlift.deeplift.methods.local_windows import Reach, Windows
from seqlift.deeplift.rules.rescale import KINKED, SINGULAR, SMOOTH

__all__ = ["BROADCASTING", "LOCAL", "PIECES", "VIEWS"]

aten = torch.ops.aten


def _listed(axes: int | Sequence[int] | None, rank: int) -> list[int]:
    axes = [axes] if isinstance(axes, int) else list(axes or range(rank))
    return [axis % rank for axis in axes]


def _pointwise(site: Site) -> Step | None:
    axis = site.windows.axis
    keeps = len(site.shape) == len(site.result) and site.result[axis] == site.windows.length
    return in_place(site, axis) if keeps else None


def _by_channel(site: Site) -> Step | None:
    return in_place(site, site.windows.axis) if site.free(1) else None


def _along_other_axes(site: Site) -> Step | None:
    """Cut, join or normalise along axes that keep their place."""
    axes = _listed(site.given.get("dim", site.given.get("dims")), len(site.shape))
    return in_place(site, site.windows.axis) if site.free(*axes) else None


def _without_axes(site: Site) -> Step | None:
    """Reduce over some axes."""
    axes = _listed(site.given["dim"], len(site.shape))
    if not site.free(*axes):
        return None
    before = 0 if site.given.get("keepdim") else sum(axis < site.windows.axis for axis in axes)
    return in_place(site, site.windows.axis - before)


def _with_new_axis(site: Site) -> Step | None:
    axis = site.given["dim"] % (len(site.shape) + 1)
    return in_place(site, site.windows.axis + (axis <= site.windows.axis)) if axis else None


def _last_axes(site: Site) -> Step | None:
    """Transform or normalise the last axes."""
    n_axes = len(site.given.get("normalized_shape", (0,)))
    return in_place(site, site.windows.axis) if site.free(*range(-n_axes, 0)) else None


def _times_matrix(site: Site) -> Step | None:
    return _last_axes(site) if len(site.result) == len(site.shape) >= 3 else None


def _reordered(site: Site) -> Step | None:
    rank = len(site.shape)
    order = list(range(rank))
    if "dims" in site.given:
        order = [axis % rank for axis in site.given["dims"]]
    else:
        one, other = site.given["dim0"] % rank, site.given["dim1"] % rank
        order[one], order[other] = other, one
    return in_place(site, order.index(site.windows.axis)) if order[0] == 0 else None


def _viewed(site: Site) -> Step | None:
    """Keep an axis that has the same number of values before it and behind it as it had."""
    windows, result = site.windows, tuple(site.result)
    before = math.prod(site.shape[: windows.axis])
    axes = [
        axis
        for axis in range(1, len(result))
        if result[axis] == windows.length and math.prod(result[:axis]) == before
    ]
    if not axes or not site.keeps_rows:
        return None
    axis = axes[0]

    def view(value: Tensor, *_: Any, **__: Any) -> Tensor:
        return value.reshape(len(value), *result[1:axis], windows.width, *result[axis + 1 :])

    return in_place(site, axis, view)


def _flipped(site: Site) -> Step | None:
    """Flip along any axes; along their own, the windows run from the other end."""
    windows = site.windows
    axes = _listed(site.given["dims"], len(site.shape))
    if 0 in axes:
        return None
    start = windows.start
    if windows.axis in axes:
        start = windows.length - windows.width - start
    moved = Windows(windows.axis, windows.length, start, windows.width)
    return Step(moved, Reach(windows.start, windows.width), site.operator)


# --- the table -----------------------------------------------------------------------------------

# Constants that they take broadcast over the positions, or have a value for each.
BROADCASTING = {
    *SMOOTH,
    *SINGULAR,
    *KINKED,
    aten._to_copy.default,
    aten.add.Scalar,
    aten.add.Tensor,
    aten.alias.default,
    aten.clone.default,
    aten.contiguous.default,
    aten.detach.default,
    aten.div.Scalar,
    aten.div.Tensor,
    aten.masked_fill.Scalar,
    aten.maximum.default,
    aten.minimum.default,
    aten.mul.Scalar,
    aten.mul.Tensor,
    aten.neg.default,
    aten.pow.Scalar,
    aten.relu.default,
    aten.rsub.Scalar,
    aten.rsub.Tensor,
    aten.sub.Scalar,
    aten.sub.Tensor,
    aten.where.self,
} - {aten.prelu.default}

# They may also be told how many rows there are.
VIEWS = {
    aten._unsafe_view.default,
    aten.flatten.using_ints,
    aten.reshape.default,
    aten.unflatten.int,
    aten.view.default,
}

# They return several values, each with the same windows.
PIECES = {
    aten.chunk.default,
    aten.split.Tensor,
    aten.split_with_sizes.default,
    aten.unbind.int,
}

LOCAL: dict[Any, Callable[[Site], Step | None]] = {
    **dict.fromkeys(BROADCASTING, _pointwise),
    **dict.fromkeys(
        [aten.prelu.default, aten._native_batch_norm_legit_no_training.default], _by_channel
    ),
    **dict.fromkeys(
        [
            aten._log_softmax.default,
            aten._softmax.default,
            aten.cat.default,
            aten.chunk.default,
            aten.cumsum.default,
            aten.index_select.default,
            aten.log_softmax.int,
            aten.narrow.default,
            aten.softmax.int,
            aten.split.Tensor,
            aten.split_with_sizes.default,
        ],
        _along_other_axes,
    ),
    **dict.fromkeys(
        [
            aten.amax.default,
            aten.amin.default,
            aten.linalg_vector_norm.default,
            aten.logsumexp.default,
            aten.max.dim,
            aten.mean.dim,
            aten.min.dim,
            aten.select.int,
            aten.sum.dim_IntList,
            aten.unbind.int,
            aten.var.correction,
        ],
        _without_axes,
    ),
    **dict.fromkeys([aten.stack.default, aten.unsqueeze.default], _with_new_axis),
    **dict.fromkeys(
        [aten.layer_norm.default, aten.linear.default, aten.rms_norm.default], _last_axes
    ),
    aten.matmul.default: _times_matrix,
    **dict.fromkeys([aten.permute.default, aten.transpose.int], _reordered),
    **dict.fromkeys(VIEWS, _viewed),
    aten.flip.default: _flipped,
    aten.slice.Tensor: sliced,
    **dict.fromkeys([aten.constant_pad_nd.default, aten.pad.default], padded),
    **dict.fromkeys(
        [
            aten.conv1d.default,
            aten.conv1d.padding,
            aten.conv2d.default,
            aten.conv2d.padding,
            aten.convolution.default,
        ],
        convolved,
    ),
    **dict.fromkeys(
        [
            aten.max_pool1d.default,
            aten.max_pool1d_with_indices.default,
            aten.max_pool2d.default,
            aten.max_pool2d_with_indices.default,
        ],
        max_pooled,
    ),
    **dict.fromkeys([aten.avg_pool1d.default, aten.avg_pool2d.default], mean_pooled),
}
