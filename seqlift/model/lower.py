"""Convolutions in bfloat16, all else in float32.

bfloat16 has the range of float32 and eight bits of precision. Convolutions are what takes the time
and what can do with it; differences from reference, slopes and the few products of the last layers
cannot. So the input, the weights and the outcome of each convolution are rounded, and what lies
between is computed in float32.
"""

from __future__ import annotations

import copy
from collections.abc import Collection

import torch
from torch import fx

__all__ = ["lower"]

aten = torch.ops.aten

CONVOLUTIONS = {
    aten.conv1d.default,
    aten.conv1d.padding,
    aten.conv2d.default,
    aten.conv2d.padding,
    aten.conv_transpose1d.default,
    aten.convolution.default,
}


def lower(graph: fx.GraphModule, keep: Collection[str] = ()) -> fx.GraphModule:
    """Return the graph with its convolutions in bfloat16.

    Parameters
    ----------
    graph : fx.GraphModule
        In float32; left as it is.
    keep : collection of str
        Nodes to leave in float32.

    Returns
    -------
    fx.GraphModule
        Takes and gives float32. The nodes keep their names.
    """
    lowered = copy.deepcopy(graph.graph)
    for node in list(lowered.nodes):
        if node.target in CONVOLUTIONS and node.name not in keep:
            _lower_node(lowered, node)
    return fx.GraphModule(graph, lowered)


def _lower_node(graph: fx.Graph, node: fx.Node) -> None:
    def rounded(argument: fx.Node) -> fx.Node:
        with graph.inserting_before(node):
            return _cast(graph, argument, torch.bfloat16)

    users = list(node.users)
    node.args = fx.node.map_arg(node.args, rounded)
    with graph.inserting_after(node):
        back = _cast(graph, node, torch.float32)
    for user in users:
        user.replace_input_with(node, back)


def _cast(graph: fx.Graph, value: fx.Node, dtype: torch.dtype) -> fx.Node:
    cast = graph.call_function(aten._to_copy.default, (value,), {"dtype": dtype})
    cast.meta = {key: found for key, found in value.meta.items() if key in ("val", "stack_trace")}
    if isinstance(example := cast.meta.get("val"), torch.Tensor):
        cast.meta["val"] = example.to(dtype)
    return cast
