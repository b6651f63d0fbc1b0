"""Keras models of all ages: their own predictions, and none of their code."""

import contextlib
import io
import json
import shutil
import sys
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from seqlift import contributions
from seqlift.convert import convert
from seqlift.errors import ModelLoadError, ModelWarning
from seqlift.explain import Explainer
from seqlift.model.capture import capture, fixed_length
from seqlift.model.keras_configs import find_risk
from seqlift.model.keras_old import require_even_padding
from seqlift.model.load import load_model
from tests.helpers import with_shuffles
from tests.model.test_keras_old import old_file, one_hot

MMSPLICE = Path(__file__).parents[1] / "data" / "mmsplice"
CUSTOM = {"ConvDNA": "keras.layers.Conv1D"}


def answers(loaded, x, length=None) -> list[np.ndarray]:
    captured = capture(loaded.model, length, loaded.form)
    return [leaf.detach().numpy() for leaf in captured.graph(x)]


def predicted(model, x) -> list[np.ndarray]:
    """Ask Keras itself, channels last."""
    found = model.predict(x.transpose(1, 2).numpy(), verbose=0)
    return [np.asarray(v) for v in (found if isinstance(found, list) else [found])]


def assert_same(found, expected):
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5 * np.abs(b).max())


def refusal(source, **options) -> str:
    with pytest.raises(ModelLoadError) as caught:
        load_model(source, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- models that are built here -------------------------------------------------------------------


def basenji(keras, length=64):
    """Convolutions with norm and pooling, then a dilated residual tower."""
    layers = keras.layers
    x = start = keras.Input((length, 4), name="sequence")
    for filters in (8, 12):
        x = layers.Conv1D(filters, 5, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization(momentum=0.5)(x)
        x = layers.Activation("gelu")(x)
        x = layers.MaxPooling1D(2)(x)
    for rate in (1, 2):
        y = layers.Conv1D(12, 3, padding="same", dilation_rate=rate, activation="relu")(x)
        x = layers.Add()([x, layers.Dropout(0.3)(y)])
    return keras.Model(start, layers.Conv1D(3, 1, activation="softplus")(x))


def deepsea(keras, length=64):
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((length, 4)),
            layers.Conv1D(8, 8, activation="relu"),
            layers.MaxPooling1D(4),
            layers.Dropout(0.2),
            layers.Conv1D(12, 4, activation="relu"),
            layers.Flatten(),
            layers.Dense(10, activation="relu"),
            layers.Dense(3, activation="sigmoid"),
        ]
    )


def spliceai(keras, length=64):
    """Residual blocks of norms before activations; three classes at each position."""
    layers = keras.layers
    x = start = keras.Input((length, 4))
    x = skip = layers.Conv1D(8, 1)(x)
    for rate in (1, 4):
        y = x
        for _ in range(2):
            y = layers.Activation("relu")(layers.BatchNormalization()(y))
            y = layers.Conv1D(8, 5, dilation_rate=rate, padding="same")(y)
        x = layers.add([x, y])
        skip = layers.add([skip, layers.Conv1D(8, 1)(x)])
    cropped = layers.Cropping1D(10)(skip)
    return keras.Model(start, layers.Conv1D(3, 1, activation="softmax")(cropped))


def bpnet(keras, length=64):
    """ChromBPNet's layout of heads: a flattened profile and log counts, by their names."""
    layers = keras.layers
    start = keras.Input((length, 4), name="sequence")
    x = layers.Conv1D(8, 7, activation="relu", name="bpnet_1st_conv")(start)
    for i in (1, 2):
        y = layers.Conv1D(8, 3, dilation_rate=2**i, activation="relu", name=f"bpnet_{i}conv")(x)
        x = layers.add([layers.Cropping1D(2**i)(x), y])
    profile = layers.Cropping1D(3)(layers.Conv1D(1, 5, name="prof_out_precrop")(x))
    profile = layers.Flatten(name="logits_profile_predictions")(profile)
    counts = layers.GlobalAveragePooling1D()(x)
    counts = layers.Dense(1, name="logcount_predictions")(counts)
    return keras.Model(start, [profile, counts])


BUILT = {"basenji": basenji, "deepsea": deepsea, "spliceai": spliceai, "bpnet": bpnet}
TARGETS = {"basenji": "1.position:5", "deepsea": "2", "spliceai": "1.positions:3-6"}


def build(keras, name):
    keras.utils.set_random_seed(3)
    model = BUILT[name](keras)
    model.compile("adam", "mse")
    x = np.random.default_rng(0).normal(size=(16, 64, 4)).astype(np.float32)
    wanted = (
        [np.full(out.shape, 0.3, np.float32) for out in model(x, training=False)]
        if (len(model.outputs) > 1)
        else np.full(model(x, training=False).shape, 0.3, np.float32)
    )
    model.fit(x, wanted, epochs=2, batch_size=8, verbose=0)  # so that norms have statistics
    return model


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("ending", [".keras", ".h5"])
@pytest.mark.parametrize("name", BUILT)
def test_predictions_are_keras_s_own(keras, name, ending, tmp_path):
    model = build(keras, name)
    path = tmp_path / f"model{ending}"
    model.save(path)
    loaded = load_model(path)
    assert loaded.format == "Keras"
    assert fixed_length(loaded.model, loaded.form) == 64
    x = one_hot(3, 64)
    assert_same(answers(loaded, x), predicted(model, x))
    sequences, references = with_shuffles(2, 3, 64)
    target = TARGETS.get(name, "counts")
    found = contributions(
        loaded, sequences, target=target, references=references, precision="float64", device="cpu"
    )
    assert float(found.completeness_error.max()) <= 1e-9 * float(found.delta.abs().mean())
    if name == "bpnet":
        profile = Explainer(loaded, target="profile", device="cpu")
        assert profile.definitions[0].startswith("output logits_profile_predictions: sum over ")


@pytest.mark.filterwarnings("ignore")
def test_several_inputs(keras, tmp_path):
    layers = keras.layers
    start, control = keras.Input((64, 4), name="sequence"), keras.Input((64, 2), name="control")
    x = layers.Concatenate()([layers.Conv1D(4, 5, padding="same")(start), control])
    model = keras.Model([start, control], layers.Dense(1)(layers.GlobalAveragePooling1D()(x)))
    model.save(tmp_path / "two.keras")
    x = one_hot(2, 64)
    rows = [x.transpose(1, 2).numpy(), np.zeros((2, 64, 2), np.float32)]
    found = answers(load_model(tmp_path / "two.keras"), x)
    assert_same(found, [model.predict(rows, verbose=0)])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["gru", "old-gru", "plain", "both-ways"])
@pytest.mark.parametrize("ending", [".keras", ".h5"])
def test_recurrent_layers(keras, tmp_path, kind, ending):
    layers = keras.layers
    recurrent = {
        "gru": lambda: layers.GRU(3, dropout=0.2),
        "old-gru": lambda: layers.GRU(3, reset_after=False),
        "plain": lambda: layers.SimpleRNN(3),
        "both-ways": lambda: layers.Bidirectional(layers.LSTM(3)),
    }[kind]()
    model = keras.Sequential([keras.Input((9, 4)), recurrent])
    model.save(tmp_path / f"model{ending}")
    x = one_hot(3, 9)
    assert_same(answers(load_model(tmp_path / f"model{ending}"), x), predicted(model, x))


# --- Keras 1 and 2 --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "length"), [("Acceptor", 53), ("Donor", 18), ("Intron3", 80), ("Intron5", 81)]
)
def test_mmsplices_models(keras, name, length):
    """Written by Keras 2.1 and 2.2; Acceptor with a layer of its package's own."""
    path = MMSPLICE / f"{name}.h5"
    custom = CUSTOM if name == "Acceptor" else {}
    if custom:
        with pytest.warns(ModelWarning, match="^the layer ConvDNA is read as Conv1D, without seq"):
            loaded = load_model(path, custom_layers=custom)
    else:
        loaded = load_model(path)
    given = None if name in ("Acceptor", "Donor") else length
    assert fixed_length(loaded.model, loaded.form) == (None if given else length)
    x = one_hot(4, length)
    (found,) = answers(loaded, x, given)
    np.testing.assert_allclose(found, by_hand(path, x), rtol=1e-5, atol=1e-6)
    sequences, references = with_shuffles(2, 3, length)
    scored = contributions(
        loaded, sequences, references=references, precision="float64", device="cpu"
    )
    assert float(scored.completeness_error.max()) <= 1e-9 * float(scored.delta.abs().mean())


def by_hand(path: Path, x: torch.Tensor) -> np.ndarray:
    """Run a file layer by layer with numpy alone, from its config and its arrays."""
    with h5py.File(path) as file:
        config = json.loads(file.attrs["model_config"])
        arrays = {
            name: [group[w][()].astype(np.float64) for w in group.attrs["weight_names"]]
            for name, group in file["model_weights"].items()
        }
    value = x.transpose(1, 2).double().numpy()
    for layer in config["config"]["layers"]:
        value = _run(layer["class_name"], layer["config"], arrays[layer["config"]["name"]], value)
    return value


def _run(kind, config, arrays, value):
    if kind in ("Conv1D", "ConvDNA"):
        kernel, bias = arrays
        width = len(kernel)
        if config["padding"] == "same":
            before = (width - 1) // 2
            value = np.pad(value, ((0, 0), (before, width - 1 - before), (0, 0)))
        n = value.shape[1] - width + 1
        value = sum(value[:, k : k + n] @ kernel[k] for k in range(width)) + bias
    elif kind == "Dense":
        value = value @ arrays[0] + arrays[1]
    elif kind == "BatchNormalization":
        gamma, beta, mean, variance = arrays
        value = (value - mean) / np.sqrt(variance + config["epsilon"]) * gamma + beta
    elif kind == "Flatten":
        value = value.reshape(len(value), -1)
    elif kind == "GlobalAveragePooling1D":
        value = value.mean(1)
    else:
        assert kind in ("InputLayer", "Dropout", "Activation", "ReLU"), kind
    activation = "relu" if kind == "ReLU" else config.get("activation", "linear")
    functions = {"linear": lambda v: v, "relu": lambda v: np.maximum(v, 0)}
    return functions.get(activation, lambda v: 1 / (1 + np.exp(-v)))(value)


@pytest.mark.filterwarnings("ignore")
def test_an_average_with_uneven_padding_is_refused(keras, tmp_path):
    for width, length, name in ((2, 8, "even"), (4, 7, "uneven")):
        pooling = keras.layers.AveragePooling1D(width, strides=2, padding="same")
        last = keras.layers.Flatten(), keras.layers.Dense(1)
        model = keras.Sequential([keras.Input((length, 4)), pooling, *last])
        model.save(tmp_path / f"{name}.keras")
    load_model(tmp_path / "even.keras")
    assert "an average over 4 positions with uneven padding" in refusal(tmp_path / "uneven.keras")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("width", "strides", "length", "is_even"),
    [((2, 1), 2, 8, True), ((4, 1), (2, 1), 7, False), ((1, 4), (1, 1), 8, False),
     ((3, 3), (1, 1), None, True), ((3, 3), (2, 1), None, False)],
)  # fmt: skip
def test_the_padding_of_an_average_along_every_axis(
    keras, tmp_path, width, strides, length, is_even
):
    layers = [
        keras.Input((length, 4, 1)),
        keras.layers.AveragePooling2D(width, strides=strides, padding="same"),
        keras.layers.GlobalMaxPooling2D(),
        keras.layers.Dense(1),
    ]
    keras.Sequential(layers).save(tmp_path / "net.keras")
    if is_even:
        load_model(tmp_path / "net.keras")
    else:
        assert "with uneven padding" in refusal(tmp_path / "net.keras")


@pytest.mark.filterwarnings("ignore")
def test_the_axes_of_an_average_of_channels_first(keras):
    for length, is_even in ((8, True), (7, False)):
        average = keras.layers.AveragePooling1D(4, 2, padding="same", data_format="channels_first")
        model = keras.Sequential([keras.Input((5, length)), average])
        with contextlib.nullcontext() if is_even else pytest.raises(ModelLoadError):
            require_even_padding(keras, model, Path("net.keras"))


@pytest.mark.parametrize("depth", [600, 20_000])
def test_a_config_nested_too_deep(keras, tmp_path, depth):
    config = '{"class_name": "Sequential", "config": ' + '{"a":' * depth + "1" + "}" * (depth + 1)
    with zipfile.ZipFile(tmp_path / "deep.keras", "w") as archive:
        archive.writestr("config.json", config)
        data = io.BytesIO()
        h5py.File(data, "w").close()
        archive.writestr("model.weights.h5", data.getvalue())
    assert " is damaged: " in refusal(tmp_path / "deep.keras")
    with h5py.File(tmp_path / "deep.h5", "w") as file:
        file.attrs["model_config"] = config[:60_000]
    assert " is damaged: " in refusal(tmp_path / "deep.h5")


@pytest.mark.filterwarnings("ignore")
def test_a_custom_layer_of_an_archive(keras, tmp_path):
    class ConvDNA(keras.layers.Conv1D):
        pass

    model = keras.Sequential([keras.Input((8, 4)), ConvDNA(3, 5), keras.layers.Flatten()])
    model.save(tmp_path / "own.keras")
    shutil.copy(tmp_path / "own.keras", tmp_path / "own.model")  # the content decides
    x = one_hot(2, 8)
    loaded = load_model(tmp_path / "own.model", custom_layers=CUSTOM)
    assert_same(answers(loaded, x), predicted(model, x))


# --- what is refused ------------------------------------------------------------------------------


def test_layers_that_are_not_keras_s_are_named(keras):
    message = refusal(MMSPLICE / "Acceptor.h5")
    assert "holds the class 'ConvDNA', which is not loaded" in message
    assert "--custom-layer ConvDNA=keras.layers.Conv1D" in message
    assert refusal(MMSPLICE / "Acceptor.h5", custom_layers={"ConvDNA": "keras.layers.No"}) == (
        "the custom layer ConvDNA=keras.layers.No cannot be imported: module 'keras.layers' has no "
        "attribute 'No'"
    )


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("ending", [".keras", ".h5"])
def test_a_lambda_runs_nothing(keras, tmp_path, monkeypatch, ending):
    monkeypatch.chdir(tmp_path)
    planted = keras.layers.Lambda(lambda x: (__import__("pathlib").Path("code-ran").touch(), x)[1])
    keras.Sequential([keras.Input((8, 4)), planted]).save(f"bad{ending}")
    Path("code-ran").unlink(missing_ok=True)
    message = refusal(f"bad{ending}")
    assert "holds a Lambda layer, which is not loaded" in message
    assert not Path("code-ran").exists()
    model = keras.models.load_model(f"bad{ending}", compile=False, safe_mode=False)
    model(np.zeros((1, 8, 4), np.float32))
    assert Path("code-ran").exists()  # so this test could have failed


@pytest.mark.parametrize(
    "planted",
    [
        {"class_name": "get_file", "module": "keras.utils", "config": {"fname": "x"}},
        {"class_name": "function", "module": "builtins", "config": {"code": "x"}},
        {"class_name": "system", "module": "os", "config": "touch code-ran"},
        {"class_name": "Dense", "module": "os", "config": {}},
        {"class_name": "TorchModuleWrapper", "module": "keras.layers", "config": {}},
        {"class_name": "StringLookup", "module": "keras.layers", "config": {"vocabulary": "x"}},
        {"class_name": "TFSMLayer", "module": "keras.layers", "config": {}},
        {"class_name": "__lambda__", "config": {"value": "x"}},
        {"class_name": ["Dense"], "config": {}},
    ],
    ids=lambda planted: str(planted["class_name"]),
)
def test_what_a_config_may_not_name(planted):
    config = {"class_name": "Sequential", "config": {"layers": [{"config": {"deep": [planted]}}]}}
    assert find_risk(config, {"Dense", "TorchModuleWrapper", "StringLookup"})
    assert not find_risk({"class_name": "Dense", "module": "keras.layers", "config": {}}, {"Dense"})


def test_a_file_that_leads_to_another_leaves_it_alone(keras, tmp_path):
    with h5py.File(tmp_path / "victim.h5", "w") as file:
        file["scores"] = np.arange(24.0).reshape(2, 3, 4)
    before = (tmp_path / "victim.h5").read_bytes()
    old_file(tmp_path / "linked.h5", "theano")
    with h5py.File(tmp_path / "linked.h5", "r+") as file:
        file["model_weights/far"] = h5py.ExternalLink(str(tmp_path / "victim.h5"), "/")
    assert "linked.h5 has /model_weights/far in another file" in refusal(tmp_path / "linked.h5")
    assert (tmp_path / "victim.h5").read_bytes() == before


def test_files_that_are_no_models(keras, tmp_path):
    with h5py.File(tmp_path / "scores.h5", "w") as file:
        file["shap/seq"] = np.zeros(3)
    assert "is HDF5, but holds no Keras model (no model_config)" in refusal(tmp_path / "scores.h5")
    whole = (MMSPLICE / "Donor.h5").read_bytes()
    (tmp_path / "cut.h5").write_bytes(whole[: len(whole) // 3])
    assert " is damaged: " in refusal(tmp_path / "cut.h5")
    with zipfile.ZipFile(tmp_path / "bad.keras", "w") as archive:
        archive.writestr("config.json", "{")
        archive.writestr("model.weights.h5", "")
    assert " is damaged: " in refusal(tmp_path / "bad.keras")
    shutil.copy(MMSPLICE / "Donor.h5", tmp_path / "less.h5")
    with h5py.File(tmp_path / "less.h5", "r+") as file:
        del file["model_weights/dense1"]
        file.create_group("model_weights/dense1").attrs["weight_names"] = []
    assert "less.h5 cannot be loaded by Keras: " in refusal(tmp_path / "less.h5")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("ending", [".keras", ".h5"])
def test_a_model_that_was_never_built(keras, tmp_path, ending):
    keras.Sequential([keras.layers.Conv1D(3, 5)]).save(tmp_path / f"model{ending}")
    assert refusal(tmp_path / f"model{ending}") == (
        f"{tmp_path}/model{ending} does not say the shape of its input; build the model, as in "
        "model.build((None, 2114, 4)), and save it again"
    )


def test_without_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "keras", None)
    path = MMSPLICE / "Donor.h5"
    assert refusal(path) == (
        f"{path} is a Keras model, which needs the extra: pip install 'seqlift[keras]'"
    )


def test_a_keras_model_converts(keras, tmp_path):
    found = convert(str(MMSPLICE / "Donor.h5"), str(tmp_path / "donor.pt2"))
    assert (found.format, found.length, found.uncovered) == ("Keras", 18, ())
    x = one_hot(3, 18)
    again = answers(load_model(tmp_path / "donor.pt2"), x)
    assert_same(again, [by_hand(MMSPLICE / "Donor.h5", x)])
