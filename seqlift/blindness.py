"""Whether a model sees the sequences at all: its input may have been taken for another one."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from itertools import islice

import torch

from seqlift.errors import ModelWarning
from seqlift.explain import Explainer
from seqlift.windows import Source, encode_windows

__all__ = ["warn_if_blind"]

WINDOWS = 4
SAME = 1e-6


def warn_if_blind(explainers: Sequence[Explainer], source: Source) -> None:
    """Warn if no target tells the first windows from N alone.

    Warns
    -----
    ModelWarning
    """
    length = explainers[0].length or 1
    scored = (item for item in source.items() if item.status != "dropped")
    one_hot = torch.from_numpy(encode_windows(source, list(islice(scored, WINDOWS)), length))
    # The first row is N alone.
    rows = torch.cat([torch.zeros_like(one_hot[:1]), one_hot])
    for explainer in explainers:
        found = explainer.model.outputs(rows)
        differs = (found[1:] - found[0]).abs() > SAME * found[0].abs()
        if bool(differs.any() | ~found.isfinite().all()):
            return
    warnings.warn(
        f"the model says the same of the first {len(one_hot)} sequences as of N alone: are the "
        "layout and the order of bases right (--layout, --bases), and is it trained?",
        ModelWarning,
        stacklevel=2,
    )
