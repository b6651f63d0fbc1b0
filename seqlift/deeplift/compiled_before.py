"""What has been compiled on this machine before, and will therefore be ready in seconds.

torch keeps what it has compiled in a folder. A file beside that, with nothing in it, says that a
function is there; who empties the folder removes both.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch

from seqlift import __version__

__all__ = ["remember", "was_compiled"]


def was_compiled(description: str) -> bool:
    """Say whether a function of that description has been compiled here."""
    return _mark(description).exists()


def remember(description: str) -> None:
    """Note that a function has been compiled. Where that cannot be written, it is not noted."""
    try:
        _mark(description).parent.mkdir(parents=True, exist_ok=True)
        _mark(description).touch()
    except OSError:
        pass


def _mark(description: str) -> Path:
    from torch._inductor.runtime.cache_dir_utils import cache_dir  # importing it takes a second

    versions = f"{torch.__version__} {__version__}"
    machine = f"{torch.backends.cpu.get_cpu_capability()} {torch.get_num_threads()}"
    whole = f"{versions} {machine} {description}"
    return Path(cache_dir()) / "seqlift" / hashlib.sha256(whole.encode()).hexdigest()
