"""Files that torch writes: exported programs, TorchScript and pickles."""

from __future__ import annotations

import contextlib
import struct
import zipfile
from pathlib import Path

import torch
from torch import nn
from torch.export import ExportedProgram

from seqlift.errors import ModelLoadError
from seqlift.model.archive import find_risk
from seqlift.model.damage import require_whole
from seqlift.model.factory import importing_from
from seqlift.model.quiet import first_line, quiet
from seqlift.model.torchscript import load_script
from seqlift.model.weights import holds_weights_alone, read_plain

__all__ = ["is_pickle", "load_pickle", "load_zip"]

EXPORT_HINT = "export it with torch.export.save(torch.export.export(model, ...), 'model.pt2')"
PICKLE_HINT = "allow it with --allow-pickle if you trust where it came from"


def is_pickle(path: Path) -> bool:
    """Say whether a file is a pickle by itself, as torch wrote them before 1.6."""
    with path.open("rb") as file:
        start = file.read(2)
    return len(start) == 2 and start[0] == 0x80 and 2 <= start[1] <= 5


def load_zip(path: Path, allow_pickle: bool) -> tuple[nn.Module | ExportedProgram, str]:
    """Load a zip archive, which all of torch's newer formats are.

    Returns
    -------
    model : nn.Module or ExportedProgram
    kind : str
        What it is.

    Raises
    ------
    ModelLoadError
    """
    members = _members(path)
    require_whole(path)
    if any(name.endswith("/constants.pkl") for name in members):
        return load_script(path), "TorchScript"
    if any(name.endswith("/data.pkl") and name.count("/") == 1 for name in members):
        return load_pickle(path, allow_pickle), "pickled module"
    if not any(name.endswith("/models/model.json") for name in members):
        raise ModelLoadError(f"{path} is a zip archive of something else; {EXPORT_HINT}")
    return _load_program(path, allow_pickle), "exported program"


def _members(path: Path) -> list[str]:
    """Return the names in a zip archive."""
    members: list[zipfile.ZipInfo] = []
    # A damaged list of names is met with more kinds of error than the one for it.
    with contextlib.suppress(zipfile.BadZipFile, ValueError, NotImplementedError, struct.error):
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    # Without its end, a program can look like the small archives that it holds.
    if not members or min(member.header_offset for member in members) > 0:
        raise ModelLoadError(f"{path} is not a .pt2 file, or is truncated; {EXPORT_HINT}")
    return [member.filename for member in members]


def _load_program(path: Path, allow_pickle: bool) -> ExportedProgram:
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


def load_pickle(path: Path, allow_pickle: bool) -> nn.Module:
    """Load a pickled module, if that is allowed.

    Raises
    ------
    ModelLoadError
        If it is not allowed, or the file holds something else.
    """
    if holds_weights_alone(path):
        raise ModelLoadError(
            f"{path} is a state dict, weights alone; give package.module:factory, or one of our "
            "architectures, and it as the weights"
        )
    if read_plain(path) is None and not allow_pickle:
        raise ModelLoadError(
            f"{path} is a pickled module, and loading a pickle runs whatever code it holds; "
            f"{PICKLE_HINT}, once with `seqlift convert --allow-pickle`, or give its class as "
            "package.module:factory and it as the weights, of which only the tensors are read"
        )
    try:
        with quiet(), importing_from(Path.cwd()):
            loaded = torch.load(path, map_location="cpu", weights_only=False)
    except Exception as error:  # unpickling runs the user's code, which may raise anything
        raise ModelLoadError(f"{path} cannot be unpickled: {first_line(error)}") from error
    if not isinstance(loaded, nn.Module):
        raise ModelLoadError(f"{path} holds a {type(loaded).__name__}; expected a torch.nn.Module")
    return loaded
