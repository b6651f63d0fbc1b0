"""References that the user brings in a file: FASTA, .npy or .npz.

What a file is, is told by its content. An array may be larger than memory: a `.npy` is read a batch
at a time.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqlift.errors import InputError, SequenceError
from seqlift.genome.records import read_fasta
from seqlift.genome.text import explain_os_error, quote, show
from seqlift.sequence.onehot import encode_many
from seqlift.sequence.references import require_references

__all__ = ["digest", "read_references"]

_LONGEST_REASON = 200
_NPY, _ZIP = b"\x93NUMPY", b"PK\x03\x04"


def read_references(path: str, n_rows: int, length: int) -> NDArray[Any]:
    """Read references from a file.

    Parameters
    ----------
    path : str
        A FASTA, plain or gzip, whose sequences every row is compared with; or `.npy`, or `.npz`
        with one array, of shape (row, reference, base=4, position), or (reference, 4, position) for
        all rows alike: one-hot or any finite numbers.
    n_rows : int
        Rows of the input.
    length : int
        Of their windows, bp.

    Returns
    -------
    references : shape (row, reference, base=4, position)
        Read-only.

    Raises
    ------
    InputError
        If the file cannot be read, or what is in it does not fit.
    """
    head = _head(path)
    if not head.startswith((_NPY, _ZIP)):
        return require_references(_read_fasta(path, length), n_rows, length)
    try:
        array = _load_zip(path) if head.startswith(_ZIP) else np.load(path, mmap_mode="r")
        return require_references(array, n_rows, length)
    except SequenceError as error:
        raise SequenceError(f"{path}: {error}") from error
    except OSError as error:
        raise SequenceError(explain_os_error(path, error)) from error
    except Exception as error:  # numpy and zipfile raise a dozen kinds at a damaged file
        reason = " ".join(str(error).split())[:_LONGEST_REASON] or type(error).__name__
        raise SequenceError(f"{path} cannot be read as an array of numbers ({reason})") from error


def digest(path: str) -> str:
    """Return the SHA-256 of a file, hexadecimal."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _head(path: str) -> bytes:
    try:
        if Path(path).exists() and not (Path(path).is_file() or Path(path).is_dir()):
            raise InputError(
                f"{path} is a pipe or a device; references are read more than once and must be a "
                "file on a disk"
            )
        with Path(path).open("rb") as stream:
            return stream.read(len(_NPY))
    except OSError as error:
        raise InputError(explain_os_error(path, error)) from error


def _read_fasta(path: str, length: int) -> NDArray[np.uint8]:
    sequences = []
    for name, letters in read_fasta(path):
        if len(letters) != length:
            raise SequenceError(
                f"{path}: sequence {quote(name)} has {len(letters)} bp; the model takes {length}, "
                "and references must be as long"
            )
        sequences.append(letters)
    return encode_many(sequences)


def _load_zip(path: str) -> NDArray[Any]:
    # Opened here, because numpy leaves a damaged file open.
    with Path(path).open("rb") as stream, np.load(stream) as arrays:
        if len(arrays.files) != 1:
            names = ", ".join(show(name) for name in arrays.files[:3]) or "none"
            raise SequenceError(
                f"found {len(arrays.files)} arrays ({names}); expected one: save it alone, for "
                "instance with np.save"
            )
        found: NDArray[Any] = arrays[arrays.files[0]]
        return found
