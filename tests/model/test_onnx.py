"""ONNX models that compute with the sizes of their values, as torch.onnx.export writes them."""

import warnings

import pytest
import torch
from torch import nn

from seqlift import contributions
from seqlift.errors import CaptureError
from seqlift.model.capture import capture
from seqlift.model.load import load_model
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
    assert message.startswith("the ONNX operator Sin on the sizes of a value cannot be followed")
    assert "\n" not in message
