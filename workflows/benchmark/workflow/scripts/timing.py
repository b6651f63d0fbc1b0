"""Seconds, taken in turn and repeatedly, and what is made of them; the machine and the versions."""

import os
import platform
import statistics
import time
from collections.abc import Callable, Hashable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

PACKAGES = ("seqlift", "torch", "numpy", "tangermeme", "captum", "shap", "snakemake")


def seconds(work: Callable) -> tuple[float, object]:
    """Return how long a piece of work takes, and its result.

    What it returns is fetched to the CPU, so that a device has done all of it.
    """
    started = time.perf_counter()
    result = work()
    if hasattr(result, "cpu"):
        result = result.cpu()
    return time.perf_counter() - started, result


def in_turn(
    works: dict[Hashable, Callable], n_rounds: int
) -> Iterator[tuple[int, Hashable, float]]:
    """Yield (round, name, seconds): each round runs all the works once, one after the other."""
    for i in range(n_rounds):
        for name, work in works.items():
            spent = seconds(work)[0]
            print(f"round {i + 1}: {name}: {spent:.3f} s", flush=True)
            yield i, name, spent


def spread(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "low": min(values), "high": max(values)}


def machine(device: str = "cpu") -> str:
    """Name the processor and its cores, and the device if that is another."""
    info = Path("/proc/cpuinfo")
    names = [
        line.split(":", 1)[1].strip()
        for line in (info.read_text(encoding="utf-8").splitlines() if info.exists() else [])
        if line.startswith("model name")
    ]
    name = names[0] if names else platform.processor() or platform.machine()
    found = f"{os.cpu_count()} cores of {name}"
    return found if device == "cpu" else f"{torch.cuda.get_device_name(device)}, {found}"


def versions() -> str:
    found = [f"Python {platform.python_version()}"]
    for package in PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            found.append(f"no {package}")
    return ", ".join(found)
