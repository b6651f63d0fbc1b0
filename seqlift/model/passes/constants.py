"""The constants of a graph: its weights and buffers."""

from __future__ import annotations

import operator

from torch import Tensor, fx

__all__ = ["add_constant", "constant_of"]


def constant_of(module: fx.GraphModule, argument: object) -> Tensor | None:
    """Return the tensor behind an argument, or None if it is not a constant of the graph."""
    if not isinstance(argument, fx.Node) or argument.op != "get_attr":
        return None
    found = operator.attrgetter(str(argument.target))(module)
    return found if isinstance(found, Tensor) else None


def add_constant(module: fx.GraphModule, like: fx.Node, value: Tensor) -> fx.Node:
    """Add a constant and the node that reads it, before the node that it is named after."""
    name = f"{like.name}_constant"
    while hasattr(module, name):
        name += "_"
    module.register_buffer(name, value)
    with module.graph.inserting_before(like):
        return module.graph.get_attr(name)
