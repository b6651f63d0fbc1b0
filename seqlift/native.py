"""Functions in C, compiled on the user's machine where there is a compiler.

Such a function does what numpy does too, only sooner: where there is no compiler, or nowhere to
keep what it makes, numbers are the same and nobody is told. What was compiled is kept for later
runs in a folder that the user alone can write to. A name there holds a digest of the source, so
that versions of seqlift do not meet, and one of the file itself: loading a library with a piece
missing would end the process.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shlex
import shutil
import stat
import subprocess
import sys
import sysconfig
import tempfile
from importlib import resources
from pathlib import Path

__all__ = ["load", "require_private"]

# For no processor in particular, since the machines of a cluster share the folders of users.
_FLAGS = ("-std=c99", "-O3", "-fPIC", "-shared")
_COMPILERS = ("cc", "gcc", "clang")
_PATIENCE = 60  # seconds


def load(package: str, name: str, *, compiles: bool) -> ctypes.CDLL | None:
    """Load a library that was compiled before, or compile it.

    Parameters
    ----------
    package : str
        Where the source is, as Python names it.
    name : str
        The file of the source, in C. It includes nothing but headers of the language.
    compiles : bool
        Whether to compile it, by `$CC` or else `cc`, `gcc` or `clang`, if it was not before.

    Returns
    -------
    library : ctypes.CDLL or None
        None where there is none to be had, for whatever reason.
    """
    source = resources.files(package).joinpath(name).read_bytes()
    try:
        folder = _caches() / "seqlift"
        if compiles:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        require_private(folder)
        stem = f"{Path(name).stem}-{_digest_of_kind(source)}"
        kept = _find(folder, stem)
        if kept is not None:
            return ctypes.CDLL(str(kept))
        return _compile(source, folder, stem) if compiles else None
    # A home that nobody has is a RuntimeError, a `$CC` with an open quotation mark a ValueError, a
    # system without owners of files an AttributeError.
    except (OSError, RuntimeError, ValueError, AttributeError, subprocess.SubprocessError):
        return None


def require_private(folder: Path) -> None:
    """Refuse a folder that others may write to: they could run code as this user.

    Raises
    ------
    OSError
        If others may, or it is not there.
    AttributeError
        If the system has no owners of files.
    """
    status = folder.stat()
    if status.st_uid != os.geteuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise PermissionError(f"others may write to {folder}")


def _caches() -> Path:
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if given.is_absolute():  # any other is to be ignored, as the XDG specification has it
        return given
    return Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache")


def _digest_of_kind(source: bytes) -> str:
    """Tell apart what cannot stand for another; the compiler may, and need not be here."""
    kind = (*_FLAGS, platform.machine(), str(sysconfig.get_config_var("SOABI")))
    return hashlib.sha256(" ".join(kind).encode() + b"\n" + source).hexdigest()[:16]


def _find(folder: Path, stem: str) -> Path | None:
    """Find a library whose bytes are all there."""
    return next((path for path in sorted(folder.glob(f"{stem}-*")) if _is_whole(path)), None)


def _is_whole(path: Path) -> bool:
    return path.stem.rpartition("-")[2] == _digest(path)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _compile(source: bytes, folder: Path, stem: str) -> ctypes.CDLL | None:
    """Compile a source in a folder of its own; what can be loaded is kept under its name."""
    compiler = _compiler()
    if compiler is None:
        return None
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        source_file, made = Path(scratch, "source.c"), Path(scratch, "made.so")
        source_file.write_bytes(source)
        subprocess.run(
            [*compiler, *_FLAGS, "-o", str(made), str(source_file)],
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_PATIENCE,
        )
        library = ctypes.CDLL(str(made))
        made.replace(folder / f"{stem}-{_digest(made)}.so")
    return library


def _compiler() -> list[str] | None:
    named = shlex.split(os.environ.get("CC", ""))
    if named:
        return named
    return next(([path] for path in map(shutil.which, _COMPILERS) if path), None)
