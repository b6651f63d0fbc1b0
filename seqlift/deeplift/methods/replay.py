"""A captured graph as a plain function: its values and its derivatives.

Nothing here compares with a reference; for that see `interpreter.py`.
"""

# ruff: noqa: ANN401  (an operator takes and returns anything)

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx

from seqlift.deeplift.rules.linear import RIGID_VIEWS

__all__ = ["Replay", "differentiate", "predict"]

aten = torch.ops.aten


def _copied(onto: Tensor, value: Tensor, non_blocking: bool = False) -> Tensor:
    return value.expand_as(onto).to(onto.dtype)


def _differentiable(recurrent: Any) -> Callable[..., Any]:
    """Let a recurrent layer be gone back through: on CUDA only layers in training can be.

    Without dropout that is the same layer.
    """

    def run(value: Any, state: Any, weights: Any, biased: Any, layers: Any, *rest: Any) -> Any:
        _dropout, _train, *order = rest
        return recurrent(value, state, weights, biased, layers, 0.0, True, *order)

    return run


RECURRENT = (aten.lstm.input, aten.gru.input, aten.rnn_tanh.input, aten.rnn_relu.input)
INSTEAD: dict[Any, Callable[..., Any]] = {
    aten.copy.default: _copied,  # torch has no derivative for it
    # It stops gradients in training and changes nothing in the value, so not in its derivative.
    aten.detach.default: aten.alias.default,
    # What replaces an operator need not lay its value out in memory as the operator does.
    **dict.fromkeys(RIGID_VIEWS, aten.reshape.default),
    **{layer: _differentiable(layer) for layer in RECURRENT},
}


class Replay(fx.Interpreter):
    """Runs a graph so that autograd can go back through it.

    A method that has another backward pass than the derivative replaces operators here.
    """

    def call_function(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run one operator."""
        return INSTEAD.get(target, target)(*args, **kwargs)


def predict(graph: fx.GraphModule, rows: Tensor, at_once: int) -> Tensor:
    """Return the target of each row.

    Parameters
    ----------
    graph : fx.GraphModule
        One input (row, 4, position), one output (row,).
    rows : Tensor, shape (row, base=4, position)
    at_once : int
        Rows in the model at once.

    Returns
    -------
    Tensor, shape (row,)
    """
    with torch.no_grad():
        return torch.cat([graph(part) for part in torch.split(rows, at_once)])


def differentiate(
    graph: fx.GraphModule, rows: Tensor, at_once: int, replay: type[Replay] = Replay
) -> tuple[Tensor, Tensor]:
    """Return the derivative of the target at each row, and the target.

    Parameters
    ----------
    graph : fx.GraphModule
        One input (row, 4, position), one output (row,).
    rows : Tensor, shape (row, base=4, position)
    at_once : int
        Rows in the model at once.
    replay : type of Replay
        How operators are run, and so what their backward pass is.

    Returns
    -------
    derivative : Tensor, shape (row, base=4, position)
    prediction : Tensor, shape (row,)
    """
    runner = replay(graph)
    found = [_differentiate(runner, part) for part in torch.split(rows, at_once)]
    derivatives, predictions = zip(*found, strict=True)
    return torch.cat(derivatives), torch.cat(predictions)


def _differentiate(runner: Replay, rows: Tensor) -> tuple[Tensor, Tensor]:
    rows = rows.detach().requires_grad_()
    with torch.enable_grad():
        target = runner.run(rows)
        if not target.requires_grad:  # a target that does not depend on the sequence
            return torch.zeros_like(rows), target
        (found,) = torch.autograd.grad(target.sum(), rows, materialize_grads=True)
    return found, target.detach()
