"""The one place that divides by a difference.

A slope Δout/Δin loses its digits when Δin is small. There the derivative at the midpoint stands in,
which is the slope up to a third-order term. How small is small follows from the floating-point
type:

* For a smooth operator the secant errs by about eps/Δ (cancellation) and the midpoint derivative by
  about Δ² (curvature), so the two are equally good at Δ = eps^(1/3); both are then right to
  eps^(2/3). The scale of the curvature is 1, or the argument itself for operators that are singular
  at zero (log, 1/x, roots).
* An operator with a kink is piecewise simple: the secant is right down to rounding, the derivative
  is wrong by half the kink wherever the two points lie on different sides. The derivative stands in
  only where the difference is rounding noise of the two points themselves.

Either way completeness is kept to rounding: an error of the slope is multiplied by the Δin that
made it. Our own; captum uses 1e-10, tangermeme and shap 1e-6, the original deeplift 1e-7, all with
the derivative at an end point.
"""

from __future__ import annotations

import torch
from torch import Tensor

from seqlift.deeplift.program import is_followed

__all__ = ["is_near_zero", "slope"]

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


def slope(delta_out: Tensor, delta_in: Tensor, derivative: Tensor, near_zero: Tensor) -> Tensor:
    """Divide Δout by Δin; where `near_zero`, return the derivative.

    A derivative that is not finite (a root at zero) stands in as zero: nothing changes there.
    """
    secant = delta_out / delta_in  # what a division by nothing gives is not taken
    return torch.where(near_zero, derivative.nan_to_num(0.0, 0.0, 0.0), secant)
