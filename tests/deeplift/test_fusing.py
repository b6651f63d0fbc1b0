"""Written into the convolution or not, a program computes the same."""

from collections import Counter

import pytest
import torch
from torch.nn.functional import one_hot as to_one_hot

from seqlift.deeplift import compiling
from seqlift.deeplift.compiling import has_compiler
from seqlift.deeplift.fusing import WRITTEN, fuse_convolutions
from seqlift.deeplift.layouts import VIEWS
from seqlift.deeplift.program import write_program
from seqlift.deeplift.rules.winograd import CONVOLVE, convolve_winograd
from seqlift.deeplift.rules.winograd_steps import Kernel
from seqlift.explain import Explainer

aten = torch.ops.aten

pytestmark = pytest.mark.skipif(not has_compiler(), reason="no C++ compiler")

N_SEQUENCES, N_REFERENCES, N_CHANNELS, LENGTH = 2, 3, 32, 40
N_ROWS = N_SEQUENCES * N_REFERENCES


def tensors(*shapes):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=generator) for shape in shapes]


WEIGHT, BIAS = tensors((N_CHANNELS, N_CHANNELS, 3), (N_CHANNELS,))
ROWS = (N_ROWS, LENGTH, N_CHANNELS)
SEQUENCES = (N_SEQUENCES, LENGTH, N_CHANNELS)


def convolve(value):
    """Convolve (row, position, channel), as a program does."""
    return convolve_winograd(value.transpose(1, 2), WEIGHT, BIAS, 2, 2).transpose(1, 2)


def both(function, *examples):
    """Return a program with what is around convolutions written into them, and one without."""
    fused, plain = write_program(function, examples), write_program(function, examples)
    fuse_convolutions(fused)
    return fused, plain


def operators(program):
    return [node.target for node in program.graph.nodes if node.op == "call_function"]


def assert_fused(function, *examples, without):
    """The operators are gone, and the values are the same to rounding."""
    fused, plain = both(function, *examples)
    for operator in without:
        assert operator in operators(plain)
        assert operator not in operators(fused)
    assert_same(fused(*examples), plain(*examples))


def assert_left_alone(function, *examples):
    fused, plain = both(function, *examples)
    (convolution,) = (node for node in fused.graph.nodes if node.target is CONVOLVE)
    assert convolution.args[7] == Kernel().definitions()
    computed, expected = (
        Counter(one for one in operators(program) if one not in VIEWS) for program in (fused, plain)
    )
    assert computed == expected
    assert_same(fused(*examples), plain(*examples))


def assert_same(found, expected):
    found, expected = ((x,) if isinstance(x, torch.Tensor) else x for x in (found, expected))
    for one, other in zip(found, expected, strict=True):
        assert one.shape == other.shape
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5, equal_nan=True)


def test_what_is_element_by_element_goes_into_the_convolution():
    def function(x, z):
        found = convolve(x)
        return (-found.abs() - 2.5 * found + found * z).relu() / z

    assert_fused(function, *tensors(ROWS, ROWS), without=WRITTEN)


def test_odd_numbers_stay_what_they_are():
    value, beside = tensors(ROWS, ROWS)
    odd = [float("nan"), float("inf"), -float("inf"), 0.0, -0.0]
    beside[0, : len(odd)] = torch.tensor(odd)[:, None]
    assert_fused(
        lambda x, z: (torch.relu(convolve(x) * z), (convolve(x) + z).abs()),
        value,
        beside,
        without=[aten.relu.default, aten.abs.default],
    )


def test_an_absolute_value_has_no_sign():
    beside = tensors(ROWS)[0]
    beside[:, 0] = -0.0

    def function(x, z):
        return (z + 1) / (convolve(x) * 0 * z).abs()

    assert_fused(function, tensors(ROWS)[0], beside, without=[aten.abs.default, aten.mul.Tensor])


def test_equal_convolutions_are_one_and_both_come_out():
    def function(x):
        return convolve(x).relu(), convolve(x).relu(), convolve(x)

    assert_fused(function, *tensors(ROWS), without=[aten.relu.default])


def test_a_product_that_nothing_else_reads_is_convolved_as_two():
    assert_fused(
        lambda x, z: convolve((x.transpose(1, 2) * z.transpose(1, 2)).transpose(1, 2)),
        *tensors(ROWS, ROWS),
        without=[aten.mul.Tensor],
    )


def test_a_product_that_others_read_is_computed_once():
    def function(x, z):
        product = x * z
        return convolve(product), product.cos()

    assert_left_alone(function, *tensors(ROWS, ROWS))


def apart(rows):
    return rows.unflatten(0, (N_SEQUENCES, N_REFERENCES))


def test_rows_that_references_share_are_read_once_a_sequence():
    def function(x, z):
        shared = z.relu().unsqueeze(1)
        found = apart(convolve(x)) / (shared + z.abs().unsqueeze(1) + 1)
        return found.flatten(0, 1)

    examples = tensors(ROWS, SEQUENCES)
    fused, plain = both(function, *examples)
    assert_same(fused(*examples), plain(*examples))
    assert aten.div.Tensor not in operators(fused)
    (convolution,) = (node for node in fused.graph.nodes if node.target is CONVOLVE)
    (beside,) = convolution.args[5]
    assert len(beside.meta["val"]) == N_SEQUENCES


def test_products_may_share_rows_too():
    def function(x, z):
        return convolve((apart(x) * z.unsqueeze(1)).flatten(0, 1))

    assert_fused(
        function,
        *tensors(ROWS, SEQUENCES),
        without=[aten.mul.Tensor],
    )


def test_several_values_come_out_where_others_read_them():
    def function(x, z):
        found = convolve(x)
        after = found.relu()
        return found.cos(), after.transpose(1, 2).sin(), (after + z).tanh()

    assert_fused(
        function,
        *tensors(ROWS, ROWS),
        without=[aten.relu.default, aten.add.Tensor],
    )


def test_what_is_needed_is_computed_first():
    """A sum reads what comes later in the program, and comes later itself."""

    def function(x, z):
        found = convolve(x)
        other = (z.cos() * 2).sin()
        return (found + other).relu(), other

    assert_fused(function, *tensors(ROWS, ROWS), without=[aten.relu.default])


def test_convolutions_that_follow_each_other_wait_for_each_other():
    """The sum reads both results: the first convolution cannot have it, the second can."""

    def function(x):
        first = convolve(x)
        second = convolve(first.relu())
        return (first + second).relu()

    fused, plain = both(function, *tensors(ROWS))
    assert_same(fused(*tensors(ROWS)), plain(*tensors(ROWS)))
    assert not {aten.relu.default, aten.add.Tensor} & set(operators(fused))
    assert operators(fused).count(CONVOLVE) == 2


@pytest.mark.parametrize(
    "function",
    [
        lambda y, x: y + x[:, :1],
        lambda y, x: y + x[:1],
        lambda y, x: y + x.transpose(1, 2).reshape(y.shape).double(),
        lambda y, x: y.sum(2) + x.sum(2),
        lambda y, x: y.double() + x,
        lambda y, x: y + y.flip(0),
        lambda y, x: y.reshape(N_ROWS, 2, -1, LENGTH) + x.reshape(N_ROWS, 2, -1, LENGTH),
        lambda y, x: torch.add(y, x, alpha=2),
        lambda y, x: y.clamp(max=1) + x,
        lambda y, x: y + x.sum().expand(ROWS),
        lambda y, x: y * float("inf"),
        lambda y, x: y * x[:, None, :1],
        lambda y, x: y * x[0].clone().t().contiguous().t(),
    ],
)
def test_what_is_not_element_by_element_stays_outside(function):
    assert_left_alone(lambda x, z: function(convolve(x), z), *tensors(ROWS, ROWS))


def test_an_operator_that_cannot_be_written_leaves_nothing_behind():
    """One operand could be read beside, the other not: neither is."""

    def function(x, z, channel):
        found = convolve(x)
        return (found + z).relu(), found * (z.cos() + channel)[:, :1]

    fused, plain = both(function, *tensors(ROWS, ROWS, (N_CHANNELS,)))
    examples = tensors(ROWS, ROWS, (N_CHANNELS,))
    assert_same(fused(*examples), plain(*examples))
    (convolution,) = (node for node in fused.graph.nodes if node.target is CONVOLVE)
    assert len(convolution.args[5]) == 1


def test_a_loop_with_too_many_tensors_is_left_alone():
    def function(x, *others):
        found = convolve(x)
        for other in others:
            found = found + other
        return found

    assert_left_alone(function, *tensors(*[ROWS] * 9))


class Residual(torch.nn.Module):
    def forward(self, x, layers):
        for layer in layers:
            x = x + torch.relu(layer(x))
        return x


class Plain(torch.nn.Module):
    def forward(self, x, layers):
        for layer in layers:
            x = torch.relu(layer(x))
        return x


class Dense(torch.nn.Module):
    """Each layer reads the sum of all before it, and the last sum is of three convolutions."""

    def forward(self, x, layers):
        first, *others = layers
        x = torch.relu(first(x))
        return torch.relu(x + sum(layer(x) for layer in others))


class Smooth(torch.nn.Module):
    def forward(self, x, layers):
        for layer in layers:
            x = x + torch.nn.functional.gelu(layer(x))
        return torch.nn.functional.max_pool1d(x, 3)


class Network(torch.nn.Module):
    def __init__(self, body):
        super().__init__()
        self.first = torch.nn.Conv1d(4, 32, 7, padding=3)
        self.layers = torch.nn.ModuleList(
            torch.nn.Conv1d(32, 32, 3, padding=d, dilation=d) for d in (1, 2, 4)
        )
        self.body = body
        self.last = torch.nn.Linear(32, 2)

    def forward(self, x):
        return self.last(self.body(torch.relu(self.first(x)), self.layers).mean(2))


@pytest.mark.parametrize("body", [Residual, Plain, Dense, Smooth])
@pytest.mark.parametrize("rules", ["rescale", "reveal-cancel"])
def test_scores_are_those_of_the_rules_in_float64(body, rules, monkeypatch):
    monkeypatch.setattr(compiling, "find_library", lambda job: None)
    monkeypatch.setattr(compiling, "compile_ahead", lambda program, *_: program)  # as it is written
    torch.manual_seed(0)
    model = Network(body()).eval()
    one_hot = to_one_hot(torch.randint(4, (3, 60)), 4).transpose(1, 2).byte()
    references = torch.stack([one_hot.roll(7, 2), one_hot.flip(2)], 1)
    found, expected = (
        Explainer(model, length=60, device="cpu", rules=rules, **options).contribute(
            one_hot, references
        )
        for options in ({"compile": "on"}, {"compile": "off", "precision": "float64"})
    )
    error = (found.hypothetical - expected.hypothetical).abs().max()
    assert 0 < error < 1e-5 * expected.hypothetical.abs().max()
