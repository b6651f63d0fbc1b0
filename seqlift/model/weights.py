"""Weights from safetensors, state dicts, checkpoints and pickled modules, running no code."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from seqlift.errors import ModelLoadError
from seqlift.model.damage import require_whole
from seqlift.model.inert import numbers_of_modules, read_inert, tensors_of_modules
from seqlift.model.quiet import first_line, quiet

__all__ = [
    "fill",
    "holds_weights_alone",
    "is_safetensors",
    "read_numbers",
    "read_plain",
    "read_weights",
]

ORDER = (".weight", ".bias", ".running_mean", ".running_var", ".num_batches_tracked")


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


def holds_weights_alone(path: Path) -> bool:
    """Say whether a file of `torch.save` is a state dict, or a checkpoint that has one."""
    return _state_dict_in(_read_safely(path)) is not None


def _read_safely(path: Path) -> object:
    """Read a file of `torch.save`, with inert objects for what is not plain data; else None."""
    found = read_plain(path)
    if found is not None:
        return found
    try:
        with quiet():
            return read_inert(path)
    except Exception:  # the same
        return None


def _state_dict_in(found: object) -> Mapping[str, Tensor] | None:
    """Return the state dict that an unpickled object is or has, or None."""
    for key in ("state_dict", "model_state_dict"):  # checkpoints that keep more beside the weights
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
    if isinstance(found, Mapping) and all(isinstance(v, Tensor) for v in found.values()):
        return found
    return None


def read_weights(path: Path) -> Mapping[str, Tensor]:
    """Read tensors by name.

    Parameters
    ----------
    path : Path
        Safetensors, a state dict, a checkpoint that holds one, or a pickled module.

    Returns
    -------
    mapping of str to Tensor

    Raises
    ------
    ModelLoadError
        If it is none of these.
    """
    if not path.is_file():
        raise ModelLoadError(f"{path} does not exist; expected a file of weights")
    if is_safetensors(path):
        return _read_safetensors(path)
    require_whole(path)
    found = _read_safely(path)
    weights = _state_dict_in(found)
    if weights is None:
        weights = tensors_of_modules(found)
    if not weights:
        raise ModelLoadError(
            f"{path} is neither safetensors nor a state dict that loads without running code; "
            "save the weights with torch.save(model.state_dict(), ...)"
        )
    return weights


def read_numbers(path: Path) -> Mapping[str, int]:
    """Read the integers that a pickled module has beside its weights, by their dotted names.

    Parameters
    ----------
    path : Path
        What `read_weights` reads; all but a pickled module have none.

    Returns
    -------
    mapping of str to int
    """
    return {} if is_safetensors(path) else numbers_of_modules(_read_safely(path))


def _read_safetensors(path: Path) -> Mapping[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return dict(sorted(load_file(path).items(), key=_as_in_a_module))
    except SafetensorError as error:
        raise ModelLoadError(
            f"{path} cannot be read as safetensors: {first_line(error)}"
        ) from error


def _as_in_a_module(item: tuple[str, Tensor]) -> list[tuple[bool, int, str]]:
    """Sort names as modules have their weights; safetensors are in the order of the alphabet."""
    name = item[0]
    for rank, last in enumerate(ORDER):
        name = name.removesuffix(last) + str(rank) if name.endswith(last) else name
    parts = re.split(r"(\d+)", name)
    return [(p.isdigit(), int(p) if p.isdigit() else 0, p) for p in parts]


def fill(module: nn.Module, found: Mapping[str, Tensor], path: Path) -> None:
    """Put weights into a module, if they are exactly those it has.

    Parameters
    ----------
    module : nn.Module
        Changed in place.
    found : mapping of str to Tensor
        May have the module's names behind a prefix, as a Lightning module has them that holds the
        model at ``self.model``; what has another prefix (a loss, a metric) is then left out.
    path : Path
        Of the weights, for messages.

    Raises
    ------
    ModelLoadError
        If they are others than the module's; the message names them.
    """
    wanted = module.state_dict()
    found = _without_prefix(found, set(wanted))
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


def _without_prefix(found: Mapping[str, Tensor], wanted: set[str]) -> Mapping[str, Tensor]:
    """Return the weights below the one prefix at which all that are wanted stand."""
    fitting = [
        {k.removeprefix(prefix): v for k, v in found.items() if k.startswith(prefix)}
        for prefix in _prefixes(found)
        if wanted == {k.removeprefix(prefix) for k in found if k.startswith(prefix)}
    ]
    return fitting[0] if wanted != set(found) and len(fitting) == 1 else found


def _prefixes(found: Mapping[str, Tensor]) -> Iterator[str]:
    """Go through the prefixes of names: `model.` and `model.net.` of `model.net.weight`."""
    seen = set()
    for name in found:
        parts = name.split(".")
        for depth in range(1, len(parts)):
            prefix = ".".join(parts[:depth]) + "."
            if prefix not in seen:
                seen.add(prefix)
                yield prefix


def _some(names: list[str], shown: int = 5) -> str:
    if not names:
        return "nothing"
    rest = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + rest
