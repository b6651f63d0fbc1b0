"""Trained models from files, without running anything that a file says.

Three forms: a ``.pt2`` program (`torch.export.save`), which needs none of the user's classes; a
factory ``package.module:factory`` with a file of weights (safetensors or a state dict); and, only
with leave, a whole pickled module. What a file is, is decided by its content.
"""

from __future__ import annotations

import contextlib
import hashlib
import struct
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import torch
from torch import nn
from torch.export import ExportedProgram

from seqlift.errors import ModelLoadError
from seqlift.model.archive import find_risk
from seqlift.model.factory import importing_from, make_module
from seqlift.model.quiet import first_line, quiet
from seqlift.model.weights import fill, is_safetensors, read_plain, state_dict_in

__all__ = ["LoadedModel", "load_model"]

EXPORT_HINT = "export it with torch.export.save(torch.export.export(model, ...), 'model.pt2')"
PICKLE_HINT = "allow it with --allow-pickle if you trust where it came from"


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
        Let a pickled module be loaded, or a program that holds more than weights and a graph; that
        runs whatever code the file holds.

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
    if _exists(path):
        if weights is not None:
            raise ModelLoadError(
                f"{text} is a file of its own; weights go with package.module:factory"
            )
        with _reading(path):
            return LoadedModel(_from_file(path, allow_pickle), text, _digest(path))
    if ":" not in text:
        raise ModelLoadError(
            f"{text} does not exist; expected a .pt2 file or package.module:factory"
        )
    if weights is None:
        raise ModelLoadError(
            f"{text} is a factory without weights; give its trained weights as well"
        )
    module = make_module(text)
    with _reading(Path(weights)):
        fill(module, Path(weights))
        return LoadedModel(module, text, _digest(Path(weights)))


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


def _from_file(path: Path, allow_pickle: bool) -> nn.Module | ExportedProgram:
    if path.is_dir():
        raise ModelLoadError(f"{path} is a folder; expected a .pt2 file")
    if is_safetensors(path):
        raise ModelLoadError(
            f"{path} holds weights alone; give package.module:factory and these as its weights"
        )
    members = _members(path)
    if any(name.endswith("/constants.pkl") for name in members):
        raise ModelLoadError(
            f"{path} is TorchScript, which keeps no graph that can be captured; {EXPORT_HINT}"
        )
    if any(name.endswith("/data.pkl") and name.count("/") == 1 for name in members):
        return _from_pickle(path, allow_pickle)
    if not any(name.endswith("/models/model.json") for name in members):
        raise ModelLoadError(f"{path} is a zip archive of something else; {EXPORT_HINT}")
    return _from_program(path, allow_pickle)


def _members(path: Path) -> list[str]:
    """Return the names in a zip archive, which all of torch's formats are."""
    members: list[zipfile.ZipInfo] = []
    # A damaged list of names is met with more kinds of error than the one for it.
    with contextlib.suppress(zipfile.BadZipFile, ValueError, NotImplementedError, struct.error):
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    # Without its end, a program can look like the small archives that it holds.
    if not members or min(member.header_offset for member in members) > 0:
        raise ModelLoadError(f"{path} is not a .pt2 file, or is truncated; {EXPORT_HINT}")
    return [member.filename for member in members]


def _from_program(path: Path, allow_pickle: bool) -> ExportedProgram:
    try:
        risk = "" if allow_pickle else find_risk(path)
        if not risk:
            with quiet():
                return torch.export.load(path)
    except Exception as error:  # torch raises many kinds; all mean the same here
        # Torch logs some of its reasons, and its message points to the log.
        reason = "" if "warnings above" in str(error) else f" ({first_line(error)})"
        raise ModelLoadError(
            f"{path} is damaged, or from another torch than this one, {torch.__version__}{reason}; "
            f"{EXPORT_HINT}"
        ) from error
    raise ModelLoadError(
        f"{path} holds {risk}, so loading it could run code; {EXPORT_HINT}, or {PICKLE_HINT}"
    )


def _from_pickle(path: Path, allow_pickle: bool) -> nn.Module:
    plain = read_plain(path)
    if state_dict_in(plain) is not None:
        raise ModelLoadError(
            f"{path} is a state dict, weights alone; give package.module:factory and it as the "
            "weights"
        )
    if plain is None and not allow_pickle:
        raise ModelLoadError(
            f"{path} is a pickled module, and loading a pickle runs whatever code it holds; "
            f"{EXPORT_HINT}, or {PICKLE_HINT}"
        )
    try:
        with quiet(), importing_from(Path.cwd()):
            loaded = torch.load(path, map_location="cpu", weights_only=False)
    except Exception as error:  # unpickling runs the user's code, which may raise anything
        raise ModelLoadError(f"{path} cannot be unpickled: {first_line(error)}") from error
    if not isinstance(loaded, nn.Module):
        raise ModelLoadError(f"{path} holds a {type(loaded).__name__}; expected a torch.nn.Module")
    return loaded
