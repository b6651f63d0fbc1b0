"""Contributions as numpy arrays, as they travel between processes and lie on disk."""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray

from seqlift.deeplift.scores import Contributions

__all__ = ["Packed", "packed", "unpacked"]

Packed = tuple[NDArray[Any] | None, ...]


def packed(found: Contributions) -> Packed:
    """Return the fields of contributions that lie on the host, in their order."""
    return tuple(None if value is None else value.numpy() for value in found)


def unpacked(fields: Packed) -> Contributions:
    """Undo `packed`."""
    found = (None if value is None else torch.from_numpy(value) for value in fields)
    return Contributions(*found)  # type: ignore[arg-type]
