"""Normalisations, written as compositions of operators that have a rule.

Statistics (mean, variance, norm) vary with the sequence like anything else; nothing is held
constant. Softmax is taken apart in log space, so that it stays finite for any logits and masks.
"""

# ruff: noqa: ANN401  (an operator takes and returns anything)

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from seqlift.deeplift.lanes import Lanes, each_lane, flat, paired, with_multiplier
from seqlift.deeplift.registry import apply, register
from seqlift.deeplift.slope import slope_of_exp, slope_of_log

__all__: list[str] = []

aten = torch.ops.aten

COMPOSED = "our own: composition of linear, rescale and product"
CENTRED = "a = x − mean, v = (mean a² + ε)^-½, y = a·v: linear, rescale, product"
LOG_SPACE = "L = log Σ exp x: rescale of exp and log; log-softmax = x − L, softmax = exp(x − L)"


def _affine(value: Any, weight: Any, bias: Any) -> Any:
    value = value if weight is None else apply(aten.mul.Tensor, value, weight)
    return value if bias is None else apply(aten.add.Tensor, value, bias)


def _per_channel(parameter: Tensor | None, rank: int) -> Tensor | None:
    return None if parameter is None else parameter.reshape(1, -1, *[1] * (rank - 2))


def _scaled(value: Lanes, axes: Sequence[int], eps: float) -> Any:
    """Divide by the root mean square over some axes."""
    power = apply(aten.mean.dim, apply(aten.square.default, value), axes, True)
    inverse = apply(aten.rsqrt.default, apply(aten.add.Scalar, power, eps))
    return apply(aten.mul.Tensor, value, inverse)


def _centred(value: Lanes, axes: Sequence[int]) -> Any:
    return apply(aten.sub.Tensor, value, apply(aten.mean.dim, value, axes, True))


@register([aten.layer_norm.default], "normalise", formula=CENTRED, source=COMPOSED)
def _layer_norm(
    operator: Any,
    value: Lanes,
    shape: Sequence[int],
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
    cudnn_enable: bool = True,
) -> Any:
    axes = list(range(-len(shape), 0))
    return _affine(_scaled(_centred(value, axes), axes, eps), weight, bias)


@register([aten.native_layer_norm.default], "normalise", formula=CENTRED, source=COMPOSED)
def _native_layer_norm(
    operator: Any, value: Lanes, shape: Sequence[int], weight: Any, bias: Any, eps: float
) -> Lanes:
    after = _layer_norm(operator, value, shape, weight, bias, eps)
    return each_lane(lambda lane: (lane, None, None), after)


@register(
    [aten.rms_norm.default],
    "normalise",
    formula="v = (mean x² + ε)^-½, y = x·v: rescale, product",
    source=COMPOSED,
)
def _rms_norm(
    operator: Any, value: Lanes, shape: Sequence[int], weight: Any = None, eps: float | None = None
) -> Any:
    eps = torch.finfo(value.sequence.dtype).eps if eps is None else eps
    return _affine(_scaled(value, list(range(-len(shape), 0)), eps), weight, None)


@register([aten.group_norm.default], "normalise", formula=CENTRED, source=COMPOSED)
def _group_norm(
    operator: Any,
    value: Lanes,
    groups: int,
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
    cudnn_enabled: bool = True,
) -> Any:
    rank = value.sequence.dim()
    grouped = apply(aten.unflatten.int, value, 1, [groups, -1])
    axes = list(range(2, rank + 1))
    after = apply(aten.flatten.using_ints, _scaled(_centred(grouped, axes), axes, eps), 1, 2)
    return _affine(after, _per_channel(weight, rank), _per_channel(bias, rank))


@register([aten.instance_norm.default], "normalise", formula=CENTRED, source=COMPOSED)
def _instance_norm(
    operator: Any,
    value: Lanes,
    weight: Any,
    bias: Any,
    running_mean: Any,
    running_var: Any,
    use_input_stats: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool,
) -> Any:
    rank = value.sequence.dim()
    weight, bias = _per_channel(weight, rank), _per_channel(bias, rank)
    if use_input_stats:
        axes = list(range(2, rank))
        return _affine(_scaled(_centred(value, axes), axes, eps), weight, bias)
    centred = apply(aten.sub.Tensor, value, _per_channel(running_mean, rank))
    deviation = torch.sqrt(running_var + eps)
    return _affine(apply(aten.div.Tensor, centred, _per_channel(deviation, rank)), weight, bias)


@register(
    [aten.var.correction],
    "normalise",
    formula="Σ (x − mean)² / (n − correction): linear, rescale",
    source=COMPOSED,
)
def _variance(
    operator: Any,
    value: Lanes,
    axes: Sequence[int] | None = None,
    *,
    correction: float | None = None,
    keepdim: bool = False,
) -> Any:
    axes = list(range(value.sequence.dim())) if not axes else list(axes)
    count = math.prod(value.sequence.shape[axis] for axis in axes)
    squares = apply(aten.square.default, _centred(value, axes))
    total = apply(aten.sum.dim_IntList, squares, axes, keepdim)
    return apply(aten.div.Scalar, total, count - (1 if correction is None else correction))


@register(
    [aten.linalg_vector_norm.default],
    "normalise",
    formula="(Σ |x|^p)^(1/p): rescale, linear, rescale; the maximum of |x| for p = ∞",
    source=COMPOSED,
)
def _vector_norm(
    operator: Any,
    value: Lanes,
    order: float = 2,
    axes: Sequence[int] | None = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
) -> Any:
    axes = list(range(value.sequence.dim())) if axes is None else list(axes)
    sizes = apply(aten.abs.default, value)
    if math.isinf(order):
        extreme = aten.amax.default if order > 0 else aten.amin.default
        return apply(extreme, sizes, axes, keepdim)
    if order in (0, 1):
        sizes = apply(aten.sign.default, sizes) if order == 0 else sizes  # 0 counts
        return apply(aten.sum.dim_IntList, sizes, axes, keepdim)
    powers = apply(aten.pow.Tensor_Scalar, sizes, order)
    total = apply(aten.sum.dim_IntList, powers, axes, keepdim)
    return apply(aten.pow.Tensor_Scalar, total, 1 / order)


def _log_sum_weights(sequence: Tensor, reference: Tensor, axes: list[int]) -> Tensor:
    """Return ΔL/Δx for every term: (Δ exp x / Δx) · (Δ log s / Δs), both lanes shifted alike."""
    shift = torch.maximum(sequence, reference).amax(axes, keepdim=True)
    shift = shift.nan_to_num(0.0, 0.0, 0.0)
    total = (sequence - shift).exp().sum(axes, keepdim=True)
    total0 = (reference - shift).exp().sum(axes, keepdim=True)
    # Shifted alike, the smaller sum may vanish; its logarithm does not.
    rise = sequence.logsumexp(axes, keepdim=True) - reference.logsumexp(axes, keepdim=True)
    return slope_of_exp(sequence - shift, reference - shift) * slope_of_log(total, total0, rise)


def _log_sum_exp(value: Lanes, axes: Any) -> Lanes:
    """Return log Σ exp over some axes, which are kept with size one."""
    axes = [axes] if isinstance(axes, int) else list(axes)
    rank = value.sequence.dim()
    from_end = [axis % rank - rank for axis in axes]  # `paired` may add an axis in front
    weights = flat(_log_sum_weights(*paired(value), from_end), value.reference)
    at_reference = value.reference.detach().logsumexp(axes, keepdim=True)
    after = with_multiplier(value.reference, at_reference, weights)
    return Lanes(value.sequence.logsumexp(axes, keepdim=True), after)


@register([aten.logsumexp.default], "normalise", formula=LOG_SPACE, source=COMPOSED)
def _logsumexp(operator: Any, value: Lanes, axes: Any, keepdim: bool = False) -> Any:
    after = _log_sum_exp(value, axes)
    return after if keepdim else each_lane(lambda lane: lane.squeeze(axes), after)


@register(
    [aten.log_softmax.int, aten._log_softmax.default],
    "normalise",
    formula=LOG_SPACE,
    source=COMPOSED,
)
def _log_softmax(operator: Any, value: Lanes, axis: int, dtype: Any = None) -> Any:
    return apply(aten.sub.Tensor, value, _log_sum_exp(value, axis))


@register(
    [aten.softmax.int, aten._softmax.default], "normalise", formula=LOG_SPACE, source=COMPOSED
)
def _softmax(operator: Any, value: Lanes, axis: int, dtype: Any = None) -> Any:
    return apply(aten.exp.default, _log_softmax(operator, value, axis))


def _as_addend(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """Turn a mask of what may be seen into numbers to add to the scores."""
    if mask.dtype != torch.bool:
        return mask
    return torch.zeros_like(mask, dtype=dtype).masked_fill(~mask, -math.inf)


def _shared_heads(value: Any, query: Tensor) -> Any:
    heads = (value.sequence if isinstance(value, Lanes) else value).shape[-3]
    return apply(aten.repeat_interleave.self_int, value, query.shape[-3] // heads, -3)


@register(
    [aten.scaled_dot_product_attention.default],
    "normalise",
    varying=(0, 1, 2),
    formula="softmax(q·kᵀ·scale + mask)·v: product, normalise, product",
    source=COMPOSED,
)
def _attention(
    operator: Any,
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    example = query.sequence if isinstance(query, Lanes) else query
    scale = example.shape[-1] ** -0.5 if scale is None else scale
    if enable_gqa:
        key, value = _shared_heads(key, example), _shared_heads(value, example)
    scores = apply(aten.matmul.default, query, apply(aten.transpose.int, key, -2, -1))
    scores = apply(aten.mul.Scalar, scores, scale)
    if is_causal:
        n_queries, n_keys = (scores.sequence if isinstance(scores, Lanes) else scores).shape[-2:]
        attn_mask = torch.ones(n_queries, n_keys, dtype=torch.bool, device=example.device).tril()
    if attn_mask is None:
        return apply(aten.matmul.default, apply(aten.softmax.int, scores, -1), value)
    # One mask for each lane, since its size may be that of the batch.
    masks = each_lane(lambda mask: _as_addend(mask, example.dtype), attn_mask)
    weights = apply(aten.softmax.int, apply(aten.add.Tensor, scores, masks), -1)
    sees_nothing = each_lane(lambda mask: (mask == -math.inf).all(-1, keepdim=True), masks)
    weights = apply(aten.masked_fill.Scalar, weights, sees_nothing, 0.0)
    return apply(aten.matmul.default, weights, value)
