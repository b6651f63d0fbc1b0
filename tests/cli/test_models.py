"""Every form of model and every kind of target through the command line, on a FASTA."""

import importlib.util
import json
from dataclasses import fields
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from seqlift.cli import options
from seqlift.cli.score import score as score_command
from seqlift.members import STRANDS
from seqlift.model.architectures.bpnet import BPNet
from seqlift.model.form import LAYOUTS
from seqlift.model.options import ModelOptions
from tests.model.test_architectures import (
    small_bpnet,
    small_chrombpnet,
    train,
    write_layers,
)
from tests.model.test_formats import onnx_file, script
from tests.model.user_code import Net
from tests.tiny import run_cli

LENGTH = 48
SHORT = 12
MMSPLICE = Path(__file__).parents[1] / "data" / "mmsplice"

TARGETS = {
    "counts": lambda p, c: c[:, 0],
    "profile": lambda p, c: weighted(p),
    "profile-bpnet": lambda p, c: weighted(p),
    "profile.1.position:5": lambda p, c: p[:, 1, 5],
    "profile.0.positions:2-7": lambda p, c: p[:, 0, 2:8].sum(1),
    "mean:profile.0.position:3,profile.1.position:3": lambda p, c: p[:, :, 3].mean(1),
    "sum:counts,counts.0": lambda p, c: 2 * c[:, 0],
    "profile.0.position:4-profile.1.position:4": lambda p, c: p[:, 0, 4] - p[:, 1, 4],
}


def weighted(profile: np.ndarray) -> np.ndarray:
    m = profile.reshape(len(profile), -1)
    m = m - m.mean(1, keepdims=True)
    weight = np.exp(m) / np.exp(m).sum(1, keepdims=True)
    return (weight * m).sum(1)


def write_sequences(path: Path, length: int, n: int = 3) -> np.ndarray:
    letters = np.random.default_rng(2).integers(0, 4, (n, length))
    lines = [f">s{i}\n{''.join('ACGT'[k] for k in row)}" for i, row in enumerate(letters)]
    path.write_text("\n".join(lines) + "\n")
    return np.eye(4, dtype=np.float32)[letters].transpose(0, 2, 1)


def score(prefix: str, *options: object) -> None:
    run = run_cli("score", "-f", "s.fa", "-o", prefix, "-n", 3, "-d", "cpu", "-q", *options)
    assert (run.status, run.stderr) == (0, ""), run.stderr


@pytest.fixture
def trained(tmp_path, monkeypatch) -> BPNet:
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    model = train(small_bpnet(n_outputs=2), LENGTH)
    torch.save(model.state_dict(), "bpnet.pt")
    return model


def test_every_kind_of_target_of_an_architecture(trained):
    one_hot = write_sequences(Path("s.fa"), LENGTH)
    given = [word for target in TARGETS for word in ("--target", target)]
    score(
        "out", "-m", "bpnet", "-w", "bpnet.pt", "--length", LENGTH, "--precision", "float64", *given
    )
    found = trained.double()(torch.from_numpy(one_hot).double())
    profile, counts = (found[name].detach().numpy() for name in ("profile", "counts"))
    for target, literal in TARGETS.items():
        name = "".join(c if c.isalnum() or c in "_.,+-" else "_" for c in target)
        with h5py.File(f"out.{name}.h5") as file:
            np.testing.assert_allclose(file["quality/prediction"], literal(profile, counts))
            assert file.attrs["target"] == target
            assert file.attrs["target_definition"].startswith(("output ", "mean of ", "sum of "))
            error = np.abs(file["quality/completeness_error"]).max()
            assert error <= 1e-9 * np.abs(file["quality/delta"]).mean()


def test_a_range_is_one_target_each(tmp_path, monkeypatch, here):
    write_sequences(Path("s.fa"), SHORT)
    score("out", "-m", "nets:Net", "-w", "net.pt", "--target", "0..1")
    assert {path.name for path in Path().glob("out.*.h5")} == {"out.0.h5", "out.1.h5"}


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with one network in several forms."""
    import shutil

    from safetensors.torch import save_file

    monkeypatch.chdir(tmp_path)
    torch.manual_seed(3)
    net = Net().eval()
    source = Path(__file__).parents[1] / "model" / "user_code.py"
    shutil.copy(source, "nets.py")
    torch.save(net.state_dict(), "net.pt")
    save_file({k: v.contiguous() for k, v in net.state_dict().items()}, "net.safetensors")
    batch = ({0: torch.export.Dim("batch")},)
    torch.export.save(
        torch.export.export(net, (torch.zeros(2, 4, SHORT),), dynamic_shapes=batch), "net.pt2"
    )
    torch.save({"state_dict": {f"model.{k}": v for k, v in net.state_dict().items()}}, "net.ckpt")
    torch.save(net, "pickled.pt")
    script(net, "script.pt", trace=True)
    if importlib.util.find_spec("onnx2torch") is not None:
        onnx_file("net.onnx")
    return net


FORMS = {
    "program": ("-m", "net.pt2"),
    "safetensors": ("-m", "nets:Net", "-w", "net.safetensors"),
    "state dict": ("-m", "nets:Net", "-w", "net.pt"),
    "checkpoint": ("-m", "nets:Net", "-w", "net.ckpt"),
    "tensors of a pickle": ("-m", "nets:Net", "-w", "pickled.pt"),
    "pickle": ("-m", "pickled.pt", "--allow-pickle"),
    "TorchScript": ("-m", "script.pt"),
    "ONNX": ("-m", "net.onnx"),
    "converted": ("-m", "script.pt2"),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_model(here, form):
    if form == "ONNX" and not Path("net.onnx").exists():
        pytest.skip("the extra onnx is not installed")
    if form == "converted":
        run = run_cli("convert", "script.pt", "--length", SHORT, "-o", "script.pt2")
        assert run.status == 0
        assert "seqlift: wrote script.pt2\n" in run.stderr
    one_hot = write_sequences(Path("s.fa"), SHORT)
    score("out", *FORMS[form], "--target", 1)
    with h5py.File("out.h5") as file:
        expected = here(torch.from_numpy(one_hot))[:, 1].detach().numpy()
        np.testing.assert_allclose(file["quality/prediction"], expected, atol=1e-6)


def test_a_keras_model_with_a_layer_of_its_own(tmp_path, monkeypatch):
    if importlib.util.find_spec("keras") is None:
        pytest.skip("the extra keras is not installed")
    monkeypatch.chdir(tmp_path)
    write_sequences(Path("s.fa"), 53)
    given = ["score", "-f", "s.fa", "-o", "out", "-m", MMSPLICE / "Acceptor.h5", "-n", 2, "-q"]
    run = run_cli(*given)
    assert run.status == 1
    assert "--custom-layer ConvDNA=keras.layers.Conv1D" in run.stderr
    run = run_cli(*given, "--custom-layer", "ConvDNA=keras.layers.Conv1D", "-d", "cpu")
    assert run.status == 0
    assert run.stderr == (
        "seqlift: warning: the layer ConvDNA is read as Conv1D, without seq_length=None\n"
    )
    with h5py.File("out.h5") as file:
        assert file["projected_shap/seq"].shape == (3, 4, 53)
        assert file.attrs["removed_activation"] == "sigmoid"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("ending", [".keras", ".h5"])
def test_a_keras_model_of_two_heads(tmp_path, monkeypatch, ending):
    if importlib.util.find_spec("keras") is None:
        pytest.skip("the extra keras is not installed")
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    import keras

    monkeypatch.chdir(tmp_path)
    one_hot = write_sequences(Path("s.fa"), SHORT)
    layers = keras.layers
    start = keras.Input((SHORT, 4))
    x = layers.Conv1D(3, 5, activation="relu")(start)
    profile = layers.Flatten(name="logits_profile_predictions")(layers.Conv1D(1, 3)(x))
    counts = layers.Dense(1, name="logcount_predictions")(layers.GlobalAveragePooling1D()(x))
    model = keras.Model(start, [profile, counts])
    model.save(f"model{ending}")
    score("out", "-m", f"model{ending}", "--target", "counts", "--target", "profile")
    found = [v.detach().numpy() for v in model(one_hot.transpose(0, 2, 1), training=False)]
    for target, expected in (("profile", weighted(found[0])), ("counts", found[1][:, 0])):
        with h5py.File(f"out.{target}.h5") as file:
            np.testing.assert_allclose(file["quality/prediction"], expected, atol=1e-5)


def test_the_authors_file_of_chrombpnet(tmp_path, monkeypatch):
    """With its bias model; counts are the logarithm of the sum of both parts' exponentials."""
    monkeypatch.chdir(tmp_path)
    one_hot = write_sequences(Path("s.fa"), LENGTH)
    torch.manual_seed(4)
    model = small_chrombpnet().eval()
    with h5py.File("whole.h5", "w") as file:
        for part, prefix in (("accessibility", "wo_bias_bpnet_"), ("bias", "")):
            write_layers(file, getattr(model, part), prefix, nested=part)
    given = ["--length", LENGTH, "--target", "counts", "--target", "profile"]
    score("out", "-m", "chrombpnet", "-w", "whole.h5", *given)
    parts = [p(torch.from_numpy(one_hot))["counts"] for p in (model.accessibility, model.bias)]
    counts = sum(torch.exp(p) for p in parts).log()[:, 0].detach().numpy()
    profile = model(torch.from_numpy(one_hot))["profile"].detach().numpy()
    for target, expected in (("profile", weighted(profile)), ("counts", counts)):
        with h5py.File(f"out.{target}.h5") as file:
            np.testing.assert_allclose(file["quality/prediction"], expected, atol=1e-5)


def test_the_choices_of_the_command_line_are_those_of_the_library():
    assert options.LAYOUTS == tuple(LAYOUTS)
    assert set(options.MODEL_OPTION_NAMES) == {field.name for field in fields(ModelOptions)}
    (strands,) = (option for option in score_command.params if option.name == "strands")
    assert tuple(strands.type.choices) == STRANDS


def test_a_custom_layer_of_what_is_no_keras_model(here):
    run = run_cli("convert", "script.pt", "--custom-layer", "A=keras.layers.Conv1D", "-o", "o.pt2")
    assert (run.status, run.stderr) == (
        1,
        "seqlift: error: script.pt is no Keras model (TorchScript); leave out --custom-layer\n",
    )
    assert not list(Path().glob("*o.pt2*"))


def test_an_evaluation_of_both_strands_is_refused(here):
    write_sequences(Path("s.fa"), SHORT)
    score("out", *FORMS["state dict"], "--strands", "both")
    run = run_cli("evaluate", "out.h5", *FORMS["state dict"], "-o", "eval", "-q")
    assert (run.status, run.stderr) == (
        1,
        "seqlift: error: out.h5 was scored with strands both; expected one model on the forward "
        "strand, which is what an evaluation asks\n",
    )


def test_options_of_the_input(here):
    one_hot = write_sequences(Path("s.fa"), SHORT)
    score("out", *FORMS["state dict"], "--bases", "tgca", "--layout", "N4L")
    with h5py.File("out.h5") as file:
        expected = here(torch.from_numpy(one_hot[:, ::-1].copy()))[:, 0].detach().numpy()
        np.testing.assert_allclose(file["quality/prediction"], expected, atol=1e-6)
        assert (file.attrs["layout"], file.attrs["bases"]) == ("N4L", "TGCA")


LAID = """
from torch import nn


class ChannelsLast(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(4, 2, 5)

    def forward(self, x):
        return self.conv(x.transpose(1, 2)).relu().sum(2)


class Scaled(ChannelsLast):
    def forward(self, x, scale):
        return super().forward(x) * scale.reshape(-1, 1)
"""


@pytest.mark.parametrize("form", ["module", "program", "with an input"])
def test_the_layout_that_was_found_is_recorded_and_shown(tmp_path, monkeypatch, form):
    monkeypatch.chdir(tmp_path)
    Path("laid.py").write_text(LAID)
    write_sequences(Path("s.fa"), SHORT)
    kind = "Scaled" if form == "with an input" else "ChannelsLast"
    space: dict = {}
    exec(LAID, space)
    model = space[kind]()
    torch.save(model.state_dict(), "laid.pt")
    given = ["-m", f"laid.py:{kind}", "-w", "laid.pt", "--length", SHORT]
    inputs = ["--input", "scale=2:1"] if kind == "Scaled" else []
    if form == "program":
        batch = ({0: torch.export.Dim("batch")},)
        program = torch.export.export(model, (torch.zeros(2, SHORT, 4),), dynamic_shapes=batch)
        torch.export.save(program, "laid.pt2")
        given = ["-m", "laid.pt2"]
    score("out", *given, *inputs)
    expected = ("NL4", "ACGT", "scale=2:1" if inputs else "")
    with h5py.File("out.h5") as file:
        assert tuple(file.attrs[name] for name in ("layout", "bases", "inputs")) == expected
    settings = json.loads(Path("out.json").read_text())["settings"]
    assert tuple(settings[name] for name in ("layout", "bases", "inputs")) == expected
    run = run_cli("inspect", given[1], *given[2:], *inputs)
    assert run.status == 0, run.stderr
    assert "# layout: NL4\n# bases: ACGT\n" in run.stdout
