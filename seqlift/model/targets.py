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

from seqlift.errors import TargetError, UsageError
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
    aten.slice.Tensor,
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
    UsageError
        If `activation` is neither.
    """
    if activation not in ACTIVATIONS:
        raise UsageError(f"target activation {activation!r} is unknown; it is one of auto, keep")
    # Copying the graph alone shares the weights.
    graph = copy.deepcopy(captured.graph.graph)
    end = graph.output_node()
    output, index = _resolve(captured, _leaves(end), str(target))
    removed = _take_off_activation(_leaves(end)[output]) if activation == "auto" else ""
    with graph.inserting_before(end):
        # The leaf may be another one now.
        end.args = (_one_number(graph, _leaves(end)[output], index),)
    # torch counts attention as impure, for its dropout, and would keep it for no one.
    graph.eliminate_dead_code(lambda node: node.op in ("placeholder", "output"))
    graph.lint()
    return Targeted(fx.GraphModule(captured.graph, graph), str(target), removed)


def _leaves(end: fx.Node) -> list[Any]:
    """Return what the model returns, in the order of its names: nodes, or constants."""
    return list(end.args[0]) if isinstance(end.args[0], (tuple, list)) else [end.args[0]]


def _resolve(captured: Captured, leaves: list[Any], target: str) -> tuple[int, int]:
    """Return the position of the output and the index in it."""
    names = captured.outputs
    if len(names) == 1 and _is_index(target):
        output, index = names[0], target
    elif target in names:
        output, index = target, "0"
        _require(_width(leaves[names.index(target)]) == 1, captured, leaves, target)
    else:
        output, _, index = target.rpartition(".")
    _require(output in names and _is_index(index), captured, leaves, target)
    position = names.index(output)
    _require(int(index) < _width(leaves[position]), captured, leaves, target)
    return position, int(index)


def _is_index(text: str) -> bool:
    return text.isdecimal() and text == str(int(text))  # one way to write each


def _shape(leaf: object) -> tuple[Any, ...]:
    value = leaf.meta.get("val") if isinstance(leaf, fx.Node) else None
    return tuple(value.shape) if isinstance(value, Tensor) else ()


def _has_row_for_each_sequence(leaf: object) -> bool:
    if not isinstance(leaf, fx.Node) or not _shape(leaf):
        return False
    source = next(node for node in leaf.graph.nodes if node.op == "placeholder")
    return str(_shape(leaf)[0]) == str(_shape(source)[0])


def _width(leaf: object) -> int:
    """Return how many numbers a sequence an output has, or 0 if that is not a row of numbers."""
    sizes = [size for size in _shape(leaf)[1:] if not isinstance(size, int) or size != 1]
    is_row = len(sizes) <= 1 and all(isinstance(size, int) for size in sizes)
    if not is_row or not _has_row_for_each_sequence(leaf):
        return 0
    return int(sizes[0]) if sizes else 1


def _require(condition: bool, captured: Captured, leaves: list[Any], target: str) -> None:
    if condition:
        return
    single = len(captured.outputs) == 1
    described = [
        _describe(name, leaf, single) for name, leaf in zip(captured.outputs, leaves, strict=True)
    ]
    raise TargetError(
        f"target {target!r} is not one number a sequence of this model; "
        f"it has {'; '.join(described)}"
    )


def _describe(name: str, leaf: object, single: bool) -> str:
    width = _width(leaf)
    prefix = "" if single else f"{name}."
    if width == 0:
        return f"{_kind(name, leaf)}, which is not a row of numbers: wrap the model so that it is"
    if width == 1:
        return f"{prefix}0 alone"
    return f"{prefix}0 to {prefix}{width - 1}"


def _kind(name: str, leaf: object) -> str:
    if not isinstance(leaf, fx.Node):
        return f"output {name}, which is {leaf!r}"
    rows = "batch" if _has_row_for_each_sequence(leaf) else None
    shape = [rows or str(size) if i == 0 else str(size) for i, size in enumerate(_shape(leaf))]
    return f"output {name} of shape ({', '.join(shape)})"


def _take_off_activation(leaf: fx.Node) -> str:
    """Bypass a final sigmoid or softmax; return its name, or an empty string."""
    above, node = None, leaf
    while node.target in MOVING and isinstance(node.args[0], fx.Node):
        above, node = node, node.args[0]
    if node.target not in SQUASHING:
        return ""
    user = above if above is not None else leaf.graph.output_node()
    logit = node.args[0]
    assert isinstance(logit, fx.Node)
    user.replace_input_with(node, logit)
    return "sigmoid" if node.target is aten.sigmoid.default else "softmax"


def _one_number(graph: fx.Graph, source: fx.Node, index: int) -> fx.Node:
    """Add nodes that pick one column and return it with shape (row,)."""
    value = source.meta.get("val")

    assert isinstance(value, Tensor)
    node = source
    for axis in range(value.dim() - 1, 0, -1):
        place = 0 if value.shape[axis] == 1 else index
        node = graph.call_function(aten.select.int, (node, axis, place))
        value = value.select(axis, place)
        node.meta["val"] = value
    return node
