"""Gradient, gradient × input, guided backpropagation and deconvolution, from their definitions."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tests.deeplift.methods.nets import (
    BASE_A,
    NETS,
    TwoReLUs,
    assert_close,
    build,
    graph_named,
    graph_of,
    run,
    sequences,
    zeros_for,
)


def central_differences(function, rows, step=1e-6):
    """Differentiate numerically, one number of the input at a time."""
    found = torch.zeros_like(rows)
    for place in range(rows[0].numel()):
        change = torch.zeros_like(rows).flatten(1)
        change[:, place] = step
        change = change.reshape(rows.shape)
        found.flatten(1)[:, place] = (function(rows + change) - function(rows - change)) / 2 / step
    return found


@pytest.mark.parametrize("name", NETS)
def test_gradients_are_those_of_finite_differences(name):
    one_hot, _ = sequences()
    model = build(name)
    found = run("gradient-input", graph_named(name), one_hot, zeros_for(one_hot))
    with torch.no_grad():
        expected = central_differences(lambda x: model(x)[:, 0], one_hot)
    assert_close(found.multipliers[:, 0], expected, 1e-7)


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        # Back from (1, -2): (2 + 2, 3 - 10), of which the first ReLU alone was on.
        ("gradient-input", [4, 8, 12, 16]),
        ("gradient", [4, 8, 12, 16]),
        # Of (1, -2) the 1 is positive; of (2, 3) only the first ReLU was on.
        ("guided-backprop", [2, 4, 6, 8]),
        # (2, 3) is positive, whatever was on: 2·(1, 2, 3, 4) + 3·(-1, 1, -2, 2).
        ("deconvolution", [-1, 7, 0, 14]),
    ],
)
def test_two_layers_of_relus_by_hand(method, expected):
    found = run(method, graph_of(TwoReLUs(), 1), BASE_A, zeros_for(BASE_A))
    assert found.multipliers.flatten().tolist() == expected
    assert found.prediction.tolist() == [0.0]  # 2 - 2
    assert found.prediction_reference.tolist() == [[-4.0]]  # the bias of 2 alone


def test_the_saliency_is_the_size_of_the_gradient():
    one_hot, _ = sequences()
    graph = graph_named("pooled")
    signed = run("gradient-input", graph, one_hot, zeros_for(one_hot)).multipliers
    assert signed.min() < 0 < signed.max()
    found = run("gradient", graph, one_hot, zeros_for(one_hot)).multipliers
    assert torch.equal(found, signed.abs())


class Activated(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.convolution = nn.Conv1d(4, 6, 5)
        self.last = nn.LazyLinear(1)
        self.function = function

    def forward(self, x):
        return self.last(self.function(self.convolution(x)).flatten(1))


def activated(function):
    model = Activated(function).double()
    model(torch.zeros(1, 4, 12, dtype=torch.float64))
    return model


@pytest.mark.parametrize("method", ["guided-backprop", "deconvolution"])
@pytest.mark.parametrize("function", [F.relu6, F.leaky_relu, torch.tanh])
def test_activations_other_than_relu_pass_their_derivative_back(method, function):
    one_hot, _ = sequences(length=12)
    graph = graph_of(activated(function), 12)
    expected = run("gradient-input", graph, one_hot, zeros_for(one_hot)).multipliers
    assert torch.equal(run(method, graph, one_hot, zeros_for(one_hot)).multipliers, expected)


def _assigned(x):
    y = x.relu()
    y[:, :, 2:5] = torch.tanh(x[:, :, 2:5])
    return y


@pytest.mark.parametrize("function", [_assigned, lambda x: x * x.sigmoid().detach()])
def test_the_derivative_is_that_of_the_value_where_autograd_would_stop(function):
    """Torch itself cannot go back through the first and takes half of the second for constant."""
    one_hot, _ = sequences(length=12)
    model = activated(function)
    found = run("gradient-input", graph_of(model, 12), one_hot, zeros_for(one_hot))
    with torch.no_grad():
        expected = central_differences(lambda x: model(x)[:, 0], one_hot)
    assert_close(found.multipliers[:, 0], expected, 1e-7)


@pytest.mark.parametrize("method", ["gradient", "gradient-input", "guided-backprop", "lrp"])
def test_multipliers_are_the_same_for_all_references(method):
    one_hot, references = sequences(3, 4)
    graph = graph_named("pooled")
    found = run(method, graph, one_hot, references)
    expected = run(method, graph, one_hot, zeros_for(one_hot)).multipliers
    assert torch.equal(found.multipliers, expected.expand_as(references))
    with torch.no_grad():
        at_references = graph(references.flatten(0, 1)).reshape(3, 4)
    assert_close(found.prediction_reference, at_references)


def test_a_target_that_does_not_depend_on_the_sequence_has_no_gradient():
    class Constant(nn.Module):
        def forward(self, x):
            return torch.ones(x.shape[0], 1, dtype=x.dtype)

    one_hot, _ = sequences()
    found = run("gradient-input", graph_of(Constant()), one_hot, zeros_for(one_hot))
    assert found.multipliers.abs().max() == 0
    assert found.prediction.tolist() == [1.0] * 3
