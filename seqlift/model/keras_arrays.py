"""The arrays of Keras 1 files as later versions have them.

Keras 1 stored a convolution of one dimension as one of two, the gates of a recurrent layer each by
itself, and kernels of two dimensions with the channels first; Theano turns the kernels of its
convolutions around.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

__all__ = ["find_link", "modernise_weights", "written_by"]

Array = NDArray[np.floating]

# Of the arrays kernel, recurrent kernel and bias of each gate: the gates in the order of today.
GATES = {"LSTM": (0, 2, 1, 3), "GRU": (0, 1, 2)}
TWO_DIMENSIONAL = ("AtrousConvolution2D", "Convolution2D")
ONE_DIMENSIONAL = ("AtrousConvolution1D", "Convolution1D")


def find_link(file: h5py.Group) -> str:
    """Return the name of the first thing that lies in another file, or an empty string.

    A link, external storage and a virtual dataset lead out of a file, to any other on the disk.
    """
    for name in file:
        link, path = file.get(name, getlink=True), f"{file.name.rstrip('/')}/{name}"
        if not isinstance(link, h5py.HardLink):
            return path
        item = file[name]
        if isinstance(item, h5py.Dataset) and (item.external or item.is_virtual):
            return path
        if isinstance(item, h5py.Group) and (found := find_link(item)):
            return found
    return ""


def written_by(file: h5py.File) -> tuple[str, str]:
    """Return the version of Keras that wrote a file and its backend, empty where it is not said."""
    places = (file, file.get("model_weights"))  # the backend stands in the second in Keras 1
    found = [
        next((p.attrs[name] for p in places if isinstance(p, h5py.Group) and name in p.attrs), "")
        for name in ("keras_version", "backend")
    ]
    version, backend = (v.decode() if isinstance(v, bytes) else str(v) for v in found)
    return version or "1", backend


def modernise_weights(file: h5py.File, layers: Mapping[str, Any]) -> None:
    """Bring the weights of a whole model's file to the shapes of today.

    Parameters
    ----------
    file : h5py.File
        Open for writing, a copy, and without links out of it.
    layers : mapping of str to JSON
        The layers by their names, as the file itself describes them.
    """
    version, backend = written_by(file)
    group = file.get("model_weights")
    if not isinstance(group, h5py.Group):
        return
    if version.startswith("1"):
        for name, own in group.items():
            if name in layers and isinstance(own, h5py.Group):
                _modernise_layer(own, layers[name])
    if backend == "theano":
        for owner, name in list(_datasets(group)):
            array = np.asarray(owner[name])
            if array.ndim >= 3:
                turned = array[tuple([slice(None, None, -1)] * (array.ndim - 2))]
                _replace(owner, name, turned)


def _modernise_layer(group: h5py.Group, layer: Mapping[str, Any]) -> None:
    """Replace the arrays of one layer, which Keras reads in the order of their names."""
    names = [n.decode() if isinstance(n, bytes) else n for n in group.attrs.get("weight_names", ())]
    arrays = [np.asarray(group[name]) for name in names]
    changed = _modern(layer, arrays)
    if any(a is not b for a, b in zip(arrays, changed, strict=False)):
        for name in names:
            del group[name]
        new = [f"weight_{i}" for i in range(len(changed))]
        group.attrs["weight_names"] = [name.encode() for name in new]
        for name, array in zip(new, changed, strict=True):
            group.create_dataset(name, data=np.ascontiguousarray(array))


def _modern(layer: Mapping[str, Any], arrays: Sequence[Array]) -> list[Array]:
    """Return the arrays of a layer in the shapes and the order of today."""
    kind, config, arrays = layer["class_name"], layer.get("config") or {}, list(arrays)
    if kind == "Bidirectional":
        half = len(arrays) // 2
        parts = (arrays[:half], arrays[half:])
        return [array for part in parts for array in _modern(config["layer"], part)]
    if kind == "TimeDistributed":
        return _modern(config["layer"], arrays)
    gates = GATES.get(kind, ())
    if gates and len(arrays) == 3 * len(gates):
        return [np.concatenate([arrays[3 * g + i] for g in gates], -1) for i in range(3)]
    if arrays and arrays[0].ndim == 4:
        if kind in ONE_DIMENSIONAL:
            arrays[0] = _one_dimensional(arrays[0])
        elif kind in TWO_DIMENSIONAL and config.get("dim_ordering") == "th":
            arrays[0] = arrays[0].transpose(2, 3, 1, 0)
    return arrays


def _one_dimensional(array: Array) -> Array:
    """Turn (width, 1, in, out), or the older (out, in, width, 1), into (width, in, out)."""
    if array.shape[1] == 1:
        return array[:, 0]
    return array[..., 0].transpose(2, 1, 0) if array.shape[3] == 1 else array


def _replace(owner: h5py.Group, name: str, array: Array) -> None:
    del owner[name]
    owner.create_dataset(name, data=np.ascontiguousarray(array))


def _datasets(group: h5py.Group) -> Iterator[tuple[h5py.Group, str]]:
    for name, item in group.items():
        if isinstance(item, h5py.Group):
            yield from _datasets(item)
        elif isinstance(item, h5py.Dataset):
            yield group, name
