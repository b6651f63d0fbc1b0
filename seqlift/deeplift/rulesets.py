"""Which rule each element-wise operator of a graph has.

A set of rules has a name (`RULE_SETS`), or is a mapping from node or operator names. From it
follows which values must be carried in two parts: those on the way from the last layer of weights
(or other operator that knows only whole differences) to an operator with the RevealCancel rule.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import fx
from torch._ops import OpOverload

from seqlift.deeplift.dataflow import varying_arguments, varying_nodes
from seqlift.deeplift.registry import rule_for
from seqlift.deeplift.rules.linear import PIECES, RIGID_VIEWS, VIEWS
from seqlift.deeplift.rules.revealcancel import REVEALABLE
from seqlift.deeplift.rules.signed import BATCH_NORM, DENSE, MOVES, SCALES, SUMS, step_of
from seqlift.errors import UsageError

__all__ = ["RESHAPES", "RULES", "RULE_SETS", "Assignment", "assign", "lowered", "rules_name"]

aten = torch.ops.aten

RULES = ("rescale", "reveal-cancel")
RULE_SETS = {
    "rescale": "rescale everywhere",
    "reveal-cancel": "RevealCancel for every element-wise operator that is defined everywhere",
    "genomics": "RevealCancel after dense layers, rescale after convolutions and elsewhere",
}
DEFAULT = "default"
TAKE_PARTS = ("moved", "summed", "scaled", "rescaled")

CONVOLUTIONS = {
    aten.conv1d.default,
    aten.conv1d.padding,
    aten.conv2d.default,
    aten.conv2d.padding,
    aten.conv3d.default,
    aten.conv3d.padding,
    aten.conv_transpose1d.default,
    aten.convolution.default,
}

RESHAPES = {*VIEWS, *RIGID_VIEWS, aten.reshape.default}


@dataclass(frozen=True, slots=True)
class Assignment:
    """The rules of a graph's nodes, by their names.

    Attributes
    ----------
    reveal_cancel : frozenset of str
        Nodes with the RevealCancel rule.
    steps : dict of str to str
        Nodes whose value is carried in two parts, and how their operator makes them (see
        `seqlift.deeplift.rules.signed.step_of`).
    lowered : frozenset of str
        Convolutions in bfloat16 (see `seqlift.deeplift.rules.lowered`).
    """

    reveal_cancel: frozenset[str] = frozenset()
    steps: Mapping[str, str] = field(default_factory=dict)
    lowered: frozenset[str] = frozenset()


def rules_name(rules: str | Mapping[str, str]) -> str:
    """Return a set of rules as it is written to files."""
    if isinstance(rules, str):
        return rules
    return ", ".join(f"{name}={rule}" for name, rule in rules.items())


def assign(graph: fx.Graph, rules: str | Mapping[str, str]) -> Assignment:
    """Give every element-wise node its rule, and find the values to carry in two parts.

    Parameters
    ----------
    graph : fx.Graph
        Captured, with one placeholder.
    rules : str or mapping
        A name from `RULE_SETS`; or from names of nodes (``relu_1``) or operators (``aten.relu`` or
        ``aten.relu.default``) to "rescale" or "reveal-cancel". A node's own name goes before its
        operator's. What is not named has the rule, or the set of rules, at "default", or rescale.

    Returns
    -------
    Assignment

    Raises
    ------
    UsageError
        If there is no such set, rule, node or operator, or a node cannot have the rule.
    """
    varying = varying_nodes(graph)
    candidates = [node for node in graph.nodes if node in varying and _is_element_wise(node)]
    mapping = {DEFAULT: rules} if isinstance(rules, str) else dict(rules)
    base = mapping.pop(DEFAULT, "rescale")
    _require_known(base, mapping, candidates)
    revealed = {n for n in candidates if _rule(n, base, mapping, varying) == "reveal-cancel"}
    return Assignment(frozenset(node.name for node in revealed), _steps(graph, varying, revealed))


def lowered(graph: fx.Graph, rules: Assignment) -> Assignment:
    """Take every convolution that can be down to bfloat16.

    Parameters
    ----------
    graph : fx.Graph
        That the rules were assigned for.
    rules : Assignment

    Returns
    -------
    Assignment
        Layers whose terms are sorted by sign stay in float32: rounded by themselves, the terms of
        one sign no longer sum to those of both.
    """
    varying = varying_nodes(graph)
    found = {
        node.name
        for node in graph.nodes
        if node.target in CONVOLUTIONS
        and varying_arguments(node, varying) == {0}
        and node.name not in rules.steps
    }
    return replace(rules, lowered=frozenset(found))


def _is_element_wise(node: fx.Node) -> bool:
    rule = rule_for(node.target)
    return rule is not None and rule.kind == "rescale"


def _names(node: fx.Node) -> tuple[str, ...]:
    """Return what a node can be called, its own name first."""
    assert isinstance(node.target, OpOverload)
    whole = str(node.target)
    return node.name, whole, whole.rpartition(".")[0]


def _require_known(base: str, mapping: Mapping[str, str], candidates: list[fx.Node]) -> None:
    if base not in RULE_SETS:
        raise UsageError(f"rules {base!r} are unknown; expected one of {', '.join(RULE_SETS)}")
    for name, rule in mapping.items():
        if rule not in RULES:
            raise UsageError(
                f"rule {rule!r} of {name!r} is unknown; it is one of {', '.join(RULES)}"
            )
        called = [node for node in candidates if name in _names(node)]
        if not called:
            raise UsageError(_no_such_node(name, candidates))
        stuck = [node for node in called if node.target not in REVEALABLE]
        if rule == "reveal-cancel" and stuck:
            raise UsageError(
                f"{stuck[0].name} ({stuck[0].target}) cannot have the reveal-cancel rule: the "
                "operator is not defined everywhere; leave it at rescale"
            )


def _no_such_node(name: str, candidates: list[fx.Node]) -> str:
    names = sorted({called for node in candidates for called in _names(node)})
    close = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {close[0]!r}?" if close else "`seqlift inspect` lists the nodes"
    return (
        f"found rules for {name!r}, which is no element-wise node or operator of the graph: {hint}"
    )


def _rule(node: fx.Node, base: str, mapping: Mapping[str, str], varying: set[fx.Node]) -> str:
    for name in _names(node):
        if name in mapping:
            return mapping[name]
    if node.target not in REVEALABLE or base == "rescale":
        return "rescale"
    if base == "reveal-cancel":
        return base
    return "reveal-cancel" if _sees_dense_layer(node, varying) else "rescale"


def _sees_dense_layer(node: fx.Node, varying: set[fx.Node]) -> bool:
    """Look back from an activation to the layer whose outcome it is.

    Batch norm, dropout (which is gone after capture), views, and adding or scaling by a constant
    (a bias, a norm written by hand) do not count, as in the authors' genomics default.
    """
    source = _only_source(node, varying)
    while source is not None and _is_passed_over(source, varying):
        source = _only_source(source, varying)
    if source is None or source.target not in DENSE:
        return False
    return step_of(source.target, varying_arguments(source, varying)) == "weighted"


def _only_source(node: fx.Node, varying: set[fx.Node]) -> fx.Node | None:
    sources = [source for source in node.all_input_nodes if source in varying]
    return sources[0] if len(sources) == 1 else None


def _is_passed_over(node: fx.Node, varying: set[fx.Node]) -> bool:
    if node.target in SCALES:  # a square is no scaling
        return step_of(node.target, varying_arguments(node, varying)) == "scaled"
    passed = {BATCH_NORM, *RESHAPES, *PIECES, *SUMS}
    is_piece = node.target in MOVES and not isinstance(node.target, OpOverload)
    return node.target in passed or is_piece


def _steps(graph: fx.Graph, varying: set[fx.Node], revealed: set[fx.Node]) -> dict[str, str]:
    """Go back from RevealCancel to where differences are known as a whole."""
    steps: dict[fx.Node, str] = {}
    for node in reversed(graph.nodes):
        needs_parts = any(_takes_parts(user, steps, revealed) for user in node.users)
        if needs_parts and node in varying and node not in revealed:
            steps[node] = _step(node, varying)
    return {node.name: step for node, step in steps.items()}


def _step(node: fx.Node, varying: set[fx.Node]) -> str:
    if node.op == "placeholder":
        return "input"
    return step_of(node.target, varying_arguments(node, varying))


def _takes_parts(user: fx.Node, steps: Mapping[fx.Node, str], revealed: set[fx.Node]) -> bool:
    return user in revealed or steps.get(user) in TAKE_PARTS
