"""A NumPy archive (.npz) whose arrays are written a part at a time.

`numpy.savez` wants each array whole; the scores of many regions do not fit. The bytes are those
that `numpy.load` expects: a zip file with one .npy file an array.

References
----------
https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from seqlift.output.atomic import write_errors

__all__ = ["Member", "write_npz"]


class Member(NamedTuple):
    """One array of an archive.

    Parameters
    ----------
    name : str
        What `numpy.load(path)[name]` asks for.
    dtype : dtype
        Of the stored array; parts are cast to it.
    shape : tuple of int
        Of the whole array.
    parts : iterable of array
        Stretches of it along the first axis, in order; together as long as `shape` says.
    """

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    parts: Iterable[NDArray[Any]]


def write_npz(path: str | Path, members: Sequence[Member]) -> None:
    """Write arrays into one archive.

    Integers and text are deflated. Floats are stored as they are: scores do not compress, and
    trying takes longer than all the rest. The same arrays give the same bytes.

    Parameters
    ----------
    path : str or Path
        Where to write; what is there is replaced. See `seqlift.output.atomic` for results that
        appear whole.
    members : sequence of Member
        Memory is bounded by the largest part.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    with write_errors(path), zipfile.ZipFile(path, "w") as archive:
        for member in members:
            # No time of writing: a ZipInfo of its own has the same one always.
            entry = zipfile.ZipInfo(f"{member.name}.npy")
            is_float = member.dtype.kind == "f"
            entry.compress_type = zipfile.ZIP_STORED if is_float else zipfile.ZIP_DEFLATED
            with archive.open(entry, "w", force_zip64=True) as file:
                npy.write_array_header_1_0(file, _header(member))
                for part in member.parts:
                    file.write(np.ascontiguousarray(part, dtype=member.dtype).tobytes())


def _header(member: Member) -> dict[str, object]:
    return {
        "descr": npy.dtype_to_descr(member.dtype),
        "fortran_order": False,
        "shape": member.shape,
    }
