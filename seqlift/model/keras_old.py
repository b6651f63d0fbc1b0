"""What Keras 3 would compute otherwise than the Keras that wrote a file, mended or refused."""

# ruff: noqa: ANN401  (Keras has no types)

from __future__ import annotations

import contextlib
import inspect
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
from torch import Tensor

from seqlift.errors import ModelLoadError, ModelWarning
from seqlift.model.keras_arrays import written_by

__all__ = ["LAYER_KEYS", "as_of_old", "require_even_padding", "require_known_options"]

LAYER_KEYS = {"name", "dtype", "trainable", "autocast", "batch_shape"}
# In the order of the version: what Keras 1 calls a layer's padding, and what Keras 2 does.
PADDING = ("border_mode", "padding")
WIDTHS = ("filter_length", "nb_row", "nb_col", "kernel_size")
STRIDES = ("subsample_length", "subsample", "strides")


def require_known_options(
    keras: Any, path: Path, old: Mapping[str, Any], new: Mapping[str, Any]
) -> None:
    """Refuse a file of Keras 1 or 2 with what Keras 3 has no word or no way for.

    Parameters
    ----------
    keras : module
    path : Path
        HDF5.
    old, new : mapping of str to JSON
        The layers by name, as the file has them and as they are read.

    Raises
    ------
    ModelLoadError
        If a layer of Keras 1 has an option left over, or begins with whole models, or one of Theano
        is padded unevenly.
    """
    for name, layer in old.items():
        if layer["class_name"] == "Merge" and layer["config"].get("layers"):
            raise ModelLoadError(
                f"{path} has the layer {name}, a Merge of whole models as in Keras 1, which later "
                "versions do not have; give its weights to a module of your own"
            )
    with h5py.File(path) as file:
        version, backend = written_by(file)
    for name, layer in new.items() if version.startswith("1") else ():
        known = getattr(keras.layers, layer["class_name"], None)
        if not inspect.isclass(known):
            continue
        taken = set(inspect.signature(known).parameters) | LAYER_KEYS
        left = [f"{key}={value!r}" for key, value in layer["config"].items() if key not in taken]
        if left:
            raise ModelLoadError(
                f"{path} has the layer {name} of Keras 1, a {layer['class_name']} with {left[0]}, "
                "which later versions do not have; expected a layer that they read, or its weights "
                "in a module of your own"
            )
    for name, layer in old.items() if backend == "theano" else ():
        if _is_padded_unevenly(layer):
            raise ModelLoadError(
                f"{path} has the layer {name}, a {layer['class_name']} with uneven padding, which "
                "Theano puts on the other side than TensorFlow and torch; give its weights to a "
                "module of your own"
            )


def _is_padded_unevenly(layer: Mapping[str, Any]) -> bool:
    config = layer["config"]
    if not any(config.get(key) == "same" for key in PADDING):
        return False
    if "Pooling" in layer["class_name"]:
        return True
    # At other strides, Theano starts elsewhere.
    return any(width % 2 == 0 for width in _sizes(config, WIDTHS)) or any(
        stride != 1 for stride in _sizes(config, STRIDES)
    )


def _sizes(config: Mapping[str, Any], keys: tuple[str, ...]) -> list[int]:
    found = [config[key] for key in keys if key in config]
    return [size for one in found for size in (one if isinstance(one, list) else [one])]


def as_of_old(keras: Any, model: Any, path: Path) -> None:
    """Give layers of Keras 1 and 2 what was called by the same name then."""
    with h5py.File(path) as file:
        version, backend = written_by(file)
    if version.startswith("1") and not backend:
        warnings.warn(
            f"{path} was written by Keras 1 and does not say whether on TensorFlow or on Theano, "
            "whose kernels are the other way round; it is read as TensorFlow's",
            ModelWarning,
            stacklevel=3,
        )
    if version.startswith(("1", "2")):
        for layer in model._flatten_layers():
            part = getattr(layer, "cell", layer)  # a recurrent layer shows what its cell has
            for name in ("activation", "recurrent_activation"):
                if getattr(part, name, None) is keras.activations.hard_sigmoid:
                    setattr(part, name, _hard_sigmoid)


def _hard_sigmoid(x: Tensor) -> Tensor:
    """Return what Keras 1 and 2 call so; Keras 3 has another slope."""
    return (0.2 * x + 0.5).clamp(0, 1)


def require_even_padding(keras: Any, model: Any, path: Path) -> None:
    """Refuse the one layer that Keras computes otherwise on torch than on TensorFlow.

    Raises
    ------
    ModelLoadError
    """
    kinds = tuple(getattr(keras.layers, f"AveragePooling{n}D") for n in (1, 2, 3))
    for layer in model._flatten_layers():
        if not isinstance(layer, kinds) or layer.padding != "same":
            continue
        n_axes, first = len(layer.pool_size), layer.data_format == "channels_first"
        lengths = [None] * n_axes
        with contextlib.suppress(AttributeError, ValueError):  # a layer of several inputs
            lengths = layer.input.shape[2 if first else 1 :][:n_axes]
        if any(map(_is_odd, lengths, layer.pool_size, layer.strides)):
            width = "x".join(map(str, layer.pool_size))
            raise ModelLoadError(
                f"{path} has the layer {layer.name}, an average over {width} positions with "
                "uneven padding, which Keras computes otherwise on torch than on TensorFlow"
            )


def _is_odd(length: int | None, width: int, stride: int) -> bool:
    """Say whether the padding along an axis is odd, or can be."""
    if stride == 1:
        return width % 2 == 0
    if length is None:
        return True
    return max((-(-length // stride) - 1) * stride + width - length, 0) % 2 == 1
