"""Element-wise non-linearities: multiplier Δy/Δx, the rescale rule.

Smooth operators and operators with a kink or a jump differ only in where the derivative stands in
(see `slope.py`). Arguments other than the first are constants.
"""

# ruff: noqa: ANN401  (an operator takes and returns anything)

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from seqlift.deeplift.lanes import (
    Lanes,
    difference,
    each_lane,
    flat,
    midpoint,
    paired,
    with_multiplier,
)
from seqlift.deeplift.program import is_followed
from seqlift.deeplift.registry import register
from seqlift.deeplift.slope import (
    is_near_zero,
    is_straight,
    slope,
    slope_of_exp,
    slope_of_softplus,
)

__all__ = ["ElementWise", "derivative", "element_wise", "secant"]

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
    aten.relu.default,
    aten.relu6.default,
    aten.selu.default,
    aten.sign.default,
    aten.softplus.default,
    aten.tan.default,
    aten.threshold.default,
]

# The derivative from input and output, where that is cheaper than a backward pass of its own.
DERIVATIVE: dict[Any, Callable[[Tensor, Tensor], Tensor]] = {
    aten.exp.default: lambda _, y: y,
    aten.sigmoid.default: lambda _, y: y * (1 - y),
    aten.tanh.default: lambda _, y: 1 - y * y,
}


class ElementWise(NamedTuple):
    """An element-wise operator with its constants filled in.

    Attributes
    ----------
    value : Lanes or Streams
        The argument that varies.
    function : callable
        From a tensor to one of the same shape.
    whole : callable or None
        From the value and what comes of it, on two lanes, to the slope, where nothing need be
        divided by a difference that has lost its digits.
    kinked, singular : bool
        See `seqlift.deeplift.slope.is_near_zero`.
    """

    value: Any
    function: Callable[[Tensor], Tensor]
    whole: Callable[[Lanes, Lanes], Tensor] | None
    kinked: bool
    singular: bool


def element_wise(operator: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> ElementWise:
    """Look an element-wise operator up and bind its constants."""
    if operator is aten.pow.Scalar:
        base, value = args
        return ElementWise(value, lambda at: operator(base, at), None, kinked=True, singular=False)
    value, *rest = args
    whole = WHOLE.get(operator)
    return ElementWise(
        value,
        lambda at: operator(at, *rest, **kwargs),
        None if whole is None else lambda value, after: whole(value, after, *rest, **kwargs),
        kinked=operator not in SMOOTH and operator not in SINGULAR,
        singular=operator in SINGULAR,
    )


def derivative(operator: Any, function: Callable[[Tensor], Tensor], at: Tensor) -> Tensor:
    """Differentiate an element-wise operator."""
    if operator in DERIVATIVE:
        return DERIVATIVE[operator](at, function(at))
    with torch.enable_grad():
        at = at.detach().requires_grad_()
        return torch.autograd.grad(function(at).sum(), at)[0]


def secant(operator: Any, step: ElementWise, value: Lanes) -> tuple[Lanes, Tensor]:
    """Return both values of an operator and the slope Δy/Δx between them.

    Returns
    -------
    after : Lanes
        The reference lane is cut from the autograd graph.
    multiplier : Tensor, shape of the reference lane
    """
    after = Lanes(step.function(value.sequence), step.function(value.reference.detach()))
    if step.whole:
        return after, step.whole(value, after)
    delta_in, delta_out, middle = difference(value), difference(after), midpoint(value)
    tangent = derivative(operator, step.function, middle)
    if step.kinked:
        size = 2 * midpoint(each_lane(torch.abs, after))
        stands_in = is_straight(delta_out, tangent * delta_in, size)
    else:
        stands_in = is_near_zero(delta_in, middle, kinked=False, singular=step.singular)
    return after, slope(delta_out, delta_in, tangent, stands_in)


def _relu_slope(value: Lanes, after: Lanes) -> Tensor:
    """Rescale for the commonest activation, in few passes and with no difference to divide by.

    Δy/Δx = (y + y₀)/(|x| + |x₀|): both are 1 where x and x₀ are positive, 0 where neither is, and
    where one is, |x| + |x₀| is |Δx| and y + y₀ is |Δy|. At x = x₀ that is the derivative.
    """
    y_sequence, y_reference = paired(after)
    tiny = torch.finfo(y_sequence.dtype).tiny  # at x = x₀ = 0 the multiplier is 0
    sizes = Lanes(value.sequence.abs() + tiny, value.reference.detach().abs())
    size_sequence, size_reference = paired(sizes)
    if is_followed():  # a compiler makes one pass of it
        multiplier = (y_sequence + y_reference) / (size_reference + size_sequence)
    else:
        multiplier = (y_sequence + y_reference).div_(size_reference.add_(size_sequence))
    return flat(multiplier, value.reference)


def _exp_slope(value: Lanes, after: Lanes) -> Tensor:
    return flat(slope_of_exp(*paired(value)), value.reference)


def _softplus_slope(
    value: Lanes, after: Lanes, beta: float = 1.0, threshold: float = 20.0
) -> Tensor:
    """Rescale. Above its threshold the operator is a straight line; there it has a small jump."""
    x, x0 = (beta * lane for lane in paired(value))
    rise = beta * torch.sub(*paired(after))
    is_line, is_line0 = x > threshold, x0 > threshold
    curve = torch.where(is_line & is_line0, 1.0, slope_of_softplus(x, x0, rise))
    secant = rise / (x - x0)
    multiplier = torch.where((is_line ^ is_line0) & secant.isfinite(), secant, curve)
    return flat(multiplier, value.reference)


WHOLE: dict[Any, Callable[..., Tensor]] = {
    aten.exp.default: _exp_slope,
    aten.relu.default: _relu_slope,
    aten.softplus.default: _softplus_slope,
}


@register([*SMOOTH, *SINGULAR, *KINKED], "rescale", formula=SECANT, source=PAPER)
@register([aten.pow.Scalar], "rescale", varying=(1,), formula=SECANT, source=PAPER)
def _rescale(operator: Any, *args: Any, **kwargs: Any) -> Lanes:
    step = element_wise(operator, args, kwargs)
    after, multiplier = secant(operator, step, step.value)
    return Lanes(after.sequence, with_multiplier(step.value.reference, after.reference, multiplier))
