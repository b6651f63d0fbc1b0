"""The ε-rule by hand, conservation of relevance, and the claim that it is gradient × input."""

import functools
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tests.deeplift.methods.nets import (
    BASE_A,
    LENGTH,
    RELU_NETS,
    TwoReLUs,
    assert_close,
    graph_named,
    graph_of,
    graphs_of,
    run,
    sequences,
    zeros_for,
)


@pytest.mark.parametrize("name", RELU_NETS)
def test_on_relu_networks_it_is_gradient_times_input(name):
    """With biases, maxima, batch norm and residual sums; Shrikumar et al. 2016 claim it."""
    one_hot, _ = sequences()
    graph = graph_named(name)
    found = run("lrp", graph, one_hot, zeros_for(one_hot)).multipliers
    assert_close(found, run("gradient-input", graph, one_hot, zeros_for(one_hot)).multipliers)


@pytest.mark.parametrize("name", ["smooth", "mixed"])
def test_elsewhere_it_is_not(name):
    one_hot, _ = sequences()
    graph = graph_named(name)
    found = run("lrp", graph, one_hot, zeros_for(one_hot)).multipliers
    gradient = run("gradient-input", graph, one_hot, zeros_for(one_hot)).multipliers
    assert (found - gradient).abs().max() > 0.1 * gradient.abs().max()


def test_two_layers_of_relus_by_hand():
    found = run("lrp", graph_of(TwoReLUs(), 1), BASE_A, zeros_for(BASE_A))
    assert found.multipliers.flatten().tolist() == [4, 8, 12, 16]


class OneDense(nn.Module):
    """Two sums of one base, 1·x + 0.5 and -2·x + 0.25 at A, and a function of them."""

    def __init__(self, function):
        super().__init__()
        self.dense = nn.Linear(4, 2)
        self.dense.weight.data = torch.tensor([[1.0, 2, 3, 4], [-2, 1, 0, 5]])
        self.dense.bias.data = torch.tensor([0.5, 0.25])
        self.function = function

    def forward(self, x):
        return self.function(*self.dense(x.flatten(1)).unbind(1))


SIGMOID = 1 / (1 + math.exp(-1.5))


BY_HAND = {  # what goes to the sums, which are 1.5 and -1.75 at A
    "sigmoid": (lambda a, b: torch.sigmoid(a), SIGMOID / 1.5, 0),
    "tanh": (lambda a, b: torch.tanh(a) + b, math.tanh(1.5) / 1.5, 1),
    "product": (lambda a, b: a * b, -1.75 / 2, 1.5 / 2),
    "linear": (lambda a, b: 3 * a - b / 4, 3, -0.25),
    "quotient": (lambda a, b: a / b, 1 / -1.75 / 2, 1.5 / 1.75**2 / 2),
    "reciprocal": (lambda a, b: 1 / b, 0, 1 / 1.75**2),
    "maximum": (torch.maximum, 1, 0),
    "minimum": (torch.minimum, 0, 1),  # the winner is negative
    "relu, maximum": (lambda a, b: F.relu(torch.stack([a, b], 1)).amax(1), 1, 0),
}


@functools.cache
def by_hand():
    graphs = graphs_of([OneDense(function) for function, *_ in BY_HAND.values()], 1)
    return dict(zip(BY_HAND, graphs, strict=True))


@pytest.mark.parametrize("name", BY_HAND)
def test_operators_by_hand(name):
    function, to_first, to_second = BY_HAND[name]
    found = run("lrp", by_hand()[name], BASE_A, zeros_for(BASE_A))
    first, second = OneDense(function).dense.weight.detach().double()
    expected = to_first * first + to_second * second
    assert_close(found.multipliers.flatten(), expected)


NOT_ZERO_AT_ZERO = [torch.sigmoid, torch.exp, F.softplus, F.hardsigmoid]


@pytest.mark.parametrize("function", NOT_ZERO_AT_ZERO)
def test_an_activation_at_exactly_zero_passes_its_derivative_back(function):
    """Where y is not zero at x = 0, y/x has no bound."""
    model = OneDense(lambda a, b: function(a - 1.5))
    found = run("lrp", graph_of(model, 1), BASE_A, zeros_for(BASE_A)).multipliers.flatten()
    at_zero = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(function(at_zero), at_zero)
    assert_close(found, slope * model.dense.weight[0].detach().double(), 1e-8)


# --- relevance is conserved where no bias takes any ----------------------------------------------


class Unbiased(nn.Module):
    def __init__(self, *parts):
        super().__init__()
        self.first = nn.Conv1d(4, 6, 5, padding=2, bias=False)
        self.parts = nn.Sequential(*parts)
        self.last = nn.LazyLinear(1, bias=False)

    def forward(self, x):
        return self.last(self.parts(self.first(x)).flatten(1))


class Applied(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def _gate(x):
    return torch.tanh(x[:, :3]) * x[:, 3:]


def _attention(x):
    x = x.transpose(1, 2)
    return F.scaled_dot_product_attention(x, x.flip(1), x)


FORM = torch.linspace(-1, 1, 3 * 40 * 40, dtype=torch.float64).reshape(3, 40, 40)
PARTS = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "gelu": nn.GELU,
    "sigmoid": nn.Sigmoid,  # an activation hands on all that it is given
    "exp": lambda: Applied(torch.exp),
    "max-pool": lambda: nn.MaxPool1d(5, 2),
    "gate": lambda: Applied(_gate),
    "square": lambda: Applied(lambda x: x * x),
    "ratio": lambda: Applied(lambda x: x / x.square().sum(1, keepdim=True)),
    "gram matrix": lambda: Applied(lambda x: x @ x.transpose(1, 2)),
    "bilinear": lambda: Applied(lambda x: F.bilinear(x, x.tanh(), FORM)),
    "layer norm": lambda: nn.LayerNorm(40, bias=False),
    "RMS norm": lambda: nn.RMSNorm(40),
    "group norm": lambda: nn.GroupNorm(2, 6),
    "instance norm": lambda: nn.InstanceNorm1d(6),
    "norm": lambda: Applied(lambda x: x.norm(dim=1)),
    "maximum norm": lambda: Applied(lambda x: x.norm(torch.inf, dim=1)),
    "variance": lambda: Applied(lambda x: x.var(1)),
    "attention": lambda: Applied(_attention),
}


@functools.cache
def parts():
    torch.manual_seed(4)
    models = nn.ModuleList(Unbiased(part()) for part in PARTS.values()).double()
    for model in models:
        model(torch.zeros(2, 4, LENGTH, dtype=torch.float64))
    return dict(zip(PARTS, graphs_of(models), strict=True))


@pytest.mark.parametrize("part", PARTS)
def test_without_biases_relevance_sums_to_the_prediction(part):
    one_hot, _ = sequences()
    found = run("lrp", parts()[part], one_hot, zeros_for(one_hot))
    relevance = (one_hot * found.multipliers[:, 0]).sum((1, 2))
    assert_close(relevance, found.prediction, 1e-9)


@pytest.mark.parametrize("function", [torch.softmax, torch.log_softmax])
def test_softmax_shares_its_difference_from_uniform(function):
    one_hot, _ = sequences()
    model = Unbiased(Applied(lambda x: function(3 * x, 1))).double()
    model(one_hot)
    uniform = function(torch.zeros(1, 6, 40, dtype=torch.float64), 1).flatten(1)
    at_uniform = float((uniform * model.last.weight.detach()).sum())
    found = run("lrp", graph_of(model), one_hot, zeros_for(one_hot))
    relevance = (one_hot * found.multipliers[:, 0]).sum((1, 2))
    assert_close(relevance, found.prediction - at_uniform, 1e-9)


def test_a_mask_of_infinities_hides_what_it_hides():
    mask = torch.zeros(40, dtype=torch.float64).masked_fill(torch.arange(40) >= 25, -math.inf)

    def masked(x):
        return torch.softmax(3 * x + mask, -1)

    one_hot, _ = sequences()
    model = Unbiased(Applied(masked)).double()
    model(one_hot)
    found = run("lrp", graph_of(model), one_hot, zeros_for(one_hot)).multipliers
    assert found.isfinite().all()
    assert found[..., 27:].abs().max() == 0  # beyond the mask and half a filter
    assert found[..., :25].abs().max() > 0
