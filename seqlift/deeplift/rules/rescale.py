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

from seqlift.deeplift.lanes import Lanes, difference, midpoint, with_multiplier
from seqlift.deeplift.registry import register
from seqlift.deeplift.slope import is_near_zero, slope

__all__: list[str] = []

aten = torch.ops.aten

PAPER = "Shrikumar et al. 2017, section 3.5.2, Rescale"
SECANT = "m = Δy/Δx; the derivative at the midpoint where Δx is near zero"

SMOOTH = [
    aten.acos.default,
    aten.asin.default,
    aten.asinh.default,
    aten.atan.default,
    aten.cos.default,
    aten.cosh.default,
    aten.erf.default,
    aten.exp.default,
    aten.exp2.default,
    aten.expm1.default,
    aten.gelu.default,
    aten.log.default,
    aten.log10.default,
    aten.log1p.default,
    aten.log2.default,
    aten.log_sigmoid.default,
    aten.mish.default,
    aten.reciprocal.default,
    aten.rsqrt.default,
    aten.sigmoid.default,
    aten.silu.default,
    aten.sin.default,
    aten.sinh.default,
    aten.softplus.default,
    aten.square.default,
    aten.tan.default,
    aten.tanh.default,
]

KINKED = [
    aten.abs.default,
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
    aten.pow.Tensor_Scalar,  # odd roots and negative powers turn sharply at zero
    aten.prelu.default,
    aten.relu6.default,
    aten.selu.default,
    aten.sign.default,
    aten.sqrt.default,
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
    operator: Any, value: Lanes, function: Callable[[Tensor], Tensor], kinked: bool
) -> Lanes:
    after = Lanes(function(value.sequence), function(value.reference.detach()))
    delta_in, middle = difference(value), midpoint(value)
    multiplier = slope(
        difference(after),
        delta_in,
        _derivative(function, operator, middle),
        is_near_zero(delta_in, middle, kinked=kinked),
    )
    return Lanes(after.sequence, with_multiplier(value.reference, after.reference, multiplier))


@register(SMOOTH, "rescale", formula=SECANT, source=PAPER)
def _smooth(operator: Any, value: Lanes, *rest: Any, **kwargs: Any) -> Lanes:
    return _rescale(operator, value, lambda at: operator(at, *rest, **kwargs), kinked=False)


@register(KINKED, "rescale", formula=SECANT, source=PAPER)
def _kinked(operator: Any, value: Lanes, *rest: Any, **kwargs: Any) -> Lanes:
    return _rescale(operator, value, lambda at: operator(at, *rest, **kwargs), kinked=True)


@register([aten.pow.Scalar], "rescale", varying=(1,), formula=SECANT, source=PAPER)
def _exponent(operator: Any, base: float, value: Lanes) -> Lanes:
    return _rescale(operator, value, lambda at: operator(base, at), kinked=False)


@register([aten.relu.default], "rescale", formula=SECANT, source=PAPER)
def _relu(operator: Any, value: Lanes) -> Lanes:
    """Rescale for the commonest activation in few passes over memory.

    Both branches are exact, so Δy/Δx is exact for every Δx but zero.
    """
    after = Lanes(operator(value.sequence), operator(value.reference.detach()))
    delta_in = difference(value)
    multiplier = difference(after).div_(delta_in)
    is_active = (value.reference.detach() > 0).to(multiplier.dtype)
    multiplier = torch.where(delta_in == 0, is_active, multiplier)
    return Lanes(after.sequence, with_multiplier(value.reference, after.reference, multiplier))
