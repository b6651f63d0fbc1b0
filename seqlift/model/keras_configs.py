"""Keras configs of all ages as those that Keras 3 reads, and what in them could run code.

A Keras file holds a description of its layers. Here descriptions of Keras 1 and 2 are brought to
the names of today, what only matters in training is left out, and every class and function that is
named is held against a list of those that do nothing but arithmetic.
"""

# ruff: noqa: ANN401  (a config is any JSON)

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

__all__ = ["find_risk", "layers_by_name", "normalised"]

# Modules of Keras whose functions and classes a config may name.
MODULES = {
    f"keras{part}"
    for part in (
        "",
        ".activations",
        ".constraints",
        ".dtype_policies",
        ".initializers",
        ".layers",
        ".losses",
        ".metrics",
        ".models",
        ".optimizers",
        ".regularizers",
        ".src.models.functional",
        ".src.models.sequential",
    )
}
# Layers that hold code, files or other frameworks' objects.
FORBIDDEN = {
    "FlaxLayer", "IntegerLookup", "JaxLayer", "Lambda", "StringLookup", "TFSMLayer",
    "TextVectorization", "TorchModuleWrapper", "Wrapper",
}  # fmt: skip
MODELS = {"Functional", "Model", "Sequential"}
VALUES = {"__tensor__", "__keras_tensor__", "__tuple__", "__slice__", "__numpy__", "__ellipsis__"}
VALUES |= {"function", "DTypePolicy", "FloatDTypePolicy", "Policy"}

CLASSES = {
    "AtrousConvolution1D": "Conv1D",
    "AtrousConvolution2D": "Conv2D",
    "Convolution1D": "Conv1D",
    "Convolution2D": "Conv2D",
}
KEYS = {
    "atrous_rate": "dilation_rate",
    "border_mode": "padding",
    "filter_length": "kernel_size",
    "inner_activation": "recurrent_activation",
    "nb_filter": "filters",
    "output_dim": "units",
    "pool_length": "pool_size",
    "stride": "strides",
    "subsample": "strides",
    "subsample_length": "strides",
}
# The layers that took the place of the modes of one.
MERGES = {
    "ave": "Average", "concat": "Concatenate", "max": "Maximum", "mul": "Multiply", "sum": "Add",
}  # fmt: skip
RECURRENT = ("Bidirectional", "GRU", "LSTM", "SimpleRNN")
# Of training, or of Keras 1 alone.
LEFT_OUT = {
    "U_regularizer", "W_constraint", "W_regularizer", "activity_regularizer", "b_constraint",
    "b_regularizer", "beta_init", "consume_less", "dropout_U", "dropout_W", "forget_bias_init",
    "gamma_init", "init",
    "inner_init", "input_dim", "input_dtype", "input_length", "weights",
}  # fmt: skip
TRAINING = ("_initializer", "_regularizer", "_constraint")


def find_risk(config: Any, known: Collection[str]) -> str:
    """Say what in a config could run code, or is no layer of Keras.

    Parameters
    ----------
    config : JSON
    known : collection of str
        Names of Keras's layers, and of those that the user has named.

    Returns
    -------
    str
        The first such thing, or an empty string.
    """
    return next(_risks(config, known), "")


def _risks(tree: Any, known: Collection[str]) -> Iterator[str]:
    if isinstance(tree, list):
        for value in tree:
            yield from _risks(value, known)
    if not isinstance(tree, dict):
        return
    yield from _own_risks(tree, known)
    for value in tree.values():
        yield from _risks(value, known)


def _own_risks(tree: dict[str, Any], known: Collection[str]) -> Iterator[str]:
    """Go through the risks of one object of a config, without what it holds."""
    module = tree.get("module")
    name = tree.get("class_name") and str(tree["class_name"])
    modules = {None, *MODULES, *(("builtins",) if name in VALUES else ())}
    if name in FORBIDDEN:
        yield f"a {name} layer"
    elif name is not None and name not in {*known, *MODELS, *VALUES}:
        yield f"the class {name!r}"
    elif module not in modules:
        yield f"{name!r} of the module {module!r}"
    elif name == "function" and not isinstance(tree.get("config"), str):
        yield "a function with its code"


def normalised(config: dict[str, Any]) -> dict[str, Any]:
    """Return the config of a Keras 1 or 2 model as Keras 3 reads it.

    Parameters
    ----------
    config : dict
        "class_name" and "config", as the attribute ``model_config`` has them.

    Returns
    -------
    dict
    """
    inner = config.get("config") or {}
    inner = {"layers": inner} if isinstance(inner, list) else inner
    layers = inner.get("layers")
    if config.get("class_name") not in MODELS or not isinstance(layers, list):
        return _layer(config)
    rest = {key: value for key, value in inner.items() if key != "layers"}
    found = [normalised(layer) for layer in layers]
    if config["class_name"] == "Sequential":
        found = _with_input(found, layers, rest.pop("build_input_shape", None))
        rest.setdefault("name", "sequential")
    return config | {"config": rest | {"layers": found}}


def _layer(layer: dict[str, Any]) -> dict[str, Any]:
    name = CLASSES.get(layer["class_name"], layer["class_name"])
    config = dict(layer.get("config") or {})
    if name == "Merge" and config.get("mode_type") == "raw" and config.get("mode") in MERGES:
        return layer | _merge(config)
    if "nb_row" in config:
        config["kernel_size"] = [config.pop("nb_row"), config.pop("nb_col")]
    if "Dropout" in name and "p" in config:
        config["rate"] = config.pop("p")
    if "dim_ordering" in config:
        first = config.pop("dim_ordering") == "th"
        config["data_format"] = "channels_first" if first else "channels_last"
    _set_defaults_of_old(name, config)
    shape = config.pop("batch_input_shape", None)
    if name == "InputLayer" and shape is not None:
        config["batch_shape"] = [None, *shape[1:]]
    kept = {
        KEYS.get(key, key): value
        for key, value in config.items()
        if key not in LEFT_OUT and not key.endswith(TRAINING)
    }
    if isinstance(layer.get("config", {}).get("layer"), dict):  # Bidirectional, TimeDistributed
        kept["layer"] = _layer(layer["config"]["layer"])
        kept["layer"].setdefault("module", "keras.layers")  # without it Keras looks nowhere
    return layer | {"class_name": name, "config": kept}


def _merge(config: dict[str, Any]) -> dict[str, Any]:
    name = MERGES[config["mode"]]
    axis = {"axis": config.get("concat_axis", -1)} if name == "Concatenate" else {}
    return {"class_name": name, "config": {"name": config.get("name"), **axis}}


def _set_defaults_of_old(name: str, config: dict[str, Any]) -> None:
    """Say what has another name or another default now."""
    if config.get("mode") == 0:  # of batch norm; another one is refused by Keras as unknown
        del config["mode"]
    if name == "GRU":  # what it was before there was a choice
        config.setdefault("reset_after", False)
    if name == "LeakyReLU" and "alpha" in config:
        config["negative_slope"] = config.pop("alpha")
    if isinstance(config.get("bias"), bool):
        config["use_bias"] = config.pop("bias")


def _with_input(
    found: list[dict[str, Any]], layers: list[dict[str, Any]], built: Any
) -> list[dict[str, Any]]:
    """Put an input layer first, of the shape that the first layer says."""
    if not layers or found[0]["class_name"] == "InputLayer":
        return found
    first = layers[0].get("config") or {}
    shape = first.get("batch_input_shape") or built
    if shape is None and first.get("input_dim") is not None:
        shape = [None, first.get("input_length"), first["input_dim"]]
        is_along = "Conv" in found[0]["class_name"] or found[0]["class_name"] in RECURRENT
        shape = shape if is_along else [None, first["input_dim"]]
    if shape is None:
        return found
    batch_shape = [None, *shape[1:]]
    config = {"batch_shape": batch_shape, "dtype": "float32", "name": "sequence_input"}
    return [{"class_name": "InputLayer", "config": config}, *found]


def layers_by_name(config: Any) -> dict[str, dict[str, Any]]:
    """Return the layers of a config, those of models and wrappers in it too, by their names."""
    if isinstance(config, list):
        return {name: layer for value in config for name, layer in layers_by_name(value).items()}
    if not isinstance(config, dict):
        return {}
    found = layers_by_name(list(config.values()))
    inner = config.get("config")
    if "class_name" in config and isinstance(inner, dict):
        found[str(inner.get("name"))] = config
    return found
