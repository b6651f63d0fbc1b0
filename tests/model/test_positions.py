"""Positions that the target does not read are left out, and nothing else changes."""

import pytest
import torch
from torch import nn

from seqlift.deeplift.interpreter import multipliers
from seqlift.model.capture import capture
from seqlift.model.passes import optimise
from seqlift.model.passes.batch_norm import fold_batch_norm
from seqlift.model.passes.positions import read_positions
from seqlift.model.placement import place
from seqlift.model.targets import select_target
from tests.helpers import with_shuffles

aten = torch.ops.aten
CPU = torch.device("cpu")
LENGTH = 200


class Profile(nn.Module):
    """One number a position behind dilated residual convolutions, read in several ways."""

    def __init__(self, head="select", trimming=20):
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv1d(4, 5, 7, padding=3)
        self.dilated = nn.ModuleList(nn.Conv1d(5, 5, 3, padding=d, dilation=d) for d in (2, 4))
        self.out = nn.Conv1d(5, 3, 5)
        self.head, self.trimming = head, trimming

    def forward(self, x):
        x = torch.relu(self.first(x))
        for layer in self.dilated:
            x = x + torch.relu(layer(x))
        y = self.out(x[:, :, self.trimming : -self.trimming])
        return {
            "select": lambda: y[:, 1],
            "squeeze": lambda: y[:, 1:2].squeeze(1),
            "flatten": lambda: y[:, :1].flatten(1),
            "view": lambda: y[:, :1].reshape(x.shape[0], -1),
            "classes": lambda: torch.softmax(y.transpose(1, 2), -1)[:, :, 2],
            "largest": lambda: y.amax(1),
            "unsqueeze": lambda: y.unsqueeze(1)[:, 0, 1],
            "cat": lambda: torch.cat([y, y * 2], 1)[:, 4],
        }[self.head]()


class Pooled(nn.Module):
    """Strides and pools, so that an output position is many input positions."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(
            nn.Conv1d(4, 5, 7, stride=2, padding=2), nn.BatchNorm1d(5), nn.ReLU(), nn.MaxPool1d(3),
            nn.Conv1d(5, 5, 3), nn.GELU(), nn.AvgPool1d(2),
            nn.Conv1d(5, 1, 3, padding=2, dilation=2),
        )  # fmt: skip

    def forward(self, x):
        return self.layers(x)[:, 0]


def placed(model, target):
    found = capture(model.double().eval(), LENGTH)
    return place(select_target(found, target, "keep").graph, torch.float64, CPU)


def lengths(graph):
    nodes = (node for node in graph.graph.nodes if node.target is aten.conv1d.default)
    return [node.meta["val"].shape[2] for node in nodes]


def score(graph):
    one_hot, references = with_shuffles(2, 3, LENGTH)
    return multipliers(graph, one_hot.double(), references.double())


def assert_same(found, expected):
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


HEADS = ("select", "squeeze", "flatten", "view", "classes", "largest", "unsqueeze", "cat")


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("target", [0, 70, 155])
def test_a_position_of_a_profile_is_scored_the_same_from_what_it_sees(head, target):
    whole = placed(Profile(head), target)
    read = read_positions(whole)
    assert lengths(whole) == [200, 200, 200, 156]
    # 5 for the last convolution, and two more times 4 and two more times 2 for the dilated ones.
    assert lengths(read) == [17, 13, 5, 1]
    assert_same(score(read), score(whole))
    assert_same(score(optimise(whole)), score(whole))


def test_what_lies_beside_the_sequence_is_zeros_still():
    whole = placed(Profile(trimming=2), 0)
    read = read_positions(whole)
    assert lengths(read) == [13, 11, 5, 1], "what would begin before the sequence is not computed"
    assert any(node.target is aten.constant_pad_nd.default for node in read.graph.nodes)
    assert_same(score(read), score(whole))


@pytest.mark.parametrize("target", [0, 1, 9, 13])
def test_strides_and_pools_are_followed(target):
    whole = read_positions(fold_batch_norm(placed(Pooled(), target)))
    graph = placed(Pooled(), target)
    assert sum(lengths(whole)) < sum(lengths(graph)) / 2
    assert_same(score(whole), score(graph))


def test_multipliers_are_zero_where_the_target_does_not_look():
    found = score(optimise(placed(Profile(), 70)))
    seen = found.multipliers.abs().sum((0, 1, 2)) > 0
    # Position 70 of the output is 92 of the input, which it sees eleven positions to either side.
    assert seen.nonzero().flatten().tolist() == list(range(81, 104))


class Pads(nn.Module):
    """Pooling with padding, which has no zeros beside it but nothing at all."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv1d(4, 3, 5), nn.MaxPool1d(3, 1, padding=1))

    def forward(self, x):
        return self.layers(x)[:, 0]


def test_what_cannot_be_told_apart_is_computed_whole():
    whole = placed(Pads(), 50)
    read = read_positions(whole)
    assert lengths(read) == lengths(whole)
    assert_same(score(read), score(whole))


def test_a_target_that_sees_everything_keeps_its_graph():
    class Mean(Profile):
        def forward(self, x):
            return super().forward(x).mean(1, keepdim=True)

    whole = placed(Mean(trimming=2), 0)
    assert read_positions(whole) is whole


@pytest.mark.parametrize("head", ["select", "classes"])
def test_the_graph_is_left_as_it_is(head):
    whole = placed(Profile(head), 3)
    before = described(whole)
    read_positions(whole)
    assert described(whole) == before


def described(graph):
    return [
        (node.name, str(node.args), str(node.meta["val"].shape))
        for node in graph.graph.nodes
        if "val" in node.meta
    ]
