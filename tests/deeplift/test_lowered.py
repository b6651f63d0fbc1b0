"""Convolutions of differences in bfloat16, all else in float32."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from seqlift.errors import UsageError
from seqlift.explain import Explainer
from tests.helpers import random_sequences, with_shuffles

LENGTH = 60


class Net(nn.Module):
    """Without a maximum, whose winner may change when its input is rounded."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv1d(4, 16, 7, padding="same")
        self.second = nn.Conv1d(16, 16, 3, padding=2, dilation=2)
        self.last = nn.Linear(16, 1)

    def forward(self, x):
        x = F.relu(self.first(x))
        return self.last((x + F.gelu(self.second(x))).mean(-1))


class Image(nn.Module):
    """A convolution over two dimensions."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(1, 8, (4, 7))
        self.last = nn.Linear(8, 1)

    def forward(self, x):
        return self.last(F.softplus(self.first(x.unsqueeze(1)))[:, :, 0].mean(-1))


@pytest.fixture(params=[Net, Image])
def model(request):
    torch.manual_seed(0)
    return request.param()


def explainer(model, **options):
    return Explainer(model, length=LENGTH, device="cpu", **options)


@pytest.mark.parametrize("rules", ["rescale", "genomics"])
def test_scores_are_nearly_those_of_float64(model, rules):
    one_hot, references = with_shuffles(4, 10, LENGTH)
    exact = explainer(model, precision="float64", rules=rules).contribute(one_hot, references)
    found = explainer(model, precision="bfloat16", rules=rules).contribute(one_hot, references)
    assert found.scores.dtype == torch.float32
    for one, other in zip(found.scores.sum(1).double(), exact.scores.sum(1), strict=True):
        assert torch.corrcoef(torch.stack([one, other]))[0, 1] > 0.9999
    assert found.completeness_error.mean() < 0.02 * found.delta.abs().mean()
    # A float32 run is better by far, so it is bfloat16 that was run.
    assert found.completeness_error.mean() > 1e-5 * found.delta.abs().mean()


def test_the_sequence_is_predicted_in_float32(model):
    one_hot, references = with_shuffles(4, 10, LENGTH)
    found = explainer(model, precision="bfloat16").contribute(one_hot, references)
    exact = explainer(model, precision="float64").contribute(one_hot, references)
    torch.testing.assert_close(found.prediction.double(), exact.prediction, rtol=1e-5, atol=1e-6)


def test_a_sequence_that_is_its_own_reference_differs_in_nothing(model):
    """Errors are relative to the difference, not to the values."""
    one_hot = random_sequences(3, LENGTH)
    found = explainer(model, precision="bfloat16").contribute(one_hot, one_hot[:, None])
    assert found.delta.abs().max() == 0
    assert found.scores.abs().max() == 0


def test_layers_whose_terms_are_sorted_by_sign_stay_in_float32():
    """Rounded by themselves, the terms of one sign no longer sum to those of both."""
    one_hot, references = with_shuffles(4, 10, LENGTH)
    torch.manual_seed(0)
    model = Net()
    exact = explainer(model, rules="reveal-cancel").contribute(one_hot, references)
    options = {"precision": "bfloat16", "rules": "reveal-cancel"}
    found = explainer(model, **options).contribute(one_hot, references)
    torch.testing.assert_close(found.scores, exact.scores)


def test_other_methods_are_refused():
    with pytest.raises(UsageError, match="bfloat16 goes with the method deeplift, not with grad"):
        explainer(Net(), precision="bfloat16", method="gradient-input")
