"""What was compiled on this machine before, in a folder beside what torch keeps.

Who empties torch's folder empties this too. Files that belong together appear together, in a folder
of their own whose name is a digest of what they are for: the job, the versions, seqlift's own code
and the processor, since a folder may be shared by machines. The bytes of each are compared with
their digest before they are used: loading a library with a piece missing would end the process.
"""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import torch

from seqlift import __version__
from seqlift.native import require_private

__all__ = ["digest", "find", "making"]

DIGESTS = "digests.json"

# Bytes beyond which goes what was not used for longest.
ROOM = 2**30


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
        require_private(folder.parent)
        digests = json.loads((folder / DIGESTS).read_text())
        is_whole = all(digest((folder / name).read_bytes()) == of for name, of in digests.items())
        folder.touch()
    except (OSError, ValueError, AttributeError):
        return None
    return folder if is_whole else None


@contextmanager
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
    with tempfile.TemporaryDirectory(dir=_private(folder.parent)) as scratch:
        yield Path(scratch)
        digests = {path.name: digest(path.read_bytes()) for path in Path(scratch).iterdir()}
        if digests and Path(scratch).parent == folder.parent:
            try:
                Path(scratch, DIGESTS).write_text(json.dumps(digests))
                shutil.rmtree(folder, ignore_errors=True)
                Path(scratch).rename(folder)
                _make_room(folder.parent)
            except OSError:  # a full disk; or another process was first
                pass


def digest(content: bytes) -> str:
    """Return the SHA-256 of bytes, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def _private(folder: Path) -> Path | None:
    """Return a folder that nobody else can write to, or None if there cannot be one."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        require_private(folder)
    except (OSError, AttributeError):
        return None
    return folder


def _make_room(root: Path) -> None:
    """Remove what was not used for longest, and what was left unfinished, until there is room."""
    folders = [path for path in root.iterdir() if path.is_dir()]
    held = 0
    for folder in sorted(folders, key=lambda folder: folder.stat().st_mtime, reverse=True):
        held += sum(path.stat().st_size for path in folder.iterdir())
        if held > ROOM:
            shutil.rmtree(folder, ignore_errors=True)


def _folder(description: str) -> Path:
    given = os.environ.get("TORCHINDUCTOR_CACHE_DIR")
    of_torch = given or Path(tempfile.gettempdir(), f"torchinductor_{_user()}")
    threads = torch.get_num_threads()
    whole = f"{torch.__version__} {__version__} {_sources()} {_machine()} {threads} {description}"
    return Path(of_torch, "seqlift", digest(whole.encode()))


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return str(os.getuid())


@cache
def _sources() -> str:
    """Return a digest of the code that writes programs: it may be changed between two versions."""
    paths = sorted(Path(__file__).parents[1].rglob("*.[pc]*"))
    return digest(b"".join(path.read_bytes() for path in paths if path.suffix in (".py", ".cpp")))


@cache
def _machine() -> str:
    """Tell apart processors that do not run each other's code."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    flags = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()} {flags}"
