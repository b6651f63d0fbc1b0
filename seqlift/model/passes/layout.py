"""One-dimensional convolutions with channels last, and all that lies between them.

On a CPU a convolution is two to three times as fast where the channels of a position lie side by
side in memory, and a compiler that is free to choose loses that layout at the next residual sum. So
values are carried as (row, position, channel) from the first convolution to the operator that needs
them otherwise: element-wise operators do not mind, those that name an axis name the other one, and
a convolution sees its usual (row, channel, position) as a view.
"""

# ruff: noqa: ANN401  (an operator takes anything)

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx

from seqlift.deeplift.registry import rule_for
from seqlift.deeplift.rules.linear import RIGID_VIEWS
from seqlift.model.passes.constants import constant_of

__all__ = ["channels_last"]

aten = torch.ops.aten

CONVOLUTIONS = {aten.conv1d.default, aten.conv1d.padding}
# Beside the operators with the rescale rule, those that treat every element alike.
ALIKE = {
    aten._to_copy.default,
    aten.add.Scalar,
    aten.add.Tensor,
    aten.alias.default,
    aten.clone.default,
    aten.detach.default,
    aten.div.Scalar,
    aten.div.Tensor,
    aten.masked_fill.Scalar,
    aten.maximum.default,
    aten.minimum.default,
    aten.mul.Scalar,
    aten.mul.Tensor,
    aten.neg.default,
    aten.rsub.Scalar,
    aten.sub.Scalar,
    aten.sub.Tensor,
}
# One axis or several, at argument 1. What is left out stands for all axes, or for the first.
ALONG_AXES = {
    aten.amax.default,
    aten.amin.default,
    aten.cumsum.default,
    aten.log_softmax.int,
    aten.mean.dim,
    aten.slice.Tensor,
    aten.softmax.int,
    aten.sum.dim_IntList,
}
SWAP = (0, 2, 1)

Writer = Callable[[fx.Node], fx.Node]


def channels_last(module: fx.GraphModule) -> fx.GraphModule:
    """Return the graph with values between convolutions as (row, position, channel).

    Parameters
    ----------
    module : fx.GraphModule
        Left as it is.

    Returns
    -------
    fx.GraphModule
        With the same input and output.
    """
    return _Rewriter(module).run()


class _Rewriter:
    """Copies a graph node by node, each value in the layout in which it comes about."""

    def __init__(self, module: fx.GraphModule) -> None:
        self.module = module
        self.graph = fx.Graph()
        self.first: dict[fx.Node, fx.Node] = {}  # channels first, as in the graph that is copied
        self.last: dict[fx.Node, fx.Node] = {}  # channels last
        self._writers: dict[Any, tuple[Writer, Callable[[fx.Node], bool]]] = {
            aten.cat.default: (self._joined, _always),
            aten.constant_pad_nd.default: (self._padded, _always),
            aten.max_pool1d.default: (self._max_pool, _is_split),
            **dict.fromkeys(ALONG_AXES, (self._along, _names_axes)),
        }

    def run(self) -> fx.GraphModule:
        for node in self.module.graph.nodes:
            write = self._writer(node)
            if write is not None:
                self.last[node] = write(node)
            else:
                target = aten.reshape.default if node.target in RIGID_VIEWS else node.target
                self.first[node] = self._copy(node, node.args, self.as_first, target=target)
        return fx.GraphModule(self.module, self.graph)

    def _writer(self, node: fx.Node) -> Writer | None:
        """Return what writes a node with channels last, or None."""
        if _rank(node) != 3:
            return None
        if node.target in CONVOLUTIONS:
            return self._convolution
        if not any(source in self.last for source in node.all_input_nodes):
            return None
        write, can_be_written = self._writers.get(node.target, (self._alike, self._is_alike))
        return write if can_be_written(node) else None

    def _is_alike(self, node: fx.Node) -> bool:
        return _is_alike(node) and all(map(self._is_either, node.all_input_nodes))

    def _is_either(self, source: fx.Node) -> bool:
        return self._rank(source) == 3 or (source.op == "get_attr" and self._rank(source) < 3)

    def _rank(self, node: fx.Node) -> int:
        constant = constant_of(self.module, node)
        return _rank(node) if constant is None else constant.dim()

    # --- a value in one layout or the other ------------------------------------------------------

    def as_first(self, node: fx.Node) -> fx.Node:
        if node not in self.first:
            self.first[node] = self._swapped(self.last[node])
        return self.first[node]

    def as_last(self, node: fx.Node) -> fx.Node:
        if node not in self.last:
            value = self.first[node]
            for _ in range(3 - self._rank(node)):
                value = self._call(aten.unsqueeze.default, value, 0)
            self.last[node] = self._swapped(value)
        return self.last[node]

    def _swapped(self, value: fx.Node) -> fx.Node:
        return self._call(aten.permute.default, value, list(SWAP))

    # --- one method a kind of operator -----------------------------------------------------------

    def _convolution(self, node: fx.Node) -> fx.Node:
        self.first[node] = self._copy(node, node.args, self.as_first)
        return self._swapped(self.first[node])

    def _alike(self, node: fx.Node) -> fx.Node:
        return self._copy(node, node.args, self.as_last, swapped=True)

    def _joined(self, node: fx.Node) -> fx.Node:
        values, axis = node.args if len(node.args) == 2 else (node.args[0], 0)
        args = (values, _swapped_axes(axis))
        return self._copy(node, args, self.as_last, swapped=True)

    def _padded(self, node: fx.Node) -> fx.Node:
        value, widths, *rest = node.args
        at_position, at_channel, *others = [*_pairs(widths), (0, 0), (0, 0)][:3]
        swapped = [*at_channel, *at_position, *others[0]]
        return self._copy(node, (value, swapped, *rest), self.as_last, swapped=True)

    def _along(self, node: fx.Node) -> fx.Node:
        value, axes, *rest = node.args
        args = (value, _swapped_axes(axes), *rest)
        return self._copy(node, args, self.as_last, swapped=True)

    def _max_pool(self, node: fx.Node) -> fx.Node:
        """Write windows that do not overlap as an axis of their own."""
        value, width = node.args[0], _only(node.args[1])
        assert isinstance(value, fx.Node)
        n_windows = node.meta["val"].shape[2]
        whole = self._call(aten.slice.Tensor, self.as_last(value), 1, 0, n_windows * width)
        windows = self._call(aten.unflatten.int, whole, 1, [n_windows, width])
        return self._copy(
            node, (windows, [2]), lambda new: new, swapped=True, target=aten.amax.default
        )

    # --- nodes -----------------------------------------------------------------------------------

    def _copy(
        self,
        node: fx.Node,
        args: tuple[Any, ...],
        layout: Callable[[fx.Node], fx.Node],
        *,
        swapped: bool = False,
        target: Any = None,
    ) -> fx.Node:
        new = self.graph.create_node(
            node.op,
            target or node.target,
            fx.node.map_arg(args, layout),
            fx.node.map_arg(node.kwargs, layout),
            node.name,
            node.type,
        )
        new.meta = dict(node.meta)
        if swapped and isinstance(node.meta.get("val"), Tensor):
            new.meta["val"] = node.meta["val"].permute(SWAP)
        return new

    def _call(self, target: Any, value: fx.Node, *args: Any) -> fx.Node:
        new = self.graph.call_function(target, (value, *args))
        if isinstance(example := value.meta.get("val"), Tensor):
            new.meta = {"val": target(example, *args)}
        if "stack_trace" in value.meta:
            new.meta["stack_trace"] = value.meta["stack_trace"]
        return new


def _rank(node: fx.Node) -> int:
    value = node.meta.get("val")
    return value.dim() if isinstance(value, Tensor) else -1


def _always(_: fx.Node) -> bool:
    return True


def _names_axes(node: fx.Node) -> bool:
    return len(node.args) > 1 and node.args[1] is not None


def _is_alike(node: fx.Node) -> bool:
    rule = rule_for(node.target)
    if rule is None or node.kwargs.get("memory_format") is not None:
        return False
    return node.target in ALIKE or (rule.kind == "rescale" and len(node.all_input_nodes) == 1)


def _is_split(node: fx.Node) -> bool:
    """Say whether pooling cuts its input into windows that neither overlap nor leave gaps."""
    width, stride, padding, dilation, up = [*node.args[1:], *[None] * 4][:5]
    plain = _only(stride or width) == _only(width) and not _only(padding or 0) and not up
    return plain and _only(dilation or 1) == 1


def _only(value: Any) -> Any:
    return value[0] if isinstance(value, (list, tuple)) else value


def _pairs(widths: Any) -> list[tuple[Any, Any]]:
    return list(zip(widths[::2], widths[1::2], strict=True))


def _swapped_axis(axis: int) -> int:
    return SWAP[axis % 3]


def _swapped_axes(axes: Any) -> Any:
    return _swapped_axis(axes) if isinstance(axes, int) else [_swapped_axis(a) for a in axes]
