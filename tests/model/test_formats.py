"""One model in every form that people have it in: the same predictions, and no code run."""

import importlib.util
import pickle
import struct
import sys
import types
import warnings
import zipfile
from pathlib import Path

import pytest
import torch
from torch import nn

from seqlift.convert import convert
from seqlift.errors import ModelLoadError, OutputError, ShapeError
from seqlift.model.capture import capture
from seqlift.model.inert import read_inert
from seqlift.model.load import load_model
from seqlift.model.options import ModelOptions
from tests.model.user_code import Net, Planted

LENGTH = 12


class Branches(nn.Module):
    """What a script holds beside operators: sizes, conditions, loops, lists and tuples."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(4, 3, 5, padding=2)
        self.norm = nn.BatchNorm1d(3)
        self.dense = nn.Linear(3, 2)
        self.depth = 3

    def forward(self, x: torch.Tensor, scale: float = 2.0):
        kept: list[torch.Tensor] = []
        for _ in range(self.depth):
            x = torch.relu(self.norm(self.conv(x))) * scale
            if x.size(-1) > 6:
                kept.append(x.mean(-1))
            x = torch.cat([x, x[:, :1]], 1)
        rows = x.shape[0]
        return self.dense(torch.stack(kept).sum(0)).view(rows, -1), kept[0]


class Lit(nn.Module):
    """Holds the model as Lightning's modules do, beside a loss with weights of its own."""

    def __init__(self, net):
        super().__init__()
        self.model = net
        self.loss = nn.Linear(2, 1)


def example(rows: int = 3) -> torch.Tensor:
    return torch.randn(rows, 4, LENGTH, generator=torch.Generator().manual_seed(1))


def answers(loaded, length=LENGTH, rows: int = 3) -> list[torch.Tensor]:
    return list(capture(loaded.model, length, loaded.form).graph(example(rows)))


def refusal(source, **options) -> str:
    with pytest.raises(ModelLoadError) as caught:
        load_model(source, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- TorchScript ----------------------------------------------------------------------------------


def script(model, path, *, trace: bool) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch would rather not have it
        made = torch.jit.trace(model, example()) if trace else torch.jit.script(model)
        torch.jit.save(made, path)
    return str(path)


@pytest.mark.parametrize("trace", [True, False], ids=["traced", "scripted"])
def test_torchscript(net, tmp_path, trace):
    loaded = load_model(script(net, tmp_path / "net.pt", trace=trace))
    assert loaded.format == "TorchScript"
    for rows in (1, 5):
        torch.testing.assert_close(answers(loaded, rows=rows)[0], net(example(rows)))


@pytest.mark.parametrize("trace", [True, False], ids=["traced", "scripted"])
def test_torchscript_with_conditions_loops_and_lists(tmp_path, trace):
    torch.manual_seed(2)
    model = Branches()
    model(torch.randn(9, 4, LENGTH))  # statistics of the norm
    model.conv = nn.Conv1d(4, 3, 5, padding=2)
    model = model.eval()
    loaded = load_model(script(model, tmp_path / "net.pt", trace=trace))
    for found, expected in zip(answers(loaded), model(example()), strict=True):
        torch.testing.assert_close(found, expected)


def test_damaged_torchscript(net, tmp_path):
    script(net, tmp_path / "net.pt", trace=True)
    path = tmp_path / "bad.pt"
    with zipfile.ZipFile(tmp_path / "net.pt") as whole, zipfile.ZipFile(path, "w") as bad:
        for member in whole.namelist():
            bad.writestr(member, whole.read(member).replace(b"torch.", b"tarch."))
    assert refusal(path).startswith(f"{path} cannot be read as TorchScript: ")


# --- weights of all kinds -------------------------------------------------------------------------


def assert_fits(net, **weights):
    torch.testing.assert_close(answers(load_model("nets:Net", **weights))[0], net(example()))


def test_a_lightning_checkpoint_gives_its_weights(here, net):
    weights = {k: v.clone() for k, v in Lit(net).state_dict().items()}
    checkpoint = {"state_dict": weights, "epoch": 3, "pytorch-lightning_version": "2.4.0"}
    torch.save(checkpoint | {"hyper_parameters": {"lr": 0.1}}, "lit.ckpt")
    assert_fits(net, weights="lit.ckpt")
    # And one whose hyper-parameters are objects, which torch's own safe reader refuses.
    torch.save(checkpoint | {"hyper_parameters": types.SimpleNamespace(lr=0.1)}, "objects.ckpt")
    assert_fits(net, weights="objects.ckpt")
    assert refusal("objects.ckpt").startswith("objects.ckpt is a state dict, weights alone; give ")


def test_weights_of_a_wrapped_model(here, net):
    for prefix in ("module.", "model.net."):
        torch.save({f"{prefix}{k}": v for k, v in net.state_dict().items()}, "wrapped.pt")
        assert_fits(net, weights="wrapped.pt")


def test_weights_under_two_prefixes_are_not_guessed_at(here, net):
    twice = {f"{p}.{k}": v for p in ("student", "teacher") for k, v in net.state_dict().items()}
    torch.save(twice, "twice.pt")
    message = refusal("nets:Net", weights="twice.pt")
    assert "missing conv.bias, conv.weight, dense.bias, dense.weight; unexpected stud" in message


@pytest.mark.filterwarnings("ignore:Couldn't retrieve source code")
@pytest.mark.parametrize("new", [True, False], ids=["zip", "legacy"])
def test_weights_of_a_pickled_module_are_read_without_its_class(here, net, new, monkeypatch):
    module = types.ModuleType("gone")
    gone = type("Gone", (Net,), {"__module__": "gone"})
    module.Gone = gone
    monkeypatch.setitem(sys.modules, "gone", module)
    model = gone()
    model.load_state_dict(net.state_dict())
    model.register_buffer("scratch", torch.zeros(3), persistent=False)
    torch.save(model, "gone.pt", _use_new_zipfile_serialization=new)
    monkeypatch.delitem(sys.modules, "gone")
    assert_fits(net, weights="gone.pt")
    assert refusal("gone.pt").startswith("gone.pt is a pickled module, and loading a pickle runs ")
    assert refusal("gone.pt", allow_pickle=True).startswith("gone.pt cannot be unpickled: ")


def test_arguments_of_a_factory(here):
    (here / "sized.py").write_text(
        "from torch import nn\n\n\ndef make(channels, name='x', widths=(3,)):\n"
        "    assert name == 'wide' and widths == (5, 7), (name, widths)\n"
        "    return nn.Sequential(nn.Conv1d(4, channels, 5), nn.AdaptiveAvgPool1d(1))\n"
    )
    given = {"channels": "6", "name": "wide", "widths": "(5, 7)"}
    model = nn.Sequential(nn.Conv1d(4, 6, 5), nn.AdaptiveAvgPool1d(1))
    torch.save(model.state_dict(), "sized.pt")
    loaded = load_model("sized:make", weights="sized.pt", model_args=given)
    torch.testing.assert_close(answers(loaded)[0], model(example()))
    assert refusal("sized:make", weights="sized.pt", model_args={"depth": "2"}) == (
        "sized:make failed when called with depth=2: make() got an unexpected keyword argument "
        "'depth'"
    )


# --- nothing runs ---------------------------------------------------------------------------------


class Hostile(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(4, 3, 5)
        self.planted = Planted()


@pytest.mark.parametrize("new", [True, False], ids=["zip", "legacy"])
def test_a_hostile_pickle_runs_nothing(here, new):
    torch.save(Hostile(), "model.pt", _use_new_zipfile_serialization=new)
    checkpoint = {"state_dict": {"conv.weight": torch.zeros(1)}, "hooks": [Planted()]}
    torch.save(checkpoint, "model.ckpt", _use_new_zipfile_serialization=new)
    for name in ("model.pt", "model.ckpt"):
        refusal(name)
        refusal("nets:Net", weights=name)
        refusal("bpnet", weights=name)
        assert not Path("code-ran").exists()
    torch.load("model.pt", weights_only=False)
    assert Path("code-ran").exists()  # so this test could have failed


OPEN = b'(S\'open("code-ran", "w").close()\'\ntR.'
TOUCH = b"(S'touch code-ran'\ntR."


@pytest.mark.parametrize(
    "content",
    [
        b"cbuiltins\neval\n" + OPEN,
        b"c__builtin__\nexec\n" + OPEN,
        b"cos\nsystem\n" + TOUCH,
        b"cbuiltins\ngetattr\n(cos\nsystem\nS'__call__'\ntR" + TOUCH,
        b"(S'touch code-ran'\nios\nsystem\n.",
    ],
    ids=["eval", "exec", "system", "getattr", "inst"],
)
def test_no_name_of_a_pickle_is_called(here, content):
    """Opcodes by hand, at the place where torch has its data."""
    torch.save(torch.zeros(1), "plain.pt")
    with zipfile.ZipFile("plain.pt") as plain, zipfile.ZipFile("bad.pt", "w") as bad:
        for member in plain.namelist():
            is_data = member.endswith("data.pkl")
            bad.writestr(member, content if is_data else plain.read(member))
    read_inert(Path("bad.pt"))
    assert not Path("code-ran").exists()
    pickle.loads(content)
    assert Path("code-ran").exists()  # so this test could have failed


def test_a_pickle_of_old_neither_writes_a_patch_nor_changes_torch(here):
    """Torch writes what it takes for the source of a module beside it, if it is asked to."""

    def text(word):
        return b"X" + struct.pack("<I", len(word)) + word

    state = b"}" + text(b"dump_patches") + b"\x88s" + text(b"__name__") + text(b"planted") + b"s"
    function = b"ctorch._utils\n_rebuild_tensor\n(N" + state + b"tb"
    body = b"\x80\x02(" + text(b"module") + function + text(b"x") + text(b"y") + b"tQ."
    head = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}]
    parts = [*(pickle.dumps(value, protocol=2) for value in head), body, pickle.dumps([], 2)]
    Path("old.pt").write_bytes(b"".join(parts))
    name = torch._utils._rebuild_tensor.__name__
    refusal("old.pt")
    refusal("nets:Net", weights="old.pt")
    assert torch._utils._rebuild_tensor.__name__ == name
    assert not list(Path().glob("planted*"))


# --- ONNX -----------------------------------------------------------------------------------------


def onnx_file(path, *, layout: str = "N4L", rows="batch") -> tuple[str, nn.Module]:
    """Write convolution, activation, pooling and dense layer with the format's own builder."""
    onnx = pytest.importorskip("onnx")
    if importlib.util.find_spec("onnx2torch") is None:
        pytest.skip("the extra onnx is not installed")
    from onnx import TensorProto, helper, numpy_helper

    torch.manual_seed(3)
    net = Net().eval()
    weights = {k.replace(".", "_"): v.numpy() for k, v in net.state_dict().items()}
    last = layout == "NL4"
    nodes = [helper.make_node("Transpose", ["x"], ["first"], perm=[0, 2, 1])] if last else []
    nodes += [
        helper.make_node("Conv", ["first" if last else "x", "conv_weight", "conv_bias"], ["c"]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("GlobalAveragePool", ["r"], ["p"]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("Gemm", ["f", "dense_weight", "dense_bias"], ["logits"], transB=1),
    ]
    shape = [rows, LENGTH, 4] if last else [rows, 4, LENGTH]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [rows, 2])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path)
    return str(path), net


@pytest.mark.parametrize("layout", ["N4L", "NL4"])
def test_onnx(tmp_path, layout):
    path, net = onnx_file(tmp_path / "net.onnx", layout=layout)
    loaded = load_model(path)
    assert loaded.format == "ONNX"
    torch.testing.assert_close(answers(loaded, None)[0], net(example()))


@pytest.mark.filterwarnings("ignore")
def test_onnx_of_a_fixed_number_of_rows(tmp_path):
    class Flat(nn.Module):
        def forward(self, x):
            return x.reshape(3, -1)

    pytest.importorskip("onnx")
    for rows, path in ((3, tmp_path / "three.onnx"), (1, tmp_path / "one.onnx")):
        net = Flat() if rows == 3 else nn.Sequential(nn.Flatten(), nn.Linear(4 * 6, 1))
        torch.onnx.export(net, (torch.zeros(rows, 4, 6),), path, dynamo=False)
    with pytest.raises(ShapeError) as caught:
        capture(load_model(tmp_path / "three.onnx").model)
    assert str(caught.value) == (
        "the model takes exactly 3 sequences at a time; save it again with a batch of any size (in "
        "torch.onnx.export: dynamic_shapes, or dynamic_axes)"
    )
    # What was saved with one row, and computes with any, is taken as it is.
    assert capture(load_model(tmp_path / "one.onnx").model).length == 6


def test_damaged_onnx(tmp_path):
    path, _ = onnx_file(tmp_path / "net.onnx")
    whole = Path(path).read_bytes()
    Path(path).write_bytes(whole[: len(whole) // 2])
    assert refusal(path).startswith(f"{path} cannot be converted from ONNX: ")


def test_onnx_without_the_extra(tmp_path, monkeypatch):
    path, _ = onnx_file(tmp_path / "net.onnx")
    monkeypatch.setitem(sys.modules, "onnx2torch", None)
    assert refusal(path) == (
        f"{path} is an ONNX model, which needs the extra: pip install 'seqlift[onnx]'"
    )


# --- conversion -----------------------------------------------------------------------------------


def test_any_form_converts_to_the_same_program(here, net):
    script(net, "script.pt", trace=True)
    torch.save(net, "pickled.pt")
    sources = {
        "script.pt": {},
        "pickled.pt": {"options": ModelOptions(allow_pickle=True, length=LENGTH)},
        "nets:Net": {"weights": "net.safetensors"},
    }
    for i, (source, given) in enumerate(sources.items()):
        given = {"options": ModelOptions(length=LENGTH)} | given
        found = convert(source, f"{i}.pt2", **given)
        assert (found.length, found.uncovered) == (LENGTH, ())
        assert found.largest_difference <= 1e-6
        again = load_model(f"{i}.pt2")
        assert again.format == "exported program"
        torch.testing.assert_close(answers(again, None)[0], net(example()))


def test_conversion_brings_the_input_to_the_plain_form(here, net):
    class Last(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net

        def forward(self, x, strand):
            return {"logits": self.net(x.transpose(1, 2).flip(1)) * strand, "strand": strand}

    rows = {0: torch.export.Dim("batch")}
    program = torch.export.export(
        Last(), (torch.zeros(2, LENGTH, 4), torch.zeros(2, 1)), dynamic_shapes=(rows, rows)
    )
    torch.export.save(program, "last.pt2")
    options = ModelOptions(bases="TGCA", inputs=("strand=2",))
    found = convert("last.pt2", "plain.pt2", options=options)
    assert found.outputs == ("logits", "strand")
    x = example()
    (logits, strand) = answers(load_model("plain.pt2"), None)
    torch.testing.assert_close(logits, 2 * net(x))
    torch.testing.assert_close(strand, torch.full((3, 1), 2.0))


def test_a_conversion_that_cannot_be_written_leaves_nothing(here, monkeypatch):
    def full(program, file):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch.export, "save", full)
    with pytest.raises(OutputError, match="No space left"):
        convert("nets:Net", "o.pt2", weights="net.pt", options=ModelOptions(length=LENGTH))
    assert not list(here.glob("*o.pt2*"))


def test_a_conversion_that_predicts_otherwise_is_not_kept(here):
    (here / "noisy.py").write_text(
        "import torch\n\n\nclass Noisy(torch.nn.Module):\n    def __init__(self):\n"
        "        super().__init__()\n        self.scale = torch.nn.Parameter(torch.ones(1))\n\n"
        "    def forward(self, x):\n"
        "        return (x + torch.rand_like(x)).sum((1, 2)) * self.scale\n"
    )
    torch.save({"scale": torch.ones(1)}, "noisy.pt")
    with pytest.raises(Exception, match="predicts something else than noisy:Noisy"):
        convert("noisy:Noisy", "o.pt2", weights="noisy.pt", options=ModelOptions(length=LENGTH))
    assert not list(here.glob("*o.pt2*"))
