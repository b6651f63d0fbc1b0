"""Two operators of our own, of which the targets of a profile are made.

Profile models end in logits over the positions of a window, and what is explained of them is a sum
of logits weighted by their softmax. Two conventions of that are in use; each needs one operator
that torch does not have.
"""

# ruff: noqa: ANN401  (an operator takes and returns anything)

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from seqlift.deeplift.lanes import Lanes, difference, flat, midpoint, paired, with_multiplier
from seqlift.deeplift.registry import register
from seqlift.deeplift.slope import is_near_zero, slope

__all__ = ["HOLD", "TIMES_SOFTMAX"]

_library = torch.library.Library("seqlift", "FRAGMENT")  # type: ignore[no-untyped-call]
_library.define("hold(Tensor value) -> Tensor")  # type: ignore[no-untyped-call]
_library.define("times_softmax(Tensor logits) -> Tensor")  # type: ignore[no-untyped-call]


def _times_softmax(logits: Tensor) -> Tensor:
    """Weight the logits of each row, shape (row, position), by their softmax."""
    return logits * logits.softmax(1)


# Without a gradient, so that methods that differentiate the model hold the value as well.
_library.impl("hold", lambda value: value.detach(), "CompositeImplicitAutograd")  # type: ignore[no-untyped-call]
_library.impl("times_softmax", _times_softmax, "CompositeImplicitAutograd")  # type: ignore[no-untyped-call]

HOLD = torch.ops.seqlift.hold.default
TIMES_SOFTMAX = torch.ops.seqlift.times_softmax.default


@register(
    [HOLD],
    "held",
    formula="y = y₀ = x: at references too, the value is that at the sequence",
    source="our own; what ChromBPNet's profile target asks of its stop_gradient",
)
def _hold(operator: Any, value: Lanes) -> Lanes:
    sequence, reference = paired(value)
    return Lanes(value.sequence.detach(), flat(sequence.expand_as(reference), value.reference))


@register(
    [TIMES_SOFTMAX],
    "normalise",
    formula="y = x·softmax(x) as one element-wise step: m = Δy/Δx; its own derivative where Δx is "
    "zero",
    source="bpnet-lite, ProfileWrapper",
)
def _scale(operator: Any, logits: Lanes) -> Lanes:
    after = Lanes(_times_softmax(logits.sequence), _times_softmax(logits.reference.detach()))
    delta_in, middle = difference(logits), midpoint(logits)
    # A number changes with the others too, so the slope is steep where its own difference is small.
    near_zero = is_near_zero(delta_in, middle, kinked=True)
    weight = middle.softmax(1)
    derivative = weight * (1 + middle * (1 - weight))
    multiplier = slope(difference(after), delta_in, derivative, near_zero)
    return Lanes(after.sequence, with_multiplier(logits.reference, after.reference, multiplier))
