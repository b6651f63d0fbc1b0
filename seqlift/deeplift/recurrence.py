"""The steps of a recurrent layer, forward and back, with no node for each of them.

With gates_t = W·x_t + U·h_(t−1) + b, what is left of a step works element by element: the *cell*,
written here with `apply` from operators that have rules. So the multipliers of a cell are one
number for each pair of an output and an input, and they need the values of that step alone. Hence
three passes:

1. forward through the steps with numbers alone, both lanes in one batch;
2. the cell's multipliers, for many steps at once, by the rules of its operators;
3. back through the steps: products with these numbers, and with U.

The result is that of the unrolled layer, to rounding. Kept for the way back are ten numbers a step
and unit for each reference (GRU: five, plain: two).
"""

# ruff: noqa: ANN401  (an operator takes and returns anything)

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from seqlift.deeplift.lanes import Lanes
from seqlift.deeplift.registry import apply

__all__ = ["Cell", "Weights", "gru_cell", "lstm_cell", "relu_cell", "run_steps", "tanh_cell"]

aten = torch.ops.aten

# Steps whose multipliers are found together: enough to fill the processor, few enough for a cache.
STEPS_AT_ONCE = 64

Run = Callable[..., Any]
Cell = Callable[[Run, Any, Any], tuple[Any, Any]]


class Weights(NamedTuple):
    """One direction of one layer.

    Attributes
    ----------
    of_input : Tensor, shape (gate × unit, feature)
    of_hidden : Tensor, shape (gate × unit, hidden)
    bias : Tensor, shape (gate × unit,), or None
    projection : Tensor, shape (hidden, unit), or None
        From what a cell shows to what the next step and the next layer see.
    """

    of_input: Tensor
    of_hidden: Tensor
    bias: Tensor | None
    projection: Tensor | None


class _Slopes(NamedTuple):
    """Multipliers of one output of the cell, one tensor a step.

    Attributes
    ----------
    to_gates : list of Tensor, shape (row, gate, unit)
    to_memory : list of Tensor, shape (row, unit)
    """

    to_gates: list[Tensor]
    to_memory: list[Tensor]


# --- cells ----------------------------------------------------------------------------------
# From gates (..., gate × unit) and memory (..., unit) to what is shown (..., unit) and the next
# memory. `run` is `apply` for lanes, or `_plainly` for the thousands of steps on plain tensors.


def _plainly(operator: Any, *args: Any) -> Any:
    return operator(*args)


def _pieces(run: Run, value: Any, count: int) -> list[Any]:
    pieces = run(aten.chunk.default, value, count, -1)
    if not isinstance(pieces, Lanes):
        return list(pieces)
    return [Lanes(*lanes) for lanes in zip(pieces.sequence, pieces.reference, strict=True)]


def lstm_cell(run: Run, gates: Any, memory: Any) -> tuple[Any, Any]:
    """Take the gates i, f, g and o."""
    entry, forget, new, exit_ = _pieces(run, gates, 4)
    new = run(aten.tanh.default, new)
    entry, forget, exit_ = (run(aten.sigmoid.default, gate) for gate in (entry, forget, exit_))
    kept, added = run(aten.mul.Tensor, forget, memory), run(aten.mul.Tensor, entry, new)
    memory = run(aten.add.Tensor, kept, added)
    return run(aten.mul.Tensor, exit_, run(aten.tanh.default, memory)), memory


def gru_cell(run: Run, gates: Any, memory: Any) -> tuple[Any, Any]:
    """Take four gates: the third's share of the input and of the hidden state come apart."""
    reset, update, from_input, from_hidden = _pieces(run, gates, 4)
    reset, update = (run(aten.sigmoid.default, gate) for gate in (reset, update))
    after_reset = run(aten.mul.Tensor, reset, from_hidden)
    new = run(aten.tanh.default, run(aten.add.Tensor, from_input, after_reset))
    kept = run(aten.mul.Tensor, run(aten.sub.Tensor, memory, new), update)
    memory = run(aten.add.Tensor, kept, new)
    return memory, memory


def tanh_cell(run: Run, gates: Any, memory: Any) -> tuple[Any, Any]:
    """Forget the memory."""
    memory = run(aten.tanh.default, gates)
    return memory, memory


def relu_cell(run: Run, gates: Any, memory: Any) -> tuple[Any, Any]:
    """Forget the memory."""
    memory = run(aten.relu.default, gates)
    return memory, memory


# --- steps ----------------------------------------------------------------------------------


class _States(NamedTuple):
    """Values of one direction of one layer, the rows of both lanes together.

    Attributes
    ----------
    gates, memory : Tensor, shape (step, row, ...)
        At the entry of each cell.
    hidden : Tensor, shape (step, row, hidden)
        After each step.
    last_memory : Tensor, shape (row, unit)
    """

    gates: Tensor
    memory: Tensor
    hidden: Tensor
    last_memory: Tensor


def _forward(
    cell: Cell, gates: Tensor, hidden: Tensor, memory: Tensor, weights: Weights
) -> _States:
    """Run all steps; `gates`, shape (step, row, gate × unit), holds the input's share of them.

    The hidden state's share is added in place.
    """
    of_hidden = weights.of_hidden.t()
    memories, hiddens = [], []
    for step in gates.unbind(0):
        memories.append(memory)
        hidden, memory = cell(_plainly, step.addmm_(hidden, of_hidden), memory)
        if weights.projection is not None:
            hidden = torch.mm(hidden, weights.projection.t())
        hiddens.append(hidden)
    return _States(gates, torch.stack(memories), torch.stack(hiddens), memory)


def _slopes(cell: Cell, gates: Lanes, memory: Lanes) -> list[_Slopes]:
    """Return the multipliers of what the cell shows and of its memory, or of both at once.

    Parameters
    ----------
    gates, memory : Lanes, shape (row, step, ...)

    Returns
    -------
    list of _Slopes
        One where a cell shows its memory.
    """
    sources = [gates.reference.requires_grad_(), memory.reference.requires_grad_()]
    with torch.enable_grad():
        shown, after = cell(apply, gates, memory)
        outputs = [after] if shown is after else [shown, after]
        # Element by element, so a sum's derivative holds each element's own.
        found = [
            torch.autograd.grad(
                output.reference.sum(), sources, retain_graph=True, materialize_grads=True
            )
            for output in outputs
        ]
    n_units = memory.reference.shape[-1]
    return [
        _Slopes(
            list(to_gates.reshape(*to_memory.shape[:2], -1, n_units).unbind(1)),
            list(to_memory.unbind(1)),
        )
        for to_gates, to_memory in found
    ]


def _all_slopes(cell: Cell, states: _States, n_sequence: int) -> list[_Slopes]:
    """Find the cell's multipliers at every step, the first `n_sequence` rows being sequences."""

    def lanes(values: Tensor) -> Lanes:
        rows = values.transpose(0, 1)
        return Lanes(rows[:n_sequence], rows[n_sequence:].detach())

    gates, memory = (torch.split(v, STEPS_AT_ONCE) for v in (states.gates, states.memory))
    found = [_slopes(cell, *map(lanes, part)) for part in zip(gates, memory, strict=True)]
    return [
        _Slopes(*(list(itertools.chain(*each)) for each in zip(*slopes, strict=True)))
        for slopes in zip(*found, strict=True)
    ]


class _Steps(torch.autograd.Function):
    """The steps of one direction, with their multipliers known."""

    @staticmethod
    def forward(
        ctx: Any,
        gates: Tensor,
        hidden: Tensor,
        memory: Tensor,
        after: tuple[Tensor, Tensor],
        slopes: list[_Slopes],
        weights: Weights,
    ) -> tuple[Tensor, Tensor]:
        ctx.slopes, ctx.weights = slopes, weights
        return after

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:
        to_hidden, to_memory = gradients
        found = _back(to_hidden.transpose(0, 1), to_memory, ctx.slopes, ctx.weights)
        return *found, None, None, None


def _back(
    arriving: Tensor, to_memory: Tensor, slopes: list[_Slopes], weights: Weights
) -> tuple[Tensor, Tensor, Tensor]:
    """Lead multipliers back from all hidden states (step, row, hidden) and the last memory.

    Returns
    -------
    to_gates : Tensor, shape (row, step, gate × unit)
    to_hidden, to_memory : Tensor, shape (row, ...)
        Of the initial states.
    """
    to_hidden = torch.zeros_like(arriving[0])
    found: list[Tensor] = []
    for step in reversed(range(len(arriving))):
        shown = arriving[step] + to_hidden
        if weights.projection is not None:
            shown = torch.mm(shown, weights.projection)
        outputs = [shown + to_memory] if len(slopes) == 1 else [shown, to_memory]
        pairs = list(zip(outputs, slopes, strict=True))
        to_gates = _total(each.unsqueeze(1) * slope.to_gates[step] for each, slope in pairs)
        to_memory = _total(each * slope.to_memory[step] for each, slope in pairs)
        found.append(to_gates.flatten(1))
        to_hidden = torch.mm(found[-1], weights.of_hidden)
    return torch.stack(found[::-1], 1), to_hidden, to_memory


def _total(terms: Iterable[Tensor]) -> Tensor:
    return functools.reduce(Tensor.add_, terms)


def _both(value: Any) -> Lanes:
    return value if isinstance(value, Lanes) else Lanes(value, value)


def run_steps(
    cell: Cell, gates: Any, hidden: Any, memory: Any, weights: Weights
) -> tuple[Lanes, Lanes]:
    """Run the steps of one direction of one layer, the first step first.

    Parameters
    ----------
    cell : callable
    gates : Lanes or Tensor, shape (row, step, gate × unit)
        The input's share and the bias.
    hidden, memory : Lanes or Tensor, shape (row, hidden) and (row, unit)
        Before the first step.
    weights : Weights

    Returns
    -------
    hidden : Lanes, shape (row, step, hidden)
        After each step.
    memory : Lanes, shape (row, unit)
        After the last.
    """
    gates, hidden, memory = _both(gates), _both(hidden), _both(memory)
    n_sequence = gates.sequence.shape[0]
    with torch.no_grad():
        shares = [lane.transpose(0, 1) for lane in (gates.sequence, gates.reference)]
        initial = [torch.cat([state.sequence, state.reference]) for state in (hidden, memory)]
        states = _forward(cell, torch.cat(shares, 1), initial[0], initial[1], weights)
    slopes = _all_slopes(cell, states, n_sequence)
    after = (states.hidden.transpose(0, 1), states.last_memory)
    at_references = _Steps.apply(  # type: ignore[no-untyped-call]
        gates.reference,
        hidden.reference,
        memory.reference,
        tuple(value[n_sequence:] for value in after),
        slopes,
        weights,
    )
    pairs = zip(after, at_references, strict=True)
    found_hidden, found_memory = (Lanes(value[:n_sequence], other) for value, other in pairs)
    return found_hidden, found_memory
