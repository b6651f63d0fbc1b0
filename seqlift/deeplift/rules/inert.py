"""Operators that carry nothing: sizes, and constants made to measure.

Their result depends on the shape of a varying value, not on the value, so both lanes may differ in
shape only. Any argument may vary.
"""

# ruff: noqa: ANN401  (an operator takes and returns anything)

from __future__ import annotations

from typing import Any

import torch

from seqlift.deeplift.lanes import Lanes, each_lane
from seqlift.deeplift.registry import register

__all__: list[str] = []

aten = torch.ops.aten

INERT = [
    aten.empty_like.default,
    aten.full_like.default,
    aten.new_empty.default,
    aten.new_full.default,
    aten.new_ones.default,
    aten.new_zeros.default,
    aten.ones_like.default,
    aten.sym_numel.default,
    aten.sym_size.int,
    aten.zeros_like.default,
]


@register(INERT, "inert", varying=None, formula="m = 0", source="our own: depends on shape alone")
def _inert(operator: Any, *args: Any, **kwargs: Any) -> Lanes:
    return each_lane(operator, *args, **kwargs)
