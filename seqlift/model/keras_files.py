"""Keras models (``.keras``, ``.h5``) as torch modules, by Keras 3 on its torch backend."""

# ruff: noqa: ANN401  (Keras has no types)

from __future__ import annotations

import contextlib
import importlib
import inspect
import io
import json
import os
import shutil
import tempfile
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
from torch import Tensor, nn

from seqlift.errors import ModelLoadError, ModelWarning
from seqlift.model.arranging import Imported
from seqlift.model.damage import UNREADABLE
from seqlift.model.keras_arrays import find_link, modernise_weights
from seqlift.model.keras_configs import FORBIDDEN, find_risk, layers_by_name, normalised
from seqlift.model.keras_old import (
    LAYER_KEYS,
    as_of_old,
    require_even_padding,
    require_known_options,
)
from seqlift.model.quiet import first_line, quiet

__all__ = ["is_hdf5", "is_keras_archive", "load_keras"]

SIGNATURE = b"\x89HDF\r\n\x1a\n"
EXTRA = "pip install 'seqlift[keras]'"


def is_hdf5(path: Path) -> bool:
    """Say whether a file is HDF5."""
    with path.open("rb") as file:
        return file.read(len(SIGNATURE)) == SIGNATURE


def is_keras_archive(path: Path) -> bool:
    """Say whether a file is a Keras 3 archive: a zip with a config and weights."""
    with contextlib.suppress(*UNREADABLE):
        with zipfile.ZipFile(path) as archive:
            return {"config.json", "model.weights.h5"} <= set(archive.namelist())
    return False


def load_keras(path: Path, custom_layers: Mapping[str, str]) -> Imported:
    """Load a Keras model.

    Parameters
    ----------
    path : Path
    custom_layers : mapping of str to str
        From the name of a class to the full name of what stands in for it.

    Returns
    -------
    Imported
        Several outputs are a dict by name.

    Raises
    ------
    ModelLoadError
        If the extra is not installed, the file is damaged or no model, or its config names code.
    """
    config = _read_config(path)
    _require_own_data(path)
    keras = _import_keras(path)
    own = {name: _find(name, full) for name, full in custom_layers.items()}
    try:
        old, config = _checked(keras, path, config, own)
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise ModelLoadError(
            f"{path} is damaged: its config is none of Keras's ({type(error).__name__}: "
            f"{first_line(error)})"
        ) from error
    try:
        with quiet(), keras.device("cpu"):
            model = _load(keras, path, config, own, old)
    except Exception as error:  # Keras raises many kinds
        raise ModelLoadError(f"{path} cannot be loaded by Keras: {_reason(error)}") from error
    if not getattr(model, "inputs", None):
        raise ModelLoadError(
            f"{path} does not say the shape of its input; build the model, as in "
            "model.build((None, 2114, 4)), and save it again"
        )
    if is_hdf5(path):
        as_of_old(keras, model, path)
    require_even_padding(keras, model, path)
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.RNN):
            layer.unroll = True  # else Keras makes the number of rows a constant
    names = list(getattr(model, "output_names", None) or [])
    inputs = {value.name: tuple(value.shape) for value in model.inputs}
    return Imported(model, inputs, _Call(names))


def _checked(
    keras: Any, path: Path, config: dict[str, Any], own: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the layers of a config by name, and the config as it is loaded."""
    config.pop("compile_config", None)  # of training, and left out by compile=False
    old = layers_by_name(config)
    config = normalised(config) if is_hdf5(path) else config
    config = _accepted(config, own)
    if risk := find_risk(config, _names(keras) | set(own)):
        raise ModelLoadError(
            f"{path} holds {risk}, which is not loaded: it could run code or read files, or is not "
            "Keras's own. "
            "Name a layer of the same weights for it, as in --custom-layer "
            "ConvDNA=keras.layers.Conv1D, or give its weights to one of our architectures"
        )
    if is_hdf5(path):
        require_known_options(keras, path, old, layers_by_name(config))
    return old, config


class _Call:
    """Calls a Keras model with a list of its inputs."""

    def __init__(self, output_names: list[str]) -> None:
        self._names = output_names

    def __call__(self, model: nn.Module, values: list[Tensor]) -> Any:
        found = model(values if len(values) > 1 else values[0], training=False)
        if isinstance(found, (list, tuple)):
            names = self._names or [str(i) for i in range(len(found))]
            return dict(zip(names, found, strict=True))
        return found


def _read_config(path: Path) -> dict[str, Any]:
    """Read the description of the layers."""
    try:
        if is_hdf5(path):
            with h5py.File(path) as file:
                text = file.attrs.get("model_config")
        else:
            with zipfile.ZipFile(path) as archive:
                text = archive.read("config.json")
        config = None if text is None else json.loads(text)
    except (KeyError, *UNREADABLE) as error:
        raise ModelLoadError(f"{path} is damaged: {first_line(error)}") from error
    if not isinstance(config, dict) or "class_name" not in config:
        raise ModelLoadError(
            f"{path} is HDF5, but holds no Keras model (no model_config); weights alone go with "
            "one of our architectures, as in -m chrombpnet -w FILE"
        )
    return config


def _import_keras(path: Path) -> Any:
    os.environ.setdefault("KERAS_BACKEND", "torch")
    os.environ.setdefault("KERAS_TORCH_DEVICE", "cpu")
    try:
        with quiet():
            keras = importlib.import_module("keras")
    except ImportError as error:
        raise ModelLoadError(f"{path} is a Keras model, which needs the extra: {EXTRA}") from error
    if keras.backend.backend() != "torch":
        raise ModelLoadError(
            f"Keras runs on {keras.backend.backend()} here; set the environment variable "
            "KERAS_BACKEND=torch"
        )
    return keras


def _names(keras: Any) -> set[str]:
    """Return the names of Keras's layers, and of what else their configs are made of."""
    modules = [keras.layers, keras.constraints, keras.initializers, keras.regularizers]
    modules += [keras.losses, keras.metrics, keras.optimizers]  # of a compiled model in the model
    found = {name for m in modules for name, value in vars(m).items() if inspect.isclass(value)}
    return found - FORBIDDEN


def _find(name: str, full: str) -> Any:
    module, _, attribute = full.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, ValueError, AttributeError) as error:
        raise ModelLoadError(
            f"the custom layer {name}={full} cannot be imported: {first_line(error)}"
        ) from error
    if not inspect.isclass(found):
        raise ModelLoadError(f"the custom layer {name}={full} is no class; expected a Keras layer")
    return type(name, (found,), {})  # of that name, since archives have weights by it


def _load(
    keras: Any,
    path: Path,
    config: dict[str, Any],
    own: Mapping[str, Any],
    old: Mapping[str, Any],
) -> Any:
    """Load a copy that has the config that was checked, whatever else the file is."""
    with tempfile.TemporaryDirectory() as folder:
        if not is_hdf5(path):
            copy = Path(folder) / "model.keras"
            _copy_archive(path, copy, config)
            return keras.models.load_model(copy, custom_objects=own, compile=False, safe_mode=True)
        copy = Path(folder) / "model.h5"
        shutil.copyfile(path, copy)
        with h5py.File(copy, "r+") as file:
            file.attrs["model_config"] = json.dumps(config)
            modernise_weights(file, old)
        return keras.models.load_model(copy, custom_objects=own, compile=False)


def _copy_archive(path: Path, copy: Path, config: dict[str, Any]) -> None:
    with zipfile.ZipFile(path) as whole, zipfile.ZipFile(copy, "w") as made:
        for name in ("metadata.json", "model.weights.h5"):
            if name in whole.namelist():
                made.writestr(name, whole.read(name))
        made.writestr("config.json", json.dumps(config))


def _require_own_data(path: Path) -> None:
    """Refuse HDF5 that leads to other files."""
    try:
        if is_hdf5(path):
            with h5py.File(path) as file:
                found = find_link(file)
        else:
            with zipfile.ZipFile(path) as archive:
                data = io.BytesIO(archive.read("model.weights.h5"))
            with h5py.File(data) as file:
                found = find_link(file)
    except (KeyError, *UNREADABLE) as error:
        raise ModelLoadError(f"{path} is damaged: {first_line(error)}") from error
    if found:
        raise ModelLoadError(
            f"{path} has {found} in another file, or as a link; save the model again, with all of "
            "its weights in it"
        )


def _accepted(tree: Any, own: Mapping[str, Any]) -> Any:
    """Leave out what the stand-ins of custom layers do not take."""
    if isinstance(tree, list):
        return [_accepted(value, own) for value in tree]
    if not isinstance(tree, dict):
        return tree
    found = {key: _accepted(value, own) for key, value in tree.items()}
    layer = own.get(found.get("class_name"))  # type: ignore[arg-type]
    if layer is not None:
        found |= {"module": None, "registered_name": found["class_name"]}
    if layer is not None and isinstance(found.get("config"), dict):
        taken = set(inspect.signature(layer).parameters) | LAYER_KEYS
        left = {k: v for k, v in found["config"].items() if k not in taken}
        found["config"] = {k: v for k, v in found["config"].items() if k in taken}
        if left:
            shown = ", ".join(f"{key}={value!r}" for key, value in left.items())
            warnings.warn(
                f"the layer {found['class_name']} is read as {layer.__base__.__name__}, "
                f"without {shown}",
                ModelWarning,
                stacklevel=2,
            )
    return found


def _reason(error: Exception) -> str:
    return first_line(error) or type(error).__name__
