"""Whole commands, run as people run them: what they are, how long they take, and how much memory.

Who imports this must stay small: on Linux a child's peak memory starts at that of its parent.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

TANGERMEME = Path(__file__).with_name("tangermeme_score.py")


def seqlift_command(job: dict, precision: str) -> list[str]:
    """Return `seqlift score` for a job, to HDF5 and bigWig."""
    return [
        sys.executable, "-m", "seqlift", "score", "--model", job["program"], "--genome", job["genome"],
        "--regions", job["regions"], "--output", f"{job['output']}.seqlift", "--n-references", str(job["n_references"]),
        "--device", job["device"], "--threads", str(job["threads"]), "--precision", precision,
        *job["options"], "--force", "--quiet",
    ]  # fmt: skip


def tangermeme_command(job: dict, batch_size: int) -> list[str]:
    """Return the script of tangermeme's own functions for the same job, to an npz."""
    return [sys.executable, str(TANGERMEME), json.dumps(job | {"batch_size": batch_size})]


def run(command: list[str], threads: int) -> tuple[float, float]:
    """Run a command; return its wall seconds and its peak memory in GB.

    Raises
    ------
    SystemExit
        If it fails.
    """
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    started = time.perf_counter()
    with subprocess.Popen(command, env=environment) as child:
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    spent = time.perf_counter() - started
    if child.returncode:
        sys.exit(f"{' '.join(command)} ended with {child.returncode}")
    return spent, used.ru_maxrss * 1024 / 1e9


def best_batch_size(seconds: str, tool: str = "tangermeme") -> int:
    """Return the batch size with the lowest median time in the table of a row."""
    import pandas as pd

    table = pd.read_csv(seconds, sep="\t").query("tool == @tool")
    return int(table.groupby("batch_size")["seconds"].median().idxmin())
