"""One row for each registered operator, at least: arguments to try it with and its literal rule.

`test_rules.py` holds every row against its oracle, and `test_registry.py` fails if an operator has
a rule but no row: whoever adds a rule adds a row.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from seqlift.deeplift.rules.profile import HOLD, TIMES_SOFTMAX
from tests.oracle import deeplift as oracle
from tests.oracle import recurrent as by_steps

aten = torch.ops.aten

Matrices = Callable[[list[np.ndarray], list[np.ndarray]], list[np.ndarray]]


class Varies(NamedTuple):
    """An argument that depends on the sequence: uniform random numbers."""

    shape: tuple[int, ...]
    low: float = -2.0
    high: float = 2.0


class Row(NamedTuple):
    """A call of an operator, and what its multipliers are by the book.

    Attributes
    ----------
    operator, args, kwargs
        `Varies` stands for the arguments that vary; their shapes lack the row axis.
    oracle : callable or None
        From the varying arguments at one sequence and one reference to a matrix [output, input] for
        each of them. None: the coefficients, found by trying every unit vector.
    has_rows : bool
        Whether the first axis of varying arguments is one row a sequence. If not, both lanes have
        the shapes as they are, as where a model folds the batch into another dimension.
    """

    operator: Any
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any] = MappingProxyType({})
    oracle: Matrices | None = None
    has_rows: bool = True


def constant(*shape: int, low: float = -1.0, high: float = 1.0) -> Tensor:
    values = np.random.default_rng(len(shape) + sum(shape)).uniform(low, high, shape)
    return torch.from_numpy(values)


# --- element-wise ----------------------------------------------------------------------------

SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805  # Klambauer et al. 2017


def element_wise(
    operator: Any,
    formula: Callable[[float], float],
    *rest: Any,
    low: float = -2.0,
    high: float = 2.0,
    **kwargs: Any,
) -> Row:
    return Row(
        operator,
        (Varies((3, 4), low, high), *rest),
        kwargs,
        lambda xs, rs: [np.diag(oracle.rescale(formula, xs[0].ravel(), rs[0].ravel()))],
    )


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def elu(x: float, alpha: float = 1.0, scale: float = 1.0) -> float:
    return scale * (x if x > 0 else alpha * math.expm1(x))


def clip(low: float, high: float) -> Callable[[float], float]:
    return lambda x: min(max(x, low), high)


def gelu_tanh(x: float) -> float:
    return x / 2 * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


SMOOTH = [
    element_wise(aten.asinh.default, math.asinh),
    element_wise(aten.atan.default, math.atan),
    element_wise(aten.cos.default, math.cos),
    element_wise(aten.cosh.default, math.cosh),
    element_wise(aten.erf.default, math.erf),
    element_wise(aten.exp.default, math.exp),
    element_wise(aten.exp2.default, lambda x: 2**x),
    element_wise(aten.expm1.default, math.expm1),
    element_wise(aten.gelu.default, lambda x: x / 2 * (1 + math.erf(x / math.sqrt(2)))),
    element_wise(aten.gelu.default, gelu_tanh, approximate="tanh"),
    element_wise(aten.log_sigmoid.default, lambda x: -math.log1p(math.exp(-x))),
    element_wise(aten.mish.default, lambda x: x * math.tanh(math.log1p(math.exp(x)))),
    element_wise(aten.sigmoid.default, sigmoid),
    element_wise(aten.silu.default, lambda x: x * sigmoid(x)),
    element_wise(aten.sin.default, math.sin),
    element_wise(aten.sinh.default, math.sinh),
    element_wise(aten.square.default, lambda x: x * x),
    element_wise(aten.tanh.default, math.tanh),
]
KINKED = [
    element_wise(aten.abs.default, abs),
    element_wise(aten.celu.default, lambda x: max(x, 0.7 * math.expm1(min(x, 0) / 0.7)), 0.7),
    element_wise(aten.clamp.default, clip(-0.3, 0.4), -0.3, 0.4),
    element_wise(
        aten.clamp.Tensor, clip(-0.3, 0.4), *torch.tensor([-0.3, 0.4], dtype=torch.float64)
    ),
    element_wise(aten.clamp_max.default, lambda x: min(x, 0.2), 0.2),
    element_wise(aten.clamp_min.default, lambda x: max(x, 0.2), 0.2),
    element_wise(aten.elu.default, lambda x: elu(x, 0.3), 0.3),
    element_wise(aten.hardsigmoid.default, lambda x: clip(0, 1)(x / 6 + 0.5), low=-5, high=5),
    element_wise(aten.hardswish.default, lambda x: x * clip(0, 1)(x / 6 + 0.5), low=-5, high=5),
    element_wise(aten.hardtanh.default, clip(-0.5, 0.8), -0.5, 0.8),
    element_wise(aten.leaky_relu.default, lambda x: x if x > 0 else 0.1 * x, 0.1),
    element_wise(
        aten.prelu.default,
        lambda x: x if x > 0 else 0.25 * x,
        torch.tensor([0.25], dtype=torch.float64),
    ),
    element_wise(aten.relu.default, lambda x: max(x, 0.0)),
    element_wise(aten.relu6.default, clip(0, 6), low=-8, high=8),
    element_wise(aten.selu.default, lambda x: elu(x, SELU_ALPHA, SELU_SCALE)),
    element_wise(aten.sign.default, lambda x: math.copysign(1, x)),
    element_wise(aten.threshold.default, lambda x: x if x > 0.1 else -0.2, 0.1, -0.2),
]
SINGULAR = [
    element_wise(aten.log.default, math.log, low=0.1),
    element_wise(aten.log10.default, math.log10, low=0.1),
    element_wise(aten.log2.default, math.log2, low=0.1),
    element_wise(aten.reciprocal.default, lambda x: 1 / x, low=0.5),
    element_wise(aten.rsqrt.default, lambda x: x**-0.5, low=0.1),
    element_wise(aten.pow.Tensor_Scalar, lambda x: x**2, 2),
    element_wise(aten.pow.Tensor_Scalar, lambda x: x**3, 3),
    element_wise(aten.pow.Tensor_Scalar, lambda x: x**0.7, 0.7, low=0.1),
    element_wise(aten.pow.Tensor_Scalar, lambda x: x**-1.5, -1.5, low=0.5),
    element_wise(aten.sqrt.default, math.sqrt, low=0.1),
]
SHARP = [
    element_wise(aten.acos.default, math.acos, low=-0.9, high=0.9),
    element_wise(aten.asin.default, math.asin, low=-0.9, high=0.9),
    element_wise(aten.log1p.default, math.log1p, low=-0.5),
    element_wise(aten.softplus.default, lambda x: math.log1p(math.exp(2 * x)) / 2, 2, 20),
    element_wise(aten.tan.default, math.tan, low=-1.2, high=1.2),
]
EXPONENT = [
    Row(
        aten.pow.Scalar,
        (1.7, Varies((3, 4))),
        {},
        lambda xs, rs: [np.diag(oracle.rescale(lambda x: 1.7**x, xs[0].ravel(), rs[0].ravel()))],
    )
]

# --- linear ----------------------------------------------------------------------------------

LINE, PLANE, SPACE = Varies((2, 7)), Varies((2, 4, 5)), Varies((2, 3, 3, 4))
MATRIX = Varies((3, 4))
THIRD = torch.tensor([2, 0])

LINEAR = [
    Row(aten.conv1d.default, (LINE, constant(3, 2, 3), constant(3), [2], [1])),
    Row(aten.conv2d.default, (PLANE, constant(3, 2, 2, 3), None, [1, 2], [1, 0])),
    Row(aten.conv3d.default, (SPACE, constant(2, 1, 2, 2, 2), constant(2), [1], [0], [1], 2)),
    Row(aten.conv1d.padding, (LINE, constant(3, 2, 3), None, [1], "same", [2])),
    Row(aten.conv2d.padding, (PLANE, constant(3, 2, 2, 3), None, [1], "same")),
    Row(aten.conv3d.padding, (SPACE, constant(3, 2, 2, 1, 2), None, [1], "valid")),
    Row(aten.conv_transpose1d.default, (LINE, constant(2, 3, 4), constant(3), [2], [1])),
    Row(aten.conv_transpose2d.input, (PLANE, constant(2, 3, 2, 2), None, [2])),
    Row(aten.conv_transpose3d.input, (SPACE, constant(2, 1, 2, 2, 2))),
    Row(
        aten.convolution.default,
        (LINE, constant(2, 3, 3), None, [1], [1], [2], True, [0], 1),
    ),
    Row(
        aten._native_batch_norm_legit_no_training.default,
        (LINE, constant(2), constant(2), constant(2), constant(2, low=0.5), 0.1, 1e-5),
    ),
    Row(aten.adaptive_avg_pool1d.default, (LINE, [3])),
    Row(aten.adaptive_avg_pool2d.default, (PLANE, [2, 3])),
    Row(aten.adaptive_avg_pool3d.default, (SPACE, [2, 1, 3])),
    Row(aten._adaptive_avg_pool2d.default, (PLANE, [2, 3])),
    Row(aten._adaptive_avg_pool3d.default, (SPACE, [2, 1, 3])),
    Row(aten.avg_pool1d.default, (LINE, [3], [2], [1], True, False)),
    Row(aten.avg_pool2d.default, (PLANE, [2, 3], [1, 2])),
    Row(aten.avg_pool3d.default, (SPACE, [2, 2, 3])),
    Row(aten.cumsum.default, (MATRIX, 2)),
    Row(aten.mean.default, (MATRIX,), has_rows=False),
    Row(aten.mean.dim, (MATRIX, [1], True)),
    Row(aten.sum.default, (MATRIX,), has_rows=False),
    Row(aten.sum.dim_IntList, (MATRIX, [-1])),
    Row(aten.neg.default, (MATRIX,)),
    Row(aten.upsample_bicubic2d.vec, (PLANE, None, False, [2.0, 2.0])),
    Row(aten.upsample_bilinear2d.vec, (PLANE, [6, 7], True, None)),
    Row(aten.upsample_linear1d.vec, (LINE, None, False, [2.0])),
    Row(aten.upsample_nearest1d.vec, (LINE, None, [2.0])),
    Row(aten.upsample_nearest2d.vec, (PLANE, [6, 5], None)),
    Row(aten.upsample_nearest3d.vec, (SPACE, None, [2.0, 1.0, 2.0])),
    Row(aten.upsample_trilinear3d.vec, (SPACE, None, False, [2.0, 1.0, 2.0])),
]
VIEWS = [
    Row(aten._to_copy.default, (MATRIX,), {"dtype": torch.float64}),
    Row(aten._unsafe_view.default, (MATRIX, [-1, 2, 6])),
    Row(aten.alias.default, (MATRIX,)),
    Row(aten.channel_shuffle.default, (Varies((4, 3)), 2)),
    Row(aten.chunk.default, (Varies((5, 2)), 2, 1)),
    Row(aten.clone.default, (MATRIX,)),
    Row(aten.constant_pad_nd.default, (MATRIX, [1, 2, 0, 1], 0.3)),
    Row(aten.contiguous.default, (MATRIX,)),
    Row(aten.copy.default, (MATRIX, Varies((1, 4)))),
    Row(aten.detach.default, (MATRIX,)),
    Row(aten.diagonal.default, (MATRIX, 1, 1, 2)),
    Row(aten.expand.default, (Varies((1, 4)), [-1, 3, -1])),
    Row(aten.expand_as.default, (Varies((1, 4)), constant(3, 4)), has_rows=False),
    Row(aten.flatten.using_ints, (MATRIX, 1)),
    Row(aten.flip.default, (MATRIX, [1, 2])),
    Row(aten.gather.default, (MATRIX, 1, torch.tensor([[3, 3], [0, 1]])), has_rows=False),
    Row(aten.index.Tensor, (MATRIX, [None, THIRD])),
    Row(aten.index.Tensor, (MATRIX, [None, THIRD, torch.tensor([1, 1])])),
    Row(aten.index_select.default, (MATRIX, 1, THIRD)),
    Row(aten.lift_fresh_copy.default, (MATRIX,)),
    Row(aten.masked_fill.Scalar, (MATRIX, constant(3, 4) > 0, 0.7)),
    Row(aten.movedim.int, (MATRIX, 1, 2)),
    Row(aten.narrow.default, (MATRIX, 2, 1, 2)),
    Row(aten.pad.default, (MATRIX, [2, 1], "reflect")),
    Row(aten.permute.default, (MATRIX, [0, 2, 1])),
    Row(aten.pixel_shuffle.default, (Varies((4, 2, 3)), 2)),
    Row(aten.pixel_unshuffle.default, (Varies((1, 4, 2)), 2)),
    Row(aten.reflection_pad1d.default, (MATRIX, [2, 1])),
    Row(aten.reflection_pad2d.default, (PLANE, [2, 1, 0, 3])),
    Row(aten.repeat.default, (MATRIX, [1, 2, 1])),
    Row(aten.repeat_interleave.self_int, (MATRIX, 3, 1)),
    Row(aten.replication_pad1d.default, (MATRIX, [2, 1])),
    Row(aten.replication_pad2d.default, (PLANE, [2, 1, 0, 3])),
    Row(aten.reshape.default, (MATRIX, [-1, 12])),
    Row(aten.roll.default, (MATRIX, [1], [2])),
    Row(aten.select.int, (MATRIX, 1, -1)),
    Row(aten.select_scatter.default, (MATRIX, Varies((4,)), 1, 2)),
    Row(aten.slice.Tensor, (MATRIX, 2, 1, None, 2)),
    Row(aten.slice_scatter.default, (MATRIX, Varies((2, 4)), 1, 1, 3)),
    Row(aten.squeeze.default, (Varies((1, 3, 1)),)),
    Row(aten.squeeze.dim, (Varies((1, 3)), 1)),
    Row(aten.squeeze.dims, (Varies((1, 3, 1)), [1, 3])),
    Row(aten.split.Tensor, (Varies((5, 2)), 2, 1)),
    Row(aten.split_with_sizes.default, (Varies((5, 2)), [1, 4], 1)),
    Row(aten.t.default, (MATRIX,), has_rows=False),
    Row(aten.transpose.int, (MATRIX, 1, 2)),
    Row(aten.tril.default, (MATRIX, 1)),
    Row(aten.triu.default, (MATRIX,)),
    Row(aten.unbind.int, (MATRIX, 1)),
    Row(aten.unflatten.int, (MATRIX, 2, [2, -1])),
    Row(aten.unfold.default, (MATRIX, 2, 3, 1)),
    Row(aten.unsqueeze.default, (MATRIX, 1)),
    Row(aten.view.default, (MATRIX, [-1, 12])),
    Row(aten.where.self, (constant(3, 4) > 0, MATRIX, Varies((3, 1)))),
    Row(aten.where.self, (constant(3, 4) > 0, MATRIX, constant(3, 4))),
]
SUMS = [
    Row(aten.add.Tensor, (MATRIX, Varies((3, 1))), {"alpha": 2}),
    Row(aten.add.Tensor, (constant(3, 4), MATRIX)),
    Row(aten.add.Scalar, (MATRIX, 0.7)),
    Row(aten.sub.Tensor, (MATRIX, Varies((1, 4)))),
    Row(aten.sub.Scalar, (MATRIX, 0.7)),
    Row(aten.rsub.Tensor, (MATRIX, MATRIX)),
    Row(aten.rsub.Scalar, (MATRIX, 0.7)),
    Row(aten.cat.default, ([MATRIX, Varies((2, 4))], 1)),
    Row(aten.stack.default, ([MATRIX, MATRIX], 2)),
]

# --- maxima ----------------------------------------------------------------------------------


def pooled(operator: Any, value: Varies, axes: Sequence[oracle.Windows], *rest: Any) -> Row:
    windows = oracle.windows_over(value.shape, axes)
    return _over(operator, windows, (value, *rest))


def over_axes(operator: Any, axes: Sequence[int], *rest: Any, sign: int = 1) -> Row:
    windows = oracle.windows_of_axes(SPACE.shape, axes)
    return _over(operator, windows, (SPACE, *rest), sign)


def _over(operator: Any, windows: oracle.Windows, args: tuple[Any, ...], sign: int = 1) -> Row:
    return Row(
        operator,
        args,
        {},
        lambda xs, rs: [oracle.cross_maximum(windows, sign * xs[0].ravel(), sign * rs[0].ravel())],
    )


def of_two(operator: Any, sign: int, a: Any, b: Any) -> Row:
    """A maximum of two arguments, whose windows are pairs."""

    def matrices(xs: list[np.ndarray], rs: list[np.ndarray]) -> list[np.ndarray]:
        x, r = iter(xs), iter(rs)
        pair = [next(x) if isinstance(v, Varies) else v.numpy() for v in (a, b)]
        pair0 = [next(r) if isinstance(v, Varies) else v.numpy() for v in (a, b)]
        n = pair[0].size
        windows = [[i, n + i] for i in range(n)]
        flat, flat0 = (sign * np.stack(p).ravel() for p in (pair, pair0))
        whole = oracle.cross_maximum(windows, flat, flat0)
        halves = [whole[:, :n], whole[:, n:]]
        return [h for h, v in zip(halves, (a, b), strict=True) if isinstance(v, Varies)]

    return Row(operator, (a, b), {}, matrices)


along = oracle.windows_along
MAXIMA = [
    pooled(aten.max_pool1d.default, LINE, [along(7, 3, 1)], [3], [1]),
    pooled(aten.max_pool1d.default, LINE, [along(7, 3, 3)], [3]),
    pooled(
        aten.max_pool1d.default, LINE, [along(7, 3, 2, 1, 2, True)], [3], [2], [1], [2], True
    ),
    pooled(
        aten.max_pool2d.default,
        PLANE,
        [along(4, 2, 1, 1), along(5, 2, 2, 0, 2)],
        [2, 2],
        [1, 2],
        [1, 0],
        [1, 2],
    ),
    pooled(aten.max_pool3d.default, SPACE, [along(3, 2, 1), along(3, 2, 1), along(4, 2, 2)],
           [2, 2, 2], [1, 1, 2]),
    pooled(aten.max_pool1d_with_indices.default, LINE, [along(7, 2, 2, 1, 1, True)], [2], [2],
           [1], [1], True),
    pooled(aten.max_pool2d_with_indices.default, PLANE, [along(4, 2, 2), along(5, 3, 1)], [2, 3],
           [2, 1]),
    pooled(aten.max_pool3d_with_indices.default, SPACE,
           [along(3, 1, 1), along(3, 3, 3), along(4, 3, 1)], [1, 3, 3], [1, 3, 1]),
    pooled(aten.adaptive_max_pool1d.default, LINE, [oracle.adaptive_windows(7, 3)], [3]),
    pooled(aten.adaptive_max_pool2d.default, PLANE,
           [oracle.adaptive_windows(4, 3), oracle.adaptive_windows(5, 2)], [3, 2]),
    pooled(aten.adaptive_max_pool3d.default, SPACE,
           [oracle.adaptive_windows(n, 2) for n in SPACE.shape[1:]], [2, 2, 2]),
    over_axes(aten.amax.default, [1, 3], [2, -1]),
    over_axes(aten.amax.default, [0], [1], True),
    over_axes(aten.amin.default, [2, 3], [3, 4], sign=-1),
    over_axes(aten.max.dim, [1], 2),
    over_axes(aten.min.dim, [3], -1, True, sign=-1),
    of_two(aten.maximum.default, 1, MATRIX, MATRIX),
    of_two(aten.maximum.default, 1, MATRIX, constant(3, 4)),
    of_two(aten.minimum.default, -1, MATRIX, MATRIX),
    of_two(aten.minimum.default, -1, constant(3, 4), MATRIX),
]  # fmt: skip

# --- products --------------------------------------------------------------------------------


def product(
    operator: Any,
    bilinear: Callable[[np.ndarray, np.ndarray], np.ndarray],
    a: Varies,
    b: Varies,
    *rest: Any,
    has_rows: bool = True,
) -> Row:
    def matrices(xs: list[np.ndarray], rs: list[np.ndarray]) -> list[np.ndarray]:
        return list(oracle.midpoint(bilinear, xs[0], rs[0], xs[1], rs[1]))

    return Row(operator, (a, b, *rest), {}, matrices, has_rows)


def added(operator: Any, *shapes: tuple[int, ...], has_rows: bool) -> Row:
    def matrices(xs: list[np.ndarray], rs: list[np.ndarray]) -> list[np.ndarray]:
        to_a, to_b = oracle.midpoint(np.matmul, xs[1], rs[1], xs[2], rs[2])
        return [0.5 * np.eye(xs[0].size), 3 * to_a, 3 * to_b]

    return Row(operator, tuple(map(Varies, shapes)), {"beta": 0.5, "alpha": 3}, matrices, has_rows)


def quotient(xs: list[np.ndarray], rs: list[np.ndarray]) -> list[np.ndarray]:
    """a·u with u = 1/b: the slope of u carries what arrives at it on to b."""
    a, b, a0, b0 = xs[0], xs[1], rs[0], rs[1]
    to_a, to_u = oracle.midpoint(np.multiply, a, a0, 1 / b, 1 / b0)
    return [to_a, to_u @ np.diag(oracle.rescale(lambda v: 1 / v, b.ravel(), b0.ravel()))]


POSITIVE = Varies((3, 4), 0.5, 3.0)
FORM = constant(2, 4, 5)

PRODUCTS = [
    product(aten.mul.Tensor, np.multiply, MATRIX, MATRIX),
    product(aten.mul.Tensor, np.multiply, MATRIX, Varies((3, 1))),
    Row(aten.mul.Tensor, (constant(3, 4), MATRIX)),
    Row(aten.mul.Scalar, (MATRIX, -0.3)),
    product(aten.matmul.default, np.matmul, MATRIX, Varies((4, 2))),
    Row(aten.matmul.default, (MATRIX, constant(4, 2))),
    Row(aten.matmul.default, (constant(2, 3), MATRIX)),
    product(aten.mm.default, np.matmul, MATRIX, Varies((4, 2)), has_rows=False),
    Row(aten.mm.default, (Varies((4,)), constant(4, 2))),
    product(aten.bmm.default, np.matmul, MATRIX, Varies((4, 2))),
    product(aten.mv.default, np.matmul, MATRIX, Varies((4,)), has_rows=False),
    product(aten.dot.default, np.dot, Varies((5,)), Varies((5,)), has_rows=False),
    Row(aten.linear.default, (MATRIX, constant(2, 4), constant(2))),
    product(
        aten.linear.default,
        lambda a, b: a @ b.T,
        MATRIX,
        Varies((2, 4)),
        constant(2),
        has_rows=False,
    ),
    added(aten.addmm.default, (3, 2), (3, 4), (4, 2), has_rows=False),
    Row(aten.addmm.default, (constant(2), Varies((4,)), constant(4, 2))),
    added(aten.baddbmm.default, (3, 2), (3, 4), (4, 2), has_rows=True),
    Row(aten.div.Tensor, (MATRIX, POSITIVE), {}, quotient),
    Row(aten.div.Tensor, (MATRIX, constant(3, 4, low=0.5))),
    Row(
        aten.div.Tensor,
        (2.0, POSITIVE),
        {},
        lambda xs, rs: [np.diag(oracle.rescale(lambda v: 2 / v, xs[0].ravel(), rs[0].ravel()))],
    ),
    Row(aten.div.Scalar, (MATRIX, 3)),
    product(
        aten.bilinear.default,
        lambda a, b: np.einsum("oij,ni,nj->no", FORM.numpy(), a, b),
        MATRIX,
        Varies((3, 5)),
        FORM,
        constant(2),
    ),
]

# --- compositions ----------------------------------------------------------------------------

WEIGHT, BIAS = constant(3, 4), constant(3, 4, low=2.0, high=3.0)


def composed(
    operator: Any,
    function: Callable[[np.ndarray, np.ndarray], np.ndarray],
    axes: Sequence[int],
    *rest: Any,
    scale: Tensor | None = None,
    shape: tuple[int, ...] = (3, 4),
    **kwargs: Any,
) -> Row:
    """A composition along some axes of (row, *shape), then times a constant."""

    def matrices(xs: list[np.ndarray], rs: list[np.ndarray]) -> list[np.ndarray]:
        x, r = xs[0].reshape(shape), rs[0].reshape(shape)
        matrix = oracle.along(function, x, r, axes)
        if scale is not None:
            matrix = matrix * np.broadcast_to(scale.numpy(), xs[0].shape).reshape(-1, 1)
        return [matrix]

    return Row(operator, (MATRIX, *rest), kwargs, matrices)


def attention(has_mask: bool, is_causal: bool) -> Row:
    """Softmax(q·kᵀ·scale + mask)·v for one head of 3 queries and 4 keys, all three varying."""
    mask = torch.tensor([[True, True, False, True]] * 3) if has_mask else None
    hidden = np.zeros((3, 4))
    if has_mask:
        hidden[:, 2] = -np.inf
    if is_causal:
        hidden[~np.tri(3, 4, dtype=bool)] = -np.inf

    def matrices(xs: list[np.ndarray], rs: list[np.ndarray]) -> list[np.ndarray]:
        (q, k, v), (q0, k0, v0) = xs, rs

        def score(a: np.ndarray, b: np.ndarray) -> np.ndarray:
            return a @ b.T * 0.6

        to_q, to_k = oracle.midpoint(score, q, q0, k, k0)
        scores, scores0 = score(q, k) + hidden, score(q0, k0) + hidden
        weights, weights0 = (np.exp(s) / np.exp(s).sum(1, keepdims=True) for s in (scores, scores0))
        to_scores = oracle.along(oracle.softmax, scores, scores0, [1])
        to_weights, to_v = oracle.midpoint(np.matmul, weights, weights0, v, v0)
        return [to_weights @ to_scores @ to_q, to_weights @ to_scores @ to_k, to_v]

    return Row(
        aten.scaled_dot_product_attention.default,
        (Varies((3, 2)), Varies((4, 2)), Varies((4, 5)), mask, 0.0, is_causal),
        {"scale": 0.6},
        matrices,
    )


def grouped_attention() -> Row:
    """Four query heads that share two heads of keys and values, which are constant."""
    keys, values = constant(1, 2, 3, 2), constant(1, 2, 3, 5)

    def matrices(xs: list[np.ndarray], rs: list[np.ndarray]) -> list[np.ndarray]:
        whole = np.zeros((4, 5, 4, 2))  # one query a head
        for head in range(4):
            key, value = keys[0, head // 2].numpy(), values[0, head // 2].numpy()
            q, q0 = xs[0][head, 0] @ key.T / 2**0.5, rs[0][head, 0] @ key.T / 2**0.5
            whole[head, :, head] = value.T @ oracle.softmax(q, q0) @ key / 2**0.5
        return [whole.reshape(20, 8)]

    return Row(
        aten.scaled_dot_product_attention.default,
        (Varies((4, 1, 2)), keys, values),
        {"enable_gqa": True},
        matrices,
    )


def norm(eps: float) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    return lambda x, r: oracle.layer_norm(x, r, eps)


def vector_norm(order: float) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    return lambda x, r: oracle.vector_norm(x, r, order)


def largest_size(xs: list[np.ndarray], rs: list[np.ndarray]) -> list[np.ndarray]:
    """The infinity norm: |x| by rescale, then its maximum."""
    x, r = xs[0].ravel(), rs[0].ravel()
    windows = oracle.windows_of_axes((3, 4), [1])
    return [oracle.cross_maximum(windows, abs(x), abs(r)) @ np.diag(oracle.rescale(abs, x, r))]


def log_sum(x: np.ndarray, r: np.ndarray) -> np.ndarray:
    return oracle.log_sum_exp_weights(x, r)[None]


CHANNEL = constant(3)
NORMALISATIONS = [
    Row(TIMES_SOFTMAX, (Varies((5,)),), oracle=lambda xs, rs: [oracle.times_softmax(xs[0], rs[0])]),
    composed(aten.layer_norm.default, norm(1e-3), [1], [4], WEIGHT[0], BIAS[0], 1e-3,
             scale=WEIGHT[0]),
    composed(aten.layer_norm.default, norm(1e-5), [0, 1], [3, 4]),
    composed(aten.native_layer_norm.default, norm(1e-5), [0, 1], [3, 4], WEIGHT, BIAS, 1e-5,
             scale=WEIGHT),
    composed(aten.rms_norm.default, lambda x, r: oracle.root_mean_square_norm(x, r, 1e-3), [1],
             [4], WEIGHT[0], 1e-3, scale=WEIGHT[0]),
    composed(aten.group_norm.default, norm(1e-5), [1], 1, CHANNEL, CHANNEL, shape=(1, 12),
             scale=CHANNEL[:, None]),
    composed(aten.group_norm.default, norm(1e-5), [1], 3),
    composed(aten.instance_norm.default, norm(1e-5), [1], CHANNEL, CHANNEL, None, None, True, 0.1,
             1e-5, True, scale=CHANNEL[:, None]),
    Row(aten.instance_norm.default, (MATRIX, CHANNEL, None, constant(3), constant(3, low=0.5),
                                     False, 0.1, 1e-5, True)),
    composed(aten.var.correction, lambda x, r: oracle.variance(x, r, 1), [1], [2]),
    composed(aten.var.correction, lambda x, r: oracle.variance(x, r, 0), [0, 1], [1, 2],
             correction=0, keepdim=True),
    composed(aten.linalg_vector_norm.default, vector_norm(2), [1], 2, [2]),
    composed(aten.linalg_vector_norm.default, vector_norm(1), [0, 1], 1, [1, 2], True),
    composed(aten.linalg_vector_norm.default, vector_norm(2.5), [0], 2.5, [1]),
    Row(aten.linalg_vector_norm.default, (MATRIX, math.inf, [2]), {}, largest_size),
    composed(aten.logsumexp.default, log_sum, [1], [2]),
    composed(aten.logsumexp.default, log_sum, [0, 1], [1, -1], True),
    composed(aten.log_softmax.int, oracle.log_softmax, [0], 1),
    composed(aten._log_softmax.default, oracle.log_softmax, [1], -1, False),
    composed(aten.softmax.int, oracle.softmax, [1], 2),
    composed(aten.softmax.int, oracle.softmax, [0], -2),
    composed(aten._softmax.default, oracle.softmax, [1], 2, False),
    attention(has_mask=False, is_causal=False),
    attention(has_mask=True, is_causal=False),
    attention(has_mask=False, is_causal=True),
    grouped_attention(),
]  # fmt: skip

# --- recurrences -----------------------------------------------------------------------------


def recurrent(
    operator: Any,
    cell: by_steps.Cell,
    module: type[torch.nn.RNNBase],
    *,
    bias: bool = True,
    bidirectional: bool = False,
    **options: Any,
) -> Row:
    """Three steps of a layer whose input and initial states vary, a batch of one."""
    torch.manual_seed(3)
    layer = module(2, 3, bias=bias, bidirectional=bidirectional, **options).double()
    groups = [[getattr(layer, name).detach() for name in names] for names in layer._all_weights]
    n_states = (len(groups), 1, layer.proj_size or 3)
    states: Any = Varies(n_states)
    if module is torch.nn.LSTM:
        states = [Varies(n_states), Varies((len(groups), 1, 3))]
    weights = [[weight.numpy() for weight in group] for group in groups]
    params = [weight for group in groups for weight in group]
    return Row(
        operator,
        (Varies((3, 1, 2)), states, params, bias, layer.num_layers, 0.0, False, bidirectional,
         False),
        {},
        lambda xs, rs: by_steps.multipliers(cell, xs, rs, weights, 1 + bidirectional),
        has_rows=False,
    )  # fmt: skip


LSTM, GRU = torch.nn.LSTM, torch.nn.GRU
TANH, RELU = by_steps.plain(math.tanh), by_steps.plain(lambda x: max(x, 0.0))
RECURRENT = [
    recurrent(aten.lstm.input, by_steps.lstm, LSTM),
    recurrent(aten.lstm.input, by_steps.lstm, LSTM, proj_size=2, bidirectional=True),
    recurrent(aten.lstm.input, by_steps.lstm, LSTM, proj_size=1, bias=False),
    recurrent(aten.lstm.input, by_steps.lstm, LSTM, num_layers=2, bidirectional=True, bias=False),
    recurrent(aten.gru.input, by_steps.gru, GRU),
    recurrent(aten.gru.input, by_steps.gru, GRU, num_layers=2, bidirectional=True, bias=False),
    recurrent(aten.rnn_tanh.input, TANH, torch.nn.RNN, num_layers=2),
    recurrent(aten.rnn_relu.input, RELU, torch.nn.RNN, bidirectional=True, nonlinearity="relu"),
]

# Operators whose value at a reference is that at the sequence; they have their own check too.
HELD = [HOLD]

# Operators whose result depends on shapes alone; `test_registry.py` has their own check.
INERT = [
    (aten.empty_like.default, ()),
    (aten.full_like.default, (2.0,)),
    (aten.new_empty.default, ([3],)),
    (aten.new_full.default, ([3], 2.0)),
    (aten.new_ones.default, ([3],)),
    (aten.new_zeros.default, ([3],)),
    (aten.ones_like.default, ()),
    (aten.sym_numel.default, ()),
    (aten.sym_size.int, (0,)),
    (aten.zeros_like.default, ()),
]

TABLES = {
    "rescale": [*SMOOTH, *SINGULAR, *SHARP, *KINKED, *EXPONENT],
    "linear": [*LINEAR, *VIEWS, *SUMS],
    "max": MAXIMA,
    "product": PRODUCTS,
    "normalise": NORMALISATIONS,
    "recurrent": RECURRENT,
}
