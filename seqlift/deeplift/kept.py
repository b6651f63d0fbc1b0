"""What was compiled on this machine before, in a folder beside what torch keeps.

Who empties torch's folder empties this too. Files that belong together appear together, in a folder
of their own whose name is a digest of what they are for: the job, the versions, seqlift's own code
and the processor, since a folder may be shared by machines. The bytes of each are compared with
their digest before they are used: loading a library with a piece missing would end the process.
"""

from __future__ import annotations

import contextlib
import getpass
import hashlib
import json
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import torch

from seqlift import __version__
from seqlift.deeplift.processor import ABOUT
from seqlift.native import require_private

__all__ = ["digest", "find", "making"]

DIGESTS = "digests.json"

# Bytes beyond which goes what was not used for longest.
ROOM = 2**30

UNFINISHED = "unfinished-"
LONG_AGO = 24 * 3600  # seconds


def find(description: str) -> Path | None:
    """Return the folder that was made under a description, if it is whole.

    Parameters
    ----------
    description : str
        What its files are for, apart from versions and processor.

    Returns
    -------
    folder : Path or None
    """
    folder = _folder(description)
    try:
        _require_private(folder.parent)
        digests = json.loads((folder / DIGESTS).read_text())
        is_whole = all(digest((folder / name).read_bytes()) == of for name, of in digests.items())
    except (OSError, ValueError, AttributeError, MemoryError):
        return None
    if not is_whole:
        return None
    with contextlib.suppress(OSError):  # it may be for reading only
        folder.touch()
    return folder


@contextlib.contextmanager
def making(description: str) -> Iterator[Path]:
    """Make what `find` will find, in place of what was there.

    Parameters
    ----------
    description : str

    Yields
    ------
    folder : Path
        Empty. What is in it at the end is kept, unless nothing is or an error ended the block.
        Nobody is told where nothing can be kept.
    """
    folder = _folder(description)
    with tempfile.TemporaryDirectory(
        prefix=UNFINISHED, dir=_private(folder.parent), ignore_cleanup_errors=True
    ) as scratch:
        yield Path(scratch)
        digests = {path.name: digest(path.read_bytes()) for path in Path(scratch).iterdir()}
        if digests and Path(scratch).parent == folder.parent:
            try:
                Path(scratch, DIGESTS).write_text(json.dumps(digests))
                shutil.rmtree(folder, ignore_errors=True)
                Path(scratch).rename(folder)
                _tidy(folder.parent)
            except OSError:  # a full disk; or another process was first
                pass


def digest(content: bytes) -> str:
    """Return the SHA-256 of bytes, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def _private(folder: Path) -> Path | None:
    """Return a folder that nobody else can write to, or None if there cannot be one."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _require_private(folder)
    except (OSError, AttributeError):
        return None
    return folder


def _require_private(folder: Path) -> None:
    """Refuse a folder that others may write to, or put another in the place of."""
    for each in (folder, folder.parent):
        require_private(each)


def _tidy(root: Path) -> None:
    """Remove what a killed process left, and what was not used for longest until there is room."""
    ages, held = {}, 0
    for folder in root.iterdir():
        with contextlib.suppress(OSError):  # another process may remove it
            ages[folder] = time.time() - folder.stat().st_mtime
    for folder, age in sorted(ages.items(), key=lambda item: item[1]):
        with contextlib.suppress(OSError):
            held += sum(path.stat().st_size for path in folder.iterdir())
            if held > ROOM or (folder.name.startswith(UNFINISHED) and age > LONG_AGO):
                shutil.rmtree(folder)


def _folder(description: str) -> Path:
    given = os.environ.get("TORCHINDUCTOR_CACHE_DIR")
    of_torch = given or Path(tempfile.gettempdir(), f"torchinductor_{_user()}")
    threads = torch.get_num_threads()
    whole = f"{torch.__version__} {__version__} {_sources()} {_machine()} {threads} {description}"
    return Path(of_torch, "seqlift", digest(whole.encode()))


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container's user may have no name
        return f"uid_{os.getuid()}" if hasattr(os, "getuid") else "nobody"


@cache
def _sources() -> str:
    """Return a digest of the code that writes programs: it may be changed between two versions."""
    paths = sorted(Path(__file__).parents[1].rglob("*.[pc]*"))
    return digest(b"".join(path.read_bytes() for path in paths if path.suffix in (".py", ".cpp")))


@cache
def _machine() -> str:
    """Tell apart processors that do not run each other's code."""
    try:
        lines = ABOUT.read_text("utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    flags = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()} {flags}"
