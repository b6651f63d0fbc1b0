"""Models from files: what loads, what is refused and in which words, and that nothing runs."""

import importlib
import shutil
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from seqlift import contributions
from seqlift.errors import ModelLoadError
from seqlift.model.load import load_model
from seqlift.model.torch_files import EXPORT_HINT
from tests.model.export import exported, saved
from tests.model.user_code import Net, Planted


class Pickled(nn.Module):
    def __init__(self):
        super().__init__()
        self.planted = Planted()


def refusal(source, **options) -> str:
    with pytest.raises(ModelLoadError) as caught:
        load_model(source, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


def example(rows: int = 3, length: int = 12) -> torch.Tensor:
    return torch.randn(rows, 4, length)


# --- programs -----------------------------------------------------------------------------------


def test_a_program_comes_back_as_the_model_it_was(net, program):
    loaded = load_model(program)
    x = example()
    torch.testing.assert_close(loaded.model.module(check_guards=False)(x), net(x))
    assert loaded.source == program


def test_the_digest_is_the_files_own(program):
    import hashlib

    assert load_model(program).digest == hashlib.sha256(Path(program).read_bytes()).hexdigest()


@pytest.mark.parametrize(
    "shapes",
    [None, ({0: torch.export.Dim("b"), 2: torch.export.Dim("length", min=6, max=4000)},)],
    ids=["static", "dynamic-length"],
)
def test_programs_of_other_shapes_load(net, tmp_path, shapes):
    path = saved(exported(net, 12, shapes), tmp_path / "net.pt2")
    x = example(2)
    torch.testing.assert_close(load_model(path).model.module(check_guards=False)(x), net(x))


class WithoutGradients(nn.Module):
    """Uses sizes, operators of operators and a constant: what programs hold beside the usual."""

    def __init__(self):
        super().__init__()
        self.net = Net()

    def forward(self, x):
        with torch.no_grad():
            scale = torch.arange(x.shape[2] // 2).sum() + torch.tensor(3.0)
        return self.net(x).reshape(x.shape[0] * 2, 1).view(x.shape[0], 2) * scale


def test_what_a_program_may_hold_is_not_taken_for_a_risk(tmp_path):
    model = WithoutGradients().eval()
    shapes = ({0: torch.export.Dim("b"), 2: torch.export.Dim("length", min=6, max=4000)},)
    path = saved(exported(model, 12, shapes), tmp_path / "net.pt2")
    x = example(3, 20)
    torch.testing.assert_close(load_model(path).model.module(check_guards=False)(x), model(x))


# --- factories ----------------------------------------------------------------------------------


@pytest.mark.parametrize("weights", ["net.safetensors", "net.pt", "checkpoint.pt"])
@pytest.mark.parametrize("source", ["nets:Net", "nets.py:Net", "nets.py:Lazy"])
def test_a_factory_gets_the_weights(here, net, source, weights):
    loaded = load_model(source, weights=weights)
    x = example()
    torch.testing.assert_close(loaded.model.eval()(x), net(x))
    assert loaded.source == source


def test_a_file_is_found_where_it_lies_and_imports_what_lies_beside_it(here, net):
    folder = here / "project"
    folder.mkdir()
    (here / "nets.py").rename(folder / "layers.py")
    (folder / "model.py").write_text("def make():\n    from layers import Net\n    return Net()\n")
    loaded = load_model(f"{folder}/model.py:make", weights="net.pt")
    x = example()
    torch.testing.assert_close(loaded.model.eval()(x), net(x))


def test_importing_leaves_the_path_as_it_was(here):
    import sys

    before = list(sys.path)
    load_model("nets:Net", weights="net.pt")
    refusal("nets:fails", weights="net.pt")
    assert sys.path == before


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nets:nothing", "nets has no function or class 'nothing'"),
        ("nets:constant", "nets has no function or class 'constant'"),
        ("nets:fails", "nets:fails failed when called without arguments: no licence"),
        ("nets:leaves", "nets:leaves failed when called without arguments: 3"),
        ("nets:text", "nets:text returned a str; expected a torch.nn.Module"),
        (
            "no_such_package.nets:Net",
            "no_such_package.nets cannot be imported: ModuleNotFoundError: "
            "No module named 'no_such_package'",
        ),
        ("absent.py:Net", "absent.py does not exist; expected file.py:factory"),
        (
            "broken.py:Net",
            "broken.py cannot be imported: SyntaxError: '(' was never closed (broken.py, line 1)",
        ),
        ("script.py:Net", "script.py cannot be imported: SystemExit: 2"),
        (":Net", " cannot be imported: ValueError: Empty module name"),
    ],
)
def test_factories_that_do_not_work(here, source, message):
    (here / "broken.py").write_text("class Net(\n")
    (here / "script.py").write_text("raise SystemExit(2)\n")
    assert refusal(source, weights="net.pt") == message


def test_a_factory_needs_weights_and_a_file_takes_none(here, program):
    assert refusal("nets:Net") == (
        "nets:Net is a factory without weights; give its trained weights as well"
    )
    assert refusal(program, weights="net.pt") == (
        f"{program} is a file of its own; weights go with package.module:factory"
    )


# --- weights ------------------------------------------------------------------------------------


def _without(weights):
    del weights["dense.bias"], weights["conv.weight"]


def _with_more(weights):
    weights |= {f"extra.{i}": torch.zeros(1) for i in range(7)}


def _of_other_shape(weights):
    weights["conv.weight"] = torch.zeros(3, 4, 7)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_without, "missing conv.weight, dense.bias; unexpected nothing"),
        (
            _with_more,
            "missing nothing; unexpected extra.0, extra.1, extra.2, extra.3, extra.4 and 2 more",
        ),
        (_of_other_shape, "conv.weight has shape (3, 4, 7), expected (3, 4, 5)"),
    ],
)
def test_weights_that_do_not_fit(here, change, message):
    weights = torch.load("net.pt")
    change(weights)
    torch.save(weights, "other.pt")
    expected = f"other.pt does not fit the factory's model: {message}"
    assert refusal("nets:Net", weights="other.pt") == expected


NEITHER = (
    "other.pt is neither safetensors nor a state dict that loads without running code; "
    "save the weights with torch.save(model.state_dict(), ...)"
)


@pytest.mark.parametrize(
    "write",
    [
        lambda path: torch.save(Pickled(), path),
        lambda path: torch.save({"conv.weight": Planted()}, path),
        lambda path: torch.save([1, 2], path),
        lambda path: path.write_text("weights"),
        lambda path: path.write_bytes(b""),
    ],
    ids=["pickled-module", "pickled-object", "list", "text", "empty"],
)
def test_weights_that_are_none(here, write):
    write(here / "other.pt")
    assert refusal("nets:Net", weights="other.pt") == NEITHER
    assert not Path("code-ran").exists()


def test_absent_and_damaged_weights(here):
    assert refusal("nets:Net", weights="absent.pt") == (
        "absent.pt does not exist; expected a file of weights"
    )
    whole = (here / "net.safetensors").read_bytes()
    (here / "cut.safetensors").write_bytes(whole[:-7])
    message = refusal("nets:Net", weights="cut.safetensors")
    assert message.startswith("cut.safetensors cannot be read as safetensors: ")


def test_weights_that_are_nan_are_named_when_the_model_is_used(here):
    weights = torch.load("net.pt")
    weights["dense.weight"][1, 2] = torch.nan
    torch.save(weights, "other.pt")
    loaded = load_model("nets:Net", weights="other.pt")
    expected = "the model's dense.weight holds 1 NaN of 6 values"
    with pytest.raises(ModelLoadError, match=expected):
        contributions(loaded, np.zeros((1, 4, 12), np.uint8), device="cpu")


# --- files that are no models -------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:`torch.jit")
@pytest.mark.parametrize("name", ["net.pt", "whole.pt", "net.pt2", "script.pt"])
def test_a_byte_that_has_changed_is_found(here, net, program, name):
    """In the weights, where torch does not look for it."""
    torch.save(net, "whole.pt")
    shutil.copy(program, "net.pt2")
    torch.jit.save(torch.jit.trace(net, example()), "script.pt")
    weight = net.conv.weight.detach().numpy().tobytes()
    whole = Path(name).read_bytes()
    assert whole.count(weight) == 1
    Path("bad.pt").write_bytes(whole.replace(weight, weight[:-1] + b"?"))
    given = {"weights": "bad.pt"} if name == "net.pt" else {"allow_pickle": True}
    message = refusal("nets:Net" if name == "net.pt" else "bad.pt", **given)
    assert message.startswith("bad.pt is damaged, or truncated: ")
    assert message.endswith(" in it has another checksum than was written; copy it again")
    Path("bad.pt").write_bytes(whole[:-100])
    assert refusal("nets:Net", weights="bad.pt").startswith("bad.pt is damaged, or truncated: ")


@pytest.mark.parametrize("packing", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
@pytest.mark.parametrize("place", ["packed", "flag"])
def test_an_archive_that_cannot_be_unpacked(here, packing, place):
    with zipfile.ZipFile("good.pt", "w", packing) as archive:
        archive.writestr("net/data.pkl", b"text" * 99)
    whole = bytearray(Path("good.pt").read_bytes())
    if place == "flag":  # encrypted, in both headers
        for start in (b"PK\x03\x04", b"PK\x01\x02"):
            whole[whole.index(start) + (6 if start[2] == 3 else 8)] |= 1
    else:
        inside = 30 + len("net/data.pkl")
        whole[inside : inside + 12] = b"\xff" * 12
    Path("bad.pt").write_bytes(whole)
    message = refusal("nets:Net", weights="bad.pt")
    assert message.startswith("bad.pt is damaged, or truncated: ")
    assert message.endswith("; copy it again" if place == "packed" else "without, or copy it again")
    assert refusal("bad.pt").startswith("bad.pt is ")


def test_weights_without_checksums(here, net):
    """As torch writes them if it is told to."""
    torch.serialization.set_crc32_options(False)
    try:
        torch.save(net.state_dict(), "without.pt")
    finally:
        torch.serialization.set_crc32_options(True)
    x = example()
    loaded = load_model("nets:Net", weights="without.pt")
    torch.testing.assert_close(loaded.model.eval()(x), net(x))


NOT_A_PROGRAM = f"bad.pt2 is not a .pt2 file, or is truncated; {EXPORT_HINT}"


@pytest.mark.parametrize(
    "content",
    [
        lambda whole: b"",
        lambda whole: whole[: len(whole) // 2],
        lambda whole: whole[:-30],
        lambda whole: np.random.default_rng(0).bytes(5000),
        lambda whole: b"PK\x03\x04" + np.random.default_rng(0).bytes(500),
        lambda whole: b">seq\nACGT\n",
    ],
    ids=["empty", "half", "without-end", "random", "random-zip", "text"],
)
def test_files_that_are_not_programs(here, program, content):
    Path("bad.pt2").write_bytes(content(Path(program).read_bytes()))
    assert refusal("bad.pt2") == NOT_A_PROGRAM


def test_absent_files_and_folders(here):
    assert refusal("absent.pt2") == (
        "absent.pt2 does not exist; expected a model's file, package.module:factory, or one of "
        "bpnet, basepairnet, chrombpnet, basset, deepsea, beluga"
    )
    assert refusal(here) == f"{here} is a folder; expected a model's file, such as a .pt2"
    long_name = "n" * 5000
    assert refusal(long_name).startswith(f"{long_name} does not exist")


def test_other_archives(here):
    np.savez("bad.npz", weights=np.zeros(3))
    assert refusal("bad.npz") == f"bad.npz is a zip archive of something else; {EXPORT_HINT}"


@pytest.mark.parametrize("name", ["net.pt", "checkpoint.pt"])
def test_a_state_dict_is_not_a_model(here, name):
    assert refusal(name) == (
        f"{name} is a state dict, weights alone; give package.module:factory, or one of our "
        "architectures, and it as the weights"
    )


def test_safetensors_are_not_a_model(here):
    assert refusal("net.safetensors") == (
        "net.safetensors holds weights alone; give package.module:factory and these as its weights"
    )


def test_other_data_is_not_a_model(here):
    torch.save({"epoch": 3, "loss": [0.5]}, "data.pt")
    assert refusal("data.pt") == "data.pt holds a dict; expected a torch.nn.Module"


# --- pickles ------------------------------------------------------------------------------------


def test_a_pickled_module_needs_leave_and_runs_nothing_without(here):
    torch.save(Pickled(), "module.pt")
    assert refusal("module.pt") == (
        "module.pt is a pickled module, and loading a pickle runs whatever code it holds; "
        "allow it with --allow-pickle if you trust where it came from, once with `seqlift convert "
        "--allow-pickle`, or give its class as package.module:factory and it as the weights, of "
        "which only the tensors are read"
    )
    assert not Path("code-ran").exists()
    load_model("module.pt", allow_pickle=True)
    assert Path("code-ran").exists()  # so the first half of this test could have failed


def test_a_pickled_module_with_leave_is_that_module(here, net):
    torch.save(net, "module.pt")
    x = example()
    torch.testing.assert_close(load_model("module.pt", allow_pickle=True).model(x), net(x))


def test_pickles_that_are_no_modules_with_leave(here):
    torch.save(Planted(), "object.pt")
    assert refusal("object.pt", allow_pickle=True).startswith("object.pt holds a NoneType")

    torch.save(Planted(), "old.pt", _use_new_zipfile_serialization=False)  # without checksums
    whole = Path("old.pt").read_bytes()
    Path("cut.pt").write_bytes(whole.replace(b"pathlib", b"pathlab"))
    assert refusal("cut.pt", allow_pickle=True) == (
        "cut.pt cannot be unpickled: No module named 'pathlab'"
    )


def test_a_pickled_modules_class_is_found_in_the_current_folder(here, monkeypatch):
    (here / "lying_here.py").write_text(
        "import torch\n\n\nclass Here(torch.nn.Identity):\n    pass\n"
    )
    monkeypatch.syspath_prepend(str(here))
    module = importlib.import_module("lying_here")
    torch.save(module.Here(), here / "pickled.pt")
    monkeypatch.undo()
    monkeypatch.chdir(here)
    del sys.modules["lying_here"]
    loaded = load_model("pickled.pt", allow_pickle=True).model
    assert type(loaded).__name__ == "Here"
    del sys.modules["lying_here"]
