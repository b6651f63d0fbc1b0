"""Which values of a graph depend on the letters of the sequence."""

# ruff: noqa: ANN401  (nested arguments have no type)

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import fx

from seqlift.deeplift import rules  # noqa: F401  (fills the registry)
from seqlift.deeplift.registry import rule_for

__all__ = ["varying_arguments", "varying_nodes"]


def varying_nodes(graph: fx.Graph) -> set[fx.Node]:
    """Return the nodes whose value depends on the letters of the sequence."""
    found: set[fx.Node] = set()
    for node in graph.nodes:
        rule = rule_for(node.target)
        inert = rule is not None and rule.kind == "inert"
        if node.op == "placeholder" or (not inert and found.intersection(node.all_input_nodes)):
            found.add(node)
    return found


def _mentions(argument: Any, nodes: set[fx.Node]) -> bool:
    return any(isinstance(leaf, fx.Node) and leaf in nodes for leaf in _leaves(argument))


def _leaves(argument: Any) -> Iterable[Any]:
    leaves: list[Any] = []
    fx.node.map_aggregate(argument, leaves.append)
    return leaves


def varying_arguments(node: fx.Node, varying: set[fx.Node]) -> set[int]:
    """Return the positions of the arguments that vary; -1 stands for any passed by keyword."""
    positions = {i for i, argument in enumerate(node.args) if _mentions(argument, varying)}
    return positions | ({-1} if _mentions(node.kwargs, varying) else set())
