"""Products: the midpoint rule where both factors vary, the linear rule where one is constant.

For y = a·b the multipliers are (b + b₀)/2 for a and (a + a₀)/2 for b. They share the interaction
ΔaΔb equally (the Shapley value of two players) and sum to Δy exactly, for every bilinear operator.
"""

# ruff: noqa: ANN401  (an operator takes and returns anything)

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from seqlift.deeplift.lanes import Lanes, each_lane, is_floating, midpoint
from seqlift.deeplift.registry import apply, register

__all__ = ["value_of"]

aten = torch.ops.aten

MIDPOINT = "m_a = (b + b₀)/2, m_b = (a + a₀)/2; the other factor where it is constant"
SHAPLEY = "our own: the Shapley value of two factors, as Lundberg & Lee 2017 for products"


class _ValueOf(torch.autograd.Function):
    """A value that takes its derivatives from another expression of the same shape."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, expression: Tensor) -> Tensor:
        return value

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, Tensor]:
        return None, gradients[0]


def value_of(value: Tensor, expression: Tensor) -> Tensor:
    """Return a value that takes its derivatives from another expression of the same shape."""
    return _ValueOf.apply(value, expression)  # type: ignore[no-any-return,no-untyped-call]


def _product(operator: Any, a: Lanes, b: Lanes) -> Lanes:
    middle_a, middle_b = midpoint(a), midpoint(b)
    value = operator(a.reference.detach(), b.reference.detach())
    expression = operator(a.reference, middle_b) + operator(middle_a, b.reference)
    return Lanes(
        operator(a.sequence, b.sequence),
        value_of(value, expression),
    )


@register(
    [
        aten.mul.Tensor,
        aten.mul.Scalar,
        aten.matmul.default,
        aten.mm.default,
        aten.bmm.default,
        aten.mv.default,
        aten.dot.default,
    ],
    "product",
    varying=(0, 1),
    product_of=(0, 1),
    formula=MIDPOINT,
    source=SHAPLEY,
)
def _bilinear(operator: Any, a: Any, b: Any) -> Lanes:
    if is_floating(a) and is_floating(b):
        return _product(operator, a, b)
    return each_lane(operator, a, b)


@register(
    [aten.linear.default],
    "product",
    varying=(0, 1),
    product_of=(0, 1),
    formula=MIDPOINT,
    source=SHAPLEY,
)
def _dense(operator: Any, value: Any, weight: Any, bias: Any = None) -> Lanes:
    if not isinstance(weight, Lanes):
        return each_lane(operator, value, weight, bias)
    product = apply(aten.matmul.default, value, apply(aten.t.default, weight))
    return product if bias is None else each_lane(aten.add.Tensor, product, bias)


@register(
    [aten.addmm.default, aten.baddbmm.default],
    "product",
    varying=(0, 1, 2),
    product_of=(1, 2),
    formula=MIDPOINT,
    source=SHAPLEY,
)
def _added(operator: Any, base: Any, a: Any, b: Any, *, beta: float = 1, alpha: float = 1) -> Lanes:
    product = apply(aten.matmul.default, a, b)
    scaled = apply(aten.mul.Scalar, product, alpha)
    return apply(aten.add.Tensor, scaled, apply(aten.mul.Scalar, base, beta))  # type: ignore[no-any-return]


@register(
    [aten.div.Tensor, aten.div.Scalar],
    "product",
    varying=(0, 1),
    product_of=(1,),
    formula="a · (1/b): rescale of the reciprocal, then the midpoint rule",
    source=SHAPLEY,
)
def _quotient(operator: Any, a: Any, b: Any) -> Lanes:
    if not is_floating(b):
        return each_lane(operator, a, b)
    return apply(aten.mul.Tensor, apply(aten.reciprocal.default, b), a)  # type: ignore[no-any-return]


@register(
    [aten.bilinear.default],
    "product",
    varying=(0, 1),
    product_of=(0, 1),
    formula=MIDPOINT,
    source=SHAPLEY,
)
def _bilinear_form(operator: Any, a: Any, b: Any, weight: Tensor, bias: Any = None) -> Lanes:
    """Σ_ij a_i W_oij b_j as a dense layer on a, then a product with b summed over j."""
    n_outputs, n_a, n_b = weight.shape
    rows = weight.transpose(1, 2).reshape(n_outputs * n_b, n_a)
    dense = apply(aten.unflatten.int, apply(aten.linear.default, a, rows), -1, [n_outputs, n_b])
    terms = apply(aten.mul.Tensor, dense, apply(aten.unsqueeze.default, b, -2))
    form = apply(aten.sum.dim_IntList, terms, [-1])
    return form if bias is None else apply(aten.add.Tensor, form, bias)  # type: ignore[no-any-return]
