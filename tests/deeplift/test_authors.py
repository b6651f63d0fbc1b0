"""The engine under each set of rules against the authors' algorithm written out literally.

The engine walks two lanes with autograd; the oracle carries two streams through full matrices.
"""

import functools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from seqlift.explain import Explainer
from seqlift.model.capture import Captured, capture
from tests.helpers import with_shuffles
from tests.oracle import authors

LENGTH = 14
N_TARGETS = 3
RULES = ["rescale", "reveal-cancel", "genomics"]
BACKGROUND = [0.3, 0.2, 0.2, 0.3]


# --- the same weights, in torch and in the oracle --------------------------------------------


def dense(n_in: int, n_out: int = N_TARGETS) -> nn.Linear:
    """Make a dense layer whose units are of the size of its inputs, on either side of zero."""
    layer = nn.Linear(n_in, n_out)
    nn.init.normal_(layer.weight, std=n_in**-0.5)
    nn.init.normal_(layer.bias, std=0.3)
    return layer


LAYERS = {
    "dense, ReLU": lambda: [nn.Flatten(), dense(4 * LENGTH, 6), nn.ReLU(), dense(6)],
    "dense, sigmoid, dense, tanh": lambda: [
        nn.Flatten(), dense(4 * LENGTH, 7), nn.Sigmoid(), dense(7, 5), nn.Tanh(), dense(5),
    ],
    "dense, PReLU, dense, leaky ReLU": lambda: [
        nn.Flatten(), dense(4 * LENGTH, 7), nn.PReLU(7), dense(7, 5), nn.LeakyReLU(0.2), dense(5),
    ],
    # Shrikumar et al. 2017, section 4.2, with fewer channels.
    "the simulated genomics network": lambda: [
        nn.Conv1d(4, 6, 4), nn.ReLU(), nn.Conv1d(6, 5, 3), nn.ReLU(), nn.AdaptiveAvgPool1d(1),
        nn.Flatten(), dense(5, 8), nn.ReLU(), nn.Dropout(0.5), dense(8),
    ],
    "batch norms of both signs": lambda: [
        nn.Conv1d(4, 5, 3), nn.BatchNorm1d(5), nn.ReLU(), nn.AvgPool1d(4, 2), nn.Flatten(),
        dense(25, 6), nn.BatchNorm1d(6), nn.Dropout(0.2), nn.ReLU(), dense(6),
    ],
    "stride, padding, dilation": lambda: [
        nn.Conv1d(4, 5, 4, stride=2, padding=3), nn.LeakyReLU(0.1),
        nn.Conv1d(5, 4, 3, padding=2, dilation=2), nn.Tanh(), nn.Flatten(),
        dense(36, 6), nn.ReLU(), dense(6),
    ],
    "linear layers one after the other": lambda: [
        nn.Conv1d(4, 5, 3), nn.Conv1d(5, 4, 3, bias=False), nn.ReLU(), nn.Flatten(), dense(40, 6),
        dense(6, 5), nn.BatchNorm1d(5), nn.ReLU(), dense(5, 5), nn.ReLU(), dense(5),
    ],
    "from one activation to the next": lambda: [
        nn.Conv1d(4, 6, 3), nn.BatchNorm1d(6), nn.AvgPool1d(2), nn.ReLU(), nn.BatchNorm1d(6),
        nn.AvgPool1d(2, 1), nn.Tanh(), nn.Flatten(), dense(30, 6), nn.Sigmoid(), nn.ReLU(),
        dense(6),
    ],
}  # fmt: skip


class Functional(nn.Module):
    """A module's layers, with all that has no weights written as functions."""

    def __init__(self, layers: list[nn.Module]):
        super().__init__()
        self.conv, self.hidden, self.norm, self.last = layers

    def forward(self, x):
        x = F.avg_pool1d(F.relu(self.conv(x)), 3).reshape(x.shape[0], -1)
        x = self.norm(x @ self.hidden.weight.T + self.hidden.bias)
        x = F.dropout(torch.tanh(x), 0.3, self.training)
        return F.linear(x, self.last.weight, self.last.bias)


def functional() -> tuple[nn.Module, list[nn.Module]]:
    conv, hidden, norm, last = nn.Conv1d(4, 5, 3), dense(20, 6), nn.BatchNorm1d(6), dense(6)
    modules = [
        conv, nn.ReLU(), nn.AvgPool1d(3), nn.Flatten(), hidden, norm, nn.Tanh(), nn.Dropout(), last,
    ]  # fmt: skip
    return Functional([conv, hidden, norm, last]), modules


@functools.cache
def network(name: str) -> tuple[nn.Module, list[authors.Layer]]:
    """Return a model with random weights, and the oracle's layers with the same."""
    torch.manual_seed(0)
    if name == "functional":
        model, modules = functional()
    else:
        modules = LAYERS[name]()
        model = nn.Sequential(*modules)
    for module in modules:
        module.double()
        if isinstance(module, nn.BatchNorm1d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            nn.init.normal_(module.bias)
            module.weight.data = module.running_var.flip(0)
            module.weight.data[::2] *= -1
        if isinstance(module, nn.PReLU):
            nn.init.uniform_(module.weight, -0.3, 0.6)
    return model.train(False), oracle_layers(modules)


def oracle_layers(modules: list[nn.Module]) -> list[authors.Layer]:
    value, layers = torch.zeros(1, 4, LENGTH, dtype=torch.float64), []
    for module in modules:
        layers.append(as_layer(module, tuple(value.shape[1:])))
        value = module.train(False)(value)
    return layers


def array(parameter: torch.Tensor) -> np.ndarray:
    return parameter.detach().double().numpy()


def as_layer(module: nn.Module, shape: tuple[int, ...]) -> authors.Layer:
    """Write a torch layer on values of one shape as the oracle has it."""
    makers = {
        nn.Conv1d: lambda: authors.convolution(
            array(module.weight),
            np.zeros(module.out_channels) if module.bias is None else array(module.bias),
            shape[1],
            stride=module.stride[0],
            padding=module.padding[0],
            dilation=module.dilation[0],
        ),
        nn.Linear: lambda: authors.Linear(array(module.weight), array(module.bias)),
        nn.BatchNorm1d: lambda: batch_norm(module, int(np.prod(shape[1:]))),
        nn.AvgPool1d: lambda: authors.average_pool(*shape, *module.kernel_size, *module.stride),
        nn.AdaptiveAvgPool1d: lambda: authors.average_pool(*shape, shape[1], 1),
        nn.Flatten: authors.Unchanged,
        nn.Dropout: authors.Unchanged,
        nn.ReLU: lambda: authors.Activation(authors.RELU),
        nn.LeakyReLU: lambda: authors.Activation(authors.prelu(module.negative_slope)),
        nn.PReLU: lambda: authors.Activation(authors.prelu(array(module.weight))),
        nn.Sigmoid: lambda: authors.Activation(authors.SIGMOID),
        nn.Tanh: lambda: authors.Activation(authors.TANH),
    }
    return makers[type(module)]()


def batch_norm(module: nn.BatchNorm1d, positions: int) -> authors.BatchNorm:
    per_channel = (module.weight, module.bias, module.running_mean, module.running_var)
    return authors.BatchNorm(*(np.repeat(array(p), positions) for p in per_channel), module.eps)


NETWORKS = [*LAYERS, "functional"]
# An activation must follow a linear layer for its rule to be chosen by that.
CASES = [
    (name, rules)
    for name in NETWORKS
    for rules in RULES
    if (name, rules) != ("from one activation to the next", "genomics")
]
REFERENCES = ["background", "zeros", "shuffles"]


def pairs(references: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Return sequences (region, 4, position) and references (region, reference, 4, position)."""
    one_hot, shuffled = with_shuffles(3, 2, length=LENGTH)
    if references == "shuffles":  # most differences are exactly zero
        return one_hot, shuffled
    flat = torch.tensor(BACKGROUND if references == "background" else [0.0] * 4).double()
    return one_hot, flat[:, None].expand(3, 1, 4, LENGTH)


# --- the engine against the oracle -----------------------------------------------------------


class Together(nn.Module):
    """Several models side by side, so that capture's half second is paid once for all."""

    def __init__(self, models: dict[str, nn.Module]):
        super().__init__()
        self.names, self.models = list(models), nn.ModuleList(models.values())

    def forward(self, x):
        return {name: model(x) for name, model in zip(self.names, self.models, strict=True)}


@functools.cache
def captured() -> Captured:
    return capture(Together({name: network(name)[0] for name in NETWORKS}), LENGTH)


@functools.cache
def explainer(name: str, rules: str) -> Explainer:
    """Return an explainer of the output at index 1."""
    return Explainer(captured(), target=f"{name}.1", rules=rules, precision="float64", device="cpu")


def close(found, expected, tolerance: float, name: str) -> None:
    """Compare two arrays, against the largest element expected."""
    expected = np.asarray(expected)
    scale = np.abs(expected).max()
    assert scale > 1e-6, f"{name} are all zero: this proves nothing"
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * scale, err_msg=name)


# The pseudo-count of a part that is zero moves the point where the other part, of 0.01 or more,
# begins or ends.
@pytest.mark.parametrize(("pseudo_count", "tolerance"), [(0.0, 1e-9), (1e-7, 1e-5)])
@pytest.mark.parametrize("references", REFERENCES)
@pytest.mark.parametrize(("name", "rules"), CASES)
def test_scores_are_the_authors(name, rules, references, pseudo_count, tolerance):
    _, layers = network(name)
    one_hot, compared = pairs(references)
    found = explainer(name, rules).contribute(one_hot, compared, keep_multipliers=True)
    multipliers, hypothetical, delta = [], [], []
    for x, own in zip(one_hot.double().numpy(), compared.double().numpy(), strict=True):
        per_pair = [
            authors.explain(layers, x, r, 1, rules=rules, pseudo_count=pseudo_count) for r in own
        ]
        multipliers.append([pair.multipliers for pair in per_pair])
        delta.append([pair.delta for pair in per_pair])
        would_be = [
            authors.hypothetical(pair.multipliers, r) for pair, r in zip(per_pair, own, strict=True)
        ]
        hypothetical.append(np.mean(would_be, 0))
    close(found.delta, delta, 1e-12, "deltas")
    close(found.multipliers, multipliers, tolerance, "multipliers")
    close(found.hypothetical, hypothetical, tolerance, "hypothetical scores")
    close(found.scores, hypothetical * one_hot.numpy(), tolerance, "scores")


def test_rounding_does_not_move_one_part_to_the_other():
    """Where all inputs push down, the other part is zero, and what it adds is rounding of any sign.

    The last base does not change; its multiplier is made of both parts' multipliers.
    """
    modules = [nn.Flatten(), dense(4, 50), nn.ReLU(), nn.Tanh(), dense(50, 1)]
    model = nn.Sequential(*modules).double()
    with torch.no_grad():
        modules[1].weight.copy_(torch.rand(50, 4) * torch.tensor([-0.2, -0.2, -0.2, 1]))
        modules[1].bias.copy_(torch.rand(50) + 1)  # so that ReLU is not at zero
    x, r = np.array([[1, 1, 1, 0.3]]).T, np.full((4, 1), 0.3)
    by_engine = Explainer(
        model, length=1, rules="reveal-cancel", precision="float64", device="cpu"
    ).contribute(torch.tensor(x)[None], torch.tensor(r)[None, None], keep_multipliers=True)
    first, last = (authors.Linear(array(m.weight), array(m.bias)) for m in (modules[1], modules[4]))
    curves = authors.Activation(authors.RELU), authors.Activation(authors.TANH)
    expected = authors.explain([first, *curves, last], x, r, rules="reveal-cancel").multipliers
    close(by_engine.multipliers[0, 0], expected, 1e-9, "multipliers")


# --- the oracle by itself --------------------------------------------------------------------


@pytest.mark.parametrize("pseudo_count", [0.0, 1e-7])
@pytest.mark.parametrize("references", REFERENCES)
@pytest.mark.parametrize(("name", "rules"), CASES)
def test_contributions_of_the_oracle_sum_to_delta(name, rules, references, pseudo_count):
    model, layers = network(name)
    one_hot, compared = pairs(references)
    # Every zero part grows by the pseudo-count, at each of the units before it.
    tolerance = max(1e-12, 100 * pseudo_count)
    x, r = one_hot[0].double(), compared[0, 0].double()
    with torch.no_grad():
        outputs = array(model(torch.stack([x, r])))
    for target in range(N_TARGETS):
        found = authors.explain(
            layers, x.numpy(), r.numpy(), target, rules=rules, pseudo_count=pseudo_count
        )
        assert found.delta == pytest.approx(outputs[0, target] - outputs[1, target], abs=1e-12)
        assert found.contributions.sum() == pytest.approx(found.delta, abs=tolerance)
        # A linear layer first: the two streams of the input are one.
        np.testing.assert_allclose(
            found.contributions, found.multipliers * (x - r).numpy(), rtol=0, atol=1e-12
        )


def test_the_pseudo_count_tends_to_the_limit():
    """With r = −½, n = −1 and a sigmoid, p = 0 has the multiplier ½[σ′(−½) + σ′(−3/2)]."""
    layer = authors.Activation(authors.SIGMOID, "reveal-cancel")
    r, delta = np.array([-0.5]), authors.Streams(np.array([0.0]), np.array([-1.0]))
    m = authors.Streams(np.array([1.0]), np.array([0.0]))
    limit = layer.backward(r - 1, r, delta, m).positive
    for pseudo_count in (1e-2, 1e-3, 1e-4):
        layer.pseudo_count = pseudo_count
        finite = layer.backward(r - 1, r, delta, m).positive
        assert finite == pytest.approx(limit, abs=0.1 * pseudo_count)
        assert finite != limit


@pytest.mark.parametrize("f", [authors.RELU, authors.prelu(-0.3), authors.SIGMOID, authors.TANH])
@pytest.mark.parametrize("sign", [1, -1])
def test_one_stream_alone_is_rescaled(f, sign):
    """Where all inputs push one way the order of the two parts does not matter."""
    rng = np.random.default_rng(0)
    hidden = authors.Linear(sign * rng.random((5, 6)), rng.normal(size=5))
    last = authors.Linear(rng.normal(size=(1, 5)), np.zeros(1))
    layers = [hidden, authors.Activation(f), last]
    r = rng.normal(size=6)
    x = r + rng.random(6)
    by_rule = [authors.explain(layers, x, r, rules=rules).multipliers for rules in RULES]
    for found in by_rule[1:]:
        np.testing.assert_allclose(found, by_rule[0], rtol=1e-12)
    # Against both at once, they differ.
    turned = np.where(np.arange(6) % 2, x, 2 * r - x)
    apart = [authors.explain(layers, turned, r, rules=rules).multipliers for rules in RULES]
    assert np.abs(apart[1] - apart[0]).max() > 1e-3


def test_genomics_looks_back_over_what_carries_the_streams():
    relu = authors.Activation(authors.RELU)
    norm = authors.BatchNorm(*np.ones((4, 6)), 0.1)
    conv = authors.convolution(np.ones((2, 4, 3)), np.zeros(2), 5)
    linear = authors.Linear(np.ones((6, 6)), np.zeros(6))
    layers = [conv, norm, relu, authors.Unchanged(), linear, norm, authors.Unchanged(), relu]
    chosen = [layer.rule for layer in authors.with_rules(layers, "genomics") if hasattr(layer, "f")]
    assert chosen == ["rescale", "reveal-cancel"]
    with pytest.raises(ValueError, match="neither a convolution nor a dense layer"):
        authors.with_rules([conv, authors.average_pool(2, 3, 3, 1), relu], "genomics")


# --- by hand ---------------------------------------------------------------------------------


class Small(nn.Module):
    """Two dense layers with a ReLU between, on the first bases of one position."""

    def __init__(self, weight, bias, last):
        super().__init__()
        self.hidden, self.last = nn.Linear(4, len(weight)), nn.Linear(len(weight), len(last))
        with torch.no_grad():
            for layer, rows in ((self.hidden, weight), (self.last, last)):
                layer.weight.zero_()
                layer.bias.zero_()
                layer.weight[:, : len(rows[0])] = torch.tensor(rows)
            self.hidden.bias += torch.tensor(bias)

    def forward(self, x):
        return self.last(torch.relu(self.hidden(x.flatten(1))))

    def layers(self) -> list[authors.Layer]:
        weights = [(array(layer.weight), array(layer.bias)) for layer in (self.hidden, self.last)]
        hidden, last = (authors.Linear(*pair) for pair in weights)
        return [hidden, authors.Activation(authors.RELU), last]


SMALL = {
    # w₁ = (1, 2, 3, 4) with bias −1 and w₂ = −w₁ with bias 1, each an output.
    "opposite rows": Small([[1.0, 2, 3, 4], [-1, -2, -3, -4]], [-1.0, 1], [[1.0, 0], [0, 1]]),
    # min(i₁, i₂) = i₁ − relu(i₁ − i₂) for inputs that are not negative: relu(i₁) = i₁.
    "minimum": Small([[1.0, 0], [1, -1]], [0.0, 0], [[1.0, -1]]),
    "first but not second": Small([[1.0, -1]], [0.0], [[1.0]]),
    "both": Small([[1.0, 1]], [-1.0], [[1.0]]),
    "two against one": Small([[1.0, 1, -1]], [1.0], [[1.0]]),
}


@functools.cache
def captured_small() -> Captured:
    return capture(Together(SMALL).double(), 1)


def multipliers_of(name: str, inputs, rules: str, target: int = 0) -> list[np.ndarray]:
    """Return multipliers against zero, of the engine and of the oracle."""
    x = np.zeros((4, 1))
    x[: len(inputs), 0] = inputs
    explained = Explainer(
        captured_small(), target=f"{name}.{target}", rules=rules, precision="float64", device="cpu"
    )
    pair = torch.tensor(x)[None], torch.zeros(1, 1, 4, 1)
    found = explained.contribute(*pair, keep_multipliers=True).multipliers[0, 0].numpy()
    expected = authors.explain(SMALL[name].layers(), x, np.zeros((4, 1)), target, rules=rules)
    return [m[: len(inputs), 0] for m in (found, expected.multipliers)]


def contributions_of(name: str, inputs, rules: str) -> list[np.ndarray]:
    return [m * np.array(inputs) for m in multipliers_of(name, inputs, rules)]


@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize(("value", "steps"), [(1.0, 10), (2.0, 20)])
def test_one_layer_whose_inputs_all_push_one_way(value, steps, rules):
    """The first goes from −1 to 9 or 19, the second from 1 to −9 or −19.

    ReLU keeps 9/10 and 19/20 of the rise, 1/10 and 1/20 of the fall. There is only one stream, so
    all rules agree.
    """
    weight = np.array([1.0, 2, 3, 4])
    for found in multipliers_of("opposite rows", [value] * 4, rules, 0):
        np.testing.assert_allclose(found, (steps - 1) / steps * weight, rtol=1e-14)
    for found in multipliers_of("opposite rows", [value] * 4, rules, 1):
        np.testing.assert_allclose(found, -1 / steps * weight, rtol=1e-14)


@pytest.mark.parametrize("inputs", [(5.0, 3.0), (3.0, 5.0), (2.0, 2.5)])
def test_the_minimum_of_two_is_owed_to_both(inputs):
    """The paper's own example, section 3.5.3.

    h = relu(i₁ − i₂) with p = i₁, n = −i₂, r = 0. Where i₁ > i₂:
    Δh⁺ = ½[i₁ + (i₁ − i₂)] = i₁ − i₂/2 and Δh⁻ = ½[0 + (i₁ − i₂) − i₁] = −i₂/2,
    so i₁ gets i₁ − Δh⁺ = i₂/2 and i₂ gets −Δh⁻ = i₂/2. Where i₁ < i₂: Δh⁺ = ½[i₁ + 0] = i₁/2 and
    Δh⁻ = ½[0 + 0 − i₁] = −i₁/2, so i₁ gets i₁ − i₁/2 and i₂ gets i₁/2.

    Rescale gives all of it to the smaller one: where i₁ > i₂, Δh/Δ(i₁ − i₂) = 1, so i₁ gets
    i₁ − i₁ = 0 and i₂ gets i₂; where i₁ < i₂, h does not change and i₁ gets i₁.
    """
    smaller = min(inputs)
    for found in contributions_of("minimum", inputs, "reveal-cancel"):
        np.testing.assert_allclose(found, [smaller / 2, smaller / 2], rtol=1e-14)
    for found in contributions_of("minimum", inputs, "rescale"):
        np.testing.assert_allclose(found, [i if i == smaller else 0 for i in inputs], atol=1e-14)


def test_two_that_cancel_are_both_revealed():
    """The unit y = relu(i₁ − i₂), "the first but not the second", at (1, 1): nothing changes.

    p = 1, n = −1, r = 0: Δy⁺ = ½[relu(1) + relu(0) − relu(−1)] = ½ and
    Δy⁻ = ½[relu(−1) + relu(0) − relu(1)] = −½: i₁ raises y where i₂ is absent, and i₂ holds it
    down where i₁ is there. Rescale sees Δ = 0 and the derivative at the reference, relu′(0) = 0.
    """
    for found in contributions_of("first but not second", (1.0, 1.0), "reveal-cancel"):
        assert found.tolist() == [0.5, -0.5]
    for found in contributions_of("first but not second", (1.0, 1.0), "rescale"):
        assert found.tolist() == [0, 0]


@pytest.mark.parametrize("rules", RULES)
def test_two_that_are_both_needed_share(rules):
    """The unit relu(i₁ + i₂ − 1), "the first and the second", rises to 1 at (1, 1): ½ each."""
    for found in contributions_of("both", (1.0, 1.0), rules):
        assert found.tolist() == [0.5, 0.5]


def test_what_could_not_fall_further_is_not_owed():
    """The unit y = relu(i₁ + i₂ − i₃ + 1) at (1, 1, 2): r = 1, p = 2, n = −2.

    Δy⁺ = ½[(3 − 1) + (1 − 0)] = 3/2, shared 1 : 1, and Δy⁻ = ½[(0 − 1) + (1 − 3)] = −3/2, because
    the third alone can take y down by 1 only. Rescale has the slope 1 throughout: 1, 1 and −2.
    """
    for found in contributions_of("two against one", (1.0, 1.0, 2.0), "reveal-cancel"):
        assert found.tolist() == [0.75, 0.75, -1.5]
    for found in contributions_of("two against one", (1.0, 1.0, 2.0), "rescale"):
        assert found.tolist() == [1, 1, -2]
