"""Windows of change: the same numbers as whole sequences, from less work.

Graphs are traced from ATen calls, which takes no time; their constants are numbered by position, so
that a value in the wrong place shows.
"""

import functools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import fx, nn
from torch.utils._python_dispatch import TorchDispatchMode

from seqlift.deeplift.methods import local_plan, locality
from seqlift.deeplift.methods.local_windows import Reach, Rows, Windows, cut, flat, slide
from seqlift.deeplift.methods.mutagenesis import mutagenesis
from seqlift.deeplift.methods.options import MethodOptions
from seqlift.model.capture import capture
from seqlift.model.placement import place
from seqlift.model.targets import select_target
from tests.helpers import random_sequences

aten = torch.ops.aten

CHANNELS = 6
LENGTH = 40
EXACT = 1e-12


class Weighted(nn.Module):
    """A convolution, any function, and the sum of all values, each with a weight of its own."""

    def __init__(self, function, *constants):
        super().__init__()
        self.function = function
        self.weight = nn.Buffer(torch.randn(CHANNELS, 4, 3).double())
        for i, constant in enumerate(constants):
            self.register_buffer(f"constant{i}", constant)
        self.n_constants = len(constants)
        self.last = nn.Buffer(torch.empty(0).double())

    def forward(self, x):
        x = aten.conv1d.default(x, self.weight, None, [1], [1], [1], 1)
        x = self.function(x, *(getattr(self, f"constant{i}") for i in range(self.n_constants)))
        weighted = aten.mul.Tensor(x, self.last)
        return aten.sum.dim_IntList(weighted, list(range(1, self.last.dim() + 1)))


def traced(function, *constants, length=LENGTH):
    """Trace a function of (row, CHANNELS, position), and say which node it ends in."""
    torch.manual_seed(0)
    model = Weighted(function, *constants)
    with torch.no_grad():
        value = torch.zeros(1, 4, length, dtype=torch.float64)
        value = aten.conv1d.default(value, model.weight, None, [1], [1], [1], 1)
        result = function(value, *constants)
        model.last = nn.Buffer(torch.randn(result.shape[1:], dtype=torch.float64))
    graph = fx.symbolic_trace(model)
    (product,) = [n for n in graph.graph.nodes if n.name.startswith("mul_tensor")][-1:]
    return graph, product


def all_values(graph, one_hot):
    forward = locality._Forward(graph, garbage_collect_values=False)
    with torch.no_grad():
        forward.run(one_hot)
    return forward.env


def substituted(graph, one_hot):
    """Return every single-base change of every sequence, and what the graph makes of it."""
    found = torch.zeros_like(one_hot)
    with torch.no_grad():
        for position in range(one_hot.shape[2]):
            for base in range(4):
                changed = one_hot.clone()
                changed[:, :, position] = 0
                changed[:, base, position] = 1
                found[:, base, position] = graph(changed)
    return (found - found.mean(1, keepdim=True)) * one_hot.any(1, keepdim=True)


def scores(graph, one_hot, rows=64):
    references = torch.zeros_like(one_hot).unsqueeze(1)
    return mutagenesis(graph, one_hot, references, MethodOptions(rows=rows)).multipliers[:, 0]


def assert_same(found, expected, tolerance=EXACT):
    scale = float(expected.abs().max())
    assert scale > 1e-6, "nothing changes: this proves nothing"
    torch.testing.assert_close(found, expected, rtol=0, atol=tolerance * scale)


@pytest.fixture
def always(monkeypatch):
    """Carry windows wherever they can be, however wide they are."""
    monkeypatch.setattr(local_plan, "MOST", 1.0)
    monkeypatch.setattr(locality, "WORTH", math.inf)


# --- geometry ------------------------------------------------------------------------------------


@st.composite
def sliding(draw):
    """Draw a convolution or a pooling: a function of a value and a weight of any width."""
    kernel, stride = draw(st.integers(1, 5)), draw(st.integers(1, 4))
    dilation = draw(st.integers(1, 4))
    kind = draw(st.sampled_from(["conv", "max", "mean"]))
    if kind == "conv":
        padding, groups = draw(st.integers(0, 7)), draw(st.sampled_from([1, 2, 6]))
        args = [stride], [padding], [dilation], groups
        return lambda x, w, b: aten.conv1d.default(x, w[:, : 6 // groups, :kernel], b, *args)
    padding, ceil_mode = draw(st.integers(0, kernel // 2)), draw(st.booleans())
    if kind == "max":
        args = [kernel], [stride], [padding], [dilation], ceil_mode
        return lambda x, w, b: aten.max_pool1d.default(x, *args)
    args = [kernel], [stride], [padding], ceil_mode, draw(st.booleans())
    return lambda x, w, b: aten.avg_pool1d.default(x, *args)


@given(st.lists(sliding(), min_size=1, max_size=3), st.integers(30, 50))
@settings(max_examples=40, deadline=None)
def test_any_geometry_is_exact_at_every_position(layers, length):
    weight = torch.randn(CHANNELS, CHANNELS, 5, dtype=torch.float64)
    bias = torch.randn(CHANNELS, dtype=torch.float64)

    def network(x, weight, bias):
        for layer in layers:
            x = aten.tanh.default(layer(x, weight, bias))
        return x

    try:
        graph, _ = traced(network, weight, bias, length=length)
    except RuntimeError:  # a kernel longer than what is left
        return
    one_hot = random_sequences(2, length).double()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local_plan, "MOST", 1.0)
        patch.setattr(locality, "WORTH", math.inf)
        found = scores(graph, one_hot)
    expected = substituted(graph, one_hot)
    torch.testing.assert_close(found, expected, rtol=0, atol=EXACT)


@given(
    st.integers(1, 40), st.integers(1, 6), st.integers(1, 5), st.integers(0, 6), st.integers(1, 4)
)
def test_windows_hold_every_place_that_reads_a_change(width, kernel, stride, padding, dilation):
    length = 45
    places = (length + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
    windows = Windows(2, length, torch.arange(length - width + 1), width)
    moved, reach = slide(windows, places, kernel, stride, padding, dilation)
    for i, start in enumerate(windows.start.tolist()):
        reading = {
            place
            for place in range(places)
            for j in range(kernel)
            if start <= place * stride - padding + j * dilation < start + width
        }
        first = int(moved.start[i])
        assert 0 <= first <= places - moved.width
        assert reading <= set(range(first, first + moved.width))
        assert int(reach.start[i]) == first * stride - padding
    assert reach.width == (moved.width - 1) * stride + dilation * (kernel - 1) + 1


def test_a_stretch_is_the_unchanged_value_with_the_change_and_the_fill():
    whole = torch.arange(2 * 3 * 5.0).reshape(2, 3, 5)
    windows = Windows(2, 5, torch.tensor([0, 2, 3]), 2)
    rows = Rows(torch.tensor([1, 0]), torch.tensor([1, 2]))
    changed = -torch.ones(2, 3, 2)
    reach = Reach(torch.tensor([-1, 0, 2]), 4)
    found = cut(flat(whole, 2), changed, windows, rows, reach, 9.0)
    assert found[0].tolist() == [[15, 16, -1, -1], [20, 21, -1, -1], [25, 26, -1, -1]]
    assert found[1].tolist() == [[2, -1, -1, 9], [7, -1, -1, 9], [12, -1, -1, 9]]


# --- operators -----------------------------------------------------------------------------------

SQUARE = torch.randn(CHANNELS, CHANNELS, 3).double()
BY_POSITION = torch.linspace(0.5, 2, LENGTH).double()
BY_CHANNEL = torch.linspace(0.5, 2, CHANNELS).double()


def _dilated(x, weight):
    for dilation in (1, 2, 4):
        y = aten.conv1d.default(x, weight, None, [1], [dilation], [dilation], 1)
        x = aten.add.Tensor(x, aten.relu.default(y))
    return x


def _batch_norm(x, scale):
    args = (x, scale, None, scale, scale, 0.1, 1e-5)
    return aten._native_batch_norm_legit_no_training.default(*args)[0]


def _halves(x):
    one, other = (aten.split.Tensor(x, 3, 1)[i] for i in (0, 1))
    return aten.mul.Tensor(aten.sigmoid.default(one), other)


FOLLOWED = {
    "residual, dilated": (_dilated, SQUARE),
    "even kernel, same": (
        lambda x, w: aten.conv1d.padding(x, w[:, :, :2], None, [1], "same", [3], 1),
        SQUARE,
    ),
    "valid": (lambda x, w: aten.conv1d.padding(x, w, None, [2], "valid", [2], 1), SQUARE),
    "convolution": (
        lambda x, w: aten.convolution.default(x, w, None, [2], [3], [1], False, [0], 1),
        SQUARE,
    ),
    "conv2d": (
        lambda x, w: aten.conv2d.default(
            aten.unsqueeze.default(x, 1), w[:, :1, None], None, [2, 1], [1, 2], [1, 1], 1
        ),
        SQUARE,
    ),
    "conv2d on its other axis": (
        lambda x, w: aten.conv2d.default(
            aten.unsqueeze.default(x, -1), w[..., None], None, [1, 1], [1, 0], [1, 1], 1
        ),
        SQUARE,
    ),
    "max-pool with positions": (
        lambda x: aten.max_pool1d_with_indices.default(x, [3], [2], [1])[0],
    ),
    "max-pool 2D": (
        lambda x: aten.max_pool2d.default(aten.unsqueeze.default(x, 1), [2, 3], [2, 2], [1, 1]),
    ),
    "mean-pool 2D": (
        lambda x: aten.avg_pool2d.default(aten.unsqueeze.default(x, 1), [2, 3], [1, 2], [1, 1]),
    ),
    "batch norm": (_batch_norm, BY_CHANNEL),
    "PReLU by channel": (lambda x, w: aten.prelu.default(x, w), BY_CHANNEL),
    "product by position": (lambda x, w: aten.mul.Tensor(x, w), BY_POSITION),
    "by position, reversed": (lambda x, w: aten.rsub.Tensor(w, x), BY_POSITION),
    "by channel": (lambda x, w: aten.add.Tensor(x, w[:, None]), BY_CHANNEL),
    "where": (
        lambda x, w: aten.where.self(aten.gt.Scalar(w, 1), x, aten.tanh.default(x)),
        BY_POSITION,
    ),
    "clamp by position": (lambda x, w: aten.clamp.Tensor(x, None, w), BY_POSITION),
    "joined channels": (lambda x: aten.cat.default([x, aten.relu.default(x)], 1),),
    "joined, of two widths": (
        lambda x, w: aten.cat.default([x, aten.conv1d.default(x, w, None, [1], [1], [1], 1)], -2),
        SQUARE,
    ),
    "stacked": (lambda x: aten.stack.default([x, aten.exp.default(x)], 1),),
    "split channels": (_halves,),
    "slice": (lambda x: aten.slice.Tensor(x, 2, 3, -4),),
    "slice as torch writes it": (
        lambda x: aten.slice.Tensor(aten.slice.Tensor(x, 0, 0, 2**63 - 1), 2, 7, 2**63 - 1, 3),
    ),
    "slice of channels": (lambda x: aten.slice.Tensor(x, 1, 1, 5, 2),),
    "select": (lambda x: aten.select.int(x, 1, 2),),
    "pad": (lambda x: aten.constant_pad_nd.default(x, [3, -2], 1.5),),
    "pad of channels": (lambda x: aten.pad.default(x, [0, 0, 1, 2]),),
    "flip": (lambda x: aten.flip.default(x, [1, 2]),),
    "channels last": (
        lambda x, w: aten.layer_norm.default(aten.transpose.int(x, 1, 2), [CHANNELS], w),
        BY_CHANNEL,
    ),
    "dense of channels": (
        lambda x, w: aten.linear.default(aten.permute.default(x, [0, 2, 1]), w[..., 0]),
        SQUARE,
    ),
    "matmul": (
        lambda x, w: aten.matmul.default(aten.transpose.int(x, -1, -2), w[..., 0]),
        SQUARE,
    ),
    "softmax of channels": (lambda x: aten.softmax.int(x, 1),),
    "mean of channels": (lambda x: aten.mean.dim(x, [1]),),
    "maximum of channels": (lambda x: aten.max.dim(x, 1, True)[0],),
    "flatten": (
        lambda x: aten.reshape.default(aten.unsqueeze.default(x, 2), [-1, CHANNELS, LENGTH]),
    ),
}  # fmt: skip

NOT_FOLLOWED = {
    "roll": (lambda x: aten.roll.default(x, [1], [2]),),
    "softmax of positions": (lambda x: aten.softmax.int(x, 2),),
    "cumulative sum": (lambda x: aten.cumsum.default(x, -1),),
    "reflection": (lambda x: aten.reflection_pad1d.default(x, [2, 2]),),
    "centred": (lambda x: aten.sub.Tensor(x, aten.mean.dim(x, [2], True)),),
    "joined positions": (lambda x: aten.cat.default([x, aten.relu.default(x)], 2),),
    "mean without its padding": (
        lambda x: aten.avg_pool1d.default(x, [3], [2], [1], False, False),
    ),
    "flatten": (lambda x: aten.reshape.default(x, [-1, CHANNELS * LENGTH]),),
    "attention": (lambda x: aten.matmul.default(x, aten.transpose.int(x, 1, 2)),),
    "sequence and its reverse": (lambda x: aten.maximum.default(x, aten.flip.default(x, [2])),),
    "as rows": (lambda x: aten.flip.default(aten.flip.default(x, [0]), [0]),),
}  # fmt: skip


def with_shapes(graph, one_hot):
    """Note the size of each value, as capture does; the number of rows stands for itself."""
    for node, value in all_values(graph, one_hot).items():
        if isinstance(value, torch.Tensor) and node.op != "get_attr":
            node.meta["val"] = value


@pytest.mark.parametrize("name", FOLLOWED)
def test_an_operator_is_followed_and_exact(name, always):
    graph, product = traced(*FOLLOWED[name])
    one_hot = random_sequences(2, LENGTH).double()
    one_hot[1, :, [0, 9, -1]] = 0  # N
    with_shapes(graph, one_hot)
    plan = local_plan.plan_windows(graph, all_values(graph, one_hot[:1]))
    assert product in plan.steps
    assert plan.steps[product].windows.width < plan.steps[product].windows.length
    assert_same(scores(graph, one_hot), substituted(graph, one_hot))


@pytest.mark.parametrize("name", NOT_FOLLOWED)
def test_an_operator_that_is_not_followed_gets_whole_values(name):
    graph, product = traced(*NOT_FOLLOWED[name])
    one_hot = random_sequences(2, LENGTH).double()
    with_shapes(graph, one_hot)
    plan = local_plan.plan_windows(graph, all_values(graph, one_hot[:1]))
    assert product not in plan.steps
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(locality, "WORTH", math.inf)
        assert_same(scores(graph, one_hot), substituted(graph, one_hot))


def test_windows_are_given_up_where_they_reach_most_of_a_value():
    """Three dilations reach 17 of 18 places; the first two are still windows."""
    graph, product = traced(_dilated, SQUARE, length=18)
    one_hot = random_sequences(2, 18).double()
    plan = local_plan.plan_windows(graph, all_values(graph, one_hot[:1]))
    widths = [s.windows.width for n, s in plan.steps.items() if n.name.startswith("add")]
    assert widths == [5, 9]
    assert product not in plan.steps
    assert_same(scores(graph, one_hot), substituted(graph, one_hot))


# --- work ----------------------------------------------------------------------------------------


class Work(TorchDispatchMode):
    """Counts what convolutions write, and keeps the size of the largest value."""

    def __init__(self):
        super().__init__()
        self.convolved = self.largest = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if function is aten.convolution.default:
            self.convolved += result.numel()
        if isinstance(result, torch.Tensor) and result.is_floating_point():
            self.largest = max(self.largest, result.numel())
        return result


def _network(length):
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv1d(4, 16, 9, padding=4), nn.BatchNorm1d(16), nn.ReLU(), nn.MaxPool1d(4),
        nn.Conv1d(16, 16, 5, padding=2), nn.ReLU(), nn.MaxPool1d(4),
        nn.Flatten(), nn.Linear(length, 8), nn.ReLU(), nn.Linear(8, 1),
    ).train(False)  # fmt: skip


def _placed(model, length, dtype=torch.float64, device="cpu"):
    return place(select_target(capture(model, length), 0).graph, dtype, torch.device(device))


@functools.cache
def _captured(length, dtype=torch.float64, device="cpu"):
    return _placed(_network(length), length, dtype, device)


def test_convolutions_are_run_on_windows_alone():
    length, n_regions = 160, 2
    graph = _captured(length)
    one_hot = random_sequences(n_regions, length).double()
    with Work() as work:
        found = scores(graph, one_hot)
    # Whole for the plan, the unchanged and the references; then windows of 9 and of 7.
    whole = 16 * (length + length // 4)
    windows = 16 * (9 + 7)
    assert work.convolved == (2 * n_regions + 1) * whole + n_regions * 3 * length * windows
    assert_same(found, substituted(graph, one_hot))


def test_where_windows_do_not_pay_whole_sequences_are_run():
    """A kernel as long as half of the sequence leaves nothing to save."""
    model = nn.Sequential(nn.Conv1d(4, 4, 15, padding=7), nn.Flatten(), nn.Linear(80, 1))
    graph = _placed(model, 20)
    one_hot = random_sequences(2, 20).double()
    with torch.no_grad():
        plan = locality.make_plan(graph, one_hot[:1])
    assert [node.op for node in plan.steps] == ["placeholder"]
    assert_same(scores(graph, one_hot), substituted(graph, one_hot))


@pytest.mark.parametrize("rows", [5, 100, 5000])
def test_memory_is_bounded_by_rows_and_results_do_not_depend_on_them(rows):
    length, n_regions = 48, 2
    graph = _captured(length)
    one_hot = random_sequences(n_regions, length).double()
    expected = scores(graph, one_hot, rows=31)
    with Work() as work:
        found = scores(graph, one_hot, rows=rows)
    assert_same(found, expected)
    # Changed values beside those of the unchanged sequences they are written into.
    n_together = max(1, min(n_regions, rows // (3 * length)))
    weights = 8 * length
    activations = 16 * length * (min(rows, 3 * length * n_together) + n_together) + 16
    assert work.largest <= max(activations, weights)


def test_float32_is_as_near_as_rounding_allows(device):
    length = 48
    one_hot = random_sequences(3, length)
    expected = scores(_captured(length), one_hot.double())
    graph = _captured(length, torch.float32, device)
    found = scores(graph, one_hot.float().to(device))
    assert_same(found.cpu().double(), expected, 1e-4)
