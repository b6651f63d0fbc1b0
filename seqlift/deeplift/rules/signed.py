"""How the positive and the negative part of a difference pass through operators.

* A layer of weights is told the whole difference x of its input. It sorts the terms by sign
  (Shrikumar et al. 2017, section 3.5.1): Δ⁺ = x⁺W⁺ + x⁻W⁻ and Δ⁻ = x⁻W⁺ + x⁺W⁻.
* Views, sums and averages pass either part on as it is; where a value is scaled by a negative
  number, or falls as its input rises, the parts change places.
* For any other operator only the whole difference is known. Its outcome goes on by its sign.

Which of these an operator does, `step_of` says; `STEPS` does it. All rules sum to delta, since the
parts always sum to the difference.
"""

# ruff: noqa: ANN401  (an operator takes and returns anything)

from __future__ import annotations

import operator as python_operator
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from seqlift.deeplift.lanes import Lanes
from seqlift.deeplift.registry import apply, rule_for
from seqlift.deeplift.rules.linear import AVERAGES, PICKED, PIECES, VIEWS
from seqlift.deeplift.rules.rescale import element_wise, secant
from seqlift.deeplift.streams import Streams, by_sign, is_streams, merge_all, part_by_sign

__all__ = ["BATCH_NORM", "DENSE", "FORMULA", "LAYERS", "STEPS", "step_of"]

aten = torch.ops.aten

FORMULA = "m = coefficient, terms sorted by sign: Δ⁺ = x⁺W⁺ + x⁻W⁻, Δ⁻ = x⁻W⁺ + x⁺W⁻"

BATCH_NORM = aten._native_batch_norm_legit_no_training.default

# Weights at argument 1, a bias at argument 2.
LAYERS = {
    aten.conv1d.default,
    aten.conv2d.default,
    aten.conv3d.default,
    aten.conv1d.padding,
    aten.conv2d.padding,
    aten.conv3d.padding,
    aten.conv_transpose1d.default,
    aten.conv_transpose2d.input,
    aten.conv_transpose3d.input,
    aten.convolution.default,
    aten.linear.default,
}
# Weights on either side.
MATRIX_PRODUCTS = {
    aten.matmul.default,
    aten.mm.default,
    aten.bmm.default,
    aten.mv.default,
    aten.dot.default,
}
# A bias at argument 0, then a matrix product.
BIASED_PRODUCTS = {aten.addmm.default: aten.mm.default, aten.baddbmm.default: aten.bmm.default}
DENSE = {aten.linear.default, *MATRIX_PRODUCTS, *BIASED_PRODUCTS}

SCALES = {aten.mul.Tensor, aten.mul.Scalar, aten.div.Tensor, aten.div.Scalar}
SUMS = {
    aten.add.Tensor,
    aten.add.Scalar,
    aten.sub.Tensor,
    aten.sub.Scalar,
    aten.rsub.Tensor,
    aten.rsub.Scalar,
    aten.neg.default,
}
# Of these some coefficients may be negative, and there is no weight to sort by.
UNSORTED = {aten.neg.default, aten.upsample_bicubic2d.vec}
MOVES = {
    *AVERAGES,
    *VIEWS,
    *PICKED,
    *PIECES,
    aten._unsafe_view.default,
    aten.cat.default,
    aten.copy.default,
    aten.detach.default,
    aten.reshape.default,
    aten.select_scatter.default,
    aten.slice_scatter.default,
    aten.stack.default,
    aten.view.default,
    aten.where.self,
    python_operator.getitem,
} - UNSORTED

# The argument that fills places where no value is; of a difference nothing is there.
FILL_AT = {
    aten.constant_pad_nd.default: 2,
    aten.masked_fill.Scalar: 2,
    aten.pad.default: 3,
}


def step_of(target: Any, varying: set[int]) -> str:
    """Say how an operator passes the parts on, as a key of `STEPS`.

    Parameters
    ----------
    target : OpOverload or callable
    varying : set of int
        Positions of the arguments that depend on the sequence.
    """
    if target in MOVES:
        return "moved"
    if target in SUMS:
        return "summed"
    if _is_scale(target, varying):
        return "scaled"
    if _is_layer(target, varying):
        return "weighted"
    rule = rule_for(target)
    return "rescaled" if rule is not None and rule.kind == "rescale" else "whole"


def _is_scale(target: Any, varying: set[int]) -> bool:
    if target is aten.mul.Tensor:
        return len(varying) == 1
    return target is BATCH_NORM or (target in SCALES and varying == {0})


def _is_layer(target: Any, varying: set[int]) -> bool:
    if target in LAYERS:
        return varying == {0}
    has_weights = target in MATRIX_PRODUCTS or (target in BIASED_PRODUCTS and 0 not in varying)
    return has_weights and len(varying) == 1


def _values(arguments: Any) -> Any:
    """Put the two lanes of every value in its place."""

    def pick(leaf: object) -> object:
        return leaf.lanes if isinstance(leaf, Streams) else leaf

    return pytree.tree_map(pick, arguments, is_leaf=is_streams)


def _parts(arguments: Any, *, constants: bool) -> Any:
    """Put the two parts of every value in its place, side by side as two lanes are.

    Constants are no part of a difference: they become zero, unless they scale it.
    """

    def pick(leaf: object) -> object:
        if isinstance(leaf, Streams):
            return Lanes(leaf.positive, leaf.negative)
        if isinstance(leaf, Lanes):  # of the batch's size
            same = pick(leaf.reference)
            return Lanes(same, same)
        if not constants and isinstance(leaf, Tensor) and leaf.is_floating_point():
            return torch.zeros_like(leaf)
        return leaf

    return pytree.tree_map(pick, arguments, is_leaf=_is_carried)


def _is_carried(leaf: object) -> bool:
    return isinstance(leaf, (Streams, Lanes))


def _turned(positive: Tensor, negative: Tensor, falls: Any) -> tuple[Tensor, Tensor]:
    """Let the parts change places where a value falls as its input rises."""
    falls = torch.as_tensor(falls, device=positive.device)
    return torch.where(falls, negative, positive), torch.where(falls, positive, negative)


def _moved(target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Streams:
    after = apply(target, *_values(args), **_values(kwargs))
    at = FILL_AT.get(target)
    if at is not None and len(args) > at:
        args = (*args[:at], 0.0, *args[at + 1 :])
    parts = apply(target, *_parts(args, constants=False), **_parts(kwargs, constants=False))
    return Streams(after, parts.sequence, parts.reference)


def _summed(target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Streams:
    after = apply(target, *_values(args), **_values(kwargs))
    positive = negative = torch.zeros_like(after.reference)
    for term, coefficient in zip(args, _coefficients(target, args, kwargs), strict=False):
        if isinstance(term, Streams):
            scaled = term.positive * coefficient, term.negative * coefficient
            up, down = _turned(*scaled, coefficient < 0)
            positive, negative = positive + up, negative + down
    return Streams(after, positive, negative)


def _coefficients(target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[float]:
    if target is aten.neg.default:
        return [-1.0]
    alpha = kwargs.get("alpha", args[2] if len(args) > 2 else 1)
    if target in (aten.rsub.Tensor, aten.rsub.Scalar):
        return [-alpha, 1.0]
    return [1.0, alpha if target in (aten.add.Tensor, aten.add.Scalar) else -alpha]


def _scaled(target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Streams:
    if target is BATCH_NORM:
        return _batch_norm(*args)
    after = apply(target, *_values(args))
    parts = apply(target, *_parts(args, constants=True))
    factor = args[0] if isinstance(args[1], Streams) else args[1]
    factor = factor.reference if isinstance(factor, Lanes) else factor
    positive, negative = _turned(parts.sequence, parts.reference, torch.as_tensor(factor) < 0)
    return Streams(after, positive, negative)


def _batch_norm(
    value: Streams, weight: Any, bias: Any, mean: Tensor, variance: Tensor, *rest: Any
) -> Streams:
    after = apply(BATCH_NORM, value.lanes, weight, bias, mean, variance, *rest)
    parts = Lanes(value.positive, value.negative)
    scaled = apply(BATCH_NORM, parts, weight, None, torch.zeros_like(mean), variance, *rest)
    positive, negative = scaled.sequence[0], scaled.reference[0]
    if weight is not None:
        falls = (weight < 0).reshape(-1, *[1] * (positive.dim() - 2))
        positive, negative = _turned(positive, negative, falls)
    return Streams(after, (positive, 0, 0), (negative, 0, 0))


def _weighted(target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Streams:
    (at,) = (i for i, leaf in enumerate(args) if _varies(leaf))
    after = apply(target, *_detached(args), **kwargs)
    parts = Lanes(*part_by_sign(args[at]))
    product, scale = target, 1.0
    if target in BIASED_PRODUCTS:
        product, scale = BIASED_PRODUCTS[target], kwargs.get("alpha", 1.0)
        args, kwargs, at = args[1:], {}, at - 1
    weight = args[1 - at]
    weight = (weight.reference if isinstance(weight, Lanes) else weight) * scale

    def weigh(weights: Tensor) -> Lanes:
        given = (parts, weights) if at == 0 else (weights, parts)  # a weight is for both parts
        bias = (None,) if product in LAYERS and len(args) > 2 else ()
        return apply(product, *given, *bias, *args[2 + len(bias) :], **kwargs)  # type: ignore[no-any-return]

    raising, lowering = weigh(weight.clamp(min=0)), weigh(weight.clamp(max=0))
    return Streams(
        after,
        raising.sequence + lowering.reference,
        raising.reference + lowering.sequence,
    )


def _varies(leaf: object) -> bool:
    """Tell a value from a constant of the batch's size, which no multiplier goes back through."""
    return isinstance(leaf, Lanes) and bool(leaf.reference.requires_grad)


def _detached(args: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(
        Lanes(leaf.sequence, leaf.reference.detach()) if isinstance(leaf, Lanes) else leaf
        for leaf in args
    )


def _rescaled(target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Streams:
    step = element_wise(target, args, kwargs)
    after, slope = secant(target, step, step.value.lanes)
    positive, negative = step.value.positive * slope, step.value.negative * slope
    return Streams(after, *_turned(positive, negative, slope < 0))


def _whole(target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Streams:
    return by_sign(apply(target, *merge_all(args), **merge_all(kwargs)))


# By name; "weighted" and "whole" take their input as a whole, the others in two parts.
STEPS: dict[str, Callable[[Any, tuple[Any, ...], dict[str, Any]], Streams]] = {
    "moved": _moved,
    "summed": _summed,
    "scaled": _scaled,
    "rescaled": _rescaled,
    "weighted": _weighted,
    "whole": _whole,
}
