"""Trained models from files, without running anything that a file says.

What a file is, is decided by its content: a ``.pt2`` program (`torch.export.save`), which needs
none of the user's classes; TorchScript; ONNX; a Keras model; a pickled module, only with leave; or
weights alone, which go with a factory ``package.module:factory`` or with the name of one of our own
architectures.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path

from torch import nn
from torch.export import ExportedProgram

from seqlift.errors import ModelLoadError
from seqlift.model.architectures import ARCHITECTURES, build
from seqlift.model.factory import make_module
from seqlift.model.form import PLAIN, InputForm
from seqlift.model.keras_files import is_hdf5, is_keras_archive, load_keras
from seqlift.model.onnx_files import is_onnx, load_onnx
from seqlift.model.quiet import first_line
from seqlift.model.torch_files import is_pickle, load_pickle, load_zip
from seqlift.model.weights import fill, is_safetensors, read_weights

__all__ = ["LoadedModel", "load_model"]

KERAS = "Keras"


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model and where it came from.

    Attributes
    ----------
    model : nn.Module or torch.export.ExportedProgram
    source : str
        As the user wrote it.
    digest : str
        SHA-256 of the file that holds the weights.
    format : str
        What the file is.
    form : InputForm
        How the model takes its input.
    """

    model: nn.Module | ExportedProgram
    source: str
    digest: str
    format: str = "module"
    form: InputForm = field(default_factory=InputForm)


def load_model(
    source: str | PathLike[str],
    *,
    weights: str | PathLike[str] | None = None,
    allow_pickle: bool = False,
    model_args: Mapping[str, str] | None = None,
    custom_layers: Mapping[str, str] | None = None,
    form: InputForm | None = None,
) -> LoadedModel:
    """Load a trained model.

    Parameters
    ----------
    source : str or path
        A file: ``.pt2``, TorchScript, ONNX, Keras (``.keras`` or ``.h5``), or a pickled module. Or
        ``package.module:factory`` or ``file.py:factory``, a function (or class) that returns the
        module; modules are also looked for in the current directory. Or one of our own
        architectures: bpnet, basepairnet, chrombpnet, basset, deepsea, beluga.
    weights : str or path, optional
        With a factory or an architecture: safetensors, a state dict, a checkpoint (Lightning's
        too) or a pickled module, of which only the tensors are read; for bpnet and chrombpnet also
        the authors' ``.h5``.
    allow_pickle : bool
        Let a pickled module be loaded, or a program that holds more than weights and a graph; that
        runs whatever code the file holds.
    model_args : mapping of str to str
        What a factory is called with; Python literals, or else strings.
    custom_layers : mapping of str to str
        For Keras: from the name of a class to what stands in for it, such as
        ``keras.layers.Conv1D``.
    form : InputForm or None
        How the model takes its input; None finds it out.

    Returns
    -------
    LoadedModel

    Raises
    ------
    ModelLoadError
        With what was found, what was expected and what to do.
    """
    text, path = str(source), Path(source)
    form = form or InputForm()
    is_ours = text in ARCHITECTURES and not path.is_file()  # a folder may have that name
    if _exists(path) and not is_ours:
        if model_args:
            raise ModelLoadError(
                f"{text} is a file of its own; --model-arg is for package.module:factory"
            )
        if weights is not None:
            raise ModelLoadError(
                f"{text} is a file of its own; weights go with package.module:factory"
            )
        with _reading(path):
            model, kind = _from_file(path, allow_pickle, custom_layers or {})
            if custom_layers and kind != KERAS:
                raise ModelLoadError(f"{text} is no Keras model ({kind}); leave out --custom-layer")
            return LoadedModel(model, text, _digest(path), kind, form)
    if ":" not in text and not is_ours:
        raise ModelLoadError(
            f"{text} does not exist; expected a model's file, package.module:factory, or one of "
            f"{', '.join(ARCHITECTURES)}"
        )
    if weights is None:
        kind = "an architecture" if is_ours else "a factory"
        raise ModelLoadError(f"{text} is {kind} without weights; give its trained weights as well")
    with _reading(Path(weights)):
        return _filled(text, Path(weights), model_args or {}, form)


def _filled(
    source: str, weights: Path, model_args: Mapping[str, str], form: InputForm
) -> LoadedModel:
    """Make a module and put its weights in."""
    if source in ARCHITECTURES:
        module = build(source, weights, model_args)
        form = replace(form, layout=form.layout or PLAIN)
        return LoadedModel(module, source, _digest(weights), f"architecture {source}", form)
    module = make_module(source, model_args)
    fill(module, read_weights(weights), weights)
    return LoadedModel(module, source, _digest(weights), "module with weights", form)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name too long for the file system
        return False


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ModelLoadError(
            f"{path} cannot be read: {error.strerror or first_line(error)}"
        ) from error


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _from_file(
    path: Path, allow_pickle: bool, custom_layers: Mapping[str, str]
) -> tuple[nn.Module | ExportedProgram, str]:
    if path.is_dir():
        raise ModelLoadError(f"{path} is a folder; expected a model's file, such as a .pt2")
    if is_safetensors(path):
        raise ModelLoadError(
            f"{path} holds weights alone; give package.module:factory and these as its weights"
        )
    if is_hdf5(path) or is_keras_archive(path):
        return load_keras(path, custom_layers), KERAS
    if is_onnx(path):
        return load_onnx(path), "ONNX"
    if is_pickle(path):
        return load_pickle(path, allow_pickle), "pickled module"
    return load_zip(path, allow_pickle)
