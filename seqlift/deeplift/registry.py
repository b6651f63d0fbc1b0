"""Which rule an operator has.

A rule belongs to an ATen operator overload, never to a module class: `F.relu`, `nn.ReLU` and a
subclass of it are one operator after capture. The files in `rules/` fill the table; `coverage.py`
asks it before a run and `interpreter.py` during one.
"""

# ruff: noqa: ANN401  (an operator takes and returns anything)

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from torch._ops import OpOverload
from torch.utils import _pytree as pytree

from seqlift.deeplift.lanes import Lanes, each_lane, holds_lanes, is_floating

__all__ = ["Rule", "apply", "register", "registered", "rule_for"]


@dataclass(frozen=True, slots=True)
class Rule:
    """What one operator does to multipliers.

    Attributes
    ----------
    kind : str
        linear, inert, rescale, product, max, normalise or recurrent.
    run : callable
        ``run(operator, *args, **kwargs) -> Lanes``.
    varying : frozenset of int, or None
        Positions of the arguments that may depend on the sequence; None for all of them.
    formula : str
        The multiplier, for people.
    source : str
        Paper and section, or "our own".
    carries_all : bool
        Whether every one of several outputs carries multipliers, or only the first (a maximum's
        positions, a normalisation's statistics do not).
    product_of : frozenset of int
        Positions of the arguments that must all vary for the operator not to be linear.
    """

    kind: str
    run: Callable[..., Lanes]
    varying: frozenset[int] | None
    formula: str
    source: str
    carries_all: bool
    product_of: frozenset[int]

    def kind_for(self, varying: set[int]) -> str:
        """Return the kind where these arguments vary: a product needs all its factors to."""
        return self.kind if self.product_of <= varying else "linear"


_RULES: dict[OpOverload, Rule] = {}


def register(
    operators: Iterable[OpOverload],
    kind: str,
    *,
    varying: Iterable[int] | None = (0,),
    formula: str,
    source: str,
    carries_all: bool = False,
    product_of: Iterable[int] = (),
) -> Callable[[Callable[..., Lanes]], Callable[..., Lanes]]:
    """Give operators their rule; a decorator for the function that runs it.

    Parameters
    ----------
    operators : iterable of OpOverload
    kind, formula, source, carries_all, product_of
        See `Rule`.
    varying : iterable of int, or None
        Positions of the arguments that may depend on the sequence; None for all of them.

    Raises
    ------
    TypeError
        If something is registered that is not an operator overload.
    ValueError
        If an operator has a rule already.
    """
    factors = frozenset(product_of)
    allowed = None if varying is None else frozenset(varying)

    def enter(run: Callable[..., Lanes]) -> Callable[..., Lanes]:
        for operator in operators:
            if not isinstance(operator, OpOverload):
                raise TypeError(f"{operator!r} is not an operator overload")
            if operator in _RULES:
                raise ValueError(f"{operator} has a rule already ({_RULES[operator].kind})")
            _RULES[operator] = Rule(kind, run, allowed, formula, source, carries_all, factors)
        return run

    return enter


def rule_for(operator: object) -> Rule | None:
    """Return the rule of an operator, or None."""
    return _RULES.get(operator) if isinstance(operator, OpOverload) else None


def registered() -> dict[OpOverload, Rule]:
    """Return a copy of the table, for documentation and tests."""
    return dict(_RULES)


def apply(operator: Any, *args: Any, **kwargs: Any) -> Any:
    """Apply an operator to lanes by its rule, or plainly where no argument varies.

    Rules for composite operators are written with it.
    """
    if not holds_lanes((args, kwargs)):
        return operator(*args, **kwargs)
    rule = rule_for(operator)
    leaves = pytree.tree_leaves((args, kwargs), is_leaf=lambda leaf: isinstance(leaf, Lanes))
    if rule is None or not any(map(is_floating, leaves)):  # sizes, masks, arithmetic on them
        return each_lane(operator, *args, **kwargs)
    return rule.run(operator, *args, **kwargs)
