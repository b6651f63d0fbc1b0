"""Our own architectures: trained a little, saved in every form, loaded with the same scores."""

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from seqlift import contributions, load_model
from seqlift.convert import convert
from seqlift.errors import ModelLoadError
from seqlift.model.architectures.bpnet import BPNet, ChromBPNet
from seqlift.model.architectures.stacks import basset, beluga, deepsea
from seqlift.model.options import ModelOptions
from tests.helpers import with_shuffles


def small_bpnet(**changes) -> BPNet:
    sizes = {"widths": (7, 9), "n_filters": 5, "n_layers": 2, "n_outputs": 2, "n_counts": 1}
    return BPNet(**sizes | changes)


def small_chrombpnet() -> ChromBPNet:
    return ChromBPNet(small_bpnet(n_outputs=1), small_bpnet(n_outputs=1, n_filters=3, n_layers=1))


# Of the stacks the length follows from the dense layers, so they are whole.
MODELS = {
    "bpnet": (small_bpnet, 48, "counts"),
    "bpnet with control": (lambda: small_bpnet(n_control_tracks=2), 48, "profile"),
    "basepairnet": (lambda: small_bpnet(activates_sums=True), 48, "counts"),
    "chrombpnet": (small_chrombpnet, 48, "counts"),
    "basset": (lambda: basset(3), 600, "1"),
    "deepsea": (lambda: deepsea(2), 1000, "1"),
    "beluga": (lambda: beluga(2), 2000, "0"),
}


def train(model: nn.Module, length: int, steps: int = 3) -> nn.Module:
    """Take a few steps towards GC content."""
    optimiser = torch.optim.Adam(model.parameters(), 1e-3)
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        letters = torch.randint(0, 4, (2, length), generator=generator)
        x = nn.functional.one_hot(letters, 4).transpose(1, 2).float()
        wanted = x[:, 1:3].mean((1, 2))
        found = model(x)
        found = list(found.values()) if isinstance(found, dict) else [found]
        loss = sum(((out.flatten(1).mean(1) - wanted) ** 2).mean() for out in found)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return model.eval()


def scores(model, target, length) -> torch.Tensor:
    one_hot, references = with_shuffles(2, 2, length)
    given = {"references": references, "target": target, "device": "cpu", "compile": "off"}
    precision = "float64" if length < 1000 else "float32"
    return contributions(model, one_hot, precision=precision, **given).scores


LARGE = {"basset", "deepsea", "beluga"}  # of up to 136 million weights


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.large if n in LARGE else ()) for n in MODELS]
)
def test_a_trained_model_has_the_same_scores_in_every_form(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make, length, target = MODELS[name]
    torch.manual_seed(1)
    model = train(make(), length)
    source = name.split()[0]
    weights = {k: v.contiguous() for k, v in model.state_dict().items()}
    torch.save(weights, "state.pt")
    torch.save({"state_dict": {f"model.{k}": v for k, v in weights.items()}}, "checkpoint.pt")
    save_file(weights, "weights.safetensors")
    torch.save(model, "module.pt")
    files = ["state.pt", "weights.safetensors", "module.pt"]
    if source in ("basset", "deepsea", "beluga"):
        files.append("checkpoint.pt")
    expected = scores(model, target, length)
    assert float(expected.abs().max()) > 0
    loaded = [load_model(source, weights=file) for file in files]
    loaded.append(load_model("module.pt", allow_pickle=True))
    for one in loaded:
        held = one.model.state_dict()
        for key in weights.keys() - {k for k in weights if "num_batches" in k}:
            torch.testing.assert_close(held[key], weights[key], rtol=0, atol=0)
    convert(source, "model.pt2", weights=files[-1], options=ModelOptions(length=length))
    # The same module with the same weights once is enough.
    loaded = [load_model("model.pt2"), *([loaded[0]] if length < 1000 else [])]
    for one in loaded:
        torch.testing.assert_close(scores(one, target, length), expected, rtol=1e-5, atol=1e-9)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [n for n in MODELS if n not in LARGE])
def test_a_trained_model_has_the_same_scores_in_other_formats(name, tmp_path):
    """As TorchScript and as ONNX, which compute where to trim from the sequence's size."""
    pytest.importorskip("onnx")  # the converter itself is not to be imported here
    make, length, target = MODELS[name]
    torch.manual_seed(1)
    model = train(make(), length)
    example = (torch.zeros(2, 4, length),)
    script, onnx = tmp_path / "script.pt", tmp_path / "model.onnx"
    torch.jit.trace(model, example, strict=False).save(script)
    values = ("sequence", "profile", "counts")
    torch.onnx.export(
        model, example, onnx, dynamo=False, input_names=values[:1], output_names=values[1:],
        dynamic_axes={value: {0: "batch"} for value in values},
    )  # fmt: skip
    expected = scores(model, target, length)
    for path in (script, onnx):
        found = scores(load_model(path), target, length)
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-9)


def test_a_profile_reaches_no_padding_and_counts_are_of_what_it_sees():
    """A window's predictions are those of a longer one around it."""
    torch.manual_seed(2)
    model = small_bpnet().double().eval()
    x = torch.randn(2, 4, 80, dtype=torch.float64)
    whole, inner = model(x), model(x[:, :, 10:70])
    torch.testing.assert_close(inner["profile"], whole["profile"][:, :, 10:-10])


def test_the_bias_and_the_accessibility_add_up():
    torch.manual_seed(3)
    model = small_chrombpnet().eval()
    x = torch.randn(2, 4, 48)
    found, accessible, bias = model(x), model.accessibility(x), model.bias(x)
    extra = (bias["profile"].shape[2] - accessible["profile"].shape[2]) // 2
    assert extra > 0
    expected = accessible["profile"] + bias["profile"][:, :, extra:-extra]
    torch.testing.assert_close(found["profile"], expected)
    counts = torch.logaddexp(accessible["counts"], bias["counts"])
    torch.testing.assert_close(found["counts"], counts)


def write_layers(file: h5py.Group, model: BPNet, prefix: str, *, nested: str = "") -> None:
    """Write a BPNet as ChromBPNet's files have it: Keras's axes, its names of layers."""
    convolutions = "bpnet_" if prefix == "" else prefix
    layers = {f"{convolutions}1st_conv": model.iconv, f"{prefix}prof_out_precrop": model.fconv}
    layers |= {f"{convolutions}{i}conv": conv for i, conv in enumerate(model.rconvs, 1)}
    layers[f"{prefix}logcount_predictions"] = model.linear
    for name, layer in layers.items():
        group = file.create_group(f"model_weights/{nested or name}/{name}")
        kernel = layer.weight.detach().numpy()
        group["kernel:0"] = kernel.transpose(*range(kernel.ndim - 1, -1, -1))
        group["bias:0"] = layer.bias.detach().numpy()


def test_files_of_chrombpnet(tmp_path):
    torch.manual_seed(4)
    model = small_chrombpnet().eval()
    parts = {"accessibility": "wo_bias_bpnet_", "bias": ""}
    for part, prefix in parts.items():
        with h5py.File(tmp_path / f"{part}.h5", "w") as file:
            write_layers(file, getattr(model, part), prefix)
    with h5py.File(tmp_path / "whole.h5", "w") as file:
        for part, prefix in parts.items():
            write_layers(file, getattr(model, part), prefix, nested=part)
    x = torch.randn(2, 4, 48)
    for name, file, expected in [
        ("bpnet", "accessibility", model.accessibility),
        ("bpnet", "bias", model.bias),
        ("chrombpnet", "whole", model),
    ]:
        found = load_model(name, weights=tmp_path / f"{file}.h5").model(x)
        for head, value in expected(x).items():
            torch.testing.assert_close(found[head], value)
    message = refusal("chrombpnet", weights=tmp_path / "bias.h5")
    assert "has no layer wo_bias_bpnet_1st_conv, which ChromBPNet's files have" in message


BPNET_LAYERS = {
    "main_conv_0": (7, 4, 5),
    "main_dil_conv_1": (3, 5, 5),
    "main_dil_conv_2": (3, 5, 5),
}
BPNET_LAYERS |= {"main_profile_head": (9, 5, 2), "profile_predictions": (1, 4, 2)}
BPNET_LAYERS |= {"main_counts_head": (5, 1), "logcounts_predictions": (3, 1)}
BPNET_LAYERS |= {"profile_bias_module": (1, 2, 2)}


def write_bpnet(path, layers=BPNET_LAYERS) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(0)
    found = {name: (rng.normal(size=s), rng.normal(size=s[-1])) for name, s in layers.items()}
    with h5py.File(path, "w") as file:
        for name, (kernel, bias) in found.items():
            file[f"model_weights/{name}/{name}/kernel:0"] = kernel
            file[f"model_weights/{name}/{name}/bias:0"] = bias
    return found


def valid(x, layer, dilation=1):
    """A convolution without padding, Keras's way, by its definition: x is (position, channel)."""
    kernel, bias = layer
    n = len(x) - (len(kernel) - 1) * dilation
    return bias + sum(x[i * dilation : i * dilation + n] @ kernel[i] for i in range(len(kernel)))


def test_files_of_bpnet(tmp_path):
    """The layers that bpnet-refactor writes, followed without padding and with control zeros."""
    layers = write_bpnet(tmp_path / "bpnet.h5")
    one_hot, _ = with_shuffles(1, 1, 48)
    sums = valid(one_hot[0].numpy().T, layers["main_conv_0"])
    for i in (1, 2):
        found = valid(np.maximum(sums, 0), layers[f"main_dil_conv_{i}"], 2**i)
        sums = found + sums[2**i : -(2**i)]
    seen = np.maximum(sums, 0)
    kernel, bias = layers["profile_predictions"]
    profile = valid(seen, layers["main_profile_head"]) @ kernel[0, :2] + bias
    kernel, bias = layers["main_counts_head"]
    total = seen.mean(0) @ kernel + bias
    counts = total @ layers["logcounts_predictions"][0][:1] + layers["logcounts_predictions"][1]
    for name in ("bpnet", "basepairnet"):
        found = load_model(name, weights=tmp_path / "bpnet.h5").model.double()(one_hot.double())
        np.testing.assert_allclose(found["profile"][0].detach(), profile.T, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(found["counts"][0].detach(), counts, rtol=1e-5)


def test_files_that_are_nearly_of_bpnet(tmp_path):
    path = tmp_path / "odd.h5"
    write_bpnet(path, {k: v for k, v in BPNET_LAYERS.items() if k != "main_counts_head"})
    assert "has no layer main_counts_head, which BPNet's files have" in refusal(
        "bpnet", weights=path
    )
    write_bpnet(path, BPNET_LAYERS | {"second_profile_head": (1, 2, 2)})
    message = refusal("bpnet", weights=path)
    assert (
        message
        == f"{path} has a layer second_profile_head, which a BPNet of one task does not have"
    )


def test_a_pickled_module_says_its_trimming_itself(tmp_path):
    torch.manual_seed(9)
    x = torch.randn(1, 4, 60)
    model = small_bpnet(trimming=15).eval()
    parts = (
        small_bpnet(n_outputs=1, trimming=14),
        small_bpnet(n_outputs=1, n_layers=1, trimming=11),
    )
    for name, module in (("bpnet", model), ("chrombpnet", ChromBPNet(*parts).eval())):
        torch.save(module, tmp_path / "module.pt")
        found = load_model(name, weights=tmp_path / "module.pt").model
        torch.testing.assert_close(found(x), module(x))
    torch.save(model, tmp_path / "module.pt")
    told = load_model("bpnet", weights=tmp_path / "module.pt", model_args={"trimming": "20"})
    assert told.model(x)["profile"].shape[2] == 60 - 2 * 20


def refusal(source, **options) -> str:
    with pytest.raises(ModelLoadError) as caught:
        load_model(source, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_weights_of_two_dimensions_and_other_names(tmp_path):
    """As the authors' networks went from Torch 7 to PyTorch."""
    torch.manual_seed(5)
    model = train(basset(3), 600)
    renamed = {
        f"layer.{i}": value[:, :, :, None] if value.dim() == 3 else value
        for i, (name, value) in enumerate(model.state_dict().items())
        if "num_batches" not in name
    }
    torch.save(renamed, tmp_path / "renamed.pt")
    x = torch.randn(2, 4, 600)
    found = load_model("basset", weights=tmp_path / "renamed.pt").model(x)
    torch.testing.assert_close(found, model(x))


def test_weights_of_something_else(tmp_path):
    torch.save({"conv.weight": torch.zeros(3), "dense.bias": torch.zeros(2)}, tmp_path / "o.pt")
    path = tmp_path / "o.pt"
    has = "it has conv.weight, dense.bias and 0 more"
    assert refusal("bpnet", weights=path) == (
        f"{path} does not hold the weights of bpnet: no 'iconv.weight'; {has}"
    )
    assert refusal("basset", weights=path) == (
        f"{path} does not hold the weights of basset: found 2 tensors, expected 32; {has}"
    )
    assert refusal("bpnet") == (
        "bpnet is an architecture without weights; give its trained weights as well"
    )
    torch.save(small_bpnet().state_dict(), path)
    message = refusal("bpnet", weights=path, model_args={"depth": "3"})
    assert "unexpected keyword argument 'depth'" in message
    np.savez(tmp_path / "o.npz", a=np.zeros(3))
    assert "is neither safetensors nor a state dict" in refusal("bpnet", weights=tmp_path / "o.npz")


# --- bpnet-lite -----------------------------------------------------------------------------------


@pytest.fixture
def bpnetlite():
    """The package, without the pages it prints about itself."""
    return pytest.importorskip("bpnetlite")


@pytest.mark.bench
@pytest.mark.parametrize("n_control_tracks", [0, 2])
def test_bpnet_lites_models_predict_and_score_the_same(bpnetlite, tmp_path, n_control_tracks):
    """Its state dict, its pickled module, and tangermeme's scores of its wrappers."""
    from bpnetlite.bpnet import (
        ControlWrapper,
        CountWrapper,
        ProfileWrapper,
        _ProfileLogitScaling,
    )
    from tangermeme.deep_lift_shap import _nonlinear, deep_lift_shap

    torch.manual_seed(6)
    theirs = bpnetlite.BPNet(
        n_filters=8, n_layers=2, n_control_tracks=n_control_tracks, verbose=False
    )
    length = 2 * theirs.trimming + 30
    theirs = theirs.double().eval()
    torch.save(theirs.state_dict(), tmp_path / "state.pt")
    torch.save(theirs, tmp_path / "module.pt")
    one_hot, references = with_shuffles(3, 4, length)
    for loaded in (
        load_model("bpnet", weights=tmp_path / "state.pt"),
        load_model("bpnet", weights=tmp_path / "module.pt"),
    ):
        for wrap, target in ((CountWrapper, "counts"), (ProfileWrapper, "profile-bpnet")):
            expected = deep_lift_shap(
                wrap(ControlWrapper(theirs)),
                one_hot.double(),
                references=references.double(),
                additional_nonlinear_ops={_ProfileLogitScaling: _nonlinear},
                hypothetical=True,
                device="cpu",
                warning_threshold=1e6,
            )
            found = contributions(
                loaded, one_hot, references=references, target=target, precision="float64",
                device="cpu",
            )  # fmt: skip
            off = (found.hypothetical - expected).abs().max() / expected.abs().max()
            assert float(off) < 1e-5, (target, float(off))


@pytest.mark.bench
@pytest.mark.parametrize("n_control_tracks", [0, 2])
def test_bpnet_lites_basepairnet_predicts_the_same(bpnetlite, tmp_path, n_control_tracks):
    from bpnetlite.bpnet import BasePairNet

    torch.manual_seed(8)
    theirs = BasePairNet(
        n_filters=8, n_layers=2, n_control_tracks=n_control_tracks, trimming=53, verbose=False
    ).eval()
    torch.save(theirs.state_dict(), tmp_path / "state.pt")
    ours = load_model("basepairnet", weights=tmp_path / "state.pt").model
    x = with_shuffles(2, 1, 140)[0].float()
    control = torch.zeros(2, n_control_tracks, 140) if n_control_tracks else None
    profile, counts = theirs(x, control)
    torch.testing.assert_close(ours(x)["profile"], profile)
    torch.testing.assert_close(ours(x)["counts"], counts)


@pytest.mark.bench
def test_a_pickled_bpnet_lite_converts(bpnetlite, tmp_path):
    torch.manual_seed(7)
    theirs = bpnetlite.BPNet(n_filters=8, n_layers=2, n_control_tracks=0, verbose=False).eval()
    length = 2 * theirs.trimming + 30
    torch.save(theirs, tmp_path / "module.pt")
    torch.save(theirs.state_dict(), tmp_path / "state.pt")
    options = ModelOptions(allow_pickle=True, length=length)
    convert(str(tmp_path / "module.pt"), str(tmp_path / "model.pt2"), options=options)
    ours = load_model("bpnet", weights=tmp_path / "state.pt")
    for theirs_target, target in (("1.0", "counts"), ("0.profile", "profile")):
        torch.testing.assert_close(
            scores(load_model(tmp_path / "model.pt2"), theirs_target, length),
            scores(ours, target, length),
            rtol=1e-9,
            atol=1e-12,
        )
