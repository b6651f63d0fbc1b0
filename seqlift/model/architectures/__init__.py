"""Architectures of the field that can be had by name, with the weights that people have for them.

Each is built from its weights alone, which say how many layers and filters there are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from torch import Tensor, nn

from seqlift.errors import ModelLoadError
from seqlift.model.architectures.bpnet import basepairnet_from, bpnet_from, chrombpnet_from
from seqlift.model.architectures.keras_weights import (
    basepairnet_weights,
    bpnet_weights,
    chrombpnet_weights,
    is_basepairnet,
)
from seqlift.model.architectures.stacks import basset_from, beluga_from, deepsea_from
from seqlift.model.factory import as_literal
from seqlift.model.keras_files import is_hdf5
from seqlift.model.weights import fill, read_numbers, read_weights

__all__ = ["ARCHITECTURES", "build"]

Weights = Mapping[str, Tensor]

ARCHITECTURES: dict[str, Callable[..., tuple[nn.Module, Weights]]] = {
    "bpnet": bpnet_from,
    "basepairnet": basepairnet_from,
    "chrombpnet": chrombpnet_from,
    "basset": basset_from,
    "deepsea": deepsea_from,
    "beluga": beluga_from,
}
FROM_KERAS: dict[str, Callable[[Path], Weights]] = {
    "bpnet": bpnet_weights,
    "basepairnet": basepairnet_weights,
    "chrombpnet": chrombpnet_weights,
}
# What modules of these architectures, pickled whole, say themselves: by the argument.
TRIMMING = {
    "bpnet": {"trimming": "trimming"},
    "basepairnet": {"trimming": "trimming"},
    "chrombpnet": {"trimming": "accessibility.trimming", "bias_trimming": "bias.trimming"},
}


def build(name: str, weights: Path, arguments: Mapping[str, str]) -> nn.Module:
    """Make one of our architectures from its weights.

    Parameters
    ----------
    name : str
        A key of `ARCHITECTURES`.
    weights : Path
        What `read_weights` reads; for bpnet, basepairnet and chrombpnet also the ``.h5`` of BPNet
        and ChromBPNet. One that BPNet wrote makes a basepairnet whichever of the two is asked for.
    arguments : mapping of str to str
        What the weights do not say, such as ``trimming``.

    Returns
    -------
    nn.Module
        Takes (row, base=4, position).

    Raises
    ------
    ModelLoadError
        If the weights are not those of the architecture, or an argument is not one of its.
    """
    given = {key: as_literal(text) for key, text in arguments.items()}
    if name == "bpnet" and weights.is_file() and is_hdf5(weights) and is_basepairnet(weights):
        name = "basepairnet"
    found = _read(name, weights)
    if TRIMMING.get(name) and not is_hdf5(weights):
        numbers = read_numbers(weights)
        said = {k: numbers[v] for k, v in TRIMMING[name].items() if v in numbers}
        given = said | given
    try:
        module, renamed = ARCHITECTURES[name](found, **given)
    except (KeyError, IndexError, ValueError, TypeError, RuntimeError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else str(error).splitlines()[0]
        raise ModelLoadError(
            f"{weights} does not hold the weights of {name}: {reason}; it has "
            f"{', '.join(list(found)[:4])} and {max(0, len(found) - 4)} more"
        ) from error
    fill(module, renamed, weights)
    return module.eval()


def _read(name: str, path: Path) -> Weights:
    if not path.is_file() or not is_hdf5(path):
        return read_weights(path)
    if name not in FROM_KERAS:
        raise ModelLoadError(
            f"{path} is HDF5; the weights of {name} are read from safetensors or a state dict. A "
            "whole Keras model is given as the model itself"
        )
    return FROM_KERAS[name](path)
