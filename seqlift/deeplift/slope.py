"""The one place that divides by a difference.

A slope Δout/Δin loses its digits when Δin is small. There the derivative at the midpoint stands in,
which is the slope up to a third-order term. How small is small follows from the floating-point
type:

* For a smooth operator the secant errs by about eps/Δ (cancellation) and the midpoint derivative by
  about Δ² (curvature), so the two are equally good at Δ = eps^(1/3); both are then right to
  eps^(2/3). The scale of the curvature is 1, or the argument itself for operators that are singular
  at zero (log, 1/x, roots).
* An operator with a kink is piecewise simple, and where the two points lie on different sides of
  the kink the derivative is wrong, by half of it and more. It stands in where it says the same as
  the secant but for the rounding of what the secant is made of (`is_straight`); in composed rules
  (profile heads, RevealCancel) only where Δ is rounding noise of the two points themselves.

Either way completeness is kept to rounding: an error of the slope is multiplied by the Δin that
made it.

Where the difference can be written so that nothing cancels, no digit is lost and nothing stands in:
that of exponentials, sums of them, and softplus, which the last layers of models are made of.

Our own; captum uses 1e-10, tangermeme and shap 1e-6, the original deeplift 1e-7, all with
the derivative at an end point.
"""

from __future__ import annotations

import torch
from torch import Tensor

from seqlift.deeplift.program import is_followed

__all__ = [
    "is_near_zero",
    "is_straight",
    "slope",
    "slope_of_exp",
    "slope_of_log",
    "slope_of_softplus",
]

# Rounding of a value, relative to its size, a few operations deep.
ROUNDING_STEPS = 8


def is_near_zero(
    delta_in: Tensor, middle: Tensor, *, kinked: bool, singular: bool = False
) -> Tensor:
    """Say where a difference is too small to be divided by.

    Parameters
    ----------
    delta_in : Tensor
        Input at the sequence minus input at the reference.
    middle : Tensor, same shape
        The point halfway between the two.
    kinked : bool
        Whether the operator has kinks or jumps, or is singular somewhere else than at zero.
    singular : bool
        Whether the operator is smooth save at zero (log, 1/x, roots and other powers).

    Returns
    -------
    Tensor of bool. NaN differences (both points infinite) count as zero.
    """
    eps = torch.finfo(delta_in.dtype).eps
    if kinked:
        size = middle.abs()
        limit = size * (ROUNDING_STEPS * eps) if is_followed() else size.mul_(ROUNDING_STEPS * eps)
    else:
        limit = eps ** (1 / 3) * (middle.abs().clamp(max=1.0) if singular else 1.0)
    return ~(delta_in.abs() > limit)


def is_straight(delta_out: Tensor, rise: Tensor, size: Tensor) -> Tensor:
    """Say where Δout is what the derivative makes of Δin, but for the rounding of the two outputs.

    Parameters
    ----------
    delta_out : Tensor
    rise : Tensor, same shape
        The derivative at the midpoint times Δin.
    size : Tensor, same shape
        The sizes of the two outputs, added.

    Returns
    -------
    Tensor of bool. NaN (points at infinity) counts as straight.
    """
    limit = size * (2 * torch.finfo(delta_out.dtype).eps)
    return ~((delta_out - rise).abs() > limit)


def slope(delta_out: Tensor, delta_in: Tensor, derivative: Tensor, near_zero: Tensor) -> Tensor:
    """Divide Δout by Δin; where `near_zero`, return the derivative.

    A derivative that is not finite (a root at zero) stands in as zero: nothing changes there.
    """
    secant = delta_out / delta_in  # what a division by nothing gives is not taken
    return torch.where(near_zero, derivative.nan_to_num(0.0, 0.0, 0.0), secant)


def slope_of_exp(sequence: Tensor, reference: Tensor) -> Tensor:
    """Return (e^x − e^x₀)/(x − x₀) as the larger power times (1 − e^−d)/d, where d = |x − x₀|.

    Two points at minus infinity have the slope zero, and so have two that are no number (a softmax
    of nothing but those).
    """
    step = (sequence - reference).abs()
    share = torch.where(step > 0, -torch.expm1(-step) / step, 1.0)
    return (torch.maximum(sequence, reference).exp() * share).nan_to_num(0.0, torch.inf)


def slope_of_log(sequence: Tensor, reference: Tensor, rise: Tensor) -> Tensor:
    """Return (log x − log x₀)/(x − x₀) as −log(1 − u)/u over the larger, which is larger by u.

    Parameters
    ----------
    sequence, reference : Tensor
        Not negative. Two zeros have the slope zero: nothing changes there.
    rise : Tensor
        log x − log x₀ however it was computed; taken where u is half and more.
    """
    larger = torch.maximum(sequence, reference)
    part = (sequence - reference).abs() / larger
    close = torch.where(part > 0, -torch.log1p(-part) / part, 1.0) / larger
    return torch.where(part < 0.5, close, rise / (sequence - reference)).nan_to_num(0.0, 0.0, 0.0)


def slope_of_softplus(sequence: Tensor, reference: Tensor, rise: Tensor) -> Tensor:
    """Return the slope of log(1 + e^x) as −log(1 − σ(larger)·(1 − e^−d))/d, where d = |x − x₀|.

    Parameters
    ----------
    sequence, reference : Tensor
    rise : Tensor
        The difference between the values; taken where d is one and more.
    """
    step = sequence - reference
    size = step.abs()
    at_larger = torch.sigmoid(torch.maximum(sequence, reference))
    close = -torch.log1p(at_larger * torch.expm1(-size)) / size
    found = torch.where(size >= 1, rise / step, torch.where(size > 0, close, at_larger))
    return torch.where(found.isnan(), at_larger, found)
