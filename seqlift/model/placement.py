"""A captured graph with weights of one type on one device.

The weights are copied only where type or device differ, so the user's model is never moved or
changed.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, fx

from seqlift.errors import ModelLoadError

__all__ = ["place"]


def place(graph: fx.GraphModule, dtype: torch.dtype, device: torch.device) -> fx.GraphModule:
    """Return the graph with all its floating-point constants in `dtype`, and everything on `device`.

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
        If a weight is not a finite number.
    """
    plan = copy.deepcopy(graph.graph)
    constants: dict[str, Tensor] = {}
    for node in plan.nodes:
        if node.op == "get_attr":
            constant = _attribute(graph, node.target)
            _require_numbers(node.target, constant)
            constants[node.target] = _moved(constant, dtype, device)
        elif node.op == "call_function":
            node.kwargs = {k: _rewritten(k, v, dtype, device) for k, v in node.kwargs.items()}
            node.args = tuple(_rewritten("", v, dtype, device) for v in node.args)
    return fx.GraphModule(constants, plan)


def _attribute(module: Any, path: str) -> Tensor:
    for name in path.split("."):
        module = getattr(module, name)
    return module.detach()  # type: ignore[no-any-return]


def _require_numbers(name: str, constant: Tensor) -> None:
    # Infinity is a usual value in masks; NaN never means anything.
    if constant.is_floating_point() and bool(constant.isnan().any()):
        count = int(constant.isnan().sum())
        raise ModelLoadError(
            f"the model's {name} holds {count} NaN of {constant.numel()} values; "
            "the training has probably diverged: take an earlier checkpoint"
        )


def _moved(constant: Tensor, dtype: torch.dtype, device: torch.device) -> Tensor:
    return constant.to(device, dtype if constant.is_floating_point() else None)


def _rewritten(key: str, value: Any, dtype: torch.dtype, device: torch.device) -> Any:
    if key == "device" or isinstance(value, torch.device):
        return device
    if isinstance(value, torch.dtype) and value.is_floating_point:
        return dtype
    return value
