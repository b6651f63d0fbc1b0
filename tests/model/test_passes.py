"""Passes change a graph, never what it computes."""

import pytest
import torch
from torch import nn

from seqlift.deeplift.rules.signed import BATCH_NORM
from seqlift.model.capture import capture
from seqlift.model.passes import PASSES, optimise
from seqlift.model.placement import place
from seqlift.model.targets import select_target
from tests.helpers import captured, random_sequences
from tests.zoo import LENGTH, ZOO

aten = torch.ops.aten
CPU = torch.device("cpu")


def placed(model_or_captured, length=LENGTH):
    found = model_or_captured
    if isinstance(found, nn.Module):
        found = capture(found.double().eval(), length)
    return place(select_target(found, 0).graph, torch.float64, CPU)


def targets(graph):
    return [node.target for node in graph.graph.nodes]


@pytest.mark.parametrize("name", ZOO)
def test_every_model_predicts_the_same(name):
    graph = placed(captured(name))
    before = [(node.name, node.target) for node in graph.graph.nodes]
    one_hot = random_sequences(5).double()
    expected = graph(one_hot)
    for step in PASSES.values():
        graph_after = step(graph)
        torch.testing.assert_close(graph_after(one_hot), expected, rtol=1e-12, atol=1e-12)
        assert [(node.name, node.target) for node in graph.graph.nodes] == before, "left as it is"
        graph, before = graph_after, [(node.name, node.target) for node in graph_after.graph.nodes]


def trained(*layers):
    torch.manual_seed(0)
    model = nn.Sequential(*layers)
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2.0)
            for parameter in module.parameters():
                nn.init.normal_(parameter)
    return model


FOLDABLE = {
    "convolution": (nn.Conv1d(4, 6, 3), nn.BatchNorm1d(6), nn.Flatten(), nn.LazyLinear(1)),
    "no bias": (nn.Conv1d(4, 6, 3, bias=False), nn.BatchNorm1d(6), nn.Flatten(), nn.LazyLinear(1)),
    "grouped": (nn.Conv1d(4, 8, 3, groups=2), nn.BatchNorm1d(8), nn.Flatten(), nn.LazyLinear(1)),
    "dense": (nn.Flatten(), nn.Linear(4 * LENGTH, 5), nn.BatchNorm1d(5), nn.Linear(5, 1)),
    "not affine": (
        nn.Conv1d(4, 6, 3),
        nn.BatchNorm1d(6, affine=False),
        nn.Flatten(),
        nn.LazyLinear(1),
    ),
}


@pytest.mark.parametrize("kind", FOLDABLE)
def test_batch_norm_goes_into_the_layer_before_it(kind):
    model = trained(*FOLDABLE[kind])
    model(torch.zeros(2, 4, LENGTH, dtype=next(model.parameters()).dtype))  # lazy layers
    graph = placed(trained(*model))
    folded = PASSES["fold batch norm"](graph)
    assert BATCH_NORM in targets(graph)
    assert not {BATCH_NORM, aten.mul.Tensor, aten.add.Tensor}.intersection(targets(folded))


def test_batch_norm_after_an_activation_becomes_a_product_and_a_sum():
    model = trained(
        nn.Conv1d(4, 6, 3), nn.ReLU(), nn.BatchNorm1d(6), nn.Flatten(), nn.Linear(6 * 22, 1)
    )
    folded = PASSES["fold batch norm"](placed(model))
    assert BATCH_NORM not in targets(folded)
    assert {aten.mul.Tensor, aten.add.Tensor} <= set(targets(folded))


class Shared(nn.Module):
    """A convolution that is read twice, once before its batch norm."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv1d(4, 6, 3)
        self.norm = trained(nn.BatchNorm1d(6))

    def forward(self, x):
        x = self.first(x)
        return (self.norm(x) + x).flatten(1)


def test_batch_norm_does_not_go_into_a_layer_that_others_read():
    graph = placed(Shared())
    folded = PASSES["fold batch norm"](graph)
    one_hot = random_sequences(3).double()
    torch.testing.assert_close(folded(one_hot), graph(one_hot), rtol=1e-12, atol=1e-12)
    assert aten.mul.Tensor in targets(folded)


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv1d(n, 6, 3, padding=1) for n in (4, 6, 6))
        self.pool = nn.MaxPool1d(4)

    def forward(self, x):
        x = self.layers[0](x).relu()
        for layer in self.layers[1:]:
            x = x + torch.tanh(layer(x))[:, :, : x.shape[2]]
        return self.pool(x).mean(2)


def test_between_convolutions_nothing_is_turned_round():
    """Each convolution reads and gives a view; the sums between them are with channels last."""
    graph = optimise(placed(Residual()))
    strides = {}

    class Recording(torch.fx.Interpreter):
        def run_node(self, n):
            value = super().run_node(n)
            strides[n] = value.stride() if isinstance(value, torch.Tensor) else None
            return value

    Recording(graph).run(random_sequences(3).double())
    sums = [node for node in strides if node.target in (aten.add.Tensor, aten.tanh.default)]
    assert len(sums) == 4
    for node in sums:
        assert node.meta["val"].shape[2] == 6, "position, channel"
        assert all(source.target is not aten.contiguous.default for source in node.all_input_nodes)
    convolutions = [node for node in strides if node.target is aten.conv1d.default]
    assert [node.args[0].target for node in convolutions[1:]] == [aten.permute.default] * 2
    assert all(node.args[0].args[0] in sums for node in convolutions[2:])
    assert aten.max_pool1d.default not in targets(graph), "windows are an axis"


def test_nodes_keep_their_names():
    graph = placed(Residual())
    names = [node.name for node in graph.graph.nodes if node.op != "output"]
    assert set(names) <= {node.name for node in optimise(graph).graph.nodes}


class Reduced(nn.Module):
    """A reduction, written in any way, of what a convolution gives."""

    def __init__(self, reduce):
        super().__init__()
        self.first = nn.Conv1d(4, 6, 3, padding=1)
        self.reduce = reduce

    def forward(self, x):
        x = self.first(x)
        return (x + self.reduce(x)).flatten(1)


REDUCTIONS = {
    "all axes, amax": lambda x: x.amax(keepdim=True, dim=()),
    "all positions and channels": lambda x: x.sum(dim=(1, 2), keepdim=True),
    "channels, from the end": lambda x: x.mean(-2, keepdim=True),
    "positions, by keyword": lambda x: torch.amax(input=x, dim=2, keepdim=True),
    "not kept": lambda x: x.mean(2)[:, :, None],
    "running sum of channels": lambda x: x.cumsum(1),
    "softmax over channels": lambda x: torch.softmax(x, -2),
}


@pytest.mark.parametrize("kind", REDUCTIONS)
def test_axes_are_found_however_they_are_written(kind):
    torch.manual_seed(0)
    graph = placed(Reduced(REDUCTIONS[kind]))
    one_hot = random_sequences(1 if "all axes" in kind else 3).double()
    torch.testing.assert_close(optimise(graph)(one_hot), graph(one_hot), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("axes", [None, []])
def test_a_reduction_that_names_no_axis_is_left_alone(axes):
    """`sum` takes None for all axes, an empty list for none; neither can be turned."""
    graph = placed(Reduced(lambda x: x.sum(2, keepdim=True)))
    (node,) = graph.graph.find_nodes(op="call_function", target=aten.sum.dim_IntList)
    node.args = (node.args[0], axes, True)
    graph.recompile()
    one_hot = random_sequences(1).double()
    torch.testing.assert_close(optimise(graph)(one_hot), graph(one_hot), rtol=1e-12, atol=1e-12)


def test_an_axis_that_is_left_out_is_left_alone():
    """The default axes of a maximum are all of them."""
    graph = placed(Reduced(lambda x: x.amax(2, keepdim=True)))
    (node,) = graph.graph.find_nodes(op="call_function", target=aten.amax.default)
    node.args, node.kwargs = (node.args[0],), {"keepdim": True}
    graph.recompile()
    one_hot = random_sequences(1).double()
    torch.testing.assert_close(optimise(graph)(one_hot), graph(one_hot), rtol=1e-12, atol=1e-12)
