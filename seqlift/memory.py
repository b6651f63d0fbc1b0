"""The memory of this process: how much there is, and that what is freed is kept.

A pass over a batch allocates and frees the same large buffers again and again. By default the C
library gives each back to the system, and the system clears every page anew: on a CPU that takes a
third of the time of a small convolutional network. Numbers come out the same; the process is as
large as its largest batch.
"""

from __future__ import annotations

import ctypes
import functools
import resource
from collections.abc import Iterator
from pathlib import Path

__all__ = ["free_bytes", "keep_freed_memory"]

# From glibc's malloc.h; the largest threshold is that of a C int.
M_TRIM_THRESHOLD = -1
M_TOP_PAD = -2
M_MMAP_MAX = -4
LARGEST = 2**31 - 1
TOP_PAD = 2**26


@functools.cache
def keep_freed_memory() -> bool:
    """Tell the C library not to return freed memory to the system.

    Returns
    -------
    is_kept : bool
        False where the C library has no such setting (it is not glibc).
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    settings = {M_MMAP_MAX: 0, M_TRIM_THRESHOLD: LARGEST, M_TOP_PAD: TOP_PAD}
    return all([bool(mallopt(name, value)) for name, value in settings.items()])


def free_bytes() -> int | None:
    """Return how much more memory this process can have, or None where that cannot be found out.

    Returns
    -------
    n_bytes : int or None
        The least of what the machine has, what the control group leaves (containers and batch
        systems set it) and what `ulimit -v` leaves.
    """
    return min(_limits(), default=None)


def _limits() -> Iterator[int]:
    machine = _fields("/proc/meminfo").get("MemAvailable")
    if machine is not None:
        yield machine
    group = Path("/sys/fs/cgroup")
    most, used = _number(group / "memory.max"), _number(group / "memory.current")
    if most is not None and used is not None:
        yield max(0, most - used + _cached_files(group / "memory.stat"))
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    size = _fields("/proc/self/status").get("VmSize")
    if soft != resource.RLIM_INFINITY and size is not None:
        yield max(0, soft - size)


def _fields(path: str) -> dict[str, int]:
    """Read lines such as `MemAvailable:  123 kB`, in bytes."""
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return {}
    words = [line.split() for line in lines if line.endswith(" kB")]
    return {name.rstrip(":"): int(size) * 1024 for name, size, _ in words}


def _cached_files(path: Path) -> int:
    """Return the memory of a control group that holds files, which make room when asked."""
    try:
        words = [line.split() for line in path.read_text().splitlines()]
    except OSError:
        return 0
    return sum(int(size) for name, size in words if name in ("active_file", "inactive_file"))


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):  # "max" is no limit
        return None
