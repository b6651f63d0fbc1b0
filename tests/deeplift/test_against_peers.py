"""Scores of other packages, on models that they can explain.

The models are written with modules, each used once, because hooks see nothing else.
"""

import warnings

import pytest
import torch
from torch import nn

from seqlift.explain import Explainer
from tests.helpers import with_shuffles

pytestmark = pytest.mark.bench

LENGTH = 200
REGIONS, REFERENCES = 3, 5
FILTERS = 16


class Residual(nn.Module):
    """BPNet's body: dilated convolutions, each added to what it read."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv1d(4, FILTERS, 21, padding=10)
        self.first_relu = nn.ReLU()
        self.layers = nn.ModuleList(
            nn.Conv1d(FILTERS, FILTERS, 3, padding=2**i, dilation=2**i) for i in range(1, 5)
        )
        self.relus = nn.ModuleList(nn.ReLU() for _ in range(1, 5))
        self.last = nn.Linear(FILTERS, 1)

    def forward(self, x):
        x = self.first_relu(self.first(x))
        for convolution, relu in zip(self.layers, self.relus, strict=True):
            x = x + relu(convolution(x))
        return self.last(x.mean(-1))


def bpnet() -> nn.Module:
    return Residual()


def basset() -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(4, FILTERS, 19, padding=9), nn.BatchNorm1d(FILTERS), nn.ReLU(), nn.MaxPool1d(3),
        nn.Conv1d(FILTERS, FILTERS, 11, padding=5), nn.BatchNorm1d(FILTERS), nn.ReLU(),
        nn.MaxPool1d(4), nn.Flatten(), nn.Linear(FILTERS * 16, 20), nn.ReLU(), nn.Dropout(0.3),
        nn.Linear(20, 2),
    )  # fmt: skip


def softmax_head() -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(4, FILTERS, 9), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(),
        nn.Linear(FILTERS, 4), nn.Softmax(-1),
    )  # fmt: skip


def layer_norm() -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(4, FILTERS, 9, stride=4), nn.GELU(), nn.Flatten(), nn.LayerNorm(FILTERS * 48),
        nn.Linear(FILTERS * 48, 3), nn.Tanh(), nn.Linear(3, 1),
    )  # fmt: skip


MODELS = [bpnet, basset, softmax_head, layer_norm]


def trained(make) -> nn.Module:
    """Make a model with weights large enough for its activations to bend."""
    model = make().train(False)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.running_mean.normal_(std=0.2)
            module.running_var.uniform_(0.5, 2)
        if isinstance(module, nn.Linear | nn.Conv1d):
            with torch.no_grad():
                module.weight.mul_(1.5)
    return model


def ours(model, precision, one_hot, references):
    explained = Explainer(
        model, length=LENGTH, precision=precision, device="cpu", target_activation="keep"
    )
    found = explained.contribute(one_hot, references)
    return found.hypothetical.double(), found.scores.double()


def sequences():
    return with_shuffles(REGIONS, REFERENCES, length=LENGTH, seed=1)


@pytest.mark.parametrize(("precision", "tolerance"), [("float64", 1e-9), ("float32", 1e-5)])
@pytest.mark.parametrize("make", MODELS)
def test_hypothetical_scores_are_those_of_tangermeme(make, precision, tolerance):
    """Its own float32 scores are off by up to 4e-4 behind a softmax: float64 is the measure."""
    tangermeme = pytest.importorskip("tangermeme.deep_lift_shap")
    one_hot, references = sequences()
    model = trained(make)
    found, _ = ours(model, precision, one_hot, references)
    expected = tangermeme.deep_lift_shap(
        model.double(), one_hot, references=references, hypothetical=True, device="cpu"
    )
    assert expected.dtype == torch.float64
    atol = tolerance * float(expected.abs().max())
    torch.testing.assert_close(found, expected, rtol=0, atol=atol)


def test_scores_are_those_of_captum():
    attr = pytest.importorskip("captum.attr")
    one_hot, references = sequences()
    model = nn.Sequential(
        nn.Conv1d(4, FILTERS, 9), nn.ReLU(), nn.Flatten(), nn.Linear(FILTERS * 192, 1)
    ).double()
    _, found = ours(model, "float64", one_hot, references)
    x = one_hot.double().repeat_interleave(REFERENCES, 0).requires_grad_()
    r = references.double().flatten(0, 1).requires_grad_()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Setting forward, backward hooks", UserWarning)
        expected = attr.DeepLift(model).attribute(x, r).detach()
    # captum leaves m·(x − r) on the bases of both; ours is their sum, on the base that is there.
    track = expected.unflatten(0, (REGIONS, REFERENCES)).mean(1).sum(1)
    atol = 1e-6 * float(track.abs().max())
    torch.testing.assert_close(found.sum(1), track, rtol=0, atol=atol)
