"""Whether a converted ONNX model computes what ONNX's own reference does."""

# ruff: noqa: ANN401  (onnx has no types)

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from seqlift.model.form import layout_of

__all__ = ["Check"]

ROWS = 2
# What is tried where a model takes any number of positions: each until one goes through.
LENGTHS = (64, 500, 1000, 2114)
# Of the largest value, and on its own; a model computed otherwise differs by far more.
MOST_OFF = 1e-3
NEGLIGIBLE = 1e-6
RANDOM = ("Random", "Bernoulli", "Multinomial")


class Check:
    """What ONNX's reference makes of a small random batch.

    Where it cannot run the model, or that draws random numbers, there is nothing to compare with.

    Parameters
    ----------
    model : onnx.ModelProto
    shapes : mapping of str to tuple
        Of the inputs; None where a size may vary.
    """

    def __init__(self, model: Any, shapes: Mapping[str, tuple[int | None, ...]]) -> None:
        self._expected: list[Any] | None = None
        self._inputs: list[NDArray[Any]] = []
        if any(node.op_type.startswith(RANDOM) for node in model.graph.node):
            return
        types = {value.name: _type(value) for value in model.graph.input}
        for length in LENGTHS if _varies(shapes) else LENGTHS[:1]:
            inputs = {n: _values(shape, types[n], length) for n, shape in shapes.items()}
            with contextlib.suppress(Exception), np.errstate(all="ignore"):  # of many kinds
                self._expected = _evaluator(model).run(None, inputs)
                self._inputs = list(inputs.values())
                return

    def passes(self, module: nn.Module) -> bool:
        """Say whether a module computes the same."""
        if self._expected is None:
            return True
        try:
            with torch.no_grad():
                found = module(*map(torch.from_numpy, self._inputs))
        except Exception:  # what cannot run is refused elsewhere, with its reason
            return True
        flat = list(found) if isinstance(found, (list, tuple)) else [found]
        pairs = zip(flat, self._expected, strict=False)
        is_whole = len(flat) == len(self._expected)
        return is_whole and all(_are_same(one.detach().numpy(), other) for one, other in pairs)


def _varies(shapes: Mapping[str, tuple[int | None, ...]]) -> bool:
    return any(size is None for shape in shapes.values() for size in shape[1:])


def _type(value: Any) -> Any:
    import onnx

    return onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)


def _values(shape: tuple[int | None, ...], dtype: Any, length: int) -> NDArray[Any]:
    """Return random bases for an input that can take them, and numbers from 0 to 1 for another."""
    sizes = [size or (length if i else ROWS) for i, size in enumerate(shape)]
    random = np.random.default_rng(1)
    if not np.issubdtype(dtype, np.floating):
        return np.zeros(sizes, dtype)
    found = layout_of(tuple(shape))
    if found is None:
        return random.random(sizes).astype(dtype)
    axis = found[0].index("4")
    bases = random.integers(4, size=[n for i, n in enumerate(sizes) if i != axis])
    return np.moveaxis(np.eye(4, dtype=dtype)[bases], -1, axis)


def _are_same(one: NDArray[Any], other: NDArray[Any]) -> bool:
    if one.shape != other.shape:
        return False
    largest = np.abs(other[np.isfinite(other)], dtype=np.float64).max(initial=0)
    most = MOST_OFF * float(largest) + NEGLIGIBLE
    return bool(np.allclose(one, other, rtol=0, atol=most, equal_nan=True))


def _evaluator(model: Any) -> Any:
    """Return the reference with the convolution of torch, since its own takes minutes."""
    from onnx.reference import ReferenceEvaluator
    from onnx.reference.op_run import OpRun
    from onnx.reference.ops import op_conv

    own: Any = op_conv.Conv

    class Conv(OpRun):
        op_domain = ""

        def _run(
            self, value: Any, weight: Any, bias: Any = None, *, auto_pad: Any = None,
            dilations: Any = None, group: Any = None, kernel_shape: Any = None, pads: Any = None,
            strides: Any = None,
        ) -> tuple[Any]:  # fmt: skip
            if auto_pad not in (None, "NOTSET"):
                return own._run(  # type: ignore[no-any-return]
                    self, value, weight, bias, auto_pad, dilations, group, kernel_shape, pads,
                    strides,
                )  # fmt: skip
            n = value.ndim - 2
            around = list(pads or [0] * (2 * n))
            pairs = [(0, 0), (0, 0), *zip(around[:n], around[n:], strict=True)]
            found = torch.convolution(
                _tensor(np.pad(value, pairs)), _tensor(weight),
                None if bias is None else _tensor(bias), list(strides or [1] * n), [0] * n,
                list(dilations or [1] * n), False, [0] * n, group or 1,
            )  # fmt: skip
            return (found.numpy(),)

    return ReferenceEvaluator(model, new_ops=[Conv])


def _tensor(values: NDArray[Any]) -> Tensor:
    return torch.from_numpy(np.array(values, order="C"))
