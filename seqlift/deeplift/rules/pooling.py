"""Maxima: the cross-maximum rule.

A maximum may be taken at different positions at the sequence and at the reference. With y and y₀
the two values and c = max(y, y₀), the share c − y₀ belongs to the winner at the sequence and y − c
to the winner at the reference; each is divided by that position's own Δx, and shares that land on
one position (overlapping windows) add up.

No share exceeds the Δx it is divided by, not even when rounded, so the quotient needs a stand-in
only where Δx is zero to the last bit. There it is what the quotient is on both sides of zero: 1 for
a position that wins at both, and 0 for one that wins at the sequence alone, since at the reference
another is larger, whatever happens here, or as large and before it. (The derivative at the sequence
would be 1 there: a jump that the rounding of a float32 value would fall into now and then.)

Source: our own description; DeepSHAP (Lundberg & Lee 2017) and tangermeme 1.6 do the same but for
the stand-in.
"""

# ruff: noqa: ANN401  (an operator takes and returns anything)

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from seqlift.deeplift.lanes import Lanes, each_lane, flat, paired, with_multiplier
from seqlift.deeplift.program import is_followed
from seqlift.deeplift.registry import apply, register
from seqlift.deeplift.slope import slope

__all__: list[str] = []

aten = torch.ops.aten

CROSS = "m = (c − y₀) to the winner at x, (y − c) to the winner at x₀, over Δx; c = max(y, y₀)"
SOURCE = "our own; as tangermeme 1.6 for MaxPool where Δx ≠ 0"


class Maximum(NamedTuple):
    """A maximum over windows of the last, flattened axis.

    Attributes
    ----------
    values : Tensor, shape (row, ..., window)
    winners : int64 Tensor, shape (row, ..., window), positions in the flattened axis
    """

    values: Tensor
    winners: Tensor


class _CrossMaximum(torch.autograd.Function):
    """Maxima at the references, with the cross-maximum rule on the way back."""

    @staticmethod
    def forward(
        ctx: Any, source: Tensor, at_sequence: Tensor, sequence: Maximum, reference: Maximum
    ) -> Tensor:
        ctx.save_for_backward(source.detach(), at_sequence, *sequence, *reference)
        return reference.values

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        source, at_sequence, y, winners, y0, winners0 = ctx.saved_tensors
        x, x0 = paired(Lanes(at_sequence, source))
        y, y0 = paired(Lanes(y, y0))
        winners, winners0 = paired(Lanes(winners, winners0))
        gradient = gradients[0].reshape(y0.shape)
        winners = winners.expand_as(winners0)
        top = torch.maximum(y, y0)

        def route(shares: Tensor, to: Tensor) -> Tensor:
            return torch.zeros_like(x0).scatter_add_(-1, to, shares)

        routed = route(gradient * (top - y0), winners).scatter_add_(
            -1, winners0, gradient * (y - top)
        )
        at_both = route(gradient * (winners == winners0), winners)
        multiplier = slope(routed, x - x0, at_both, _is_zero(x - x0))
        return flat(multiplier, source), None, None, None


def _cross_maximum(value: Lanes, maximum: Callable[[Tensor], Maximum]) -> Lanes:
    """Apply the rule to a value whose last axis holds all positions that compete."""
    sequence, reference = maximum(value.sequence), maximum(value.reference.detach())
    after = _CrossMaximum.apply(value.reference, value.sequence, sequence, reference)  # type: ignore[no-untyped-call]
    return Lanes(sequence.values, after)


def _pooled(value: Lanes, n_axes: int, pool: Callable[[Tensor], tuple[Tensor, Tensor]]) -> Lanes:
    """Apply the rule to pooling over the last `n_axes` axes, whatever their windows."""
    shape = value.sequence.shape[-n_axes:]
    result: list[tuple[int, ...]] = []

    def maximum(flattened: Tensor) -> Maximum:
        values, winners = pool(flattened.unflatten(-1, shape))  # type: ignore[no-untyped-call]
        result[:] = [tuple(values.shape[-n_axes:])]
        return Maximum(values.flatten(-n_axes), winners.flatten(-n_axes))

    after = _cross_maximum(each_lane(lambda lane: lane.flatten(-n_axes), value), maximum)
    return each_lane(lambda lane: lane.unflatten(-1, result[0]), after)


WINDOWS: dict[Any, tuple[int, Callable[..., tuple[Tensor, Tensor]]]] = {
    aten.max_pool1d.default: (1, F.max_pool1d_with_indices),
    aten.max_pool2d.default: (2, F.max_pool2d_with_indices),
    aten.max_pool3d.default: (3, F.max_pool3d_with_indices),
    aten.max_pool1d_with_indices.default: (1, F.max_pool1d_with_indices),
    aten.max_pool2d_with_indices.default: (2, F.max_pool2d_with_indices),
    aten.max_pool3d_with_indices.default: (3, F.max_pool3d_with_indices),
}
ADAPTIVE: dict[Any, tuple[int, Callable[..., tuple[Tensor, Tensor]]]] = {
    aten.adaptive_max_pool1d.default: (1, F.adaptive_max_pool1d_with_indices),
    aten.adaptive_max_pool2d.default: (2, F.adaptive_max_pool2d_with_indices),
    aten.adaptive_max_pool3d.default: (3, F.adaptive_max_pool3d_with_indices),
}


@register(WINDOWS, "max", formula=CROSS, source=SOURCE)
def _max_pool(
    operator: Any,
    value: Lanes,
    kernel: Any,
    stride: Any = (),
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
) -> Any:
    n_axes, function = WINDOWS[operator]
    windows = (kernel, stride or None, padding, dilation, ceil_mode)
    after = _pooled(value, n_axes, lambda lane: function(lane, *windows))
    return after if len(operator._schema.returns) == 1 else _first_of_two(after)


@register(ADAPTIVE, "max", formula=CROSS, source=SOURCE)
def _adaptive_max_pool(operator: Any, value: Lanes, size: Any) -> Any:
    n_axes, function = ADAPTIVE[operator]
    return _first_of_two(_pooled(value, n_axes, lambda lane: function(lane, size)))


def _first_of_two(values: Lanes) -> Lanes:
    """Answer for operators that also return positions, which nothing may use (`coverage.py`)."""
    return Lanes((values.sequence, None), (values.reference, None))


# Candidates that are cheaper to compare one by one than to look up by position.
FEW = 16


def _among_few(value: Lanes, axis: int) -> Lanes:
    """Apply the rule along one short axis, which is kept: element-wise, without scattering."""
    x, x0 = paired(value)
    after = x.dim() - value.reference.dim()  # one more where references have an axis of their own
    (y, wins), (y0, wins0) = _winner(x, axis + after), _winner(x0, axis + after)
    top = torch.maximum(y, y0)
    shares, shares0 = wins * (top - y0), wins0 * (y - top)
    shares = shares + shares0 if is_followed() else shares.add_(shares0)
    at_both = (wins & wins0).to(x.dtype)
    multiplier = flat(slope(shares, x - x0, at_both, _is_zero(x - x0)), value.reference)
    at_sequence = y.squeeze(1) if after else y
    return Lanes(
        at_sequence, with_multiplier(value.reference, flat(y0, value.reference), multiplier)
    )


def _is_zero(difference: Tensor) -> Tensor:
    """Say where nothing changes that a share could be divided by; infinite ones count as that."""
    size = difference.abs()
    return ~((size > 0) & (size < torch.inf))


def _winner(value: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """Return the maximum along an axis, kept, and which element it is: the first of equal ones."""
    n = value.shape[axis]
    best = value.amax(axis, keepdim=True)
    places = torch.arange(n, device=value.device, dtype=value.dtype)
    places = places.reshape(n, *[1] * (value.dim() - 1 - axis))
    first = torch.where(value == best, places, n).amin(axis, keepdim=True)
    return best, first == places


def _over_axes(value: Lanes, axes: Any, keepdim: bool) -> Lanes:
    rank = value.sequence.dim()
    axes = [axes] if isinstance(axes, int) else list(axes) or list(range(rank))
    axes = sorted(axis % rank for axis in axes)
    if len(axes) == 1 and axes[0] > 0 and value.sequence.shape[axes[0]] <= FEW:
        kept = _among_few(value, axes[0])
        return kept if keepdim else each_lane(lambda lane: lane.squeeze(axes[0]), kept)
    moved = each_lane(lambda lane: lane.movedim(axes, list(range(-len(axes), 0))), value)

    def maximum(flattened: Tensor) -> Maximum:
        return Maximum(*flattened.max(-1, keepdim=True))

    after = _cross_maximum(each_lane(lambda lane: lane.flatten(-len(axes)), moved), maximum)
    if not keepdim:
        return each_lane(lambda lane: lane.squeeze(-1), after)
    return each_lane(lambda lane: lane.squeeze(-1)[_with_new_axes(rank, axes)], after)


def _with_new_axes(rank: int, axes: list[int]) -> tuple[slice | None, ...]:
    return tuple(None if axis in axes else slice(None) for axis in range(rank))


@register([aten.amax.default], "max", formula=CROSS, source=SOURCE)
def _amax(operator: Any, value: Lanes, axes: Any = (), keepdim: bool = False) -> Lanes:
    return _over_axes(value, axes, keepdim)


@register(
    [aten.amin.default], "max", formula=f"minus the maximum of minus x; {CROSS}", source=SOURCE
)
def _amin(operator: Any, value: Lanes, axes: Any = (), keepdim: bool = False) -> Lanes:
    return each_lane(torch.neg, _over_axes(each_lane(torch.neg, value), axes, keepdim))


@register([aten.max.dim], "max", formula=CROSS, source=SOURCE)
def _max_dim(operator: Any, value: Lanes, axis: int, keepdim: bool = False) -> Lanes:
    return _first_of_two(_over_axes(value, axis, keepdim))


@register([aten.min.dim], "max", formula=f"minus the maximum of minus x; {CROSS}", source=SOURCE)
def _min_dim(operator: Any, value: Lanes, axis: int, keepdim: bool = False) -> Lanes:
    return _first_of_two(_amin(operator, value, axis, keepdim))


@register([aten.maximum.default], "max", varying=(0, 1), formula=CROSS, source=SOURCE)
def _maximum(operator: Any, a: Any, b: Any) -> Lanes:
    def stacked(x: Tensor, y: Tensor) -> Tensor:
        return torch.stack(torch.broadcast_tensors(x, y), -1)  # type: ignore[no-untyped-call]

    pair = each_lane(stacked, a, b)
    return _over_axes(pair, -1, keepdim=False)


@register(
    [aten.minimum.default],
    "max",
    varying=(0, 1),
    formula=f"minus the maximum of minus x; {CROSS}",
    source=SOURCE,
)
def _minimum(operator: Any, a: Any, b: Any) -> Lanes:
    minus_a, minus_b = apply(aten.neg.default, a), apply(aten.neg.default, b)
    return each_lane(torch.neg, _maximum(operator, minus_a, minus_b))
