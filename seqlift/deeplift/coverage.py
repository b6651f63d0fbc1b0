"""Which operators of a graph have a rule, before any sequence is read.

A value *varies* if it depends on the letters of the sequence; a value that depends only on the size
of the batch does not. An operator is covered if no argument varies, or if it has a rule that admits
every argument that does.
"""

# ruff: noqa: ANN401  (torch's symbols and nested arguments have no type)

from __future__ import annotations

import operator
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import SymInt, fx
from torch._ops import OpOverload
from torch.utils import _pytree as pytree

from seqlift.deeplift.dataflow import varying_arguments, varying_nodes
from seqlift.deeplift.registry import rule_for
from seqlift.deeplift.rules import revealcancel, signed
from seqlift.deeplift.rulesets import Assignment
from seqlift.errors import UnsupportedOperatorError

__all__ = [
    "OperatorUse",
    "folds_batch",
    "operator_table",
    "require_covered",
    "require_own_rows",
    "source_line",
]

LISTED = 12
COEFFICIENT = "m = coefficient"
MIXES = "mixes the sequences of a batch"
RANDOM = "draws random numbers"

aten = torch.ops.aten

# Linear operators that mix or reorder values along the axes they are given.
ALONG_AXES = {
    aten.cumsum.default,
    aten.flip.default,
    aten.gather.default,
    aten.index_select.default,
    aten.roll.default,
}


@dataclass(frozen=True, slots=True)
class OperatorUse:
    """One node of the graph, for people.

    Attributes
    ----------
    node, operator : str
    line : str
        ``file:line`` of the user's source, or "?" where the model does not record it.
    kind : str
        Kind of the rule; "constant" where nothing varies.
    formula : str
    problem : str
        Why there is no rule, or empty.
    """

    node: str
    operator: str
    line: str
    kind: str
    formula: str
    problem: str


def source_line(node: fx.Node) -> str:
    """Return ``file:line`` of the user's source that made a node, or "?"."""
    frames = re.findall(r'File "([^"]+)", line (\d+)', node.stack_trace or "")
    outside = [f for f in frames if f"{Path(torch.__file__).parent}" not in f[0]]
    return ":".join((outside or frames)[-1]) if frames else "?"


def _example(node: Any) -> list[torch.Tensor]:
    """Return the fake tensors that tell the shapes of a node's outputs."""
    return [v for v in pytree.tree_leaves(node.meta.get("val")) if isinstance(v, torch.Tensor)]


def _batch_symbol(graph: fx.Graph) -> Any:
    """Return the symbol that stands for the number of rows of the input."""
    example = next(v for node in graph.nodes if node.op == "placeholder" for v in _example(node))
    rows = example.shape[0]
    return next(iter(rows.node.expr.free_symbols)) if isinstance(rows, SymInt) else None


def _batch_sizes(value: torch.Tensor, symbol: Any) -> list[bool]:
    """Say for each dimension whether its size depends on the batch."""
    return [isinstance(n, SymInt) and symbol in n.node.expr.free_symbols for n in value.shape]


def folds_batch(graph: fx.Graph) -> bool:
    """Say whether some value does not keep one row a sequence in its first dimension."""
    symbol = _batch_symbol(graph)

    def keeps_rows(value: torch.Tensor) -> bool:
        batch = _batch_sizes(value, symbol)
        return not any(batch) or (
            sum(batch) == 1 and batch[0] and str(value.shape[0]) == f"{symbol}"
        )

    # Of several outputs the pieces are judged, which are nodes too; constants do not count.
    values = (node.meta.get("val") for node in varying_nodes(graph))
    return not all(keeps_rows(value) for value in values if isinstance(value, torch.Tensor))


def _problem(node: fx.Node, varying: set[fx.Node]) -> str:
    """Say why a node with varying arguments cannot be given a rule, or return an empty string."""
    if node.target is operator.getitem:
        return _piece_problem(node)
    rule = rule_for(node.target)
    if rule is None:
        return "has no rule"
    arguments = varying_arguments(node, varying)
    if -1 in arguments or not (rule.varying is None or arguments <= rule.varying):
        return "has a rule, but not for this argument varying with the sequence"
    if rule.kind != "inert" and any(not v.is_floating_point() for v in _example(node)[:1]):
        return "turns a varying value into one that is not a floating-point number"
    if rule.kind != "inert" and _mixes_sequences(node):
        return MIXES
    return _attention_problem(node)


def _attention_problem(node: fx.Node) -> str:
    is_attention = node.target is aten.scaled_dot_product_attention.default
    drops = is_attention and _given(node).get("dropout_p")
    return RANDOM if drops else ""


def _constant_problem(node: fx.Node) -> str:
    """Refuse constants that are drawn anew at every call."""
    tags = node.target.tags if isinstance(node.target, OpOverload) else []
    return RANDOM if torch.Tag.nondeterministic_seeded in tags else ""


def _piece_problem(node: fx.Node) -> str:
    source, index = node.args
    rule = rule_for(source.target) if isinstance(source, fx.Node) else None
    if index == 0 or rule is None or rule.carries_all:  # without a rule, the source is listed
        return ""
    return "uses the position or the statistic that the operator returns beside its value"


def _mixes_sequences(node: fx.Node) -> bool:
    """Say whether an operator loses the batch's axis, doubles it, or works along it."""
    symbol = _batch_symbol(node.graph)
    if any(sum(_batch_sizes(value, symbol)) != 1 for value in _example(node)[:1]):
        return True
    if node.target is aten.scaled_dot_product_attention.default:
        return _batch_sizes(_example(node.args[1])[0], symbol)[-2]
    rule = rule_for(node.target)
    if node.target not in ALONG_AXES and (rule is None or rule.kind not in ("max", "normalise")):
        return False
    sizes = _batch_sizes(_example(node.args[0])[0], symbol)
    return any(sizes[axis] for axis in _axes(node, len(sizes)))


def _given(node: fx.Node) -> dict[str, Any]:
    """Return the arguments of a node by the names that its operator has for them."""
    assert isinstance(node.target, OpOverload)
    names = [argument.name for argument in node.target._schema.arguments]
    return {**dict(zip(names, node.args, strict=False)), **node.kwargs}


def _axes(node: fx.Node, rank: int) -> list[int]:
    """Return the axes that an operator works along: those it is given, or all if given none."""
    assert isinstance(node.target, OpOverload)
    names = {argument.name for argument in node.target._schema.arguments}
    if names.isdisjoint(("dim", "dims")):
        return []
    given = _given(node)
    axes = given.get("dim", given.get("dims"))
    return [axes] if isinstance(axes, int) else list(axes or range(rank))


def _name(target: Any) -> str:
    return (
        str(target) if isinstance(target, OpOverload) else getattr(target, "__name__", str(target))
    )


def operator_table(graph: fx.Graph, rules: Assignment | None = None) -> list[OperatorUse]:
    """List every operator of a graph with its rule.

    Parameters
    ----------
    graph : fx.Graph
        Captured, with one placeholder.
    rules : Assignment or None
        The rules of element-wise nodes; None is rescale for all.

    Returns
    -------
    list of OperatorUse, in the order of execution
    """
    varying = varying_nodes(graph)
    rules = rules or Assignment()
    return [_use(node, varying, rules) for node in graph.nodes if node.op == "call_function"]


def _use(node: fx.Node, varying: set[fx.Node], rules: Assignment) -> OperatorUse:
    arguments = varying_arguments(node, varying)
    problem = _problem(node, varying) if arguments else _constant_problem(node)
    kind, formula = _kind_and_formula(node, arguments, rules)
    return OperatorUse(
        node.name,
        _name(node.target),
        source_line(node),
        "none" if problem else kind,
        "" if problem or not arguments else formula,
        problem,
    )


def _kind_and_formula(node: fx.Node, arguments: set[int], rules: Assignment) -> tuple[str, str]:
    rule = rule_for(node.target)
    if not arguments:
        return "constant", ""
    if node.name in rules.reveal_cancel:
        return "reveal-cancel", revealcancel.FORMULA
    kind = "linear" if rule is None else rule.kind_for(arguments)
    if rules.steps.get(node.name) == "weighted":
        return kind, signed.FORMULA
    return kind, rule.formula if rule is not None and kind == rule.kind else COEFFICIENT


def require_covered(graph: fx.Graph) -> None:
    """Raise one error that names every operator without a rule.

    Raises
    ------
    UnsupportedOperatorError
        With operator, count, source line and what is wrong, for all of them.
    """
    missing = [use for use in operator_table(graph) if use.problem]
    if not missing:
        return
    seen: dict[tuple[str, str, str], int] = {}
    for use in missing:
        key = (use.operator, use.line, use.problem)
        seen[key] = seen.get(key, 0) + 1
    listed = [f"{name} ({line}, {n}×) {why}" for (name, line, why), n in seen.items()]
    rest = f"; and {len(listed) - LISTED} more" if len(listed) > LISTED else ""
    many = f"{len(listed)} operators" if len(listed) > 1 else "an operator"
    raise UnsupportedOperatorError(
        f"the model uses {many} without a DeepLIFT rule: "
        f"{'; '.join(listed[:LISTED])}{rest}; write them with operators that `seqlift inspect` "
        "shows a rule for, or leave them out of what the target needs"
    )


def require_own_rows(graph: fx.Graph) -> None:
    """Raise an error if an operator is known to mix the sequences of a batch, or is random.

    All that a method without rules asks of a graph.

    Raises
    ------
    UnsupportedOperatorError
        With operator and source line of the first.
    """
    for use in operator_table(graph):
        if use.problem in (MIXES, RANDOM):
            raise UnsupportedOperatorError(
                f"the model uses {use.operator} ({use.line}), which {use.problem}; every sequence "
                "must be scored by itself, and the same every time"
            )
