"""A captured graph with weights of one type on one device.

The weights are copied only where type or device differ, so the user's model is never moved or
changed.
"""

from __future__ import annotations

import copy
import operator

import torch
from torch import Tensor, fx
from torch._ops import OpOverload
from torch.fx.node import Argument

from seqlift.deeplift.rules.linear import RIGID_VIEWS
from seqlift.deeplift.rules.recurrent import OPERATORS_A_STEP
from seqlift.errors import ModelLoadError, UsageError

__all__ = ["find_device", "place"]

aten = torch.ops.aten


def place(graph: fx.GraphModule, dtype: torch.dtype, device: torch.device) -> fx.GraphModule:
    """Return the graph with its floating-point constants in `dtype` and all on `device`.

    Parameters
    ----------
    graph : fx.GraphModule
        Left as it is.
    dtype : torch.dtype
        Also replaces the floating-point types written in the graph itself.
    device : torch.device

    Returns
    -------
    fx.GraphModule

    Raises
    ------
    ModelLoadError
        If a weight is NaN.
    """
    plan = copy.deepcopy(graph.graph)
    constants: dict[str, Tensor] = {}
    for node in plan.nodes:
        if node.op == "get_attr":
            constant = _attribute(graph, node.target)
            _require_numbers(node.target, constant)
            constants[node.target] = _moved(constant, dtype, device)
        elif node.op == "call_function":
            _loosen(node)
            node.kwargs = {k: _rewritten(k, v, dtype, device) for k, v in node.kwargs.items()}
            node.args = tuple(_rewritten("", v, dtype, device) for v in node.args)
            if _makes_default_type(node):
                node.kwargs = {**node.kwargs, "dtype": dtype}
    return fx.GraphModule(constants, plan)


def find_device(device: str | torch.device | None) -> torch.device:
    """Return the device of that name, or by default a CUDA device if there is one and else the CPU.

    Raises
    ------
    UsageError
        If there is no such device here.
    """
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(device)
    except RuntimeError:
        raise UsageError(f"device {device!r} is unknown; expected cpu, cuda or cuda:N") from None
    if found.type not in ("cpu", "cuda"):
        raise UsageError(f"device {device!r} is not supported; expected cpu, cuda or cuda:N")
    if found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count():
        raise UsageError(
            f"device '{device}' is not here; torch sees {torch.cuda.device_count()} CUDA devices"
        )
    return found


def _attribute(graph: fx.GraphModule, path: str) -> Tensor:
    constant = operator.attrgetter(path)(graph)
    return constant.detach()  # type: ignore[no-any-return]


def _require_numbers(name: str, constant: Tensor) -> None:
    # Infinity is a usual value in masks; NaN never means anything.
    if constant.is_floating_point() and bool(constant.isnan().any()):
        count = int(constant.isnan().sum())
        raise ModelLoadError(
            f"the model's {name} holds {count} NaN of {constant.numel()} values; "
            "the training has probably diverged: take an earlier checkpoint"
        )


def _loosen(node: fx.Node) -> None:
    """Let a node take values in whatever layout another device's operators give them.

    Attention, for one, lays its value out in memory otherwise on CUDA devices than on the CPU that
    a model was captured on, and recurrent layers want states there that lie in one piece.
    """
    if node.target in RIGID_VIEWS:
        node.target = aten.reshape.default
    elif node.target in OPERATORS_A_STEP:
        with node.graph.inserting_before(node):
            value, states, *rest = node.args
            node.args = (value, fx.node.map_arg(states, _in_one_piece), *rest)


def _in_one_piece(state: fx.Node) -> fx.Node:
    found = state.graph.call_function(
        aten.clone.default, (state,), {"memory_format": torch.contiguous_format}
    )
    found.meta = dict(state.meta)
    return found


def _moved(constant: Tensor, dtype: torch.dtype, device: torch.device) -> Tensor:
    return constant.to(device, dtype if constant.is_floating_point() else None)


def _makes_default_type(node: fx.Node) -> bool:
    """Say whether a node makes a tensor of torch's default floating-point type."""
    made = node.meta.get("val")
    return (
        isinstance(node.target, OpOverload)
        and any(argument.name == "dtype" for argument in node.target._schema.arguments)
        and node.kwargs.get("dtype") is None
        and not any(isinstance(n.meta.get("val"), Tensor) for n in node.all_input_nodes)
        and isinstance(made, Tensor)
        and made.is_floating_point()
    )


def _rewritten(key: str, value: Argument, dtype: torch.dtype, device: torch.device) -> Argument:
    if key == "device" or isinstance(value, torch.device):
        return device
    if isinstance(value, torch.dtype) and value.is_floating_point:
        return dtype
    return value
