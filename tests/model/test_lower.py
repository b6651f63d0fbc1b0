"""Convolutions in bfloat16, all else in float32."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from seqlift.explain import Explainer
from seqlift.model.capture import capture
from seqlift.model.lower import CONVOLUTIONS, lower
from seqlift.model.placement import place
from tests.helpers import with_shuffles

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


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return Net()


def types_of(graph, x):
    """Run a graph and return the types of what each node gives."""
    found = {}

    class Recording(torch.fx.Interpreter):
        def run_node(self, n):
            value = super().run_node(n)
            if n.op == "call_function":
                found[n.name] = (n.target, value.dtype)
            return value

    Recording(graph).run(x)
    return found


def test_convolutions_alone_are_in_bfloat16(model):
    captured = capture(model, LENGTH)
    graph = place(captured.graph, torch.float32, torch.device("cpu"))
    before = [(node.name, node.target) for node in graph.graph.nodes]
    lowered = lower(graph)
    assert [(node.name, node.target) for node in graph.graph.nodes] == before
    types = types_of(lowered, torch.zeros(2, 4, LENGTH))
    narrow = {target for target, dtype in types.values() if dtype == torch.bfloat16}
    assert narrow == {*CONVOLUTIONS.intersection(narrow), torch.ops.aten._to_copy.default}
    assert CONVOLUTIONS.intersection(narrow)
    names = [node.name for node in lowered.graph.nodes]
    assert set(name for name, _ in before) <= set(names), "nodes keep their names"


@pytest.mark.parametrize("rules", ["rescale", "genomics"])
def test_scores_are_nearly_those_of_float64(model, rules):
    one_hot, references = with_shuffles(4, 10, LENGTH)
    options = {"length": LENGTH, "rules": rules, "device": "cpu"}
    exact = Explainer(model, precision="float64", **options).contribute(one_hot, references)
    found = Explainer(model, precision="bfloat16", **options).contribute(one_hot, references)
    assert found.scores.dtype == torch.float32
    for one, other in zip(found.scores.sum(1).double(), exact.scores.sum(1), strict=True):
        assert torch.corrcoef(torch.stack([one, other]))[0, 1] > 0.999
    assert found.completeness_error.mean() < 0.05 * found.delta.abs().mean()
    # A float32 run is better by far, so it is bfloat16 that was run.
    assert found.completeness_error.mean() > 1e-4 * found.delta.abs().mean()


def test_layers_whose_terms_are_sorted_by_sign_stay_in_float32(model):
    """Rounded by themselves, the terms of one sign no longer sum to those of both."""
    one_hot, references = with_shuffles(4, 10, LENGTH)
    options = {"length": LENGTH, "rules": "reveal-cancel", "device": "cpu"}
    exact = Explainer(model, **options).contribute(one_hot, references)
    found = Explainer(model, precision="bfloat16", **options).contribute(one_hot, references)
    torch.testing.assert_close(found.scores, exact.scores)
