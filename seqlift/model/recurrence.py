"""Recurrent layers during capture: their shapes at once, not step by step.

To learn the shapes of an LSTM's outputs torch follows all of its steps, once when a model is
exported and again when it is decomposed: a tenth of a second a step and more. The shapes follow
from the input's. While `recurrence_whole` lasts, torch's own tables have that in place of the
steps, in the way in which torch itself puts decompositions aside.
"""

# ruff: noqa: ANN401  (torch's tables hold anything)

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch._decomp import decomposition_table

from seqlift.errors import CaptureError, ShapeError

__all__ = ["STEP_LIMIT", "recurrence_whole"]

aten = torch.ops.aten

OPERATORS = (aten.lstm.input, aten.gru.input, aten.rnn_tanh.input, aten.rnn_relu.input)
KEYS = (torch._C.DispatchKey.Autograd, torch._C.DispatchKey.CompositeImplicitAutograd)

# Steps, in all layers and directions together. That many at 64 units keep half a gigabyte for each
# pair of a sequence and a reference, and take minutes.
STEP_LIMIT = 100_000


def _shapes(
    value: Tensor,
    states: Any,
    params: Sequence[Tensor],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> tuple[Tensor, ...]:
    """Return tensors of the shapes that the operator gives."""
    if train and dropout > 0 and num_layers > 1:
        raise CaptureError(
            f"a recurrent layer drops values at random between its layers (dropout={dropout} in "
            "training mode); call model.eval() before it is exported"
        )
    n_directions = 2 if bidirectional else 1
    initial = list(states) if isinstance(states, (list, tuple)) else [states]
    rows, steps = value.shape[:2] if batch_first else (value.shape[1], value.shape[0])
    _require_steps(rows, steps, num_layers * n_directions)
    after = value.new_empty((steps, rows, n_directions * initial[0].shape[-1]))
    # Laid out as the operator has it: torch chooses between views and copies by that.
    after = after.transpose(0, 1) if batch_first else after
    return (after, *(state.new_empty(state.shape) for state in initial))


def _require_steps(rows: Any, steps: Any, n_times: int) -> None:
    if not isinstance(steps, int):
        if isinstance(rows, int):  # what varies is the batch, so that is what it steps over
            raise CaptureError(
                "a recurrent layer steps over the sequences of a batch; it expects (position, "
                "row, channel), or (row, position, channel) with batch_first=True"
            )
        return
    if steps * n_times > STEP_LIMIT:
        raise ShapeError(
            f"a recurrent layer takes {steps * n_times:,} steps ({steps:,} positions, {n_times} "
            f"layers and directions); at most {STEP_LIMIT:,} are scored: pool before it"
        )


@contextlib.contextmanager
def recurrence_whole() -> Iterator[None]:
    """Let torch take recurrent operators whole, and put its tables back afterwards."""
    usual = [(o, decomposition_table[o], dict(o.py_kernels)) for o in OPERATORS]
    try:
        for operator in OPERATORS:
            decomposition_table[operator] = _shapes
            for key in KEYS:
                operator.py_kernels.pop(key, None)
                operator.py_impl(key)(_shapes)
        yield
    finally:
        for operator, decomposition, kernels in usual:
            decomposition_table[operator] = decomposition
            operator.py_kernels.clear()
            operator.py_kernels.update(kernels)
            operator._dispatch_cache.clear()
