"""The arrays of Keras 1 files as later versions have them.

Keras 1 stored a convolution of one dimension as one of two, and Theano turns the kernels of its
convolutions around.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import h5py
import numpy as np
from numpy.typing import NDArray

__all__ = ["find_link", "modernise_weights"]


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


def modernise_weights(file: h5py.File, one_dimensional: Collection[str]) -> None:
    """Bring the weights of a whole model's file to the shapes of today.

    Parameters
    ----------
    file : h5py.File
        Open for writing, a copy, and without links out of it.
    one_dimensional : collection of str
        Layers whose kernels Keras 1 stored with an axis too many.
    """
    version = _text(file.attrs.get("keras_version", "1"))
    is_theano = _text(file.attrs.get("backend", "")) == "theano"
    group = file.get("model_weights")
    if not isinstance(group, h5py.Group):
        return
    for owner, name in list(_datasets(group)):
        array = np.asarray(owner[name])
        changed = array
        layer = owner.name.removeprefix("/model_weights/").partition("/")[0]
        if version.startswith("1") and array.ndim == 4 and layer in one_dimensional:
            changed = _one_dimensional(array)
        if is_theano and changed.ndim >= 3:
            changed = changed[tuple([slice(None, None, -1)] * (changed.ndim - 2))]
        if changed is not array:
            del owner[name]
            owner.create_dataset(name, data=np.ascontiguousarray(changed))


def _one_dimensional(array: NDArray[np.floating]) -> NDArray[np.floating]:
    """Turn (width, 1, in, out), or the older (out, in, width, 1), into (width, in, out)."""
    if array.shape[1] == 1:
        return array[:, 0]
    return array[..., 0].transpose(2, 1, 0) if array.shape[3] == 1 else array


def _datasets(group: h5py.Group) -> Iterator[tuple[h5py.Group, str]]:
    for name, item in group.items():
        if isinstance(item, h5py.Group):
            yield from _datasets(item)
        elif isinstance(item, h5py.Dataset):
            yield group, name


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
