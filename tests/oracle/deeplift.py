"""DeepLIFT written down literally: loops, full matrices, no autograd.

Every step of a network is a function from a vector to a vector, and has a matrix of multipliers
M[output, input] for one pair of input x and reference r. The chain rule for multipliers
(Shrikumar et al. 2017, section 3.4) is then the product of the matrices. Slow, and meant for tens
of numbers.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

Vector = np.ndarray
Matrix = np.ndarray
Windows = list[list[int]]

STEP = 1e-6


class Step(NamedTuple):
    """One layer on flattened values."""

    forward: Callable[[Vector], Vector]
    multipliers: Callable[[Vector, Vector], Matrix]


def through(steps: Sequence[Step], x: Vector, r: Vector) -> tuple[Vector, Vector, Matrix]:
    """Run a sequential network forwards at x and r, then multiply its matrices backwards."""
    matrices = []
    for step in steps:
        matrices.append(step.multipliers(x, r))
        x, r = step.forward(x), step.forward(r)
    whole = np.eye(len(x))
    for matrix in reversed(matrices):
        whole = whole @ matrix
    return x, r, whole


# --- the paper's rules -----------------------------------------------------------------------


def rescale(f: Callable[[float], float], x: Vector, r: Vector) -> Vector:
    """Section 3.5.2: Δy/Δx of each element; the derivative where Δx is zero."""
    slopes = []
    for a, b in zip(x, r, strict=True):
        if a == b:
            slopes.append((f(a + STEP) - f(a - STEP)) / (2 * STEP))
        else:
            slopes.append((f(a) - f(b)) / (a - b))
    return np.array(slopes)


def element_wise(f: Callable[[float], float]) -> Step:
    return Step(lambda x: np.array([f(a) for a in x]), lambda x, r: np.diag(rescale(f, x, r)))


def affine(weight: Matrix, bias: Vector) -> Step:
    """Section 3.5.1: the multipliers of a linear layer are its weights."""
    return Step(lambda x: weight @ x + bias, lambda x, r: weight)


def convolution(
    weight: np.ndarray, bias: Vector, length: int, stride: int = 1, padding: int = 0
) -> Step:
    """A convolution of (channel, position), written out as a matrix."""
    n_out, n_in, width = weight.shape
    positions = (length + 2 * padding - width) // stride + 1
    matrix = np.zeros((n_out, positions, n_in, length))
    for o, p, i, k in itertools.product(range(n_out), range(positions), range(n_in), range(width)):
        source = p * stride + k - padding
        if 0 <= source < length:
            matrix[o, p, i, source] += weight[o, i, k]
    return affine(matrix.reshape(n_out * positions, n_in * length), np.repeat(bias, positions))


# --- maxima ----------------------------------------------------------------------------------


def cross_maximum(windows: Windows, x: Vector, r: Vector) -> Matrix:
    """Give (c − y₀) to the winner at x and (y − c) to the winner at r, c = max(y, y₀), over Δ.

    A winner at both that does not change has the limit of that, 1; any other that does not, 0.
    """
    matrix = np.zeros((len(windows), len(x)))
    for w, window in enumerate(windows):
        winner = max(window, key=lambda i: x[i])
        winner0 = max(window, key=lambda i: r[i])
        y, y0 = x[winner], r[winner0]
        c = max(y, y0)
        for position, share in ((winner, c - y0), (winner0, y - c)):
            if x[position] != r[position]:
                matrix[w, position] += share / (x[position] - r[position])
        if winner == winner0 and x[winner] == r[winner]:
            matrix[w, winner] = 1
    return matrix


def maximum(windows: Windows) -> Step:
    return Step(
        lambda x: np.array([max(x[i] for i in window) for window in windows]),
        lambda x, r: cross_maximum(windows, x, r),
    )


def windows_along(
    length: int, width: int, stride: int, padding: int = 0, dilation: int = 1, ceil: bool = False
) -> Windows:
    """Positions of each pooling window on one axis, those in the padding left out."""
    reach = dilation * (width - 1) + 1
    steps = (length + 2 * padding - reach) / stride
    n_windows = (math.ceil(steps) if ceil else math.floor(steps)) + 1
    found = []
    for start in range(-padding, -padding + n_windows * stride, stride):
        window = [start + dilation * k for k in range(width)]
        if start < length:  # with ceil, a window that starts in the right padding is dropped
            found.append([i for i in window if 0 <= i < length])
    return found


def adaptive_windows(length: int, n_windows: int) -> Windows:
    """Positions of each window of an adaptive pool on one axis."""
    return [
        list(range(i * length // n_windows, -(-(i + 1) * length // n_windows)))
        for i in range(n_windows)
    ]


def windows_over(shape: Sequence[int], axes: Sequence[Windows]) -> Windows:
    """Combine the windows of the last axes; the axes before them are kept apart."""
    kept = shape[: len(shape) - len(axes)]
    found = []
    for place in itertools.product(*map(range, kept)):
        for per_axis in itertools.product(*axes):
            cells = itertools.product(*per_axis)
            found.append([int(np.ravel_multi_index((*place, *cell), shape)) for cell in cells])
    return found


def windows_of_axes(shape: Sequence[int], axes: Sequence[int]) -> Windows:
    """One window for each place on the axes that are kept, over all places on the others."""
    kept = [range(n) if i not in axes else [None] for i, n in enumerate(shape)]
    found = []
    for place in itertools.product(*kept):
        cells = itertools.product(
            *[range(n) if p is None else [p] for p, n in zip(place, shape, strict=True)]
        )
        found.append([int(np.ravel_multi_index(cell, shape)) for cell in cells])
    return found


# --- products --------------------------------------------------------------------------------


def midpoint(
    bilinear: Callable[[np.ndarray, np.ndarray], np.ndarray],
    a: np.ndarray,
    a0: np.ndarray,
    b: np.ndarray,
    b0: np.ndarray,
) -> tuple[Matrix, Matrix]:
    """Multipliers of each factor with the other at its midpoint, one basis vector at a time."""
    middle_a, middle_b = (a + a0) / 2, (b + b0) / 2
    to_a = [bilinear(unit, middle_b).ravel() for unit in _units(a.shape)]
    to_b = [bilinear(middle_a, unit).ravel() for unit in _units(b.shape)]
    return np.array(to_a).T, np.array(to_b).T


def _units(shape: tuple[int, ...]) -> list[np.ndarray]:
    return list(np.eye(math.prod(shape)).reshape(-1, *shape))


# --- compositions ----------------------------------------------------------------------------


def log_sum_exp_weights(x: Vector, r: Vector) -> Vector:
    """For L = log s, s = Σ exp x: ΔL/Δs times Δ(exp x)/Δx of each term."""
    s, s0 = np.exp(x).sum(), np.exp(r).sum()
    (outer,) = rescale(math.log, np.array([s]), np.array([s0]))
    return outer * rescale(math.exp, x, r)


def log_softmax(x: Vector, r: Vector) -> Matrix:
    """Each element minus L."""
    return np.eye(len(x)) - np.outer(np.ones(len(x)), log_sum_exp_weights(x, r))


def softmax(x: Vector, r: Vector) -> Matrix:
    """The exponential of log-softmax."""
    log_y = x - math.log(np.exp(x).sum())
    log_y0 = r - math.log(np.exp(r).sum())
    return np.diag(rescale(math.exp, log_y, log_y0)) @ log_softmax(x, r)


def times_softmax(x: Vector, r: Vector) -> Matrix:
    """bpnet-lite's step: y = x·softmax(x), as if each element depended on itself alone."""
    y, y0 = (v * np.exp(v - v.max()) / np.exp(v - v.max()).sum() for v in (x, r))
    return np.diag((y - y0) / (x - r))


def centring(n: int) -> Matrix:
    return np.eye(n) - np.full((n, n), 1 / n)


def root_mean_square_norm(x: Vector, r: Vector, eps: float) -> Matrix:
    """Each element times v = (mean x² + ε)^-½."""
    n = len(x)
    power, power0 = np.array([(x**2).mean() + eps]), np.array([(r**2).mean() + eps])
    inverse, inverse0 = power[0] ** -0.5, power0[0] ** -0.5
    to_power = rescale(lambda a: a * a, x, r) / n
    to_inverse = rescale(lambda a: a**-0.5, power, power0)[0] * to_power
    middle = (x + r) / 2
    return np.eye(n) * (inverse + inverse0) / 2 + np.outer(middle, to_inverse)


def layer_norm(x: Vector, r: Vector, eps: float) -> Matrix:
    """Centre, then divide by the root mean square."""
    centre = centring(len(x))
    return root_mean_square_norm(centre @ x, centre @ r, eps) @ centre


def variance(x: Vector, r: Vector, correction: float) -> Matrix:
    centre = centring(len(x))
    squares = rescale(lambda a: a * a, centre @ x, centre @ r)
    return (squares @ centre / (len(x) - correction))[None]


def vector_norm(x: Vector, r: Vector, order: float) -> Matrix:
    """(Σ |x|^p)^(1/p), through |x|, powers, sum and root."""
    sizes, sizes0 = np.abs(x), np.abs(r)
    total, total0 = (sizes**order).sum(), (sizes0**order).sum()
    root = rescale(lambda a: a ** (1 / order), np.array([total]), np.array([total0]))
    return (root * rescale(lambda a: a**order, sizes, sizes0) * rescale(abs, x, r))[None]


def along(
    function: Callable[[Vector, Vector], Matrix],
    x: np.ndarray,
    r: np.ndarray,
    axes: Sequence[int],
) -> Matrix:
    """Apply a composition by itself to each slice of an array along some axes.

    Returns the matrix from all inputs to all outputs. Where a slice keeps its size its outputs take
    the places of its inputs; where it becomes one number, the order is that of the kept axes.
    """
    slices = windows_of_axes(x.shape, axes)
    flat_x, flat_r = x.ravel(), r.ravel()
    found = [function(flat_x[s], flat_r[s]) for s in slices]
    if found[0].shape[0] == 1:
        matrix = np.zeros((len(slices), x.size))
        for row, (s, m) in enumerate(zip(slices, found, strict=True)):
            matrix[row, s] = m[0]
        return matrix
    matrix = np.zeros((x.size, x.size))
    for s, m in zip(slices, found, strict=True):
        matrix[np.ix_(s, s)] = m
    return matrix
