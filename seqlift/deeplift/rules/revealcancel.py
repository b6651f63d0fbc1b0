"""RevealCancel: the positive and the negative part of a difference are told apart.

With f the activation, r its input at the reference, p and n the positive and the negative part of
Δin, the effect of either part is the mean of adding it before and after the other:

    Δout⁺ = ½ [f(r+p) − f(r) + f(r+n+p) − f(r+n)],  Δout⁻ = ½ [f(r+n) − f(r) + f(r+p+n) − f(r+p)]

and the multipliers are Δout⁺/p and Δout⁻/n (Shrikumar et al. 2017, section 3.5.3). Where a part is
near zero the derivative at the middle of its two steps stands in.
"""

# ruff: noqa: ANN401  (an operator takes and returns anything)

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from seqlift.deeplift.lanes import Lanes, flat, paired, with_multiplier
from seqlift.deeplift.rules.rescale import (
    KINKED,
    SMOOTH,
    ElementWise,
    derivative,
    element_wise,
)
from seqlift.deeplift.slope import is_near_zero, slope
from seqlift.deeplift.streams import Streams

__all__ = ["FORMULA", "REVEALABLE", "SOURCE", "reveal_cancel"]

aten = torch.ops.aten

FORMULA = "m⁺ = ½[f(r+p)−f(r)+f(r+n+p)−f(r+n)]/p, m⁻ = ½[f(r+n)−f(r)+f(r+p+n)−f(r+p)]/n"
SOURCE = "Shrikumar et al. 2017, section 3.5.3, RevealCancel"

# f is asked for at r+p and r+n, where neither the sequence nor the reference is: it must be
# defined everywhere.
REVEALABLE = {*SMOOTH, *KINKED, aten.pow.Scalar} - {
    aten.acos.default,
    aten.asin.default,
    aten.log1p.default,
    aten.tan.default,
}


def reveal_cancel(operator: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Streams:
    """Apply an element-wise operator to a value that is known in two parts.

    References
    ----------
    Shrikumar et al. 2017, section 3.5.3.
    """
    step = element_wise(operator, args, kwargs)
    value: Streams = step.value
    start = value.lanes.reference
    p, n = value.positive.detach(), value.negative.detach()
    after = Lanes(step.function(value.lanes.sequence), step.function(start))
    end, before = _in_pairs(after)
    with_p, with_n = step.function(start + p), step.function(start + n)
    raised = ((with_p - before) + (end - with_n)) / 2
    lowered = ((with_n - before) + (end - with_p)) / 2
    size = start.abs() + p - n  # n is not positive
    from_p = _multiplier(operator, step, raised, p, (start, start + n), size)
    from_n = _multiplier(operator, step, lowered, n, (start, start + p), size)
    return Streams(
        after,
        *_turned(
            (with_multiplier(value.positive, raised, from_p), from_p < 0),
            (with_multiplier(value.negative, lowered, from_n), from_n < 0),
        ),
    )


def _in_pairs(after: Lanes) -> tuple[Tensor, Tensor]:
    sequence, reference = paired(after)
    return flat(sequence.expand_as(reference), after.reference), after.reference


def _multiplier(
    operator: Any,
    step: ElementWise,
    change: Tensor,
    part: Tensor,
    starts: tuple[Tensor, Tensor],
    size: Tensor,
) -> Tensor:
    """Divide the effect of a part by the part; `starts` are the points from which it is added."""
    near_zero = is_near_zero(part, size, kinked=step.kinked)
    # At a kink, the derivative above it, as the authors' positive pseudo-count has it.
    above = [torch.nextafter(start + part / 2, start.new_full((), torch.inf)) for start in starts]
    slopes = [derivative(operator, step.function, at) for at in above]
    return slope(change, part, (slopes[0] + slopes[1]) / 2, near_zero)


def _turned(of_p: tuple[Tensor, Tensor], of_n: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Let an effect change its part where f falls; of each part its effect, and whether it falls.

    The multiplier tells, not the effect: of a part that is zero that would be rounding noise.
    """
    (effect_p, p_falls), (effect_n, n_falls) = of_p, of_n
    nothing = effect_p.new_zeros(())
    positive = torch.where(p_falls, nothing, effect_p) + torch.where(n_falls, effect_n, nothing)
    negative = torch.where(p_falls, effect_p, nothing) + torch.where(n_falls, nothing, effect_n)
    return positive, negative
