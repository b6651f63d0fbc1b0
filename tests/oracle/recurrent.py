"""Recurrent layers by the book: one step after another, every number with its multipliers.

A traced value is a vector at the sequence and at the reference with the matrix of its multipliers
on all inputs of the layer. The four operations below are all that a recurrent layer is made of;
they compose by the chain rule for multipliers (Shrikumar et al. 2017, section 3.4).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from tests.oracle.deeplift import rescale


class Traced(NamedTuple):
    """A vector at x and at r, and its multipliers [element, input]."""

    x: np.ndarray
    r: np.ndarray
    matrix: np.ndarray


Cell = Callable[[Traced, list[Traced], list[np.ndarray]], list[Traced]]


def dense(weight: np.ndarray, value: Traced, bias: np.ndarray | float = 0.0) -> Traced:
    return Traced(weight @ value.x + bias, weight @ value.r + bias, weight @ value.matrix)


def activated(f: Callable[[float], float], value: Traced) -> Traced:
    slopes = rescale(f, value.x, value.r)
    at_x, at_r = (np.array([f(a) for a in v]) for v in (value.x, value.r))
    return Traced(at_x, at_r, slopes[:, None] * value.matrix)


def times(a: Traced, b: Traced) -> Traced:
    middle_a, middle_b = (a.x + a.r) / 2, (b.x + b.r) / 2
    matrix = middle_b[:, None] * a.matrix + middle_a[:, None] * b.matrix
    return Traced(a.x * b.x, a.r * b.r, matrix)


def plus(a: Traced, b: Traced, sign: int = 1) -> Traced:
    return Traced(*(one + sign * other for one, other in zip(a, b, strict=True)))


def _sigmoid(value: Traced) -> Traced:
    return activated(lambda a: 1 / (1 + math.exp(-a)), value)


def _gates(value: Traced, count: int) -> list[Traced]:
    return [Traced(*parts) for parts in zip(*(np.split(v, count) for v in value), strict=True)]


def _biases(weights: list[np.ndarray]) -> list[np.ndarray | float]:
    return list(weights[2:4]) if len(weights) >= 4 else [0.0, 0.0]


def lstm(value: Traced, states: list[Traced], weights: list[np.ndarray]) -> list[Traced]:
    """One step of torch.nn.LSTM; the last of 3 or 5 weights is the projection."""
    hidden, memory = states
    bias, hidden_bias = _biases(weights)
    both = plus(dense(weights[0], value, bias), dense(weights[1], hidden, hidden_bias))
    i, f, g, o = _gates(both, 4)
    added = times(_sigmoid(i), activated(math.tanh, g))
    memory = plus(times(_sigmoid(f), memory), added)
    hidden = times(_sigmoid(o), activated(math.tanh, memory))
    return [dense(weights[-1], hidden) if len(weights) % 2 else hidden, memory]


def gru(value: Traced, states: list[Traced], weights: list[np.ndarray]) -> list[Traced]:
    """One step of torch.nn.GRU."""
    (hidden,) = states
    bias, hidden_bias = _biases(weights)
    of_input = _gates(dense(weights[0], value, bias), 3)
    of_hidden = _gates(dense(weights[1], hidden, hidden_bias), 3)
    reset, update = (_sigmoid(plus(a, b)) for a, b in zip(of_input[:2], of_hidden[:2], strict=True))
    new = activated(math.tanh, plus(of_input[2], times(reset, of_hidden[2])))
    return [plus(new, times(update, plus(hidden, new, -1)))]


def plain(f: Callable[[float], float]) -> Cell:
    """One step of torch.nn.RNN."""

    def step(value: Traced, states: list[Traced], weights: list[np.ndarray]) -> list[Traced]:
        bias, hidden_bias = _biases(weights)
        both = plus(dense(weights[0], value, bias), dense(weights[1], states[0], hidden_bias))
        return [activated(f, both)]

    return step


def multipliers(
    cell: Cell,
    xs: Sequence[np.ndarray],
    rs: Sequence[np.ndarray],
    weights: Sequence[Sequence[np.ndarray]],
    n_directions: int,
) -> list[np.ndarray]:
    """Run all layers on a batch of one.

    Parameters
    ----------
    xs, rs : sequence of array
        Input (step, 1, feature) and initial states (layer × direction, 1, unit).
    weights : sequence of sequence of array
        For each layer and direction.

    Returns
    -------
    list of array
        For each input the matrix [outputs, input]: all steps of the last layer, then last states.
    """
    value, *states = _traced_inputs(xs, rs)
    last: list[list[Traced]] = []
    for layer in range(0, len(weights), n_directions):
        found = []
        for place in range(layer, layer + n_directions):
            is_reverse = place > layer
            steps = value[::-1] if is_reverse else value
            current, shown = [state[place] for state in states], []
            for step in steps:
                current = cell(step, current, list(weights[place]))
                shown.append(current[0])
            found.append(shown[::-1] if is_reverse else shown)
            last.append(current)
        value = [_joined(each) for each in zip(*found, strict=True)]
    outputs = value + [state for kind in zip(*last, strict=True) for state in kind]
    sizes = np.cumsum([x.size for x in xs])[:-1]
    return np.split(_joined(outputs).matrix, sizes, axis=1)


def _joined(values: Sequence[Traced]) -> Traced:
    return Traced(*(np.concatenate(parts) for parts in zip(*values, strict=True)))


def _traced_inputs(xs: Sequence[np.ndarray], rs: Sequence[np.ndarray]) -> list[list[Traced]]:
    units = np.eye(sum(x.size for x in xs))
    traced, place = [], 0
    for x, r in zip(xs, rs, strict=True):
        vectors = []
        for at_x, at_r in zip(x[:, 0], r[:, 0], strict=True):
            vectors.append(Traced(at_x, at_r, units[place : place + len(at_x)]))
            place += len(at_x)
        traced.append(vectors)
    return traced
