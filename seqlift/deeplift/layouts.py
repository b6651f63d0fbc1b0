"""Which axis of a tensor is which in a program, through its views, and what comes before what."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, fx

__all__ = [
    "AXES",
    "REFERENCE",
    "ROW",
    "Axes",
    "after_view",
    "erase_unread",
    "in_rows",
    "is_view",
    "later_than",
    "move_before",
    "out_of_rows",
    "source_of",
    "value_of",
    "viewed_by",
]

aten = torch.ops.aten

# Rows of the batch or, apart, sequences and their references; positions; channels.
Axes = tuple[str, ...]
ROW, SEQUENCE, REFERENCE, POSITION, CHANNEL = "row", "sequence", "reference", "position", "channel"
AXES: Axes = (ROW, POSITION, CHANNEL)

PERMUTES = {aten.permute.default, aten.transpose.int}
VIEWS = {*PERMUTES, aten.reshape.default, aten.unsqueeze.default}

# A number for each row or less, spread out: no such tensor is in memory.
SPREAD = {aten.expand.default, aten.slice_backward.default, aten.select_backward.default}


def value_of(node: object) -> Tensor | None:
    """Return what stands for the value of a node: a tensor of its shape and type, or None."""
    value = node.meta.get("val") if isinstance(node, fx.Node) else None
    return value if isinstance(value, Tensor) else None


def is_view(node: fx.Node) -> bool:
    """Say whether a node only looks at a tensor in another shape."""
    return node.target in VIEWS


def viewed_by(view: fx.Node) -> fx.Node:
    """Return what a view looks at."""
    source = view.args[0]
    assert isinstance(source, fx.Node)
    return source


def after_view(node: fx.Node, axes: Axes) -> Axes | None:
    """Name the axes of a view from those of what it looks at; None if they got mixed."""
    source, view = value_of(viewed_by(node)), value_of(node)
    if source is None or view is None:
        return None
    if node.target in PERMUTES:
        return tuple(axes[i] for i in _order(node))
    if node.target is aten.unsqueeze.default:
        return None
    return _reshaped(axes, tuple(source.shape), tuple(view.shape))


def source_of(node: fx.Node, axes: Axes) -> tuple[fx.Node, Axes]:
    """Follow views back to what they look at, as far as its axes can be named."""
    while is_view(node):
        before = _before_view(node, axes)
        if before is None:
            break
        node, axes = viewed_by(node), before
    return node, axes


def _before_view(node: fx.Node, axes: Axes) -> Axes | None:
    """Name the axes of what a view looks at from its own; None if they got mixed."""
    source, view = value_of(viewed_by(node)), value_of(node)
    if source is None or view is None:
        return None
    if node.target in PERMUTES:
        order = _order(node)
        return tuple(axes[order.index(i)] for i in range(len(axes)))
    if node.target is aten.unsqueeze.default:
        place: Any = node.args[1]
        i = place % view.dim()
        return (*axes[:i], *axes[i + 1 :]) if axes[i] == REFERENCE else None
    return _reshaped(axes, tuple(view.shape), tuple(source.shape))


def _order(node: fx.Node) -> list[int]:
    """Return which axis of the source each axis of a permuted view is."""
    arguments: tuple[Any, ...] = node.args[1:]
    n_axes = node.meta["val"].dim()
    if node.target is aten.permute.default:
        return [i % n_axes for i in arguments[0]]
    order = list(range(n_axes))
    first, second = arguments
    order[first], order[second] = order[second], order[first]
    return order


def _reshaped(axes: Axes, shape: tuple[int, ...], to: tuple[int, ...]) -> Axes | None:
    """Rows may come apart into sequences and references, and together again; nothing else."""
    if shape == to:
        return axes
    if ROW in axes and len(to) == len(shape) + 1:
        i = axes.index(ROW)
        apart = (*shape[:i], *to[i : i + 2], *shape[i + 1 :])
        return (*axes[:i], SEQUENCE, REFERENCE, *axes[i + 1 :]) if apart == to else None
    if REFERENCE in axes and len(to) == len(shape) - 1:
        i = axes.index(REFERENCE)
        together = (*shape[: i - 1], shape[i - 1] * shape[i], *shape[i + 1 :])
        is_whole = i > 0 and axes[i - 1] == SEQUENCE and together == to
        return (*axes[: i - 1], ROW, *axes[i + 1 :]) if is_whole else None
    return None


def in_rows(node: object, axes: Axes, sizes: dict[str, int]) -> fx.Node | None:
    """View an operand as (row, position, channel), where rows that references share stand once.

    Parameters
    ----------
    node : object
        An operand of an element-wise operator.
    axes : Axes
        Its axes.
    sizes : dict of str to int
        Of the axes of the operator's value.

    Returns
    -------
    fx.Node or None
        Placed behind the operand; None where it is no such tensor in float32, or in no memory.
    """
    value = value_of(node)
    if value is None or value.dtype != torch.float32 or value.dim() != len(axes):
        return None
    assert isinstance(node, fx.Node)
    other = [axis for axis, size in zip(axes, value.shape, strict=True) if size != sizes[axis]]
    if other not in ([], [REFERENCE]) or (other and value.shape[axes.index(REFERENCE)] != 1):
        return None
    source, its = source_of(node, axes)
    if its in (AXES, (SEQUENCE, POSITION, CHANNEL)) and source.target not in SPREAD:
        return source
    if _is_spread(node):
        return None
    order = sorted(range(len(axes)), key=lambda i: _PLACES[axes[i]])
    node = _viewed(node, aten.permute.default, order)
    shape = [value.shape[i] for i in order]
    return _viewed(node, aten.reshape.default, [math.prod(shape[:-2]), *shape[-2:]])


def _is_spread(node: fx.Node) -> bool:
    while is_view(node):
        node = viewed_by(node)
    return node.target in SPREAD


_PLACES = {axis: i for i, axis in enumerate((ROW, SEQUENCE, REFERENCE, POSITION, CHANNEL))}


def out_of_rows(node: fx.Node, axes: Axes, like: Tensor) -> fx.Node:
    """View a tensor of (row, position, channel) with other axes, in the shape that another has."""
    order = sorted(range(len(axes)), key=lambda i: _PLACES[axes[i]])
    node = _viewed(node, aten.reshape.default, [like.shape[i] for i in order])
    return _viewed(node, aten.permute.default, [order.index(i) for i in range(len(order))])


def _viewed(node: fx.Node, operator: torch._ops.OpOverload, how: list[int]) -> fx.Node:
    """Add a view behind a node, if it changes anything."""
    value = node.meta["val"]
    if how == (list(range(value.dim())) if operator in PERMUTES else list(value.shape)):
        return node
    with node.graph.inserting_after(node):
        view = node.graph.call_function(operator, (node, how))
    view.meta["val"] = operator(value, how)
    return view


def later_than(node: fx.Node) -> Iterator[fx.Node]:
    """Yield the nodes behind one, in their order."""
    while (node := node.next).op != "root":
        yield node


def move_before(node: fx.Node, needed: Iterable[fx.Node]) -> None:
    """Move what a node now needs, and what that needs, before it."""
    later = list(later_than(node))
    moved = set(needed)
    for one in reversed(later):
        if one in moved:
            moved.update(one.all_input_nodes)
    for one in later:
        if one in moved:
            node.prepend(one)


def erase_unread(nodes: Iterable[fx.Node]) -> None:
    """Erase those of some nodes that nobody reads, and what was there for them alone."""
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        if node.op == "call_function" and not node.users and not node._erased:
            waiting.extend(node.all_input_nodes)
            node.graph.erase_node(node)
