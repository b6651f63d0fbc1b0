"""DeepLIFT as its authors' program computes it: one pass forwards, one backwards in two streams.

Every value of a network differs from its value at the reference by Δ = Δ⁺ + Δ⁻, and has a
multiplier for each part, m⁺ and m⁻. Values are flat vectors and linear layers are full matrices;
each layer says how its input's parts become its output's parts (`split`) and how its output's
multipliers become its input's (`backward`). Slow, and meant for hundreds of numbers.

References
----------
Shrikumar, Greenside and Kundaje (2017), "Learning important features through propagating activation
differences", arXiv:1704.02685, sections 3.4 to 3.5.3; their program is kundajelab/deeplift.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

Vector = np.ndarray
Matrix = np.ndarray
Function = Callable[[Vector], Vector]

NEAR_ZERO = 1e-7


class Streams(NamedTuple):
    """The two parts of a difference, Δ⁺ and Δ⁻, or their multipliers, m⁺ and m⁻."""

    positive: Vector
    negative: Vector


# --- 3.5.1 the linear rule -------------------------------------------------------------------


class Linear:
    """A dense layer or a convolution, y = W x + b.

    Δ⁺ is what raises y: rises of the input through positive weights, falls through negative ones.
    Rise or fall is that of the input as a whole; its own two parts are not asked.
    """

    def __init__(self, weight: Matrix, bias: Vector, kind: str = "dense") -> None:
        self.weight, self.bias, self.kind = weight, bias, kind
        self.exciting, self.inhibiting = np.maximum(weight, 0), np.minimum(weight, 0)

    def forward(self, x: Vector) -> Vector:
        return self.weight @ x + self.bias

    def split(self, x: Vector, r: Vector, delta: Streams) -> Streams:
        rise, fall = np.maximum(x - r, 0), np.minimum(x - r, 0)
        return Streams(
            self.exciting @ rise + self.inhibiting @ fall,
            self.exciting @ fall + self.inhibiting @ rise,
        )

    def backward(self, x: Vector, r: Vector, delta: Streams, m: Streams) -> Streams:
        """Take for each input the multipliers of the parts it went to.

        An input that does not change went to neither, and takes half of each.
        """
        where_rising = self.exciting.T @ m.positive + self.inhibiting.T @ m.negative
        where_falling = self.inhibiting.T @ m.positive + self.exciting.T @ m.negative
        where_still = self.weight.T @ (0.5 * (m.positive + m.negative))
        found = np.where(x > r, where_rising, np.where(x < r, where_falling, where_still))
        return Streams(found, found)


def convolution(
    weight: np.ndarray,
    bias: Vector,
    length: int,
    *,
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
) -> Linear:
    """Write a convolution of (channel, position), padded with zeros, as a matrix."""
    n_out, n_in, width = weight.shape
    positions = (length + 2 * padding - dilation * (width - 1) - 1) // stride + 1
    matrix = np.zeros((n_out, positions, n_in, length))
    for o, p, i, k in itertools.product(range(n_out), range(positions), range(n_in), range(width)):
        source = p * stride + k * dilation - padding
        if 0 <= source < length:
            matrix[o, p, i, source] = weight[o, i, k]
    matrix = matrix.reshape(n_out * positions, n_in * length)
    return Linear(matrix, np.repeat(bias, positions), kind="convolution")


# --- layers that carry the two parts on as they come -----------------------------------------


class BatchNorm:
    """y = γ (x − mean) / √(variance + ε) + β; a negative γ turns what raises x into what lowers y.

    All arguments have an element for each element of x.
    """

    def __init__(
        self, gamma: Vector, beta: Vector, mean: Vector, variance: Vector, eps: float
    ) -> None:
        self.gamma, self.beta, self.mean = gamma, beta, mean
        self.deviation = np.sqrt(variance + eps)
        self.keeping = np.maximum(gamma, 0) / self.deviation
        self.turning = np.minimum(gamma, 0) / self.deviation

    def forward(self, x: Vector) -> Vector:
        return self.gamma * (x - self.mean) / self.deviation + self.beta

    def split(self, x: Vector, r: Vector, delta: Streams) -> Streams:
        return self._turned(delta)

    def backward(self, x: Vector, r: Vector, delta: Streams, m: Streams) -> Streams:
        return self._turned(m)

    def _turned(self, parts: Streams) -> Streams:
        return Streams(
            self.keeping * parts.positive + self.turning * parts.negative,
            self.keeping * parts.negative + self.turning * parts.positive,
        )


class Average:
    """Pooling by mean, y = A x, where no element of A is negative."""

    def __init__(self, matrix: Matrix) -> None:
        self.matrix = matrix

    def forward(self, x: Vector) -> Vector:
        return self.matrix @ x

    def split(self, x: Vector, r: Vector, delta: Streams) -> Streams:
        return Streams(self.matrix @ delta.positive, self.matrix @ delta.negative)

    def backward(self, x: Vector, r: Vector, delta: Streams, m: Streams) -> Streams:
        return Streams(self.matrix.T @ m.positive, self.matrix.T @ m.negative)


def average_pool(n_channels: int, length: int, width: int, stride: int) -> Average:
    """Write the mean over windows of (channel, position), without padding, as a matrix."""
    positions = (length - width) // stride + 1
    matrix = np.zeros((n_channels, positions, n_channels, length))
    for c, p in itertools.product(range(n_channels), range(positions)):
        matrix[c, p, c, p * stride : p * stride + width] = 1 / width
    return Average(matrix.reshape(n_channels * positions, n_channels * length))


class Unchanged:
    """What does nothing to a flat vector: flatten, and dropout after training."""

    def forward(self, x: Vector) -> Vector:
        return x

    def split(self, x: Vector, r: Vector, delta: Streams) -> Streams:
        return delta

    def backward(self, x: Vector, r: Vector, delta: Streams, m: Streams) -> Streams:
        return m


# --- activations and their two rules ---------------------------------------------------------


class Curve(NamedTuple):
    """A function of each element, and its derivative; at a kink, from below and from above."""

    value: Function
    derivative: Function
    derivative_above: Function


def smooth(value: Function, derivative: Function) -> Curve:
    return Curve(value, derivative, derivative)


def prelu(alpha: float | Vector) -> Curve:
    """Return x above zero and αx below it; a leaky ReLU, or with α = 0 a ReLU."""
    return Curve(
        lambda x: np.where(x > 0, x, alpha * x),
        lambda x: np.where(x > 0, 1.0, alpha),
        lambda x: np.where(x >= 0, 1.0, alpha),
    )


def _sigmoid(x: Vector) -> Vector:
    return 1 / (1 + np.exp(-x))


RELU = prelu(0.0)
SIGMOID = smooth(_sigmoid, lambda x: _sigmoid(x) * (1 - _sigmoid(x)))
TANH = smooth(np.tanh, lambda x: 1 - np.tanh(x) ** 2)


def rescale(f: Curve, x: Vector, r: Vector) -> Vector:
    """Section 3.5.2: Δy/Δx for both parts; the derivative at the reference where Δx is near zero.

    So Δy⁺ = (Δy/Δx) Δx⁺ and Δy⁻ = (Δy/Δx) Δx⁻.
    """
    near_zero = np.abs(x - r) < NEAR_ZERO
    secant = (f.value(x) - f.value(r)) / np.where(near_zero, 1, x - r)
    return np.where(near_zero, f.derivative(r), secant)


def reveal_cancel(f: Curve, r: Vector, p: Vector, n: Vector) -> Streams:
    """Section 3.5.3: what p adds, averaged over coming before n and coming after it; so for n.

    Returns Δy⁺ and Δy⁻.
    """
    at_reference, at_p, at_n, at_both = (f.value(a) for a in (r, r + p, r + n, r + p + n))
    return Streams(
        0.5 * (at_p - at_reference) + 0.5 * (at_both - at_n),
        0.5 * (at_n - at_reference) + 0.5 * (at_both - at_p),
    )


def away_from_zero(part: Vector, pseudo_count: float) -> Vector:
    """Add the pseudo-count, with the part's sign, where the part is under half of it."""
    small = np.abs(part) < 0.5 * pseudo_count
    return part + small * np.where(part >= 0, pseudo_count, -pseudo_count)


def over(change: Vector, part: Vector, limit: Vector) -> Vector:
    """Divide, and where the part is zero (which needs a pseudo-count of zero) take the limit."""
    is_zero = part == 0
    return np.where(is_zero, limit, change / np.where(is_zero, 1, part))


class Activation:
    """An activation under one of the two rules.

    A pseudo-count of 1e-7 is the authors' own; zero is what that tends to: where p = 0 the
    multiplier is ½[f′(r) + f′(r + n)], from above because the pseudo-count of a zero is positive,
    and so for n.
    """

    def __init__(self, f: Curve, rule: str = "", pseudo_count: float = 0.0) -> None:
        self.f, self.rule, self.pseudo_count = f, rule, pseudo_count

    def forward(self, x: Vector) -> Vector:
        return self.f.value(x)

    def split(self, x: Vector, r: Vector, delta: Streams) -> Streams:
        if self.rule == "rescale":
            slope = rescale(self.f, x, r)
            return Streams(slope * delta.positive, slope * delta.negative)
        return reveal_cancel(self.f, r, *self._parts(delta))

    def backward(self, x: Vector, r: Vector, delta: Streams, m: Streams) -> Streams:
        if self.rule == "rescale":
            slope = rescale(self.f, x, r)
            return Streams(m.positive * slope, m.negative * slope)
        p, n = self._parts(delta)
        change, f_prime = reveal_cancel(self.f, r, p, n), self.f.derivative_above
        return Streams(
            m.positive * over(change.positive, p, 0.5 * (f_prime(r) + f_prime(r + n))),
            m.negative * over(change.negative, n, 0.5 * (f_prime(r) + f_prime(r + p))),
        )

    def _parts(self, delta: Streams) -> tuple[Vector, Vector]:
        return (
            away_from_zero(delta.positive, self.pseudo_count),
            away_from_zero(delta.negative, self.pseudo_count),
        )


# --- whole networks --------------------------------------------------------------------------

Layer = Linear | BatchNorm | Average | Unchanged | Activation


def with_rules(layers: Sequence[Layer], rules: str, pseudo_count: float = 0.0) -> list[Layer]:
    """Give every activation its rule: "rescale", "reveal-cancel" or "genomics"."""
    return [
        Activation(layer.f, rule_of(layers[:i], rules), pseudo_count)
        if isinstance(layer, Activation)
        else layer
        for i, layer in enumerate(layers)
    ]


def rule_of(before: Sequence[Layer], rules: str) -> str:
    """Choose the rule of an activation; "genomics" asks the linear layer before it."""
    if rules != "genomics":
        return rules
    others = (layer for layer in reversed(before) if not isinstance(layer, BatchNorm | Unchanged))
    linear = next(others, None)
    if not isinstance(linear, Linear):
        raise ValueError(f"an activation follows {linear}, neither a convolution nor a dense layer")
    return {"convolution": "rescale", "dense": "reveal-cancel"}[linear.kind]


class Explained(NamedTuple):
    """One pair of input and reference, for one target."""

    multipliers: np.ndarray
    contributions: np.ndarray
    delta: float


def explain(
    layers: Sequence[Layer],
    x: np.ndarray,
    r: np.ndarray,
    target: int = 0,
    *,
    rules: str,
    pseudo_count: float = 0.0,
) -> Explained:
    """Explain one output of a sequential network at an input x, compared with a reference r.

    Parameters
    ----------
    layers : sequence of Layer
        Activations have no rule yet.
    x, r : float array of one shape
        Read as flat vectors, the last axis fastest.
    target : int
        Index of the output.
    rules : str
        "rescale", "reveal-cancel" or "genomics".
    pseudo_count : float
        See `Activation`.
    """
    shape, x, r = x.shape, x.ravel(), r.ravel()
    delta = Streams(np.maximum(x - r, 0), np.minimum(x - r, 0))
    inputs = []
    for layer in (chosen := with_rules(layers, rules, pseudo_count)):
        inputs.append((x, r, delta))
        delta = layer.split(x, r, delta)
        x, r = layer.forward(x), layer.forward(r)
    one = np.eye(len(x))[target]
    m = Streams(one, one)
    for layer, (x_in, r_in, delta_in) in zip(reversed(chosen), reversed(inputs), strict=True):
        m = layer.backward(x_in, r_in, delta_in, m)
    first = inputs[0][2]
    multipliers = 0.5 * (m.positive + m.negative)
    contributions = m.positive * first.positive + m.negative * first.negative
    return Explained(
        multipliers.reshape(shape), contributions.reshape(shape), float(x[target] - r[target])
    )


def hypothetical(multipliers: np.ndarray, r: np.ndarray) -> np.ndarray:
    """What each base would contribute if it were there: m_base (1 − r_base) − Σ_others m r.

    Both (base, position).
    """
    found = np.zeros_like(multipliers)
    for base, position in np.ndindex(*multipliers.shape):
        would_be = np.zeros(len(multipliers))
        would_be[base] = 1
        found[base, position] = multipliers[:, position] @ (would_be - r[:, position])
    return found
