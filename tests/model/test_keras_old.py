"""Files of Keras 1, and what Keras 2 and 3 call by the same name but compute otherwise.

Files are written array by array as Keras 1 did, and run by numpy from their arrays and its source.
"""

import json
import shutil

import h5py
import numpy as np
import pytest
import torch

from seqlift import contributions
from seqlift.errors import ModelLoadError, ModelWarning
from seqlift.model.capture import capture
from seqlift.model.keras_configs import normalised
from seqlift.model.load import load_model
from tests.helpers import with_shuffles


def one_hot(rows: int, length: int) -> torch.Tensor:
    letters = torch.randint(0, 4, (rows, length), generator=torch.Generator().manual_seed(5))
    return torch.nn.functional.one_hot(letters, 4).transpose(1, 2).float()


def answer(path, x) -> np.ndarray:
    loaded = load_model(path)
    (found,) = capture(loaded.model, None, loaded.form).graph(x)
    return found.detach().numpy()


def refusal(source) -> str:
    with pytest.raises(ModelLoadError) as caught:
        load_model(source)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def write(path, config, weights, backend="tensorflow", place="/"):
    """Write a model as Keras 1 did; its config is a list of layers, or that of a `Model`."""
    kind = "Sequential" if isinstance(config, list) else "Model"
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = b"1.2.2"
        file.attrs["model_config"] = json.dumps({"class_name": kind, "config": config})
        group = file.create_group("model_weights")
        if backend is not None:
            file[place].attrs["backend"] = backend
        group.attrs["layer_names"] = [name.encode() for name in weights]
        for name, arrays in weights.items():
            own = group.create_group(name)
            own.attrs["weight_names"] = [key.encode() for key in arrays]
            for key, value in arrays.items():
                own[key] = value.astype(np.float32)


def layer(kind, name, **config):
    return {"class_name": kind, "config": {"name": name, "trainable": True, **config}}


def old_file(path, backend: str | None = "tensorflow") -> tuple[np.ndarray, ...]:
    """Write a model as Keras 1 did: a bare list of layers, old names, kernels of two dimensions."""
    random = np.random.default_rng(1)
    kernel, bias = random.normal(size=(5, 4, 6)), random.normal(size=6)
    dense, dense_bias = random.normal(size=(60, 1)), random.normal(size=1)
    first = {"name": "c", "nb_filter": 6, "filter_length": 5, "border_mode": "valid",
             "batch_input_shape": [32, 24, 4], "input_dim": 4, "input_length": 24,
             "subsample_length": 1, "activation": "relu", "bias": True, "init": "glorot_uniform",
             "W_regularizer": {"name": "WeightRegularizer", "l1": 0.0, "l2": 0.1},
             "b_regularizer": None, "W_constraint": None, "trainable": True}  # fmt: skip
    config = [
        {"class_name": "Convolution1D", "config": first},
        {"class_name": "MaxPooling1D", "config": {"name": "m", "pool_length": 2, "stride": 2,
                                                  "border_mode": "valid"}},
        {"class_name": "Dropout", "config": {"name": "d", "p": 0.2}},
        {"class_name": "Flatten", "config": {"name": "f"}},
        {"class_name": "Dense", "config": {"name": "o", "output_dim": 1, "init": "uniform",
                                           "activation": "sigmoid", "input_dim": None}},
    ]  # fmt: skip
    stored = kernel[::-1] if backend == "theano" else kernel
    weights = {"c": {"c_W": stored[:, None], "c_b": bias}, "m": {}, "d": {}, "f": {},
               "o": {"o_W": dense, "o_b": dense_bias}}  # fmt: skip
    write(path, config, weights, backend)
    return kernel, bias, dense, dense_bias


@pytest.mark.parametrize("backend", ["tensorflow", "theano"])
def test_a_file_of_keras_1(keras, tmp_path, backend):
    kernel, bias, dense, dense_bias = old_file(tmp_path / "old.h5", backend)
    x = one_hot(3, 24)
    value = x.transpose(1, 2).double().numpy()
    value = sum(value[:, k : k + 20] @ kernel[k] for k in range(5)) + bias
    value = np.maximum(value, 0).reshape(3, 10, 2, 6).max(2).reshape(3, 60)
    expected = 1 / (1 + np.exp(-(value @ dense + dense_bias)))
    found = answer(tmp_path / "old.h5", x)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_a_file_of_keras_1_that_does_not_say_whose_kernels_it_has(keras, tmp_path):
    old_file(tmp_path / "old.h5", None)
    with pytest.warns(ModelWarning, match="does not say whether on TensorFlow or on Theano"):
        load_model(tmp_path / "old.h5")


@pytest.mark.filterwarnings("ignore")
def test_the_hard_sigmoid_of_old_is_another_one(keras, tmp_path):
    layers = keras.layers
    model = keras.Sequential(
        [keras.Input((8, 4)), layers.Flatten(), layers.Dense(3, activation="hard_sigmoid")]
    )
    model.save(tmp_path / "new.h5")
    shutil.copy(tmp_path / "new.h5", tmp_path / "old.h5")
    with h5py.File(tmp_path / "old.h5", "r+") as file:
        file.attrs["keras_version"] = "2.2.4"
    x = one_hot(3, 8)
    kernel, bias = model.layers[-1].get_weights()
    z = x.transpose(1, 2).reshape(3, -1).numpy() @ kernel + bias
    new, old = (answer(tmp_path / f"{name}.h5", x) for name in ("new", "old"))
    np.testing.assert_allclose(new, np.clip(z / 6 + 0.5, 0, 1), atol=1e-6)
    np.testing.assert_allclose(old, np.clip(0.2 * z + 0.5, 0, 1), atol=1e-6)


@pytest.mark.filterwarnings("ignore")
def test_the_gates_of_an_old_lstm(keras, tmp_path):
    layers = keras.layers
    lstm = layers.LSTM(2, recurrent_activation="hard_sigmoid")
    model = keras.Sequential([keras.Input((5, 4)), lstm])
    model.save(tmp_path / "old.h5")
    with h5py.File(tmp_path / "old.h5", "r+") as file:
        file.attrs["keras_version"] = "2.1.6"
    x = one_hot(3, 5)
    kernel, recurrent, bias = lstm.get_weights()
    state = cell = np.zeros((3, 2))
    for step in x.permute(2, 0, 1).numpy():
        gates = np.split(step @ kernel + state @ recurrent + bias, 4, axis=1)
        enter, forget, out = (np.clip(0.2 * gates[i] + 0.5, 0, 1) for i in (0, 1, 3))
        cell = forget * cell + enter * np.tanh(gates[2])
        state = out * np.tanh(cell)
    found = answer(tmp_path / "old.h5", x)
    np.testing.assert_allclose(found, state, atol=1e-6)


# --- recurrent layers -----------------------------------------------------------------------------


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def hard_sigmoid(z):
    return np.clip(0.2 * z + 0.5, 0, 1)


def gate_arrays(random, gates, n_in, n_out):
    """Kernel, recurrent kernel and bias of each gate."""
    sizes = {"W": (n_in, n_out), "U": (n_out, n_out), "b": (n_out,)}
    return {f"{k}_{gate}": random.normal(size=n) for gate in gates for k, n in sizes.items()}


def run_lstm(value, w):
    """Keras 1's step, all states returned; value (row, step, number)."""
    h = c = np.zeros((len(value), len(w["b_i"])))
    states = []
    for x in value.transpose(1, 0, 2):
        i, f, o = (hard_sigmoid(x @ w[f"W_{g}"] + h @ w[f"U_{g}"] + w[f"b_{g}"]) for g in "ifo")
        c = f * c + i * np.tanh(x @ w["W_c"] + h @ w["U_c"] + w["b_c"])
        h = o * np.tanh(c)
        states.append(h)
    return np.stack(states, 1)


def run_gru(value, w):
    h = np.zeros((len(value), len(w["b_z"])))
    for x in value.transpose(1, 0, 2):
        z, r = (hard_sigmoid(x @ w[f"W_{g}"] + h @ w[f"U_{g}"] + w[f"b_{g}"]) for g in "zr")
        candidate = np.tanh(x @ w["W_h"] + (r * h) @ w["U_h"] + w["b_h"])
        h = z * h + (1 - z) * candidate
    return h


RECURRENT = {"activation": "tanh", "inner_activation": "hard_sigmoid", "init": "glorot_uniform",
             "inner_init": "orthogonal", "W_regularizer": None, "U_regularizer": None,
             "b_regularizer": None, "dropout_W": 0.1, "dropout_U": 0.2, "go_backwards": False,
             "stateful": False, "unroll": False, "input_dim": 6, "input_length": None}  # fmt: skip


def stored(arrays, consume_less):
    """The arrays of an LSTM in the file: gates i, c, f, o, or side by side as i, f, c, o."""
    if consume_less == "cpu":
        return {f"{k}_{gate}": arrays[f"{k}_{gate}"] for gate in "icfo" for k in "WUb"}
    return {k: np.concatenate([arrays[f"{k}_{gate}"] for gate in "ifco"], -1) for k in "WUb"}


@pytest.mark.parametrize("consume_less", ["cpu", "gpu"])
@pytest.mark.parametrize("backend", ["tensorflow", "theano"])
def test_danq(keras, tmp_path, backend, consume_less):
    """A convolution and an LSTM in both directions, as DanQ has them."""
    random = np.random.default_rng(2)
    kernel, bias = random.normal(size=(5, 4, 6)), random.normal(size=6)
    ahead, behind = (gate_arrays(random, "ifco", 6, 3) for _ in range(2))
    dense, dense_bias = random.normal(size=(30, 2)), random.normal(size=2)
    lstm = layer("LSTM", "lstm_1", output_dim=3, return_sequences=True, consume_less=consume_less,
                 forget_bias_init="one", **RECURRENT)  # fmt: skip
    config = [
        layer("Convolution1D", "c", nb_filter=6, filter_length=5, border_mode="valid", bias=True,
              subsample_length=1, activation="relu", batch_input_shape=[None, 24, 4], input_dim=4,
              input_length=24, init="glorot_uniform"),
        layer("MaxPooling1D", "m", pool_length=4, stride=4, border_mode="valid"),
        layer("Dropout", "d", p=0.2),
        layer("Bidirectional", "both", merge_mode="concat", layer=lstm),
        layer("Flatten", "f"),
        layer("Dense", "o", output_dim=2, activation="sigmoid", bias=True, input_dim=30),
    ]  # fmt: skip
    both = {
        f"{way}_lstm_1_{name}": array
        for way, arrays in (("forward", ahead), ("backward", behind))
        for name, array in stored(arrays, consume_less).items()
    }
    turned = kernel[::-1] if backend == "theano" else kernel
    weights = {"c": {"c_W": turned[:, None], "c_b": bias}, "m": {}, "d": {}, "both": both,
               "f": {}, "o": {"o_W": dense, "o_b": dense_bias}}  # fmt: skip
    write(tmp_path / "danq.h5", config, weights, backend, place="/model_weights")
    x = one_hot(3, 24)
    value = x.transpose(1, 2).double().numpy()
    value = np.maximum(sum(value[:, k : k + 20] @ kernel[k] for k in range(5)) + bias, 0)
    value = value.reshape(3, 5, 4, 6).max(2)
    found = np.concatenate([run_lstm(value, ahead), run_lstm(value[:, ::-1], behind)[:, ::-1]], 2)
    expected = sigmoid(found.reshape(3, 30) @ dense + dense_bias)
    np.testing.assert_allclose(answer(tmp_path / "danq.h5", x), expected, rtol=1e-5, atol=1e-6)
    sequences, references = with_shuffles(2, 3, 24)
    scored = contributions(
        load_model(tmp_path / "danq.h5"), sequences, references=references, precision="float64",
        device="cpu",
    )  # fmt: skip
    assert float(scored.completeness_error.max()) <= 1e-9 * float(scored.delta.abs().mean())


def test_a_gru_and_a_plain_recurrence_of_keras_1(keras, tmp_path):
    random = np.random.default_rng(3)
    gates = gate_arrays(random, "zrh", 4, 3)
    plain = {"W": random.normal(size=(4, 3)), "U": random.normal(size=(3, 3)), "b": np.ones(3)}
    plain_config = {k: v for k, v in RECURRENT.items() if k != "inner_activation"}
    x = one_hot(3, 7)
    value = x.transpose(1, 2).double().numpy()
    h = np.zeros((3, 3))
    for step in value.transpose(1, 0, 2):
        h = np.tanh(step @ plain["W"] + h @ plain["U"] + plain["b"])
    for kind, config, arrays, expected in (
        ("GRU", RECURRENT, gates, run_gru(value, gates)),
        ("SimpleRNN", plain_config, plain, h),
    ):
        given = dict(config, output_dim=3, return_sequences=False, consume_less="mem",
                     batch_input_shape=[None, 7, 4])  # fmt: skip
        write(tmp_path / f"{kind}.h5", [layer(kind, "r", **given)], {"r": arrays})
        found = answer(tmp_path / f"{kind}.h5", x)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


# --- convolutions of two dimensions ---------------------------------------------------------------


@pytest.mark.parametrize("ordering", ["th", "tf"])
@pytest.mark.parametrize("backend", ["tensorflow", "theano"])
def test_a_convolution_of_two_dimensions(keras, tmp_path, backend, ordering):
    """Bases as rows: (1, 4, position), as Basset's and DeepSEA's ports have them."""
    random = np.random.default_rng(4)
    kernel, bias = random.normal(size=(4, 5, 1, 6)), random.normal(size=6)
    dense, dense_bias = random.normal(size=(60, 1)), random.normal(size=1)
    shape = [None, 1, 4, 24] if ordering == "th" else [None, 4, 24, 1]
    config = [
        layer("Convolution2D", "c", nb_filter=6, nb_row=4, nb_col=5, subsample=[1, 1], bias=True,
              border_mode="valid", dim_ordering=ordering, activation="relu", init="uniform",
              batch_input_shape=shape),
        layer("MaxPooling2D", "m", pool_size=[1, 2], strides=[1, 2], border_mode="valid",
              dim_ordering=ordering),
        layer("Flatten", "f"),
        layer("Dense", "o", output_dim=1, activation="linear", bias=True, input_dim=60),
    ]  # fmt: skip
    turned = kernel[::-1, ::-1] if backend == "theano" else kernel
    kept = turned.transpose(3, 2, 0, 1) if ordering == "th" else turned
    weights = {"c": {"c_W": kept, "c_b": bias}, "m": {}, "f": {},
               "o": {"o_W": dense, "o_b": dense_bias}}  # fmt: skip
    write(tmp_path / "two.h5", config, weights, backend)
    x = one_hot(3, 24)
    image = x.double().numpy()  # (row, base, position)
    value = sum(image[:, r, k : k + 20, None] * kernel[r, k, 0] for r in range(4) for k in range(5))
    value = np.maximum(value + bias, 0).reshape(3, 10, 2, 6).max(2)  # (row, position, filter)
    value = value.transpose(0, 2, 1) if ordering == "th" else value
    expected = value.reshape(3, 60) @ dense + dense_bias
    np.testing.assert_allclose(answer(tmp_path / "two.h5", x), expected, rtol=1e-5, atol=1e-5)


# --- models of several branches -------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["concat", "sum", "mul", "ave", "max"])
def test_branches_that_are_merged(keras, tmp_path, mode):
    random = np.random.default_rng(5)
    kernels = [random.normal(size=(3, 4, 2)), random.normal(size=(3, 4, 2))]
    same = {"nb_filter": 2, "filter_length": 3, "border_mode": "same", "subsample_length": 1,
            "activation": "linear", "bias": False}  # fmt: skip
    dilated = layer("AtrousConvolution1D", "b", atrous_rate=2, **same)
    plain = layer("Convolution1D", "a", **same)
    merge = layer("Merge", "merged", mode=mode, mode_type="raw", concat_axis=-1, dot_axes=-1,
                  output_shape=None, output_shape_type="raw", output_mask=None,
                  output_mask_type="raw", arguments={})  # fmt: skip
    start = layer("InputLayer", "start", batch_input_shape=[None, 12, 4], input_dtype="float32",
                  sparse=False)  # fmt: skip
    nodes = {"start": [], "a": [[["start", 0, 0]]], "b": [[["start", 0, 0]]],
             "merged": [[["a", 0, 0], ["b", 0, 0]]]}  # fmt: skip
    layers = [
        one | {"name": name, "inbound_nodes": nodes[name]}
        for name, one in zip(nodes, (start, plain, dilated, merge), strict=True)
    ]
    config = {"name": "model_1", "layers": layers, "input_layers": [["start", 0, 0]],
              "output_layers": [["merged", 0, 0]]}  # fmt: skip
    weights = {"start": {}, "a": {"a_W": kernels[0][:, None]}, "b": {"b_W": kernels[1][:, None]},
               "merged": {}}  # fmt: skip
    write(tmp_path / "merged.h5", config, weights)
    x = one_hot(3, 12)
    value = np.pad(x.transpose(1, 2).double().numpy(), ((0, 0), (2, 2), (0, 0)))
    a = sum(value[:, 1 + k : 13 + k] @ kernels[0][k] for k in range(3))
    b = sum(value[:, 2 * k : 12 + 2 * k] @ kernels[1][k] for k in range(3))
    expected = {
        "concat": np.concatenate([a, b], 2), "sum": a + b, "mul": a * b, "ave": (a + b) / 2,
        "max": np.maximum(a, b),
    }[mode]  # fmt: skip
    np.testing.assert_allclose(answer(tmp_path / "merged.h5", x), expected, rtol=1e-5, atol=1e-6)


def test_old_names_become_those_of_today():
    old = {"class_name": "AtrousConvolution1D",
           "config": {"nb_filter": 3, "filter_length": 5, "atrous_rate": 2, "bias": False,
                      "kernel_initializer": {"class_name": "Zeros", "config": {}}}}  # fmt: skip
    assert normalised(old) == {
        "class_name": "Conv1D",
        "config": {"filters": 3, "kernel_size": 5, "dilation_rate": 2, "use_bias": False},
    }


# --- what is refused ------------------------------------------------------------------------------


def convolution(width, mode="same", stride=1):
    return layer("Convolution1D", "c", nb_filter=2, filter_length=width, border_mode=mode,
                 subsample_length=stride, bias=False, batch_input_shape=[None, 8, 4])  # fmt: skip


def test_a_padding_of_theano_that_others_do_not_have(keras, tmp_path):
    for width, backend in ((4, "theano"), (3, "theano"), (4, "tensorflow")):
        weights = {"c": {"c_W": np.zeros((width, 1, 4, 2))}}
        write(tmp_path / f"{backend}{width}.h5", [convolution(width)], weights, backend)
    load_model(tmp_path / "theano3.h5")
    load_model(tmp_path / "tensorflow4.h5")
    assert refusal(tmp_path / "theano4.h5") == (
        f"{tmp_path}/theano4.h5 has the layer c, a Convolution1D with uneven padding, which Theano "
        "puts on the other side than TensorFlow and torch; give its weights to a module of your own"
    )


def test_a_padding_of_theano_at_a_stride(keras, tmp_path):
    """Which starts at the other end of the first stride."""
    weights = {"c": {"c_W": np.zeros((3, 1, 4, 2))}}
    for backend in ("theano", "tensorflow"):
        write(tmp_path / f"{backend}.h5", [convolution(3, stride=2)], weights, backend)
    write(tmp_path / "valid.h5", [convolution(3, "valid", 2)], weights, "theano")
    load_model(tmp_path / "tensorflow.h5")
    load_model(tmp_path / "valid.h5")
    assert "a Convolution1D with uneven padding, which Theano" in refusal(tmp_path / "theano.h5")


def test_the_slope_of_a_leaky_relu(keras, tmp_path):
    kernel = np.random.default_rng(0).normal(size=(3, 4, 2))
    config = [convolution(3, "valid"), layer("LeakyReLU", "r", alpha=0.1)]
    write(tmp_path / "leaky.h5", config, {"c": {"c_W": kernel[:, None]}, "r": {}})
    x = one_hot(3, 8)
    value = x.transpose(1, 2).double().numpy()
    value = sum(value[:, k : k + 6] @ kernel[k] for k in range(3))
    found = answer(tmp_path / "leaky.h5", x)
    np.testing.assert_allclose(found, np.where(value > 0, value, 0.1 * value), atol=1e-5)


def test_a_model_that_begins_with_whole_models(keras, tmp_path):
    parts = [{"class_name": "Sequential", "config": [convolution(3)]}] * 2
    merge = layer("Merge", "m", layers=parts, mode="concat", mode_type="raw", concat_axis=-1)
    write(tmp_path / "parts.h5", [merge], {})
    expected = "has the layer m, a Merge of whole models as in Keras 1, which later versions do"
    assert expected in refusal(tmp_path / "parts.h5")


def test_an_option_that_later_versions_do_not_have(keras, tmp_path):
    norm = layer("BatchNormalization", "n", mode=2, axis=-1, epsilon=1e-3, momentum=0.9,
                 beta_init="zero", gamma_init="one")  # fmt: skip
    write(tmp_path / "old.h5", [convolution(3), norm], {})
    assert refusal(tmp_path / "old.h5") == (
        f"{tmp_path}/old.h5 has the layer n of Keras 1, a BatchNormalization with mode=2, which "
        "later versions do not have; expected a layer that they read, or its weights in a module "
        "of your own"
    )


@pytest.mark.parametrize("config", [[{}], [{"class_name": "Dense", "config": 3}], [3], "text"])
def test_a_config_that_is_none(keras, tmp_path, config):
    write(tmp_path / "bad.h5", [], {})
    with h5py.File(tmp_path / "bad.h5", "r+") as file:
        whole = {"class_name": "Sequential", "config": config}
        file.attrs["model_config"] = json.dumps(whole)
    assert refusal(tmp_path / "bad.h5").startswith(f"{tmp_path}/bad.h5 ")
