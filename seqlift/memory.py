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

# Where Linux keeps control groups, and what it calls a limit and what is used, in versions 2 and 1.
GROUPS = Path("/sys/fs/cgroup")
OWN_GROUPS = Path("/proc/self/cgroup")
LIMITS = (
    ("memory.max", "memory.current"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes"),
)


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
        The least of what the machine has, what each control group leaves that the process is in
        (containers and batch systems set limits on them) and what `ulimit -v` leaves.
    """
    return min(_limits(), default=None)


def _limits() -> Iterator[int]:
    machine = _fields("/proc/meminfo").get("MemAvailable")
    if machine is not None:
        yield machine
    yield from _left_in_groups()
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    size = _fields("/proc/self/status").get("VmSize")
    if soft != resource.RLIM_INFINITY and size is not None:
        yield max(0, soft - size)


def _left_in_groups() -> Iterator[int]:
    """Give what each control group leaves that this process is in."""
    for group in _control_groups():
        for most, used in LIMITS:
            limit, size = _number(group / most), _number(group / used)
            if limit is not None and limit >= 0 and size is not None:
                yield max(0, limit - size + _cached_files(group / "memory.stat"))


def _control_groups() -> Iterator[Path]:
    """Give the folders of this process's control groups for memory: all on the way to its own.

    Batch systems set limits on groups deep down. In a container the way may be another than the
    process is told; then the outermost folder is its own.
    """
    try:
        lines = OWN_GROUPS.read_text(errors="surrogateescape").splitlines()
    except OSError:
        lines = []
    ways = {"": GROUPS, "memory": GROUPS / "memory"}  # version 2 has one for all controllers
    yield from ways.values()
    for line in filter(None, lines):
        _, controllers, path = line.split(":", 2)
        for name in ways.keys() & controllers.split(","):
            group = ways[name] / path.strip("/")
            yield from (group, *(above for above in group.parents if ways[name] in above.parents))


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
        sizes = dict(line.split() for line in path.read_text().splitlines())
    except OSError:
        return 0
    prefix = "total_" if "total_inactive_file" in sizes else ""  # version 1: groups below as well
    return sum(int(sizes.get(prefix + name, 0)) for name in ("active_file", "inactive_file"))


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):  # "max" is no limit
        return None
