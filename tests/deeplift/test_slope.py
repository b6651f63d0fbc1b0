"""How exact a slope is, over sixteen orders of magnitude of Δ.

The exact slopes are written so that nothing cancels, and evaluated in float64 at the very points
that the rule sees.
"""

import itertools
from decimal import Decimal, localcontext

import numpy as np
import pytest
import torch

from seqlift.deeplift import rules  # noqa: F401  (fills the registry)
from seqlift.deeplift.lanes import Lanes
from seqlift.deeplift.registry import apply
from seqlift.deeplift.slope import is_near_zero, slope, slope_of_exp, slope_of_log

aten = torch.ops.aten

STEPS = [sign * 10.0**k for k in np.arange(-16, 0.01, 0.25) for sign in (1, -1)]
PLACES = [-3.0, -1.0, -0.1, -1e-3, -1e-7, 0.0, 1e-7, 1e-3, 0.1, 1.0, 3.0]

precisions = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)


def pairs(dtype: torch.dtype, *, positive: bool = False):
    """Return sequences and references: each step from each place, and centred on it."""
    grid = np.array(list(itertools.product(PLACES, STEPS)))
    reference = np.concatenate([grid[:, 0], grid[:, 0] - grid[:, 1] / 2])
    sequence = torch.tensor(reference + np.tile(grid[:, 1], 2), dtype=dtype)
    reference = torch.tensor(reference, dtype=dtype)
    keep = sequence != reference
    if positive:
        keep &= (sequence > 0) & (reference > 0)
    return sequence[keep], reference[keep]


def slopes(operator, sequence, reference, *rest, **kwargs) -> torch.Tensor:
    reference = reference.clone().requires_grad_()
    after = apply(operator, Lanes(sequence, reference), *rest, **kwargs)
    return torch.autograd.grad(after.reference.sum(), reference)[0].double()


def sinhc(x):
    return np.where(x == 0, 1.0, np.sinh(x) / np.where(x == 0, 1.0, x))


def sinc(x):
    return np.sinc(x / np.pi)


# Exact slope between x and r with step d = x − r, free of cancellation.
SMOOTH = {
    aten.exp.default: lambda x, r, d: np.exp((x + r) / 2) * sinhc(d / 2),
    aten.sigmoid.default: lambda x, r, d: sinhc(d / 2) / (4 * np.cosh(x / 2) * np.cosh(r / 2)),
    aten.tanh.default: lambda x, r, d: sinhc(d) / (np.cosh(x) * np.cosh(r)),
    aten.sin.default: lambda x, r, d: np.cos((x + r) / 2) * sinc(d / 2),
    aten.cos.default: lambda x, r, d: -np.sin((x + r) / 2) * sinc(d / 2),
    aten.square.default: lambda x, r, d: x + r,
}
SINGULAR = {
    aten.log.default: lambda x, r, d: np.log1p(d / r) / d,
    aten.reciprocal.default: lambda x, r, d: -1 / (x * r),
    aten.rsqrt.default: lambda x, r, d: -1 / (np.sqrt(x * r) * (np.sqrt(x) + np.sqrt(r))),
    aten.sqrt.default: lambda x, r, d: 1 / (np.sqrt(x) + np.sqrt(r)),
}
SHARP = {
    aten.log1p.default: lambda x, r, d: np.log1p(d / (1 + r)) / d,
}


def exact(formula, sequence, reference):
    x, r = sequence.double().numpy(), reference.double().numpy()
    return torch.from_numpy(formula(x, r, x - r))


@precisions
@pytest.mark.parametrize("operator", SMOOTH, ids=str)
def test_slopes_of_smooth_operators_are_right_to_two_thirds_of_the_digits(operator, dtype):
    sequence, reference = pairs(dtype)
    found = slopes(operator, sequence, reference)
    size = operator(reference.double()).abs() + found.abs() + 1
    error = (found - exact(SMOOTH[operator], sequence, reference)).abs() / size
    assert error.max() <= 2 * torch.finfo(dtype).eps ** (2 / 3)


@precisions
@pytest.mark.parametrize("operator", SINGULAR, ids=str)
def test_slopes_of_singular_operators_are_as_right_on_the_scale_of_the_argument(operator, dtype):
    sequence, reference = pairs(dtype, positive=True)
    found = slopes(operator, sequence, reference)
    scale = ((sequence + reference) / 2).double().clamp(max=1)
    size = operator(reference.double()).abs() / scale + found.abs()
    error = (found - exact(SINGULAR[operator], sequence, reference)).abs() / size
    assert error.max() <= 2 * torch.finfo(dtype).eps ** (2 / 3)


@precisions
@pytest.mark.parametrize("power", [2, 3, 0.5, -1.5])
def test_slopes_of_powers_keep_completeness_at_any_scale(power, dtype):
    sequence, reference = pairs(dtype, positive=True)
    found = slopes(aten.pow.Tensor_Scalar, sequence, reference, power)
    high, low = sequence.double() ** power, reference.double() ** power
    error = (found * (sequence.double() - reference.double()) - (high - low)).abs()
    assert (error / torch.maximum(high, low)).max() <= 16 * torch.finfo(dtype).eps


@precisions
@pytest.mark.parametrize("operator", SHARP, ids=str)
def test_slopes_of_sharp_operators_keep_completeness(operator, dtype):
    """The quotient is kept down to rounding, so what it multiplies to is right to rounding."""
    sequence, reference = pairs(dtype, positive=True)
    wrong = slopes(operator, sequence, reference) - exact(SHARP[operator], sequence, reference)
    error = (wrong * (sequence.double() - reference.double())).abs()
    assert error.max() <= 16 * torch.finfo(dtype).eps


def exactly(function, sequence, reference):
    """Return slopes from sixty digits, where nothing is lost by subtracting."""
    ends = zip(sequence.double().tolist(), reference.double().tolist(), strict=True)
    with localcontext(prec=60):
        exact = [(Decimal(x), Decimal(r)) for x, r in ends]
        found = [float((function(x) - function(r)) / (x - r)) for x, r in exact]
    return torch.tensor(found, dtype=torch.float64)


@precisions
def test_the_slope_of_the_exponential_has_all_digits(dtype):
    sequence, reference = pairs(dtype)
    wanted = exactly(Decimal.exp, sequence, reference)
    error = (slopes(aten.exp.default, sequence, reference) - wanted).abs() / wanted
    assert error.max() <= 4 * torch.finfo(dtype).eps


@precisions
@pytest.mark.parametrize("beta", [1, 0.01, -1])
def test_the_slope_of_softplus_has_all_digits_of_its_steepest(beta, dtype):
    """Torch takes the straight line from βx = 20 on, where softplus is off it by 2e-9."""
    sequence, reference = pairs(dtype)
    wanted = exactly(lambda x: (1 + (Decimal(beta) * x).exp()).ln(), sequence, reference) / beta
    found = slopes(aten.softplus.default, sequence, reference, beta)
    assert (found - wanted).abs().max() <= 8 * torch.finfo(dtype).eps


@precisions
def test_the_slope_of_the_logarithm_of_a_sum_has_all_digits(dtype):
    sequence, reference = pairs(dtype, positive=True)
    wanted = exactly(Decimal.ln, sequence, reference)
    rise = sequence.double().log() - reference.double().log()
    found = slope_of_log(sequence, reference, rise.to(dtype)).double()
    assert ((found - wanted).abs() / wanted).max() <= 4 * torch.finfo(dtype).eps


def test_slopes_where_nothing_is_seen_are_zero():
    """A softmax of masked logits alone: −∞, their sum 0, and logits less its logarithm."""
    zero, minus_infinity = torch.zeros(1), torch.tensor([-torch.inf])
    assert slope_of_log(zero, zero, zero.log() - zero.log()) == 0
    assert slope_of_exp(minus_infinity, minus_infinity) == 0
    assert slope_of_exp(minus_infinity * 0, minus_infinity * 0) == 0


@pytest.mark.parametrize(
    ("operator", "x", "r"),
    [
        (aten.acos.default, 1.0, 0.999999),
        (aten.asin.default, 1.0, 0.999999),
        (aten.log1p.default, -0.99999, -0.99998),
        (aten.log1p.default, -0.999999, -0.999998),
        (aten.leaky_relu.default, 1e6, -1.0),
        (aten.leaky_relu.default, 1.0, -1.2e-6),
    ],
    ids=str,
)
def test_the_derivative_does_not_stand_in_beside_a_singularity_or_a_kink(operator, x, r):
    sequence, reference = torch.tensor([x]), torch.tensor([r])
    found = slopes(operator, sequence, reference)
    delta = operator(sequence) - operator(reference)
    assert (found * (sequence - reference) / delta - 1).abs() <= 4e-7


@pytest.mark.parametrize(("x", "r", "wanted"), [(-1, -1, 0), (1, 1, 1), (1, 0, 1), (0, -1, 0)])
def test_slopes_of_softplus_at_infinity(x, r, wanted):
    at = {-1: -torch.inf, 0: 0.0, 1: torch.inf}
    found = slopes(aten.softplus.default, torch.tensor([at[x]]), torch.tensor([at[r]]))
    assert found == wanted


def test_maxima_of_a_window_that_is_masked_in_one_lane_are_numbers():
    nothing, values = torch.full((1, 3), -torch.inf), torch.tensor([[1.0, 2, 0]])
    for sequence, reference in ((nothing, values), (values, nothing), (nothing, nothing)):
        assert slopes(aten.amax.default, sequence, reference, [1]).isfinite().all()
        pooled = slopes(aten.max_pool1d.default, sequence[None], reference[None], [2], [1])
        assert pooled.isfinite().all()


def test_the_slope_of_an_exponential_from_minus_infinity_is_zero():
    assert slope_of_exp(torch.zeros(1), torch.tensor([-torch.inf])) == 0


STRAIGHT = [
    (aten.leaky_relu.default, (0.2,), 0.0, np.inf, 1.0),
    (aten.leaky_relu.default, (0.2,), -np.inf, 0.0, 0.2),
    (aten.hardsigmoid.default, (), -1.5, 1.5, 1 / 6),  # at -3 the output vanishes
    (aten.hardtanh.default, (), -1.0, 1.0, 1.0),
]


@precisions
@pytest.mark.parametrize(("operator", "rest", "low", "high", "wanted"), STRAIGHT, ids=str)
def test_slopes_on_a_straight_piece_are_those_of_the_piece(
    operator, rest, low, high, wanted, dtype
):
    sequence, reference = pairs(dtype)
    both = torch.stack([sequence, reference])
    inside = ((both > low) & (both < high)).all(0)
    found = slopes(operator, sequence[inside], reference[inside], *rest)
    assert inside.sum() > 100
    of_torch = 3e-8 if operator is aten.hardsigmoid.default else 0  # its derivative is a float32
    assert (found / wanted - 1).abs().max() <= 4 * torch.finfo(dtype).eps + of_torch


KINKED = [
    (aten.relu.default, ()),
    (aten.leaky_relu.default, (0.2,)),
    (aten.abs.default, ()),
    (aten.hardtanh.default, ()),
    (aten.clamp.default, (-0.1, 1.0)),
    (aten.elu.default, ()),
    (aten.softplus.default, (50, 20)),
    (aten.softplus.default, (1, 1)),
    (aten.softplus.default, (1, -1)),
    (aten.softplus.default, (-2, 0)),
    (aten.gelu.default, ()),
    (aten.log_sigmoid.default, ()),
]


@precisions
@pytest.mark.parametrize(("operator", "rest"), KINKED, ids=lambda v: str(v) or "plain")
def test_slope_times_difference_is_delta_down_to_rounding(operator, rest, dtype):
    """Holds where the two points lie on both sides of a kink, too."""
    sequence, reference = pairs(dtype)
    found = slopes(operator, sequence, reference, *rest)
    delta_out = operator(sequence.double(), *rest) - operator(reference.double(), *rest)
    error = (found * (sequence.double() - reference.double()) - delta_out).abs()
    size = 1 + sequence.double().abs()
    assert (error / size).max() <= 16 * torch.finfo(dtype).eps


@precisions
def test_slopes_of_relu_on_one_side_are_exactly_one_or_zero(dtype):
    """Division may round the quotient of equal numbers nowhere else."""
    sequence, reference = pairs(dtype)
    found = slopes(aten.relu.default, sequence, reference)
    both, none = (sequence > 0) & (reference > 0), (sequence <= 0) & (reference <= 0)
    assert both.any()
    assert none.any()
    assert (found[both] == 1).all()
    assert (found[none] == 0).all()
    assert ((found >= 0) & (found <= 1)).all()


@precisions
def test_equal_points_have_the_derivative(dtype):
    at = torch.tensor([-1.5, 0.3, 2.0], dtype=dtype)
    for operator, derivative in [
        (aten.relu.default, [0, 1, 1]),
        (aten.abs.default, [-1, 1, 1]),
        (aten.square.default, [-3, 0.6, 4]),
    ]:
        found = slopes(operator, at, at)
        torch.testing.assert_close(found, torch.tensor(derivative).double(), rtol=1e-6, atol=0)


# --- the two functions themselves --------------------------------------------------------------


def test_where_a_difference_is_near_zero():
    eps = torch.finfo(torch.float64).eps
    delta = torch.tensor([0.0, 1e-15, 1e-9, 1e-3], dtype=torch.float64)
    middle = torch.tensor([1e-4] * 4, dtype=torch.float64)
    assert is_near_zero(delta, middle, kinked=True).tolist() == [True, False, False, False]
    assert is_near_zero(delta, middle + 1, kinked=True).tolist() == [True, True, False, False]
    assert is_near_zero(delta, middle, kinked=False).tolist() == [True, True, True, False]
    singular = is_near_zero(delta, middle, kinked=False, singular=True)
    assert singular.tolist() == [True, True, False, False]
    assert eps ** (1 / 3) * 1e-4 < 1e-9 < eps ** (1 / 3)


def test_two_infinite_points_are_near_zero():
    """Masked logits: −∞ at both points, whose difference is NaN."""
    point = torch.tensor([-torch.inf])
    assert is_near_zero(point - point, point, kinked=False).all()


def test_a_stand_in_that_is_not_finite_is_zero():
    zero, yes = torch.zeros(1), torch.tensor([True])
    for derivative in (torch.inf, -torch.inf, torch.nan):
        assert slope(zero, zero, torch.tensor([derivative]), yes) == 0


def test_the_square_root_at_zero_carries_nothing():
    at = torch.zeros(1, dtype=torch.float64)
    assert slopes(aten.sqrt.default, at, at) == 0
