"""No position is computed that the target does not read.

A target that is one position of a profile, or of a splice site's classes, sees as far as its
receptive field reaches; so does every value on the way to it. Where that is less than the window,
each operator is given the positions that are read and no others, and zeros that a convolution would
have put beside the whole window are put beside what is left of it where it reaches that far.
"""

# ruff: noqa: ANN401  (an operator takes anything)

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, fx

from seqlift.model.passes.axes import (
    RESHAPES,
    WINDOWS,
    argument,
    as_list,
    position_axes,
    shape_of,
    size_of,
    window_of,
)

__all__ = ["read_positions", "receptive_field"]

aten = torch.ops.aten

# From, to; half open.
Span = tuple[int, int]

SIZES = {aten.sym_size.int}

# A slice costs a copy; it is worth that where a tenth of the numbers need not be computed.
WORTH = 0.9


def read_positions(module: fx.GraphModule) -> fx.GraphModule:
    """Return the graph without the positions that nothing reads.

    Parameters
    ----------
    module : fx.GraphModule
        With one placeholder (row, base=4, position); left as it is.

    Returns
    -------
    fx.GraphModule
        With the same input and output; the graph itself where there is little to leave out.
    """
    axes = position_axes(module)
    spans = _spans(module.graph, axes)
    whole = sum(_numbers(node, axes, (0, size_of(node, axes[node]))) for node in spans)
    read = sum(_numbers(node, axes, span) for node, span in spans.items())
    if read >= WORTH * whole:
        return module
    return _Cropper(module, axes, spans).run()


def receptive_field(module: fx.GraphModule) -> Span | None:
    """Return the positions of the input that a graph's output reads, half-open.

    Parameters
    ----------
    module : fx.GraphModule
        With one placeholder (row, base=4, position).

    Returns
    -------
    tuple of int, or None
        The whole window where positions cannot be followed; None if the output reads none.
    """
    axes = position_axes(module)
    (source,) = (node for node in module.graph.nodes if node.op == "placeholder")
    if source not in axes:
        return 0, shape_of(source)[2]
    return _spans(module.graph, axes).get(source)


def _numbers(node: fx.Node, axes: dict[fx.Node, int], span: Span) -> int:
    others = [size for i, size in enumerate(shape_of(node)[1:], start=1) if i != axes[node]]
    return int(math.prod(others)) * (span[1] - span[0])


def _spans(graph: fx.Graph, axes: dict[fx.Node, int]) -> dict[fx.Node, Span]:
    """Return the positions that are read of every value whose positions can be told apart."""
    spans: dict[fx.Node, Span] = {}
    for node in reversed(graph.nodes):
        if node not in axes:
            continue
        whole = (0, size_of(node, axes[node]))
        reads = [_read_by(user, node, axes, spans, whole) for user in node.users]
        wanted = [span for span in reads if span is not None]
        if wanted:
            spans[node] = min(a for a, _ in wanted), max(b for _, b in wanted)
    return spans


def _read_by(
    user: fx.Node,
    node: fx.Node,
    axes: dict[fx.Node, int],
    spans: dict[fx.Node, Span],
    whole: Span,
) -> Span | None:
    """Return the positions of a node that one of its users reads; None for none."""
    if user.target in SIZES and user.args[1] != axes[node]:
        return None
    if _is_one_position(user, axes):
        place = argument(user, 2) % whole[1]
        return place, place + 1
    if user not in axes:
        return whole
    if user not in spans:
        return None
    a, b = _reach(user, spans[user], axes)
    return max(a, 0), min(b, whole[1])


def _is_one_position(node: fx.Node, axes: dict[fx.Node, int]) -> bool:
    """Say whether a node picks one position."""
    source = node.args[0] if node.args else None
    if node.target is not aten.select.int or source not in axes:
        return False
    assert isinstance(source, fx.Node)
    return bool(argument(node, 1) % len(shape_of(source)) == axes[source])


def _reach(node: fx.Node, span: Span, axes: dict[fx.Node, int]) -> Span:
    """Return the positions that a node reads of its inputs, padding among them."""
    start, end = span
    if node.target in WINDOWS:
        width, stride, padding, dilation = window_of(node)
        first, last = start * stride - padding, (end - 1) * stride - padding
        return first, last + dilation * (width - 1) + 1
    if _is_slice(node, axes):
        first, source = argument(node, 2, 0), node.args[0]
        assert isinstance(source, fx.Node)
        shift = max(0, first if first >= 0 else first + size_of(source, axes[source]))
        return start + shift, end + shift
    return span


def _is_slice(node: fx.Node, axes: dict[fx.Node, int]) -> bool:
    """Say whether a node is a slice of positions."""
    if node.target is not aten.slice.Tensor:
        return False
    return bool(argument(node, 1) % len(shape_of(node)) == axes[node])


class _Cropper:
    """Copies a graph node by node, each with the positions that are read of it."""

    def __init__(
        self, module: fx.GraphModule, axes: dict[fx.Node, int], spans: dict[fx.Node, Span]
    ) -> None:
        self.module = module
        self.graph = fx.Graph()
        self.axes = axes
        self.spans = spans
        self.made: dict[fx.Node, tuple[fx.Node, Span | None]] = {}
        self._pieces: dict[tuple[fx.Node, Span], fx.Node] = {}

    def run(self) -> fx.GraphModule:
        for node in self.module.graph.nodes:
            span = self.spans.get(node)
            if node.op == "placeholder":
                self.made[node] = self._copy(node, ()), (0, size_of(node, self.axes[node]))
            elif span is not None:
                self.made[node] = self._cropped(node, span), span
            elif _is_one_position(node, self.axes):
                self.made[node] = self._one_position(node), None
            elif node not in self.axes:  # or else nobody reads it
                self.made[node] = self._copy(node, fx.node.map_arg(node.args, self._whole)), None
        return fx.GraphModule(self.module, self.graph)

    def _whole(self, node: fx.Node) -> fx.Node:
        if node not in self.axes:
            return self._as_is(node)
        return self._piece(node, (0, size_of(node, self.axes[node])))

    def _as_is(self, node: fx.Node) -> fx.Node:
        return self.made[node][0]

    def _piece(self, node: fx.Node, span: Span) -> fx.Node:
        new, have = self.made[node]
        if have is None or have == span:
            return new
        if (node, span) not in self._pieces:
            first = span[0] - have[0]
            args = (new, self.axes[node], first, first + span[1] - span[0])
            self._pieces[node, span] = self._call(aten.slice.Tensor, node, span, args)
        return self._pieces[node, span]

    def _cropped(self, node: fx.Node, span: Span) -> fx.Node:
        if _is_slice(node, self.axes):
            source = node.args[0]
            assert isinstance(source, fx.Node)
            return self._piece(source, _reach(node, span, self.axes))
        if node.target is aten.conv1d.default:
            return self._convolution(node, span)

        def part(source: fx.Node) -> fx.Node:
            if source not in self.axes:
                return self._as_is(source)
            return self._piece(source, _reach(node, span, self.axes))

        args = fx.node.map_arg(node.args, part)
        if node.target in RESHAPES:
            shape = [*as_list(args[1])]
            shape[self.axes[node]] = span[1] - span[0]
            args = (args[0], shape, *args[2:])
        return self._copy(node, args, span)

    def _convolution(self, node: fx.Node, span: Span) -> fx.Node:
        source = node.args[0]
        assert isinstance(source, fx.Node)
        start, end = _reach(node, span, self.axes)
        size = size_of(source, self.axes[source])
        before, behind = max(0, -start), max(0, end - size)
        value = self._piece(source, (start + before, end - behind))
        padding = before
        if before != behind:
            args = (value, [before, behind])
            value = self._call(aten.constant_pad_nd.default, source, (start, end), args)
            padding = 0
        others = fx.node.map_arg((node.args[1], argument(node, 2, None)), self._as_is)
        window = window_of(node)
        options = [window.stride], [padding], [window.dilation], argument(node, 6, 1)
        return self._copy(node, (value, *others, *options), span)

    def _one_position(self, node: fx.Node) -> fx.Node:
        source, axis, place = node.args
        assert isinstance(source, fx.Node) and isinstance(place, int)
        place %= size_of(source, self.axes[source])
        return self._copy(node, (self._piece(source, (place, place + 1)), axis, 0))

    # --- nodes -----------------------------------------------------------------------------------

    def _copy(self, node: fx.Node, args: tuple[Any, ...], span: Span | None = None) -> fx.Node:
        kwargs = fx.node.map_arg(node.kwargs, self._whole)
        new = self.graph.create_node(node.op, node.target, args, kwargs, node.name, node.type)
        new.meta = dict(node.meta)
        if span is not None:
            new.meta["val"] = self._example(node, span)
        return new

    def _call(self, target: Any, like: fx.Node, span: Span, args: tuple[Any, ...]) -> fx.Node:
        """Add an operator that gives some positions of a value, or more than it has."""
        new = self.graph.call_function(target, args)
        new.meta = {"val": self._example(like, span)}
        if "stack_trace" in like.meta:
            new.meta["stack_trace"] = like.meta["stack_trace"]
        return new

    def _example(self, node: fx.Node, span: Span) -> Tensor:
        shape = list(shape_of(node))
        shape[self.axes[node]] = span[1] - span[0]
        value: Tensor = node.meta["val"].new_empty(shape)
        return value
