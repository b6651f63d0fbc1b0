"""Trained models from files, without running anything that a file says.

Three forms: a ``.pt2`` program (`torch.export.save`), which needs none of the user's classes; a
factory ``package.module:factory`` with a file of weights (safetensors or a state dict); and, only
with leave, a whole pickled module. What a file is, is decided by its content.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
import warnings
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from seqlift.errors import ModelLoadError

__all__ = ["LoadedModel", "load_model"]

EXPORT_HINT = "export it with torch.export.save(torch.export.export(model, ...), 'model.pt2')"


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
    """

    model: nn.Module | ExportedProgram
    source: str
    digest: str


def load_model(
    source: str | PathLike[str],
    *,
    weights: str | PathLike[str] | None = None,
    allow_pickle: bool = False,
) -> LoadedModel:
    """Load a trained model.

    Parameters
    ----------
    source : str or path
        A ``.pt2`` file, or ``package.module:factory`` or ``file.py:factory``, a function (or class)
        that takes nothing and returns the module. Modules are also looked for in the current
        directory.
    weights : str or path, optional
        With a factory: a safetensors file, or a state dict as `torch.save` writes it.
    allow_pickle : bool
        Let a pickled module be loaded, which runs whatever code the file holds.

    Returns
    -------
    LoadedModel

    Raises
    ------
    ModelLoadError
        With what was found, what was expected and what to do.
    """
    text = str(source)
    path = Path(text)
    if path.exists():
        if weights is not None:
            raise ModelLoadError(
                f"{text} is a file of its own; weights go with package.module:factory"
            )
        return LoadedModel(_from_file(path, allow_pickle), text, _digest(path))
    if ":" not in text:
        raise ModelLoadError(
            f"{text} does not exist; expected a .pt2 file or package.module:factory"
        )
    if weights is None:
        raise ModelLoadError(
            f"{text} is a factory without weights; give its trained weights as well"
        )
    module = _from_factory(text)
    _fill(module, Path(weights))
    return LoadedModel(module, text, _digest(Path(weights)))


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _from_file(path: Path, allow_pickle: bool) -> nn.Module | ExportedProgram:
    if path.is_dir():
        raise ModelLoadError(f"{path} is a folder; expected a .pt2 file")
    if _is_safetensors(path):
        raise ModelLoadError(
            f"{path} holds weights alone; give package.module:factory and these as its weights"
        )
    members = _members(path)
    if any(
        name.endswith(("data.pkl", "constants.pkl")) and name.count("/") == 1 for name in members
    ):
        return _from_pickle(path, members, allow_pickle)
    return _from_program(path)


def _members(path: Path) -> list[str]:
    """Return the names in a zip archive, which all of torch's formats are."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except zipfile.BadZipFile:
        raise ModelLoadError(f"{path} is not a .pt2 file, or is truncated; {EXPORT_HINT}") from None
    except OSError as error:
        raise ModelLoadError(f"{path} cannot be read: {error.strerror}") from error


def _from_program(path: Path) -> ExportedProgram:
    try:
        return torch.export.load(path)
    except Exception as error:  # torch raises many kinds; all mean the same here
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelLoadError(
            f"{path} cannot be read as a .pt2 file ({reason}); {EXPORT_HINT}, with this torch ({torch.__version__}) or an older one"
        ) from error


def _from_pickle(path: Path, members: list[str], allow_pickle: bool) -> nn.Module:
    if any(name.endswith("constants.pkl") for name in members):
        raise ModelLoadError(
            f"{path} is TorchScript, which keeps no graph that can be captured; {EXPORT_HINT}"
        )
    if _state_dict_or_none(path) is not None:
        raise ModelLoadError(
            f"{path} is a state dict, weights alone; give package.module:factory and it as the weights"
        )
    if not allow_pickle:
        raise ModelLoadError(
            f"{path} is a pickled module, and loading a pickle runs whatever code it holds; {EXPORT_HINT}, or "
            "allow it with --allow-pickle if you trust where it came from"
        )
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=False)
    except Exception as error:
        raise ModelLoadError(f"{path} cannot be unpickled: {_first_line(error)}") from error
    if not isinstance(loaded, nn.Module):
        raise ModelLoadError(f"{path} holds a {type(loaded).__name__}; expected a torch.nn.Module")
    return loaded


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__


def _from_factory(source: str) -> nn.Module:
    factory = _import_factory(source)
    try:
        module = factory()
    except Exception as error:
        raise ModelLoadError(
            f"{source} failed when called without arguments: {_first_line(error)}"
        ) from error
    if not isinstance(module, nn.Module):
        raise ModelLoadError(
            f"{source} returned a {type(module).__name__}; expected a torch.nn.Module"
        )
    return module


def _import_factory(source: str) -> Callable[[], Any]:
    place, _, name = source.rpartition(":")
    try:
        module = _import_file(Path(place)) if place.endswith(".py") else _import_module(place)
    except Exception as error:  # importing runs the user's code, which may raise anything
        raise ModelLoadError(
            f"{place} cannot be imported: {type(error).__name__}: {_first_line(error)}"
        ) from error
    if not callable(getattr(module, name, None)):
        raise ModelLoadError(f"{place} has no function or class {name!r}")
    return getattr(module, name)  # type: ignore[no-any-return]


def _import_file(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _import_module(name: str) -> Any:
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(here)


def _is_safetensors(path: Path) -> bool:
    """A safetensors file starts with the length of its header, and the header with a brace."""
    with path.open("rb") as file:
        start = file.read(9)
    return len(start) == 9 and start[8:] == b"{" and int.from_bytes(start[:8], "little") < 2**32


def _state_dict_or_none(path: Path) -> Mapping[str, Tensor] | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # weights_only refuses, by many kinds of error, all that is not plain data
        return None
    for key in ("state_dict", "model_state_dict"):  # checkpoints that keep more beside the weights
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
    if isinstance(found, Mapping) and all(isinstance(v, Tensor) for v in found.values()):
        return found
    return None


def _read_weights(path: Path) -> Mapping[str, Tensor]:
    if not path.is_file():
        raise ModelLoadError(f"{path} does not exist; expected a file of weights")
    if _is_safetensors(path):
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(path)
        except SafetensorError as error:
            raise ModelLoadError(
                f"{path} cannot be read as safetensors: {_first_line(error)}"
            ) from error
    found = _state_dict_or_none(path)
    if found is None:
        raise ModelLoadError(
            f"{path} is neither safetensors nor a state dict that loads without running code; "
            "save the weights with torch.save(model.state_dict(), ...)"
        )
    return found


def _fill(module: nn.Module, path: Path) -> None:
    found = _read_weights(path)
    wanted = module.state_dict()
    missing, unexpected = sorted(wanted.keys() - found.keys()), sorted(found.keys() - wanted.keys())
    if missing or unexpected:
        raise ModelLoadError(
            f"{path} does not fit the factory's model: missing {_some(missing)}; unexpected {_some(unexpected)}"
        )
    for name, tensor in wanted.items():
        if tensor.shape != found[name].shape:
            raise ModelLoadError(
                f"{path} does not fit the factory's model: {name} has shape {tuple(found[name].shape)}, "
                f"expected {tuple(tensor.shape)}"
            )
    module.load_state_dict(found)


def _some(names: list[str], shown: int = 5) -> str:
    if not names:
        return "nothing"
    return ", ".join(names[:shown]) + (
        f" and {len(names) - shown} more" if len(names) > shown else ""
    )
