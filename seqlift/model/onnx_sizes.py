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

# More numbers than these are no sizes.
MOST = 64
INSTEAD = "export the model with torch.export instead"


class _Known(NamedTuple):
    """A constant that may be sizes, or a factor of some: as a tensor, and as these."""

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
            if value.numel() <= MOST
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
        is_weight = not any(isinstance(v, np.ndarray) for v in args)  # or made of weights alone
        values = [
            v.sizes if isinstance(v, _Known) and not (is_weight and _is_float(v.tensor)) else v
            for v in args
        ]
        are_sizes = [isinstance(v, np.ndarray) for v in values]
        if kind == "Constant" and (known := self._constants.get(f"{target}.value")) is not None:
            return _Known(layer.value, known)
        if kind == "Shape":
            return _sizes(list(args[0].shape))[layer._start : layer._end]
        if kind == "ConstantOfShape" and are_sizes[0]:
            return _filled(self._fillings[target], layer.value.dtype, values[0])
        if kind in ON_SIZES and all(are_sizes):
            return _sizes(ON_SIZES[kind](layer, *values))
        if kind in MAKING and all(are_sizes[1:]):
            return MAKING[kind](_tensor(args[0], kind), *values[1:])
        kind = getattr(getattr(layer, "function", None), "__name__", kind)
        device = next((v.device for v in args if isinstance(v, Tensor)), None)
        return super().call_module(target, tuple(_tensor(v, kind, device) for v in args), kwargs)


def _is_float(value: Tensor) -> bool:
    return value.is_floating_point()


def _tensor(value: Any, kind: str, device: torch.device | None = None) -> Any:
    """Return what is no size as the tensor that an operator takes."""
    if isinstance(value, _Known):
        return value.tensor
    if not isinstance(value, np.ndarray):
        return value
    if not all(isinstance(n, int | float) for n in value.flat):
        raise CaptureError(
            f"the ONNX operator {kind} on the number of rows cannot be followed; {INSTEAD}"
        )
    has_floats = any(isinstance(n, float) for n in value.flat)
    return torch.tensor(value.tolist(), dtype=torch.float32 if has_floats else None, device=device)


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


def _divide(one: Any, other: Any) -> Any:
    """Divide as ONNX does, which cuts whole numbers off towards zero."""
    if any(isinstance(n, float | torch.SymFloat) for n in (one, other)):
        return one / other
    return one // other if one * other >= 0 else -(-one // other)


# By the names of the functions that the converter has for them.
ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "_onnx_div": _divide,
    "add": operator.add,
    "eq": operator.eq,
    "greater": operator.gt,
    "greater_equal": operator.ge,
    "gt": operator.gt,
    "ge": operator.ge,
    "le": operator.le,
    "less": operator.lt,
    "less_equal": operator.le,
    "lt": operator.lt,
    "mul": operator.mul,
    "sub": operator.sub,
}


def _each(function: Callable[..., Any], *values: Sizes) -> Sizes:
    return np.frompyfunc(function, len(values), 1)(*values)  # type: ignore[no-any-return]


def _by_name(function: Any, one: Sizes, other: Sizes) -> Sizes:
    return _each(ARITHMETIC[function.__name__], one, other)


def _cast(layer: Any, values: Sizes) -> Sizes:
    dtype = layer.torch_dtype
    to: Callable[[Any], Any] = torch.sym_float if dtype.is_floating_point else _whole
    return _each(bool if dtype == torch.bool else to, values)


def _whole(value: Any) -> Any:
    """Cut a number off towards zero."""
    return value if isinstance(value, torch.SymInt) else torch.sym_int(value)  # type: ignore[no-untyped-call]


# Of sizes alone, given the converter's layer and its inputs.
ON_SIZES: dict[str, Callable[..., Any]] = {
    "BinaryMathOperation": lambda layer, a, b: _by_name(layer.math_op_function, a, b),
    "Cast": _cast,
    "Compare": lambda layer, a, b: _by_name(layer.compare_function, a, b),
    "Concat": lambda layer, *values: np.concatenate(values),
    "Gather": lambda layer, values, places: values[places.astype(np.int64)],
    "Identity": lambda layer, values: values,
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
