"""Which axis of a value is that of positions, as far as positions can be told apart.

Element-wise operators, convolutions, pooling, and whatever works along other axes keep positions
apart; a mean over positions or a dense layer over all of them does not. Views move the axis.
"""

# ruff: noqa: ANN401  (an operator takes anything)

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx

from seqlift.deeplift.registry import rule_for
from seqlift.deeplift.rules.linear import RIGID_VIEWS
from seqlift.model.passes.constants import constant_of
from seqlift.model.passes.layout import ALIKE, ALONG_AXES

__all__ = [
    "RESHAPES",
    "WINDOWS",
    "argument",
    "as_list",
    "position_axes",
    "shape_of",
    "size_of",
    "window_of",
]

aten = torch.ops.aten

RESHAPES = {aten.reshape.default, *RIGID_VIEWS}
POOLS = {aten.avg_pool1d.default, aten.max_pool1d.default}
WINDOWS = {aten.conv1d.default, *POOLS}


def position_axes(module: fx.GraphModule) -> dict[fx.Node, int]:
    """Return the axis of positions of every value whose positions can be told apart."""
    axes: dict[fx.Node, int] = {}
    for node in module.graph.nodes:
        axis = _axis(module, node, axes) if shape_of(node) else None
        if axis is not None and all(isinstance(size, int) for size in shape_of(node)[1:]):
            axes[node] = axis
    return axes


def _axis(module: fx.GraphModule, node: fx.Node, axes: dict[fx.Node, int]) -> int | None:
    if node.op == "placeholder":
        return 2
    sources = [source for source in node.all_input_nodes if source in axes]
    if not sources:
        return None
    first = sources[0]
    find = FIND_AXIS.get(node.target)
    if find is not None:
        return find(node, axes[first], len(shape_of(first)))
    return axes[first] if _is_alike(module, node, sources, axes) else None


def _is_alike(
    module: fx.GraphModule, node: fx.Node, sources: list[fx.Node], axes: dict[fx.Node, int]
) -> bool:
    """Say whether a node treats every element alike, and its inputs have the same positions."""
    rule = rule_for(node.target)
    is_alike = node.target in ALIKE or (rule is not None and rule.kind == "rescale")
    if node.target is aten.cat.default:
        is_alike = argument(node, 1, 0) % len(shape_of(node)) != axes[sources[0]]
    first, rank = sources[0], len(shape_of(node))
    same = all(
        axes[s] == axes[first]
        and size_of(s, axes[s]) == size_of(first, axes[first])
        and len(shape_of(s)) == rank
        for s in sources
    )
    others = [constant_of(module, s) for s in node.all_input_nodes if s not in axes]
    # Counted from the last axis, as broadcasting does.
    back = axes[first] - rank
    spread = all(c is not None and (c.dim() < -back or c.shape[back] == 1) for c in others)
    return is_alike and same and spread


def _of_window(node: fx.Node, axis: int, rank: int) -> int | None:
    """Of a convolution, or of pooling without padding, over the last of three axes."""
    if (axis, rank) != (2, 3) or not _has_plain_window(node):
        return None
    return axis


def _of_others(node: fx.Node, axis: int, rank: int) -> int | None:
    """Of an operator along axes, where positions are not among them; a kept axis or a lost one."""
    if argument(node, 1, []) == []:  # along all axes
        return None
    along = [a % rank for a in as_list(node.args[1])]
    if node.target is aten.slice.Tensor:
        return axis if argument(node, 4, 1) == 1 else None
    if axis in along:
        return None
    is_lost = len(shape_of(node)) < rank
    return axis - sum(a < axis for a in along) if is_lost else axis


def _of_squeezed(node: fx.Node, axis: int, rank: int) -> int | None:
    removed = {a % rank for a in as_list(node.args[1])} - {axis}
    source = node.args[0]
    assert isinstance(source, fx.Node)
    removed = {a for a in removed if shape_of(source)[a] == 1}
    return None if shape_of(source)[axis] == 1 else axis - sum(a < axis for a in removed)


def _of_unsqueezed(node: fx.Node, axis: int, rank: int) -> int | None:
    added = argument(node, 1) % (rank + 1)
    return axis + 1 if added <= axis else axis


def _of_permuted(node: fx.Node, axis: int, rank: int) -> int | None:
    order = list(range(rank))
    if node.target is aten.transpose.int:
        a, b = (argument(node, i) % rank for i in (1, 2))
        order[a], order[b] = b, a
    else:
        order = [a % rank for a in as_list(node.args[1])]
    return order.index(axis)


def _of_dense(node: fx.Node, axis: int, rank: int) -> int | None:
    return axis if axis < rank - 1 else None


def _of_reshaped(node: fx.Node, axis: int, rank: int) -> int | None:
    """Of a view that adds and drops axes of one element alone."""
    source = node.args[0]
    assert isinstance(source, fx.Node)
    before, after = ([str(size) for size in shape_of(n)] for n in (source, node))
    kept = [i for i, size in enumerate(after) if size != "1"]
    if [size for size in before if size != "1"] != [after[i] for i in kept] or before[axis] == "1":
        return None
    return kept[sum(size != "1" for size in before[:axis])]


FIND_AXIS: dict[Any, Callable[[fx.Node, int, int], int | None]] = {
    **dict.fromkeys(WINDOWS, _of_window),
    **dict.fromkeys(ALONG_AXES, _of_others),
    aten.select.int: _of_others,
    aten.squeeze.dim: _of_squeezed,
    aten.squeeze.dims: _of_squeezed,
    aten.unsqueeze.default: _of_unsqueezed,
    aten.permute.default: _of_permuted,
    aten.transpose.int: _of_permuted,
    aten.linear.default: _of_dense,
    aten.flatten.using_ints: _of_reshaped,
    **dict.fromkeys(RESHAPES, _of_reshaped),
}


class Window(NamedTuple):
    """How a convolution or pooling goes along the positions."""

    width: int
    stride: int
    padding: int
    dilation: int


def window_of(node: fx.Node) -> Window:
    """Return the window of a convolution or pooling."""
    if node.target is aten.conv1d.default:
        weight = _weight(node)
        assert weight is not None
        numbers = [_only(argument(node, i, default)) for i, default in ((3, 1), (4, 0), (5, 1))]
        return Window(weight.shape[2], *numbers)
    width = _only(node.args[1])
    stride = _only(argument(node, 2, []) or width)
    dilation = argument(node, 4, 1) if node.target is aten.max_pool1d.default else 1
    return Window(width, stride, _only(argument(node, 3, 0)), _only(dilation))


def _weight(node: fx.Node) -> Tensor | None:
    module = node.graph.owning_module
    assert module is not None
    return constant_of(module, node.args[1])


def _has_plain_window(node: fx.Node) -> bool:
    """Say whether every window lies at least partly, and every pooling wholly, on positions."""
    if node.target in POOLS:
        return not window_of(node).padding and not _rounds_up(node)
    if _weight(node) is None or isinstance(argument(node, 4, 0), str):
        return False
    window = window_of(node)
    return bool(window.padding <= window.dilation * (window.width - 1))


def _rounds_up(node: fx.Node) -> bool:
    """Say whether the last window of a pooling may reach beyond the end."""
    return bool(argument(node, 5 if node.target is aten.max_pool1d.default else 4, False))


def shape_of(node: fx.Node) -> tuple[Any, ...]:
    """Return the shape of a value as it was captured, or () if it is no tensor."""
    value = node.meta.get("val")
    return tuple(value.shape) if isinstance(value, Tensor) else ()


def size_of(node: fx.Node, axis: int) -> int:
    """Return a size that is known."""
    return operator.index(shape_of(node)[axis])


def argument(node: fx.Node, i: int, default: Any = None) -> Any:
    """Return an argument by its place, or what it is where it is left out."""
    return node.args[i] if len(node.args) > i and node.args[i] is not None else default


def as_list(value: Any) -> list[Any]:
    """Return one axis or several as a list."""
    return [value] if isinstance(value, int) else list(value)


def _only(value: Any) -> Any:
    return value[0] if isinstance(value, (list, tuple)) else value
