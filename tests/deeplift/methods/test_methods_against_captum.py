"""Scores of captum, on models of modules that are each used once: its hooks see no others."""

import warnings

import pytest
from torch import nn

from tests.deeplift.methods.nets import (
    NETS,
    assert_close,
    build,
    graph_named,
    graph_of,
    run,
    sequences,
    zeros_for,
)

pytestmark = pytest.mark.bench

TARGET = 1
EXACT = 1e-9
SINGLE = 1e-6
HOOKED = {"guided-backprop": "GuidedBackprop", "deconvolution": "Deconvolution"}


def captum():
    return pytest.importorskip("captum.attr")


def attribute(method, *args, **kwargs):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Setting (forward, )?backward hooks", UserWarning)
        warnings.filterwarnings("ignore", "Setting backward hooks on ReLU", UserWarning)
        return method.attribute(*args, **kwargs).detach()


@pytest.mark.parametrize("name", NETS)
def test_gradients(name):
    one_hot, _ = sequences()
    model = build(name)
    graph, zeros = graph_named(name, TARGET), zeros_for(one_hot)
    source = one_hot.clone().requires_grad_()
    expected = captum().Saliency(model).attribute(source, TARGET, abs=True)
    assert_close(run("gradient", graph, one_hot, zeros).multipliers[:, 0], expected, EXACT)
    expected = captum().InputXGradient(model).attribute(source, TARGET).detach()
    found = run("gradient-input", graph, one_hot, zeros).multipliers[:, 0]
    assert_close(found * one_hot, expected, EXACT)


@pytest.mark.parametrize("method", HOOKED)
@pytest.mark.parametrize("name", NETS)
def test_changed_relus(name, method):
    one_hot, _ = sequences()
    model = build(name)
    found = run(method, graph_named(name, TARGET), one_hot, zeros_for(one_hot))
    hooked = getattr(captum(), HOOKED[method])(model)
    expected = attribute(hooked, one_hot.clone().requires_grad_(), TARGET)
    assert_close(found.multipliers[:, 0], expected, EXACT)


# captum rounds the weights of steps to float32, which halves stand.
@pytest.mark.parametrize(("steps", "tolerance"), [(1, EXACT), (2, EXACT), (50, SINGLE)])
@pytest.mark.parametrize("name", NETS)
def test_integrated_gradients(name, steps, tolerance):
    one_hot, references = sequences()
    model = build(name)
    graph = graph_named(name, TARGET)
    found = run("integrated-gradients", graph, one_hot, references, steps=steps).multipliers
    integrated = captum().IntegratedGradients(model)
    for k in range(references.shape[1]):
        expected = integrated.attribute(one_hot, references[:, k], TARGET, n_steps=steps)
        assert_close(found[:, k] * (one_hot - references[:, k]), expected.detach(), tolerance)


@pytest.mark.parametrize(("window", "stride"), [(1, 1), (10, 1), (7, 3)])
@pytest.mark.parametrize("name", NETS)
def test_occlusion(name, window, stride):
    one_hot, references = sequences()
    model = build(name)
    graph = graph_named(name, TARGET)
    found = run("occlusion", graph, one_hot, references, window=window, stride=stride).multipliers
    for k in range(references.shape[1]):
        expected = (
            captum()
            .Occlusion(model)
            .attribute(one_hot, (4, window), (4, stride), references[:, k], TARGET)
        )
        assert_close(found[:, k], expected * one_hot, SINGLE)  # its means are float32


def tanh() -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(4, 6, 5), nn.Tanh(), nn.Conv1d(6, 6, 5), nn.ReLU(), nn.MaxPool1d(4),
        nn.Flatten(), nn.Linear(48, 8), nn.Tanh(), nn.Linear(8, 2),
    ).double()  # fmt: skip


@pytest.mark.parametrize("make", [lambda: build("pooled"), tanh], ids=["pooled", "tanh"])
def test_lrp(make):
    """An ε that vanishes beside every activation; both are then the rule itself."""
    captum()
    rules = pytest.importorskip("captum.attr._utils.lrp_rules")
    one_hot, _ = sequences()
    model = make()
    found = run("lrp", graph_of(model, target=TARGET), one_hot, zeros_for(one_hot))
    for module in model:
        if isinstance(module, nn.Conv1d | nn.Linear | nn.MaxPool1d):
            module.rule = rules.EpsilonRule(1e-15)
        elif isinstance(module, nn.Flatten):
            module.rule = rules.EpsilonRule(1e-15)
    expected = attribute(captum().LRP(model), one_hot.clone().requires_grad_(), TARGET)
    assert_close(found.multipliers[:, 0] * one_hot, expected, EXACT)
