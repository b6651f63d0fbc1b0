"""The weights of ChromBPNet's ``.h5`` files, by the names of their layers.

Such a file holds a Keras model with layers of Python code, which are not loaded; the weights are
enough, since the architecture is known. Layers of the accessibility model have names that start
with ``wo_bias_``; those of the bias model do not.
"""

from __future__ import annotations

from pathlib import Path

import h5py
import torch
from torch import Tensor

from seqlift.errors import ModelLoadError
from seqlift.model.keras_arrays import find_link

__all__ = ["bpnet_weights", "chrombpnet_weights"]

ACCESSIBILITY, BIAS = "wo_bias_bpnet_", ""


def bpnet_weights(path: Path) -> dict[str, Tensor]:
    """Read a file of the accessibility model, or of the bias model.

    Returns
    -------
    dict of str to Tensor
        By the names of `BPNet`.

    Raises
    ------
    ModelLoadError
        If the file has no such layers.
    """
    layers = _read_layers(path)
    prefix = ACCESSIBILITY if any(name.startswith(ACCESSIBILITY) for name in layers) else BIAS
    return _renamed(layers, prefix, path)


def chrombpnet_weights(path: Path) -> dict[str, Tensor]:
    """Read a file of the full model: accessibility and bias.

    Returns
    -------
    dict of str to Tensor
        By the names of `ChromBPNet`.

    Raises
    ------
    ModelLoadError
        If the file lacks one of the two.
    """
    layers = _read_layers(path)
    parts = {"accessibility": ACCESSIBILITY, "bias": BIAS}
    return {
        f"{part}.{name}": value
        for part, prefix in parts.items()
        for name, value in _renamed(layers, prefix, path).items()
    }


def _read_layers(path: Path) -> dict[str, dict[str, Tensor]]:
    """Return kernels and biases by the name of their layer, however deep it lies."""
    found: dict[str, dict[str, Tensor]] = {}

    def visit(name: str, item: object) -> None:
        *_, layer, last = ["", *name.split("/")]
        kind = last.partition(":")[0]
        if isinstance(item, h5py.Dataset) and kind in ("kernel", "bias"):
            found.setdefault(layer, {})[kind] = torch.from_numpy(item[()])

    try:
        with h5py.File(path) as file:
            if link := find_link(file):
                raise ModelLoadError(f"{path} has {link} in another file, or as a link")
            file.visititems(visit)
    except OSError as error:
        raise ModelLoadError(f"{path} is damaged, or no HDF5: {error}") from error
    return found


def _renamed(layers: dict[str, dict[str, Tensor]], prefix: str, path: Path) -> dict[str, Tensor]:
    convolutions = "bpnet_" if prefix == BIAS else prefix
    names = {"iconv": f"{convolutions}1st_conv", "fconv": f"{prefix}prof_out_precrop"}
    n = 0
    while f"{convolutions}{n + 1}conv" in layers:
        n += 1
        names[f"rconvs.{n - 1}"] = f"{convolutions}{n}conv"
    names["linear"] = f"{prefix}logcount_predictions"
    missing = [layer for layer in names.values() if layer not in layers]
    if missing:
        raise ModelLoadError(
            f"{path} has no layer {missing[0]}, which ChromBPNet's files have; its layers with "
            f"weights are {', '.join(list(layers)[:4]) or 'none'}"
        )
    found = {}
    for name, layer in names.items():
        # Keras has (position, in, out) and (in, out); torch the reverse.
        kernel = layers[layer]["kernel"]
        found[f"{name}.weight"] = kernel.permute(*range(kernel.dim() - 1, -1, -1)).contiguous()
        if "bias" in layers[layer]:
            found[f"{name}.bias"] = layers[layer]["bias"]
    return found
