"""Normalisations with the standard deviation as a constant of each sequence.

As compositions from zero input their inverse deviation would start at ε^-½, some hundred times
its value, and relevances would be small differences of large shares.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

__all__ = ["NORMALISED"]

aten = torch.ops.aten


def _divided(value: Tensor, axes: list[int], eps: float) -> Tensor:
    """Divide by the root mean square over some axes, which has no derivative."""
    power = value.detach().square().mean(axes, keepdim=True)
    return value * (power + eps).rsqrt()


def _centred(value: Tensor, axes: list[int]) -> Tensor:
    return value - value.mean(axes, keepdim=True)


def _affine(value: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    value = value if weight is None else value * weight
    return value if bias is None else value + bias


def _per_channel(parameter: Tensor | None, rank: int) -> Tensor | None:
    return None if parameter is None else parameter.reshape(-1, *[1] * (rank - 2))


def _layer_norm(
    value: Tensor,
    shape: list[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    cudnn_enable: bool = True,
) -> Tensor:
    axes = list(range(-len(shape), 0))
    return _affine(_divided(_centred(value, axes), axes, eps), weight, bias)


def _native_layer_norm(
    value: Tensor, shape: list[int], weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Tensor, None, None]:
    return _layer_norm(value, shape, weight, bias, eps), None, None


def _rms_norm(
    value: Tensor, shape: list[int], weight: Tensor | None = None, eps: float | None = None
) -> Tensor:
    eps = torch.finfo(value.dtype).eps if eps is None else eps
    return _affine(_divided(value, list(range(-len(shape), 0)), eps), weight, None)


def _group_norm(
    value: Tensor,
    groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    cudnn_enabled: bool = True,
) -> Tensor:
    rank = value.dim()
    grouped = value.reshape(value.shape[0], groups, -1)
    after = _divided(_centred(grouped, [2]), [2], eps).reshape(value.shape)
    return _affine(after, _per_channel(weight, rank), _per_channel(bias, rank))


def _instance_norm(
    value: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    use_input_stats: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool,
) -> Any:  # noqa: ANN401  an operator returns anything
    if not use_input_stats:  # linear as it is
        return aten.instance_norm.default(
            value, weight, bias, running_mean, running_var, False, momentum, eps, cudnn_enabled
        )
    return _group_norm(value, value.shape[1], weight, bias, eps)


NORMALISED: dict[Any, Callable[..., Any]] = {
    aten.layer_norm.default: _layer_norm,
    aten.native_layer_norm.default: _native_layer_norm,
    aten.rms_norm.default: _rms_norm,
    aten.group_norm.default: _group_norm,
    aten.instance_norm.default: _instance_norm,
}
