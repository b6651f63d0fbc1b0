"""Graphs of one model as one graph, in which what they share stands once."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

from torch import Tensor, fx

__all__ = ["join"]


def join(graphs: Sequence[fx.GraphModule]) -> fx.GraphModule:
    """Put graphs that were cut from one captured graph together.

    Parameters
    ----------
    graphs : sequence of fx.GraphModule
        At least one, each with one placeholder and one output; left as they are.

    Returns
    -------
    fx.GraphModule
        Its output is the tuple of theirs; of one graph, that graph itself.
    """
    if len(graphs) == 1:
        return graphs[0]
    joint, ends = fx.Graph(), []
    made: dict[tuple[Any, ...], fx.Node] = {}
    constants: dict[str, Tensor] = {}
    for module in graphs:
        copies: dict[fx.Node, fx.Node] = {}
        for node in module.graph.nodes:
            if node.op == "output":
                ends.append(copies[node.args[0]])
                continue
            if node.op == "get_attr":
                constants[node.target] = operator.attrgetter(node.target)(module)
            key = _what_it_computes(node, copies)
            if key not in made:
                made[key] = joint.node_copy(node, copies.__getitem__)
            copies[node] = made[key]
    joint.output(tuple(ends))
    return fx.GraphModule(constants, joint)


# torch's own search for equal steps leaves every read of a weight apart, and so all that follows.
def _what_it_computes(node: fx.Node, copies: dict[fx.Node, fx.Node]) -> tuple[Any, ...]:
    """Return the same for two nodes that do the same to the same values."""
    arguments = fx.node.map_arg((node.args, node.kwargs), copies.__getitem__)
    return node.op, node.target, repr(arguments)  # names are unique in a graph
