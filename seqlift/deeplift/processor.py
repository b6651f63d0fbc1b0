"""What this processor is quick at."""

from __future__ import annotations

from functools import cache
from pathlib import Path

__all__ = ["ABOUT", "is_quick_in_bfloat16"]

ABOUT = Path("/proc/cpuinfo")


@cache
def is_quick_in_bfloat16() -> bool:
    """Say whether products of bfloat16 take less time here than those of float32.

    On Intel's processors they do with AMX. Without it there is an instruction that does half as
    many a second as the one for float32 (see `workflows/benchmark/instructions.c`), or none. Others
    have not been timed, and are trusted.
    """
    try:
        about = ABOUT.read_text("utf-8", errors="replace")
    except OSError:  # no Linux
        return True
    return "GenuineIntel" not in about or "amx_bf16" in about
