"""Batch norm of a trained model: a scale and a shift for each channel.

Where it follows a convolution or a dense layer that nothing else reads, it goes into that layer's
weights; elsewhere it becomes a product and a sum. Scales are formed in float64.
"""

from __future__ import annotations

import copy
import operator
from typing import NamedTuple

import torch
from torch import Tensor, fx

from seqlift.deeplift.rules.signed import BATCH_NORM
from seqlift.model.passes.constants import add_constant, constant_of

__all__ = ["fold_batch_norm"]

aten = torch.ops.aten

# Layers whose weights have the output channels first; the transposed convolution has them second.
WEIGHTED = {
    aten.conv1d.default,
    aten.conv1d.padding,
    aten.conv2d.default,
    aten.conv2d.padding,
    aten.conv3d.default,
    aten.conv3d.padding,
    aten.linear.default,
}


class _Affine(NamedTuple):
    """y = scale · x + shift, float64, one number a channel."""

    scale: Tensor
    shift: Tensor


def fold_batch_norm(module: fx.GraphModule) -> fx.GraphModule:
    """Return the graph without batch norm; see the head of this file.

    Parameters
    ----------
    module : fx.GraphModule
        Left as it is.

    Returns
    -------
    fx.GraphModule
    """
    folded = fx.GraphModule(module, copy.deepcopy(module.graph))
    for node in list(folded.graph.nodes):
        if node.target is BATCH_NORM:
            _replace(folded, node)
    folded.graph.eliminate_dead_code()
    folded.recompile()
    return folded


def _replace(module: fx.GraphModule, node: fx.Node) -> None:
    affine = _affine(module, node)
    values = [user for user in node.users if user.target is operator.getitem and user.args[1] == 0]
    if affine is None or len(values) != len(node.users):
        return
    instead = _fold(module, node, affine) or _written_out(module, node, affine)
    for value in values:
        value.replace_all_uses_with(instead)
        module.graph.erase_node(value)
    module.graph.erase_node(node)


def _affine(module: fx.GraphModule, node: fx.Node) -> _Affine | None:
    _, weight, bias, mean, variance, _, eps = node.args
    assert isinstance(eps, float)
    at = constant_of(module, mean)
    spread = constant_of(module, variance)
    if at is None or spread is None:
        return None
    scale = (spread.double() + eps).rsqrt()
    for factor in [weight] if weight is not None else []:
        constant = constant_of(module, factor)
        if constant is None:
            return None
        scale = scale * constant.double()
    shift = -at.double() * scale
    if bias is not None:
        constant = constant_of(module, bias)
        if constant is None:
            return None
        shift = shift + constant.double()
    return _Affine(scale, shift)


def _fold(module: fx.GraphModule, node: fx.Node, affine: _Affine) -> fx.Node | None:
    """Put scale and shift into the layer before; None where there is none to take them."""
    layer = node.args[0]
    if not isinstance(layer, fx.Node) or layer.target not in WEIGHTED or len(layer.users) > 1:
        return None
    weight = constant_of(module, layer.args[1])
    old = layer.args[2] if len(layer.args) > 2 else None
    bias = constant_of(module, old)
    # A dense layer over positions has its outputs last, and batch norm its channels second.
    is_dense_over_positions = layer.target is aten.linear.default and _rank(layer) != 2
    if weight is None or (old is not None and bias is None) or is_dense_over_positions:
        return None
    by_channel = affine.scale.reshape(-1, *[1] * (weight.dim() - 1))
    shift = affine.shift if bias is None else affine.shift + bias.double() * affine.scale
    new_weight = add_constant(module, layer, (weight.double() * by_channel).to(weight.dtype))
    new_bias = add_constant(module, layer, shift.to(weight.dtype))
    layer.args = (layer.args[0], new_weight, new_bias, *layer.args[3:])
    return layer


def _rank(node: fx.Node) -> int:
    value = node.meta.get("val")
    return value.dim() if isinstance(value, Tensor) else 0


def _written_out(module: fx.GraphModule, node: fx.Node, affine: _Affine) -> fx.Node:
    value = node.args[0]
    assert isinstance(value, fx.Node)
    shape = (-1, *[1] * (_rank(value) - 2))
    variance = constant_of(module, node.args[4])
    assert variance is not None
    scale = add_constant(module, node, affine.scale.to(variance.dtype).reshape(shape))
    shift = add_constant(module, node, affine.shift.to(variance.dtype).reshape(shape))
    graph = module.graph
    with graph.inserting_before(node):
        scaled = graph.call_function(aten.mul.Tensor, (value, scale))
        shifted = graph.call_function(aten.add.Tensor, (scaled, shift))
    for new in (scaled, shifted):
        new.meta = {key: found for key, found in value.meta.items() if key in ("val",)}
        if "stack_trace" in node.meta:
            new.meta["stack_trace"] = node.meta["stack_trace"]
    return shifted
