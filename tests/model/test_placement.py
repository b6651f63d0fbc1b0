"""Graphs in another type and on another device: nothing of the old one is left."""

import pytest
import torch
from torch import fx, nn

from seqlift.deeplift.rules.linear import RIGID_VIEWS
from seqlift.deeplift.rules.recurrent import OPERATORS_A_STEP
from seqlift.errors import ModelLoadError
from seqlift.explain import Explainer
from seqlift.model.capture import capture
from seqlift.model.placement import place
from tests.helpers import captured, random_sequences
from tests.model.user_code import Net

LENGTH = 12
CPU = torch.device("cpu")


class Literal(nn.Module):
    """Types written in the model's own code."""

    def __init__(self):
        super().__init__()
        self.net = Net()

    def forward(self, x):
        x = x.float() * torch.arange(LENGTH, dtype=torch.float32)
        x = x.to(torch.float32) + torch.zeros(x.shape[0], 4, LENGTH, dtype=torch.float32)
        steps = torch.arange(LENGTH).float().to("cpu")
        return self.net(x * steps + torch.tensor(0.5)).float() + torch.full((2,), 0.1) @ torch.eye(
            2
        )


@pytest.fixture(scope="module")
def literal():
    return capture(Literal().eval(), LENGTH)


def floating(graph: fx.GraphModule) -> dict[str, torch.dtype]:
    return {
        name: tensor.dtype
        for name, tensor in {
            **dict(graph.named_parameters()),
            **dict(graph.named_buffers()),
        }.items()
        if tensor.is_floating_point()
    }


class TypesSeen(fx.Interpreter):
    """Runs a graph and remembers the floating-point types of all values."""

    def run_node(self, n):
        result = super().run_node(n)
        if isinstance(result, torch.Tensor) and result.is_floating_point():
            self.seen = {*getattr(self, "seen", ()), result.dtype}
        return result


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_every_value_has_the_type_that_was_asked_for(literal, dtype):
    placed = place(literal.graph, dtype, CPU)
    interpreter = TypesSeen(placed)
    interpreter.run(torch.randn(2, 4, LENGTH).to(dtype))
    assert interpreter.seen == {dtype}


def test_float64_gives_float64s_digits(literal):
    x = torch.randn(2, 4, LENGTH, dtype=torch.float64)
    (found,) = place(literal.graph, torch.float64, CPU)(x)
    model = Net().double().eval()
    names = {name: name.removeprefix("net.") for name, _ in literal.graph.named_parameters()}
    model.load_state_dict({names[n]: p for n, p in literal.graph.named_parameters()})
    steps = torch.arange(LENGTH, dtype=torch.float64)
    expected = model(x * steps * steps + 0.5) + 0.1
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_types_written_in_the_model_are_no_hindrance(literal):
    x = torch.eye(4).repeat(1, 3)[None]
    found = Explainer(literal, precision="float64", device="cpu").contribute(x, x.flip(1)[None])
    torch.testing.assert_close(found.scores.sum((1, 2)), found.delta.mean(1))


def test_integers_stay_integers():
    captured = capture(nn.Sequential(Indexing(), nn.ReLU()), LENGTH)
    x = torch.randn(2, 4, LENGTH, dtype=torch.float64)
    (found,) = place(captured.graph, torch.float64, CPU)(x)
    torch.testing.assert_close(found, x[..., [0, 2]].relu())


class Indexing(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("columns", torch.tensor([0, 2]))

    def forward(self, x):
        return x[..., self.columns]


def test_half_models_run_in_float32():
    model = Net().bfloat16().eval()
    x = torch.randn(2, 4, LENGTH)
    (found,) = place(capture(model, LENGTH).graph, torch.float32, CPU)(x)
    torch.testing.assert_close(found, model.float()(x))


def test_weights_are_shared_where_nothing_changes(net):
    graph = capture(net, LENGTH).graph
    own = {p.data_ptr() for p in net.parameters()}

    def held(dtype):
        return {p.data_ptr() for p in place(graph, dtype, CPU).buffers()}

    assert held(torch.float32) == own
    assert held(torch.float64).isdisjoint(own)
    assert all(p.dtype == torch.float32 for p in net.parameters())


def test_the_graph_is_left_as_it_was(literal):
    before = str(literal.graph.graph), floating(literal.graph)
    place(literal.graph, torch.float64, CPU)
    assert (str(literal.graph.graph), floating(literal.graph)) == before


def test_weights_that_are_nan_are_named():
    model = Net()
    with torch.no_grad():
        model.conv.weight[1, 2, :3] = torch.nan
    captured = capture(model, LENGTH)
    with pytest.raises(ModelLoadError) as caught:
        place(captured.graph, torch.float32, CPU)
    assert str(caught.value) == (
        "the model's conv.weight holds 3 NaN of 60 values; "
        "the training has probably diverged: take an earlier checkpoint"
    )


def test_infinity_is_a_usual_value_in_masks():
    mask = torch.tensor([0.0, -torch.inf] * 6)

    class Masked(nn.Module):
        def forward(self, x):
            return (x + mask).softmax(-1)

    x = torch.randn(1, 4, LENGTH)
    (found,) = place(capture(Masked(), LENGTH).graph, torch.float32, CPU)(x)
    torch.testing.assert_close(found, (x + mask).softmax(-1))


def test_devices_written_in_the_graph_are_replaced():
    """As in a program that was exported on a GPU and is read without one."""
    graph = fx.Graph()
    x = graph.placeholder("x")
    cuda = torch.device("cuda", 1)
    moved = graph.call_function(
        torch.ops.aten._to_copy.default, (x,), {"dtype": torch.float32, "device": cuda}
    )
    ones = graph.call_function(
        torch.ops.aten.full.default, ([3], 1.0), {"dtype": torch.float16, "device": cuda}
    )
    added = graph.call_function(torch.ops.aten.add.Tensor, (moved, ones))
    graph.output(graph.call_function(torch.ops.prims.device_put.default, (added, cuda)))
    placed = place(fx.GraphModule({}, graph), torch.float64, CPU)
    found = placed(torch.zeros(2, 3, dtype=torch.float64))
    torch.testing.assert_close(found, torch.ones(2, 3, dtype=torch.float64))


@pytest.mark.parametrize("name", ["LSTM from a varying state", "GRU from a varying state"])
def test_states_of_recurrent_layers_lie_in_one_piece(name):
    """No others are taken by cuDNN."""
    graph = place(captured(name).graph, torch.float64, CPU)
    (layer,) = (node for node in graph.graph.nodes if node.target in OPERATORS_A_STEP)
    states = layer.args[1] if isinstance(layer.args[1], (list, tuple)) else [layer.args[1]]
    assert {state.target for state in states} == {torch.ops.aten.clone.default}
    assert all("val" in state.meta for state in states)
    rows = random_sequences(5).double()
    torch.testing.assert_close(graph(rows)[0], captured(name).graph.double()(rows)[0])


def test_views_do_not_insist_on_a_layout():
    """Attention lays its value out as the device has it."""
    before = captured("multi-head attention").graph
    assert any(node.target in RIGID_VIEWS for node in before.graph.nodes)
    after = place(before, torch.float64, CPU)
    assert not any(node.target in RIGID_VIEWS for node in after.graph.nodes)


def test_a_graph_goes_where_it_is_sent(literal, device):
    placed = place(literal.graph, torch.float32, torch.device(device))
    x = torch.randn(2, 4, LENGTH)
    (found,) = placed(x.to(device))
    assert found.device.type == device
    torch.testing.assert_close(found.cpu(), literal.graph(x)[0], rtol=1e-4, atol=1e-4)
