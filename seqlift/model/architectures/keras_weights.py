"""The weights of ``.h5`` files of ChromBPNet and of BPNet, by the names of their layers.

Such a file holds a Keras model, often with layers of Python code, which are not loaded; the weights
are enough, since the architecture is known. In ChromBPNet's files, layers of the accessibility
model have names that start with ``wo_bias_``; those of the bias model do not. Those of BPNet's
(basepairmodels, bpnet-refactor) start with ``main_``, and two linear layers that follow each other
are one here.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import h5py
import torch
from torch import Tensor

from seqlift.errors import ModelLoadError
from seqlift.model.keras_arrays import find_link

__all__ = ["basepairnet_weights", "bpnet_weights", "chrombpnet_weights", "is_basepairnet"]

ACCESSIBILITY, BIAS = "wo_bias_bpnet_", ""
PROFILE, COUNTS = "profile_predictions", "logcounts_predictions"


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


def is_basepairnet(path: Path) -> bool:
    """Tell whether a file is BPNet's, and not ChromBPNet's."""
    with contextlib.suppress(OSError), h5py.File(path) as file:  # what is damaged is told later
        return bool(file.visit(lambda name: name.endswith("/main_conv_0") or None))
    return False


def basepairnet_weights(path: Path) -> dict[str, Tensor]:
    """Read a file of BPNet's own.

    Its control tracks are left out: they are zeros wherever a model is explained.

    Returns
    -------
    dict of str to Tensor
        By the names of `BPNet`.

    Raises
    ------
    ModelLoadError
        If the file lacks a layer, or has one that does not belong to a BPNet of one task.
    """
    layers = _read_layers(path)
    names = {"iconv": "main_conv_0"}
    dilated = 0
    while f"main_dil_conv_{dilated + 1}" in layers:
        dilated += 1
        names[f"rconvs.{dilated - 1}"] = f"main_dil_conv_{dilated}"
    heads = ["main_profile_head", "main_counts_head", PROFILE, COUNTS]
    known = {*names.values(), *heads}
    _require(layers, [*names.values(), *heads], path, "BPNet's")
    if others := [name for name in layers if name not in known and "bias" not in name]:
        raise ModelLoadError(
            f"{path} has a layer {others[0]}, which a BPNet of one task does not have"
        )
    found: dict[str, Tensor] = {}
    for name, layer in names.items():
        found |= _transposed(name, layers[layer])
    found |= _transposed("fconv", _joined(layers["main_profile_head"], layers[PROFILE]))
    found |= _transposed("linear", _joined(layers["main_counts_head"], layers[COUNTS]))
    return found


def _joined(first: dict[str, Tensor], second: dict[str, Tensor]) -> dict[str, Tensor]:
    """Make one layer of two linear ones; what the second reads beside the first is left out."""
    n = first["kernel"].shape[-1]
    mixing = second["kernel"].reshape(-1, second["kernel"].shape[-1])[:n]
    bias = first.get("bias", torch.zeros(n)) @ mixing
    return {"kernel": first["kernel"] @ mixing, "bias": bias + second.get("bias", 0)}


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
    _require(layers, list(names.values()), path, "ChromBPNet's")
    found: dict[str, Tensor] = {}
    for name, layer in names.items():
        found |= _transposed(name, layers[layer])
    return found


def _require(layers: dict[str, dict[str, Tensor]], names: list[str], path: Path, of: str) -> None:
    """Raise an error unless all these layers are there."""
    if missing := [name for name in names if "kernel" not in layers.get(name, {})]:
        raise ModelLoadError(
            f"{path} has no layer {missing[0]}, which {of} files have; its layers with weights are "
            f"{', '.join(list(layers)[:4]) or 'none'}"
        )


def _transposed(name: str, layer: dict[str, Tensor]) -> dict[str, Tensor]:
    """Give a layer's weights axes in torch's order; Keras has (position, in, out) and (in, out)."""
    kernel = layer["kernel"]
    found = {f"{name}.weight": kernel.permute(*range(kernel.dim() - 1, -1, -1)).contiguous()}
    if "bias" in layer:
        found[f"{name}.bias"] = layer["bias"]
    return found
