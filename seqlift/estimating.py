"""What a run would take on this machine, from one small batch."""

from __future__ import annotations

import time

import torch
from torch import nn

from seqlift.explain import Explainer
from seqlift.model.capture import Captured

__all__ = ["estimate"]

REFERENCES = 20
# A batch is tried that takes so long, or a whole one if that is shorter.
SECONDS = 2.0


def estimate(captured: Captured, target: str, activation: str, rules: str) -> str:
    """Say how long 1,000 regions would take with 20 references each, and how much memory.

    Parameters
    ----------
    captured : Captured
    target, activation, rules : str
        See `Explainer`.

    Returns
    -------
    str
        In words. Compiled code, which long jobs have, is quicker.
    """
    explainer = Explainer(
        captured, target=target, target_activation=activation, rules=rules, compile="off"
    )
    _seconds(explainer, 1)  # the first run makes the kernels ready
    n_pairs, taken = 1, _seconds(explainer, 1)
    # What a batch costs whatever its size would be counted a thousand times over if it were small.
    while taken < SECONDS and n_pairs < explainer.batch_size:
        n_pairs = min(2 * n_pairs, explainer.batch_size)
        taken = _seconds(explainer, n_pairs)
    whole = taken / n_pairs * REFERENCES * 1000
    memory = explainer.batch_size * explainer.model.bytes_a_pair() / 2**30
    return (
        f"{_duration(whole)} for 1,000 regions of {REFERENCES} references on {explainer.device}, "
        f"without compiling; batches of {explainer.batch_size} pairs, up to {memory:.2g} GiB"
    )


def _seconds(explainer: Explainer, n_pairs: int) -> float:
    """Time one batch of so many pairs, with the references of a region together."""
    generator = torch.Generator().manual_seed(0)
    n_regions = max(1, n_pairs // REFERENCES)
    shape = n_regions, n_pairs // n_regions + 1, explainer.length or 1
    letters = torch.randint(0, 4, shape, generator=generator)
    rows = nn.functional.one_hot(letters, 4).transpose(2, 3).to(torch.uint8)
    started = time.perf_counter()
    explainer.contribute(rows[:, 0], rows[:, 1:]).scores.cpu()
    return time.perf_counter() - started


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.2g} min" if seconds >= 60 else f"{seconds:.2g} s"
