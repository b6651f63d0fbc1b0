"""How long work took by the rules that has been compiled on this machine before.

It will be ready in no time, so that a job need not be long to be worth it, and its first batch need
not be timed.
"""

from __future__ import annotations

import contextlib
import math

from seqlift.deeplift import kept

__all__ = ["remember", "seconds_by_rules"]

SECONDS = "seconds_by_rules"


def remember(description: str, seconds: float) -> None:
    """Note that a function has been compiled, if that can be written.

    Parameters
    ----------
    description : str
        The same for functions that do the same.
    seconds : float
        That a pair of a sequence and a reference takes, rule by rule. The least of all is kept:
        a few regions take longer each than many, and any on a busy machine.
    """
    if seconds < 0.9 * seconds_by_rules(description):
        with contextlib.suppress(OSError), kept.making(f"{SECONDS} {description}") as folder:
            (folder / SECONDS).write_text(repr(seconds))


def seconds_by_rules(description: str) -> float:
    """Return the seconds a pair, rule by rule, of what has been compiled here; infinity if not."""
    folder = kept.find(f"{SECONDS} {description}")
    try:
        return math.inf if folder is None else float((folder / SECONDS).read_text())
    except OSError:  # it went meanwhile
        return math.inf
