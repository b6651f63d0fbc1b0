"""Element-wise non-linearities: multiplier Δy/Δx, the rescale rule.

Smooth operators and operators with a kink or a jump differ only in where the derivative stands in
(see `slope.py`). Arguments other than the first are constants.
"""

# ruff: noqa: ANN401  (an operator takes and returns anything)

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from seqlift.deeplift.lanes import Lanes, difference, flat, midpoint, paired, with_multiplier
from seqlift.deeplift.registry import register
from seqlift.deeplift.slope import is_near_zero, slope

__all__: list[str] = []

aten = torch.ops.aten

PAPER = "Shrikumar et al. 2017, section 3.5.2, Rescale"
SECANT = "m = Δy/Δx; the derivative at the midpoint where Δx is near zero"

SMOOTH = [
    aten.asinh.default,
    aten.atan.default,
    aten.cos.default,
    aten.cosh.default,
    aten.erf.default,
    aten.exp.default,
    aten.exp2.default,
    aten.expm1.default,
    aten.gelu.default,
    aten.log_sigmoid.default,
    aten.mish.default,
    aten.sigmoid.default,
    aten.silu.default,
    aten.sin.default,
    aten.sinh.default,
    aten.square.default,
    aten.tanh.default,
]

# Smooth, but singular at zero, or of no scale of its own.
SINGULAR = [
    aten.log.default,
    aten.log10.default,
    aten.log2.default,
    aten.pow.Tensor_Scalar,
    aten.reciprocal.default,
    aten.rsqrt.default,
    aten.sqrt.default,
]

# With kinks or jumps, or singular somewhere else.
KINKED = [
    aten.abs.default,
    aten.acos.default,
    aten.asin.default,
    aten.celu.default,
    aten.clamp.default,
    aten.clamp.Tensor,
    aten.clamp_max.default,
    aten.clamp_min.default,
    aten.elu.default,
    aten.hardsigmoid.default,
    aten.hardswish.default,
    aten.hardtanh.default,
    aten.leaky_relu.default,
    aten.log1p.default,
    aten.prelu.default,
    aten.relu6.default,
    aten.selu.default,
    aten.sign.default,
    aten.softplus.default,  # a straight line above its threshold, and as steep as beta
    aten.tan.default,
    aten.threshold.default,
]

# The derivative from input and output, where that is cheaper than a backward pass of its own.
DERIVATIVE: dict[Any, Callable[[Tensor, Tensor], Tensor]] = {
    aten.exp.default: lambda _, y: y,
    aten.sigmoid.default: lambda _, y: y * (1 - y),
    aten.tanh.default: lambda _, y: 1 - y * y,
}


def _derivative(function: Callable[[Tensor], Tensor], operator: Any, at: Tensor) -> Tensor:
    if operator in DERIVATIVE:
        return DERIVATIVE[operator](at, function(at))
    with torch.enable_grad():
        at = at.detach().requires_grad_()
        return torch.autograd.grad(function(at).sum(), at)[0]


def _rescale(
    operator: Any,
    value: Lanes,
    function: Callable[[Tensor], Tensor],
    *,
    kinked: bool = False,
    singular: bool = False,
) -> Lanes:
    after = Lanes(function(value.sequence), function(value.reference.detach()))
    delta_in, middle = difference(value), midpoint(value)
    multiplier = slope(
        difference(after),
        delta_in,
        _derivative(function, operator, middle),
        is_near_zero(delta_in, middle, kinked=kinked, singular=singular),
    )
    return Lanes(after.sequence, with_multiplier(value.reference, after.reference, multiplier))


@register(SMOOTH, "rescale", formula=SECANT, source=PAPER)
def _smooth(operator: Any, value: Lanes, *rest: Any, **kwargs: Any) -> Lanes:
    return _rescale(operator, value, lambda at: operator(at, *rest, **kwargs))


@register(SINGULAR, "rescale", formula=SECANT, source=PAPER)
def _singular(operator: Any, value: Lanes, *rest: Any) -> Lanes:
    return _rescale(operator, value, lambda at: operator(at, *rest), singular=True)


@register(KINKED, "rescale", formula=SECANT, source=PAPER)
def _kinked(operator: Any, value: Lanes, *rest: Any, **kwargs: Any) -> Lanes:
    return _rescale(operator, value, lambda at: operator(at, *rest, **kwargs), kinked=True)


@register([aten.pow.Scalar], "rescale", varying=(1,), formula=SECANT, source=PAPER)
def _exponent(operator: Any, base: float, value: Lanes) -> Lanes:
    return _rescale(operator, value, lambda at: operator(base, at), kinked=True)


@register([aten.relu.default], "rescale", formula=SECANT, source=PAPER)
def _relu(operator: Any, value: Lanes) -> Lanes:
    """Rescale for the commonest activation, in few passes and with no difference to divide by.

    Δy/Δx = (y + y₀)/(|x| + |x₀|): both are 1 where x and x₀ are positive, 0 where neither is, and
    where one is, |x| + |x₀| is |Δx| and y + y₀ is |Δy|. At x = x₀ that is the derivative.
    """
    after = Lanes(operator(value.sequence), operator(value.reference.detach()))
    y_sequence, y_reference = paired(after)
    tiny = torch.finfo(y_sequence.dtype).tiny  # at x = x₀ = 0 the multiplier is 0
    sizes = Lanes(value.sequence.abs() + tiny, value.reference.detach().abs())
    size_sequence, size_reference = paired(sizes)
    multiplier = (y_sequence + y_reference).div_(size_reference.add_(size_sequence))
    return Lanes(
        after.sequence,
        with_multiplier(value.reference, after.reference, flat(multiplier, value.reference)),
    )
