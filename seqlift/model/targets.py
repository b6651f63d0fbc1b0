"""Which number of a model's output is explained.

A target is written ``INDEX`` where the model has one output, ``OUTPUT.INDEX`` where it has several,
and ``OUTPUT`` where that output is one number a sequence. Where the output is the result of a
sigmoid or a softmax, the logit below it is explained instead (Shrikumar et al. 2017, section 3.6),
unless the activation is to be kept.
"""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx

from seqlift.errors import TargetError
from seqlift.model.capture import Captured

__all__ = ["ACTIVATIONS", "Targeted", "select_target"]

ACTIVATIONS = ("auto", "keep")

aten = torch.ops.aten

SQUASHING = {aten.sigmoid.default, aten.softmax.int, aten._softmax.default}
# What may stand between the activation and the output: operators that only move numbers.
MOVING = {
    aten._to_copy.default,
    aten.alias.default,
    aten.clone.default,
    aten.flatten.using_ints,
    aten.reshape.default,
    aten.select.int,
    aten.squeeze.default,
    aten.squeeze.dim,
    aten.squeeze.dims,
    aten.unsqueeze.default,
    aten.view.default,
}


class Targeted(NamedTuple):
    """A graph that returns the target.

    Attributes
    ----------
    graph : fx.GraphModule
        Input (row, base=4, position), output (row,).
    name : str
        The target as it is written to files.
    activation : str
        The final activation that was taken off ("sigmoid", "softmax"), or an empty string.
    """

    graph: fx.GraphModule
    name: str
    activation: str


def select_target(captured: Captured, target: int | str, activation: str = "auto") -> Targeted:
    """Cut a captured graph down to one number a sequence.

    Parameters
    ----------
    captured : Captured
        Left as it is.
    target : int or str
        ``INDEX``, ``OUTPUT.INDEX`` or ``OUTPUT``.
    activation : str
        "auto" explains the logit below a final sigmoid or softmax, "keep" the output as it is.

    Returns
    -------
    Targeted

    Raises
    ------
    TargetError
        If the target does not name one number a sequence; the message lists what there is.
    """
    if activation not in ACTIVATIONS:
        raise TargetError(f"target activation {activation!r} is unknown; it is one of auto, keep")
    # Copying the graph alone shares the weights.
    graph = copy.deepcopy(captured.graph.graph)
    end = graph.output_node()
    leaves = list(end.args[0]) if isinstance(end.args[0], (tuple, list)) else [end.args[0]]
    output, index = _resolve(captured, leaves, str(target))
    removed = _take_off_activation(leaves[output]) if activation == "auto" else ""
    source = end.args[0][output] if isinstance(end.args[0], (tuple, list)) else end.args[0]
    with graph.inserting_before(end):
        end.args = (_one_number(graph, source, index),)
    graph.eliminate_dead_code()
    graph.lint()
    return Targeted(fx.GraphModule(captured.graph, graph), str(target), removed)


def _resolve(captured: Captured, leaves: list[fx.Node], target: str) -> tuple[int, int]:
    """Return the position of the output and the index in it."""
    names = captured.outputs
    if len(names) == 1 and target.lstrip("-").isdigit():
        output, index = names[0], target
    elif target in names:
        output, index = target, "0"
        _require(_width(leaves[names.index(target)]) == 1, captured, leaves, target)
    else:
        output, _, index = target.rpartition(".")
    _require(output in names and index.isdigit(), captured, leaves, target)
    position = names.index(output)
    _require(int(index) < _width(leaves[position]), captured, leaves, target)
    return position, int(index)


def _shape(node: Any) -> tuple[Any, ...]:
    value = node.meta.get("val") if isinstance(node, fx.Node) else None
    return tuple(value.shape) if isinstance(value, Tensor) else ()


def _width(node: Any) -> int:
    """Return how many numbers a sequence an output has, or 0 if that is not a short row of numbers."""
    sizes = [size for size in _shape(node)[1:] if size != 1]
    if not _shape(node) or len(sizes) > 1 or not all(isinstance(size, int) for size in sizes):
        return 0
    return int(sizes[0]) if sizes else 1


def _require(condition: bool, captured: Captured, leaves: list[fx.Node], target: str) -> None:
    if condition:
        return
    single = len(captured.outputs) == 1
    described = [
        _describe(name, leaf, single) for name, leaf in zip(captured.outputs, leaves, strict=True)
    ]
    raise TargetError(
        f"target {target!r} is not one number a sequence of this model; it has {'; '.join(described)}"
    )


def _describe(name: str, leaf: fx.Node, single: bool) -> str:
    width = _width(leaf)
    prefix = "" if single else f"{name}."
    if width == 0:
        shape = ", ".join("batch" if i == 0 else str(n) for i, n in enumerate(_shape(leaf)))
        return f"output {name} of shape ({shape}), which is not a row of numbers: wrap the model so that it is"
    if width == 1:
        return f"{prefix}0 alone"
    return f"{prefix}0 to {prefix}{width - 1}"


def _take_off_activation(leaf: fx.Node) -> str:
    """Bypass a final sigmoid or softmax; return its name, or an empty string."""
    above, node = None, leaf
    while node.target in MOVING and isinstance(node.args[0], fx.Node):
        above, node = node, node.args[0]
    if node.target not in SQUASHING:
        return ""
    user = above if above is not None else leaf.graph.output_node()
    user.replace_input_with(node, node.args[0])
    return "sigmoid" if node.target is aten.sigmoid.default else "softmax"


def _one_number(graph: fx.Graph, source: fx.Node, index: int) -> fx.Node:
    """Add nodes that pick one column and return it with shape (row,)."""
    value = source.meta.get("val")

    def call(operator: Any, node: fx.Node, *args: Any) -> fx.Node:
        added = graph.call_function(operator, (node, *args))
        added.meta["val"] = operator(node.meta["val"], *args)
        return added

    assert isinstance(value, Tensor)
    node = source
    for axis in range(value.dim() - 1, 0, -1):
        node = call(aten.select.int, node, axis, index if value.shape[axis] != 1 else 0)
    return node
