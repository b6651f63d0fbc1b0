"""Layer-wise relevance propagation by the ε-rule, written as multipliers.

The relevance of a value is the value times its multiplier. The ε-rule shares the relevance of a
sum out by its terms, and hands the relevance of an activation to its input; as multipliers that
is the secant through zero of each operator (Ancona et al. 2018, proposition 1):

* linear: the coefficient; a bias keeps its share to itself;
* element-wise: y/x, and the derivative where x is within ε of zero;
* a maximum: 1 for the winner;
* a product of two factors that vary: half the other factor (the midpoint rule against zero, as
  the uniform rule of Achtibat et al. 2024, arXiv:2402.05602, section 3.3);
* layer, RMS, group and instance norm: linear, with the standard deviation as a constant (Ali et
  al. 2022, arXiv:2202.07304);
* softmax, attention, recurrent layers and the other compositions: their own DeepLIFT rule, from
  zero input.
"""

# ruff: noqa: ANN401  (an operator takes and returns anything)

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx
from torch.utils import _pytree as pytree

from seqlift.deeplift.interpreter import Multipliers
from seqlift.deeplift.lanes import Lanes, with_multiplier
from seqlift.deeplift.methods.gradients import at_sequence
from seqlift.deeplift.methods.lrp_normalise import NORMALISED
from seqlift.deeplift.methods.options import MethodOptions
from seqlift.deeplift.methods.replay import Replay
from seqlift.deeplift.registry import apply, rule_for
from seqlift.deeplift.rules.rescale import derivative, element_wise
from seqlift.deeplift.slope import slope

__all__ = ["lrp"]

aten = torch.ops.aten

# Where an activation is not zero at zero (sigmoid, softplus), y/x has no bound without it.
EPSILON = 1e-9


def lrp(
    graph: fx.GraphModule, one_hot: Tensor, references: Tensor, options: MethodOptions
) -> Multipliers:
    """Propagate relevance from the target to the sequence by the ε-rule.

    In a network of linear operators, ReLUs and maxima this is the gradient, so that scores are
    gradient × input.

    Parameters
    ----------
    graph : fx.GraphModule
        One input (row, 4, position), one output (row,), every operator with a rule.
    one_hot : Tensor, shape (region, base=4, position)
    references : Tensor, shape (region, reference, base=4, position)
        Only their predictions are used.
    options : MethodOptions
        `rows` is used.

    Returns
    -------
    Multipliers
        The same for all references.

    References
    ----------
    Bach et al. 2015, PLoS ONE 10:e0130140, equation 58; as multipliers, Ancona et al. 2018,
    arXiv:1711.06104, proposition 1.
    """
    return at_sequence(graph, one_hot, references, options, _ThroughZero)


class _ThroughZero(Replay):
    """Replaces each operator by its secant through zero."""

    def call_function(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        rule = rule_for(target)
        if rule is None or not any(map(_varies, pytree.tree_leaves((args, kwargs)))):
            return super().call_function(target, args, kwargs)
        if rule.kind in ("linear", "inert", "max"):
            return super().call_function(target, args, kwargs)
        return self._secant(target, rule.kind, args, kwargs)

    def _secant(self, target: Any, kind: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if kind == "rescale":
            return _through_zero(target, args, kwargs)
        if kind == "product":
            return self._product(target, args, kwargs)
        own: Callable[..., Any] | None = NORMALISED.get(target)
        return _from_zero(target, args, kwargs) if own is None else own(*args, **kwargs)

    def _product(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        rule = rule_for(target)
        assert rule is not None
        if not all(_varies(args[place]) for place in rule.product_of):
            return super().call_function(target, args, kwargs)
        if target in (aten.div.Tensor, aten.div.Scalar):
            inverse = _through_zero(aten.reciprocal.default, args[1:], {})
            return self.call_function(aten.mul.Tensor, (inverse, args[0]), {})
        halved = (_half(v) if i in rule.product_of else v for i, v in enumerate(args))
        return super().call_function(target, tuple(halved), kwargs)


def _varies(value: object) -> bool:
    return isinstance(value, Tensor) and value.requires_grad


def _half(value: Tensor) -> Tensor:
    """Return the value, with half its derivative."""
    return value / 2 + value.detach() / 2


def _through_zero(target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    """Apply an element-wise operator, with multiplier y/x."""
    step = element_wise(target, args, kwargs)
    x = step.value.detach()
    y = step.function(x)
    near_zero = ~(x.abs() > (0.0 if step.singular else EPSILON))
    multiplier = slope(y, x, derivative(target, step.function, x / 2), near_zero)
    return with_multiplier(step.value, y, multiplier)


def _zero(value: Tensor) -> Tensor:
    """Return zero, with the value's derivative; what is infinite (a mask) stays so."""
    return torch.where(value.isinf(), value, value - value.detach())


def _from_zero(target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Apply an operator by its DeepLIFT rule, the reference of its input being zero."""

    def compared(leaf: Any) -> Any:
        return Lanes(leaf.detach(), _zero(leaf)) if _varies(leaf) else leaf

    def value(sequence: Any, reference: Any) -> Any:
        if not _varies(reference):
            return sequence
        return with_multiplier(reference, sequence, torch.ones_like(sequence))

    after = apply(target, *pytree.tree_map(compared, args), **pytree.tree_map(compared, kwargs))
    return pytree.tree_map(value, after.sequence, after.reference)
