"""ONNX models that compute with the sizes of their values, as torch.onnx.export writes them."""

import warnings

import numpy as np
import pytest
import torch
from torch import nn

from seqlift import contributions
from seqlift.errors import CaptureError, ModelLoadError
from seqlift.model.capture import capture
from seqlift.model.load import load_model
from seqlift.model.onnx_check import _evaluator
from seqlift.model.onnx_sizes import WithSizes
from tests.helpers import with_shuffles

LENGTH = 40
DYNAMIC = {"rows": {0: "rows"}, "rows and positions": {0: "rows", 2: "positions"}}


class Tracks(nn.Module):
    """A sequence beside two control tracks that are all zeros."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(6, 5, 7)
        self.dense = nn.Linear(5, 2)

    def tracks(self, x):
        return torch.zeros(x.shape[0], 2, x.shape[2])

    def forward(self, x):
        return self.dense(torch.relu(self.conv(torch.cat([x, self.tracks(x)], 1))).mean(2))


class LikeAnother(Tracks):
    def tracks(self, x):
        return torch.zeros_like(x[:, :2])


class Expanded(Tracks):
    def tracks(self, x):
        return x.new_zeros(1, 2, 1).expand(x.shape[0], 2, x.shape[2])


class Cropped(Tracks):
    """Cuts a margin off that it computes, and reshapes by a number of rows."""

    def forward(self, x):
        margin = (x.shape[2] - 20) // 2
        y = torch.relu(self.conv(torch.cat([x, self.tracks(x)], 1)))
        y = y[:, :, margin : y.shape[2] - margin].flip(2)[:, :, ::2]
        return self.dense(y.mean(2).reshape(x.shape[0], 5))


@pytest.fixture(scope="module", autouse=True)
def onnx():
    return pytest.importorskip("onnx")


def write(model, path, **options) -> str:
    torch.manual_seed(3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch would rather not have it
        torch.onnx.export(
            model, (torch.zeros(2, 4, LENGTH),), path, dynamo=False, input_names=["x"], **options
        )
    return str(path)


@pytest.mark.parametrize("dynamic", DYNAMIC)
@pytest.mark.parametrize("opset", [13, 17, 20])
@pytest.mark.parametrize("kind", [Tracks, LikeAnother, Expanded, Cropped])
def test_zeros_beside_a_batch_of_any_size(tmp_path, kind, opset, dynamic):
    torch.manual_seed(1)
    model = kind().eval()
    axes = {"x": DYNAMIC[dynamic]}
    path = write(model, tmp_path / "net.onnx", opset_version=opset, dynamic_axes=axes)
    graph = capture(load_model(path).model, LENGTH).graph
    for rows in (1, 3, 5):
        x = torch.randn(rows, 4, LENGTH, generator=torch.Generator().manual_seed(rows))
        torch.testing.assert_close(graph(x)[0], model(x))


def test_bpnet_with_control_tracks_of_zeros(tmp_path):
    """bpnet-lite's model and its wrapper, which makes the tracks."""
    bpnet = pytest.importorskip("bpnetlite.bpnet")
    torch.manual_seed(2)
    inner = bpnet.BPNet(
        n_filters=4, n_layers=2, n_outputs=2, n_control_tracks=2, trimming=10, verbose=False
    )
    model = bpnet.ControlWrapper(inner).eval()
    path = write(
        model, tmp_path / "bpnet.onnx", dynamic_axes={"x": {0: "rows"}},
        output_names=["profile", "counts"],
    )  # fmt: skip
    loaded = load_model(path)
    x = torch.randn(3, 4, LENGTH, generator=torch.Generator().manual_seed(4))
    for found, expected in zip(capture(loaded.model).graph(x), model(x), strict=True):
        torch.testing.assert_close(found, expected)
    sequences, references = with_shuffles(2, 3, LENGTH)
    given = {"references": references, "precision": "float64", "device": "cpu"}
    found = contributions(loaded, sequences, target="counts", **given)
    expected = contributions(model, sequences, target="1.counts", **given)
    torch.testing.assert_close(found.scores, expected.scores, rtol=1e-6, atol=1e-9)


class Heads(Tracks):
    def forward(self, x):
        y = super().forward(x)
        return y[:, :1], y[:, 1:]


@pytest.mark.parametrize("named", [True, False])
def test_outputs_have_their_names_unless_these_are_numbers(tmp_path, onnx, named):
    names = {"output_names": ["left", "right"]} if named else {}
    path = write(Heads().eval(), tmp_path / "net.onnx", dynamic_axes={"x": {0: "rows"}}, **names)
    own = [value.name for value in onnx.load(path).graph.output]
    assert all(name.isdecimal() for name in own) != named, own
    expected = ("left", "right") if named else ("0", "1")
    assert capture(load_model(path).model).outputs == expected


class OnnxShape(nn.Module):
    """Stands in for the converter's, which is known by its name."""

    _start, _end = 0, None


class OnnxSin(nn.Module):
    def forward(self, x):
        return torch.sin(x)


def test_what_is_no_arithmetic_on_sizes_is_named():
    graph = torch.fx.Graph()
    x = graph.placeholder("x")
    graph.output(graph.call_module("sin", (graph.call_module("shape", (x,)),)))
    layers = nn.ModuleDict({"shape": OnnxShape(), "sin": OnnxSin()})
    model = WithSizes(torch.fx.GraphModule(layers, graph))
    torch.testing.assert_close(model(torch.zeros(2, 3)), torch.sin(torch.tensor([2, 3])))

    class Symbolic(nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, x):
            return x + self.model(x).sum()

    with pytest.raises(CaptureError) as caught:
        capture(Symbolic(), LENGTH)
    message = str(caught.value)
    assert message.startswith("the ONNX operator Sin on the number of rows cannot be followed; ex")
    assert "\n" not in message


class Scaled(Tracks):
    """Scales by a quotient of sizes, which is no whole number."""

    def forward(self, x):
        y = torch.relu(self.conv(torch.cat([x, self.tracks(x)], 1)))
        return y.mean(2) * (y.shape[2] / x.shape[2])


class ByBases(Tracks):
    def forward(self, x):
        return x.sum((1, 2))[:, None] * (x.shape[2] / x.shape[1]) * 0.3


@pytest.mark.parametrize("dynamic", DYNAMIC)
@pytest.mark.parametrize("kind", [Scaled, ByBases])
def test_quotients_of_sizes(tmp_path, kind, dynamic):
    torch.manual_seed(1)
    model = kind().eval()
    path = write(model, tmp_path / "net.onnx", dynamic_axes={"x": DYNAMIC[dynamic]})
    graph = capture(load_model(path).model, LENGTH).graph
    x = torch.randn(3, 4, LENGTH, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(graph(x)[0], model(x))


def made(path, onnx, nodes, constants):
    """Write the operators of a graph that takes x and gives y."""
    from onnx import TensorProto, helper, numpy_helper

    values = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 4, "positions"]),
        helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 4, "positions"]),
    ]
    nodes = [helper.make_node(kind, takes, [gives], **more) for kind, takes, gives, more in nodes]
    weights = [numpy_helper.from_array(np.array(v), name) for name, v in constants.items()]
    graph = helper.make_graph(nodes, "net", values[:1], values[1:], weights)
    opsets = [helper.make_opsetid("", 13)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    return path


@pytest.mark.parametrize("length", [7, 13])
def test_whole_numbers_are_divided_towards_zero(tmp_path, onnx, length):
    nodes = [
        ("Shape", ["x"], "shape", {}),
        ("Gather", ["shape", "last"], "n", {}),
        ("Sub", ["n", "ten"], "less", {}),
        ("Div", ["less", "two"], "half", {}),
        ("Cast", ["half"], "factor", {"to": 1}),
        ("Mul", ["x", "factor"], "y", {}),
    ]
    path = made(tmp_path / "net.onnx", onnx, nodes, {"last": 2, "ten": 10, "two": 2})
    x = torch.randn(3, 4, length)
    graph = capture(load_model(path).model, length).graph
    torch.testing.assert_close(graph(x)[0], x * int((length - 10) / 2))


@pytest.mark.parametrize("comparison", ["Greater", "Less", "GreaterOrEqual", "LessOrEqual"])
@pytest.mark.parametrize("length", [6, 7, 8])
def test_sizes_are_compared(tmp_path, onnx, comparison, length):
    nodes = [
        ("Shape", ["x"], "shape", {}),
        ("Gather", ["shape", "last"], "n", {}),
        (comparison, ["n", "seven"], "chosen", {}),
        ("Cast", ["chosen"], "factor", {"to": 1}),
        ("Mul", ["x", "factor"], "y", {}),
    ]
    path = made(tmp_path / "net.onnx", onnx, nodes, {"last": 2, "seven": 7})
    x = torch.randn(3, 4, length)
    graph = capture(load_model(path).model, length).graph
    words = {"Greater": "__gt__", "Less": "__lt__", "GreaterOrEqual": "__ge__"}
    expected = getattr(length, words.get(comparison, "__le__"))(7)
    torch.testing.assert_close(graph(x)[0], x * expected)


@pytest.mark.parametrize("kind", ["Pow", "Sqrt"])
def test_what_has_no_arithmetic_on_sizes_is_the_converter_s_of_numbers(tmp_path, onnx, kind):
    nodes = [
        ("Shape", ["x"], "shape", {}),
        ("Gather", ["shape", "axis"], "n", {}),
        ("Cast", ["n"], "number", {"to": 1}),
        (kind, ["number", "two"][: 2 if kind == "Pow" else 1], "factor", {}),
        ("Mul", ["x", "factor"], "y", {}),
    ]
    constants = {"axis": 2, "two": np.float32(2)}
    constants = constants if kind == "Pow" else {"axis": 2}
    x = torch.randn(3, 4, 9)
    graph = capture(load_model(made(tmp_path / "net.onnx", onnx, nodes, constants)).model, 9).graph
    torch.testing.assert_close(graph(x)[0], x * (81 if kind == "Pow" else 3))
    path = made(tmp_path / "rows.onnx", onnx, nodes, constants | {"axis": 0})
    with pytest.raises(CaptureError, match=f"(?i)operator {kind} on .*; export the model"):
        capture(load_model(path).model, 9)


def test_what_is_folded_wrongly_is_not_folded(tmp_path, onnx, monkeypatch):
    """And where that does not help either, the model is refused."""
    import onnxslim

    nodes = [("Add", ["x", "two"], "y", {})]
    path = made(tmp_path / "net.onnx", onnx, nodes, {"two": np.float32(2)})
    other = onnx.load(made(tmp_path / "other.onnx", onnx, nodes, {"two": np.float32(3)}))
    x = torch.randn(3, 4, 9)
    monkeypatch.setattr(onnxslim, "slim", lambda model: other)
    torch.testing.assert_close(capture(load_model(path).model, 9).graph(x)[0], x + 2)
    monkeypatch.setattr("seqlift.model.onnx_files._convert", lambda m: onnx2torch().convert(other))
    with pytest.raises(
        ModelLoadError, match=r"computes other values; export it with torch\.export"
    ):
        load_model(path)


def onnx2torch():
    import onnx2torch

    return onnx2torch


def test_what_the_reference_cannot_run_is_not_compared(tmp_path, onnx, monkeypatch):
    def fail(self, *args):
        raise NotImplementedError

    monkeypatch.setattr("onnx.reference.ReferenceEvaluator.run", fail)
    path = made(tmp_path / "net.onnx", onnx, [("Relu", ["x"], "y", {})], {})
    x = torch.randn(3, 4, 9)
    torch.testing.assert_close(capture(load_model(path).model, 9).graph(x)[0], x.relu())


@pytest.mark.parametrize("sizes", [{}, {"auto_pad": "SAME_UPPER"}, {"pads": [2, 0], "group": 2}])
def test_the_reference_s_convolution_is_onnx_s_own(onnx, sizes):
    from onnx import TensorProto, helper
    from onnx.reference import ReferenceEvaluator

    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("x", "w", "y")
    ]
    node = helper.make_node("Conv", ["x", "w"], ["y"], strides=[2], **sizes)
    graph = helper.make_graph([node], "net", values[:2], values[2:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    random = np.random.default_rng(0)
    weight = random.random((6, 4 // sizes.get("group", 1), 5), dtype=np.float32)
    given = {"x": random.random((2, 4, 21), dtype=np.float32), "w": weight}
    for one, other in zip(
        _evaluator(model).run(None, given), ReferenceEvaluator(model).run(None, given), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=1e-5)
