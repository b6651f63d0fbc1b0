"""The rules of a graph, written out once as one flat program.

The interpreter asks for the rule of every operator in every batch. Here it is followed once, with
tensors of given shapes that hold nothing: what it does to them, the way back included, is written
down as a graph of plain operators. These are the same rules; what is gained is that a graph can be
tidied (what is computed twice, what depends on weights alone), run with values overwritten in
place, and compiled.

A program is for one number of sequences and one number of references.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor, fx
from torch._functorch.compile_utils import fx_graph_cse
from torch.fx.experimental.proxy_tensor import make_fx

__all__ = ["Function", "is_followed", "write_program"]

Function = Callable[..., Any]

aten = torch.ops.aten

VIEWS = {aten._unsafe_view.default, aten.view.default}

_is_followed = ContextVar("_is_followed", default=False)


def is_followed() -> bool:
    """Say whether a function is being followed, not run: what it does will be compiled."""
    return _is_followed.get()


def write_program(function: Function, examples: Sequence[Tensor]) -> fx.GraphModule:
    """Follow a function of tensors and write down what it does.

    Parameters
    ----------
    function : callable
        Of tensors alone, to nested tuples of tensors; may call autograd.
    examples : sequence of Tensor
        Of the shapes, types and devices to come; their values do not matter.

    Returns
    -------
    fx.GraphModule
        Without side effects; constants are its attributes.
    """
    token = _is_followed.set(True)
    try:
        return _write(function, examples)
    finally:
        _is_followed.reset(token)


def _write(function: Function, examples: Sequence[Tensor]) -> fx.GraphModule:
    with torch.no_grad():
        followed = _follow(function, examples)
        # Rules may overwrite their own values; two equal steps are found only where none does.
        if any(map(_overwrites, followed.graph.nodes)):
            followed = _follow(torch.func.functionalize(followed, remove="mutations"), examples)
    tidied = fx.GraphModule(followed, fx_graph_cse(followed.graph))
    _fold_constants(tidied)
    tidied.graph.eliminate_dead_code()
    tidied.delete_all_unused_submodules()
    tidied.recompile()
    return tidied


def _overwrites(node: fx.Node) -> bool:
    return isinstance(node.target, torch._ops.OpOverload) and node.target._schema.is_mutable


def _follow(function: Function, examples: Sequence[Tensor]) -> fx.GraphModule:
    follow = make_fx(function, tracing_mode="fake", _allow_non_fake_inputs=True)
    followed: fx.GraphModule = follow(*examples)
    for node in list(followed.graph.nodes):
        if node.target is aten.detach.default:  # autograd has been followed; nothing left to stop
            node.replace_all_uses_with(node.args[0])
            followed.graph.erase_node(node)
        elif node.target in VIEWS:  # not every operator lays its value out as it said it would
            node.target = aten.reshape.default
    followed.graph.eliminate_dead_code()
    followed.recompile()
    return followed


def _fold_constants(module: fx.GraphModule) -> None:
    """Compute once what depends on constants alone: flipped, permuted and rounded weights."""
    known: dict[fx.Node, Any] = {}
    for node in module.graph.nodes:
        if node.op == "get_attr":
            known[node] = getattr(module, str(node.target))
        elif node.op == "call_function" and node.all_input_nodes:
            if all(source in known for source in node.all_input_nodes):
                args, kwargs = fx.node.map_arg((node.args, node.kwargs), known.__getitem__)
                known[node] = node.target(*args, **kwargs)
    for node, value in known.items():
        is_read = any(user not in known for user in node.users)
        if node.op == "call_function" and is_read and isinstance(value, Tensor):
            name = f"_folded_{node.name}"
            module.register_buffer(name, value)
            with module.graph.inserting_before(node):
                node.replace_all_uses_with(module.graph.get_attr(name))
