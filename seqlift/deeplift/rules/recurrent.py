"""Recurrent layers, whole: an LSTM, a GRU or a plain one is one operator for any number of steps.

The dense layers are linear, gates go by rescale, products by the midpoint rule, as if each step
were a part of the graph; `seqlift/deeplift/recurrence.py` says how that is had without.

Cost: `OPERATORS_A_STEP` small operators a step. An LSTM(64 → 64) behind a convolution takes a
second to capture whatever its length; with 20 references a sequence takes 0.03 s over 50 positions,
0.12 s over 200 and 0.6 s over 1,000 (`workflows/benchmark/recurrent.py`, one core of an Intel
Xeon, float32). With a node for each operator of each step it took 19 s, 65 s and 306 s to capture,
and 0.11 s, 0.34 s and 2.7 s a sequence.
"""

# ruff: noqa: ANN401  (an operator takes and returns anything)

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from seqlift.deeplift.lanes import Lanes, each_lane
from seqlift.deeplift.recurrence import (
    Cell,
    Weights,
    gru_cell,
    lstm_cell,
    relu_cell,
    run_steps,
    tanh_cell,
)
from seqlift.deeplift.registry import apply, register

__all__ = ["OPERATORS_A_STEP"]

aten = torch.ops.aten

# Run for each step, there and back, in each direction of each layer; views are not counted.
OPERATORS_A_STEP = {
    aten.lstm.input: 20,
    aten.gru.input: 15,
    aten.rnn_tanh.input: 7,
    aten.rnn_relu.input: 7,
}

COMPOSED = "our own: composition of linear, rescale and product"
LSTM = "gates linear; σ, tanh rescale; i·g, f·c, o·tanh c midpoint; back through the steps"
GRU = "gates linear; σ, tanh rescale; r·Uh, z·(h − n) midpoint; back through the steps"
PLAIN = "W·x + U·h + b linear; its activation rescale; back through the steps"


def _direction(
    cell: Cell, value: Any, states: Sequence[Any], weights: Weights, is_reverse: bool
) -> tuple[Any, list[Any]]:
    """Run one direction of one layer over (row, step, feature)."""
    gates = apply(aten.linear.default, value, weights.of_input, weights.bias)
    gates = apply(aten.flip.default, gates, [1]) if is_reverse else gates
    hidden, memory = run_steps(cell, gates, states[0], states[-1], weights)
    last = [apply(aten.select.int, hidden, 1, -1), memory][: len(states)]
    return apply(aten.flip.default, hidden, [1]) if is_reverse else hidden, last


def _layers(
    cell: Cell,
    value: Any,
    states: Sequence[Any],
    weights: Sequence[Weights],
    is_bidirectional: bool,
    batch_first: bool,
) -> Lanes:
    """Run all layers; each state is (layer × direction, row, ...), as torch has it."""
    value = value if batch_first else apply(aten.transpose.int, value, 0, 1)
    directions = (False, True) if is_bidirectional else (False,)
    last: list[list[Any]] = []
    for layer in range(0, len(weights), len(directions)):
        found = []
        for place, is_reverse in enumerate(directions, layer):
            initial = [apply(aten.select.int, state, 0, place) for state in states]
            hidden, after = _direction(cell, value, initial, weights[place], is_reverse)
            found.append(hidden)
            last.append(after)
        value = apply(aten.cat.default, found, -1) if is_bidirectional else found[0]
    value = value if batch_first else apply(aten.transpose.int, value, 0, 1)
    stacked = [apply(aten.stack.default, list(each), 0) for each in zip(*last, strict=True)]
    return each_lane(lambda *outputs: outputs, value, *stacked)


def _groups(params: Sequence[Tensor], has_biases: bool, has_projection: bool) -> list[list[Tensor]]:
    """Part the parameters by layer and direction: W, U, their biases, the projection."""
    size = 2 + 2 * has_biases + has_projection
    return [list(params[first : first + size]) for first in range(0, len(params), size)]


def _plain_weights(group: Sequence[Tensor], has_biases: bool) -> Weights:
    bias = group[2] + group[3] if has_biases else None
    return Weights(group[0], group[1], bias, group[-1] if len(group) % 2 else None)


def _gru_weights(group: Sequence[Tensor], has_biases: bool) -> Weights:
    """Give the two shares of the third gate rows of their own, as `gru_cell` takes them."""
    n_units = group[1].shape[1]
    ends = [2 * n_units, n_units]
    zeros = torch.zeros_like(group[0][:n_units]), torch.zeros_like(group[1][:n_units])
    two, third = torch.split(group[1], ends)
    bias = None
    if has_biases:
        (of_input, input_third), (of_hidden, hidden_third) = (
            torch.split(b, ends) for b in group[2:]
        )
        bias = torch.cat([of_input + of_hidden, input_third, hidden_third])
    return Weights(torch.cat([group[0], zeros[0]]), torch.cat([two, zeros[1], third]), bias, None)


@register(
    [aten.lstm.input],
    "recurrent",
    varying=(0, 1),
    formula=LSTM,
    source=COMPOSED,
    carries_all=True,
)
def _lstm(
    operator: Any,
    value: Any,
    states: Sequence[Any],
    params: Sequence[Tensor],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> Lanes:
    n_units, n_hidden = params[1].shape[0] // 4, params[1].shape[1]
    groups = _groups(params, has_biases, n_hidden != n_units)
    weights = [_plain_weights(group, has_biases) for group in groups]
    return _layers(lstm_cell, value, states, weights, bidirectional, batch_first)


@register(
    [aten.gru.input],
    "recurrent",
    varying=(0, 1),
    formula=GRU,
    source=COMPOSED,
    carries_all=True,
)
def _gru(
    operator: Any,
    value: Any,
    state: Any,
    params: Sequence[Tensor],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> Lanes:
    weights = [_gru_weights(group, has_biases) for group in _groups(params, has_biases, False)]
    return _layers(gru_cell, value, [state], weights, bidirectional, batch_first)


@register(
    [aten.rnn_tanh.input, aten.rnn_relu.input],
    "recurrent",
    varying=(0, 1),
    formula=PLAIN,
    source=COMPOSED,
    carries_all=True,
)
def _plain(
    operator: Any,
    value: Any,
    state: Any,
    params: Sequence[Tensor],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> Lanes:
    weights = [_plain_weights(group, has_biases) for group in _groups(params, has_biases, False)]
    cell = tanh_cell if operator is aten.rnn_tanh.input else relu_cell
    return _layers(cell, value, [state], weights, bidirectional, batch_first)
