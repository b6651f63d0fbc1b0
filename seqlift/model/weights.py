"""Weights from files: safetensors, and state dicts that unpickle without running code."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from seqlift.errors import ModelLoadError
from seqlift.model.quiet import first_line, quiet

__all__ = ["fill", "is_safetensors", "read_plain", "state_dict_in"]


def is_safetensors(path: Path) -> bool:
    """Say whether a file starts as safetensors do: the header's length, then its brace."""
    with path.open("rb") as file:
        start = file.read(9)
    return len(start) == 9 and start[8:] == b"{" and int.from_bytes(start[:8], "little") < 2**32


def read_plain(path: Path) -> object:
    """Unpickle a file if that runs none of its code, and else return None."""
    try:
        with quiet():
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # weights_only refuses, by many kinds of error, all that is not plain data
        return None


def state_dict_in(found: object) -> Mapping[str, Tensor] | None:
    """Return the state dict that an unpickled object is or has, or None."""
    for key in ("state_dict", "model_state_dict"):  # checkpoints that keep more beside the weights
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
    if isinstance(found, Mapping) and all(isinstance(v, Tensor) for v in found.values()):
        return found
    return None


def _read_weights(path: Path) -> Mapping[str, Tensor]:
    if not path.is_file():
        raise ModelLoadError(f"{path} does not exist; expected a file of weights")
    if is_safetensors(path):
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(path)
        except SafetensorError as error:
            raise ModelLoadError(
                f"{path} cannot be read as safetensors: {first_line(error)}"
            ) from error
    found = state_dict_in(read_plain(path))
    if found is None:
        raise ModelLoadError(
            f"{path} is neither safetensors nor a state dict that loads without running code; "
            "save the weights with torch.save(model.state_dict(), ...)"
        )
    return found


def fill(module: nn.Module, path: Path) -> None:
    """Put the weights of a file into a module, if they are exactly those it has.

    Parameters
    ----------
    module : nn.Module
        Changed in place.
    path : Path
        Safetensors, or a state dict.

    Raises
    ------
    ModelLoadError
        If the file holds no weights, or others than the module's; the message names them.
    """
    found = _read_weights(path)
    wanted = module.state_dict()
    missing, unexpected = sorted(wanted.keys() - found.keys()), sorted(found.keys() - wanted.keys())
    if missing or unexpected:
        raise ModelLoadError(
            f"{path} does not fit the factory's model: missing {_some(missing)}; "
            f"unexpected {_some(unexpected)}"
        )
    for name, tensor in wanted.items():
        # A lazy layer takes its size from the weights.
        if not is_lazy(tensor) and tensor.shape != found[name].shape:
            raise ModelLoadError(
                f"{path} does not fit the factory's model: {name} has shape "
                f"{tuple(found[name].shape)}, expected {tuple(tensor.shape)}"
            )
    module.load_state_dict(found)


def _some(names: list[str], shown: int = 5) -> str:
    if not names:
        return "nothing"
    rest = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + rest
