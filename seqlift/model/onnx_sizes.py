"""Arithmetic on sizes in a converted ONNX model, as numbers that torch.export can follow.

ONNX computes with the shape of a value as with any other: control tracks of zeros for a batch of
any size are a shape, of which two numbers are taken, joined with a third and filled. The converter
makes tensors of these, and torch.export cannot make sizes of tensors. Here they are arrays of
numbers and symbols from the shape on, until something is filled, reshaped or cut with them.
"""

# ruff: noqa: ANN401  (what a graph computes with is anything)

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx, nn

from seqlift.errors import CaptureError

__all__ = ["WithSizes"]

Sizes = NDArray[np.object_]

# Whole numbers beyond are no sizes.
MOST = 64


class _Known(NamedTuple):
    """A constant that may be sizes: as a tensor, and as these."""

    tensor: Tensor
    sizes: Sizes


class WithSizes(nn.Module):
    """A converted model, run operator by operator.

    Parameters
    ----------
    model : fx.GraphModule
    """

    def __init__(self, model: fx.GraphModule) -> None:
        super().__init__()
        self.model = model
        # Read now, since torch.export runs the model without values.
        self._constants = {
            name: np.array(value.tolist(), dtype=object)
            for name, value in model.named_buffers(remove_duplicate=False)
            if value.numel() <= MOST and not value.is_floating_point()
        }
        self._fillings = {
            name: layer.value.item()
            for name, layer in model.named_modules()
            if type(layer).__name__ == "OnnxConstantOfShape"
        }

    def forward(self, *inputs: Tensor) -> Any:
        """Take all inputs in their order."""
        return _Interpreter(self.model, self._constants, self._fillings).run(*inputs)


class _Interpreter(fx.Interpreter):
    def __init__(
        self, model: fx.GraphModule, constants: dict[str, Sizes], fillings: dict[str, Any]
    ) -> None:
        super().__init__(model)
        self._constants = constants
        self._fillings = fillings

    def get_attr(self, target: Any, args: Any, kwargs: Any) -> Any:
        tensor = super().get_attr(target, args, kwargs)
        known = self._constants.get(str(target))
        return tensor if known is None else _Known(tensor, known)

    def call_module(self, target: Any, args: Any, kwargs: Any) -> Any:
        layer = self.fetch_attr(target)
        kind = type(layer).__name__.removeprefix("Onnx")
        values = [v.sizes if isinstance(v, _Known) else v for v in args]
        are_sizes = [isinstance(v, np.ndarray) for v in values]
        if kind == "Shape":
            return _sizes(list(args[0].shape))[layer._start : layer._end]
        if kind == "ConstantOfShape" and are_sizes[0]:
            return _filled(self._fillings[target], layer.value.dtype, values[0])
        if kind in ON_SIZES and all(are_sizes):
            return _sizes(ON_SIZES[kind](layer, *values))
        if kind in MAKING and all(are_sizes[1:]):
            return MAKING[kind](_tensor(args[0], kind), *values[1:])
        return super().call_module(target, tuple(_tensor(v, kind) for v in args), kwargs)


def _tensor(value: Any, kind: str) -> Any:
    """Return what is no size as the tensor that an operator takes."""
    if isinstance(value, _Known):
        return value.tensor
    if not isinstance(value, np.ndarray):
        return value
    if not all(isinstance(n, int) for n in value.flat):
        raise CaptureError(f"the ONNX operator {kind} on the sizes of a value cannot be followed")
    return torch.tensor(value.tolist())


def _sizes(values: Any) -> Sizes:
    return np.asarray(values, dtype=object)


def _unsqueeze(layer: Any, values: Sizes) -> Sizes:
    return np.expand_dims(values, tuple(layer._axes))


def _squeeze(layer: Any, values: Sizes) -> Sizes:
    return np.squeeze(values, tuple(layer.axes) if layer.axes else None)


def _slice(
    layer: Any, values: Sizes, starts: Sizes, ends: Sizes, axes: Sizes | None = None, *steps: Sizes
) -> Sizes:
    """Slice a list of sizes, which has one axis."""
    return values[slice(starts[0], ends[0], steps[0][0] if steps else 1)]


ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "_onnx_div": operator.floordiv,
    "eq": operator.eq,
}


def _by_name(function: Any, one: Sizes, other: Sizes) -> Sizes:
    name = function.__name__
    if name not in ARITHMETIC:
        raise CaptureError(f"the ONNX operator {name} on the sizes of a value cannot be followed")
    return np.frompyfunc(ARITHMETIC[name], 2, 1)(one, other)  # type: ignore[no-any-return]


# Of sizes alone, given the converter's layer and its inputs.
ON_SIZES: dict[str, Callable[..., Any]] = {
    "BinaryMathOperation": lambda layer, a, b: _by_name(layer.math_op_function, a, b),
    "Cast": lambda layer, values: values,
    "Compare": lambda layer, a, b: _by_name(layer.compare_function, a, b),
    "Concat": lambda layer, *values: np.concatenate(values),
    "Gather": lambda layer, values, places: values[places.astype(np.int64)],
    "Slice": _slice,
    "SqueezeStaticAxes": _squeeze,
    "UnsqueezeStaticAxes": _unsqueeze,
    "Where": lambda layer, choose, a, b: np.where(choose.astype(bool), a, b),
}


def _filled(value: Any, dtype: torch.dtype, shape: Sizes) -> Tensor | Sizes:
    """Fill a shape; with whole numbers where that are sizes again, as for Expand."""
    if not dtype.is_floating_point and all(isinstance(n, int) for n in shape):
        return np.full(list(shape), value, dtype=object)
    return torch.full(list(shape), value, dtype=dtype)


def _reshape(value: Tensor, shape: Sizes) -> Tensor:
    return value.reshape([value.shape[i] if n == 0 else n for i, n in enumerate(shape)])


def _expand(value: Tensor, shape: Sizes) -> Tensor:
    """Repeat along axes of size one, of whichever of the two."""
    n = max(value.dim(), len(shape))
    here = [1] * (n - value.dim()) + list(value.shape)
    there = [1] * (n - len(shape)) + list(shape)
    return value.expand([b if a == 1 else a for a, b in zip(here, there, strict=True)])


def _cut(
    value: Tensor,
    starts: Sizes,
    ends: Sizes,
    axes: Sizes | None = None,
    steps: Sizes | None = None,
) -> Tensor:
    """Cut axis by axis; one backwards is flipped first, which counts from the other end."""
    for i, (start, end) in enumerate(zip(starts, ends, strict=True)):
        axis, step = i if axes is None else axes[i], 1 if steps is None else steps[i]
        if step < 0:
            value = value.flip(axis)
            start, end, step = -start - 1, -end - 1, -step
        value = torch.ops.aten.slice.Tensor(value, axis, start, end, step)
    return value


# Of a value and sizes.
MAKING: dict[str, Callable[..., Any]] = {
    "Expand": _expand,
    "Reshape": _reshape,
    "Slice": _cut,
}
