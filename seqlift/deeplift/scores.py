"""From multipliers to contribution scores.

hyp[b] = mean over references of m[b] − Σ_c ref[c]·m[c]; a contribution score is hyp times one-hot.
For one-hot sequences the sum over base and position is the mean over references of f(x) − f(ref).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from seqlift.deeplift.interpreter import Multipliers

__all__ = ["Contributions", "Part", "combine", "completeness_tolerance", "part"]


class Contributions(NamedTuple):
    """Contribution scores of a set of sequences, in units of the target.

    Attributes
    ----------
    hypothetical : Tensor, shape (region, base=4, position)
        The contribution each base would get, mean over references.
    scores : Tensor, shape (region, base=4, position)
        Contribution scores: hypothetical times one-hot.
    delta : Tensor, shape (region, reference)
        Target at the sequence minus target at the reference.
    completeness_error : Tensor, shape (region, reference)
        |Σ (x − ref)·m − delta|, absolute.
    standard_error : Tensor, shape (region, position)
        Of the track (scores summed over bases) over references; NaN with a single reference.
    prediction : Tensor, shape (region,)
        Target at the sequence.
    prediction_reference : Tensor, shape (region, reference)
        Target at each reference.
    multipliers : Tensor, shape (region, reference, base=4, position), or None
        Only when asked for.
    """

    hypothetical: Tensor
    scores: Tensor
    delta: Tensor
    completeness_error: Tensor
    standard_error: Tensor
    prediction: Tensor
    prediction_reference: Tensor
    multipliers: Tensor | None = None


class Part(NamedTuple):
    """What some of the references of a batch add to its contributions."""

    hypothetical: Tensor  # (region, base=4, position), sum over these references
    tracks: Tensor  # (region, reference, position)
    delta: Tensor  # (region, reference)
    completeness_error: Tensor  # (region, reference)
    prediction: Tensor  # (region,)
    prediction_reference: Tensor  # (region, reference)
    multipliers: Tensor | None  # (region, reference, base=4, position)


def part(
    one_hot: Tensor, references: Tensor, found: Multipliers, *, keep_multipliers: bool = False
) -> Part:
    """Turn the multipliers of a batch and some of its references into their part of the scores.

    Parameters
    ----------
    one_hot : Tensor, shape (region, base=4, position)
    references : Tensor, shape (region, reference, base=4, position)
    found : Multipliers
    keep_multipliers : bool

    Returns
    -------
    Part
    """
    m = found.multipliers
    expected = (references * m).sum(2)
    observed = (one_hot.unsqueeze(1) * m).sum(2)
    delta = found.prediction.unsqueeze(1) - found.prediction_reference
    return Part(
        m.sum(1) - expected.sum(1).unsqueeze(1),
        observed - one_hot.sum(1).unsqueeze(1) * expected,
        delta,
        ((observed - expected).sum(-1) - delta).abs(),
        found.prediction,
        found.prediction_reference,
        m if keep_multipliers else None,
    )


def combine(one_hot: Tensor, parts: Sequence[Part]) -> Contributions:
    """Put the parts of all references of a batch together.

    Parameters
    ----------
    one_hot : Tensor, shape (region, base=4, position)
    parts : sequence of Part

    Returns
    -------
    Contributions

    References
    ----------
    Shrikumar et al. 2017, section 3.1; hypothetical scores as in the authors' implementation.
    """
    tracks = torch.cat([p.tracks for p in parts], 1)
    hypothetical = torch.stack([p.hypothetical for p in parts]).sum(0) / tracks.shape[1]
    kept = [p.multipliers for p in parts if p.multipliers is not None]
    return Contributions(
        hypothetical,
        hypothetical * one_hot,
        torch.cat([p.delta for p in parts], 1),
        torch.cat([p.completeness_error for p in parts], 1),
        _standard_error(tracks),
        parts[0].prediction,
        torch.cat([p.prediction_reference for p in parts], 1),
        torch.cat(kept, 1) if kept else None,
    )


def _standard_error(tracks: Tensor) -> Tensor:
    """Return the standard error over references (dimension 1); NaN with one reference."""
    n_references = tracks.shape[1]
    if n_references == 1:
        return torch.full_like(tracks[:, 0], torch.nan)
    return tracks.std(1) / math.sqrt(n_references)


def completeness_tolerance(contributions: Contributions) -> Tensor:
    """Return the completeness error that rounding alone explains, generously.

    Returns
    -------
    Tensor, shape (region, reference)
        About a thousandth of |delta| in float32 (the root of the type's precision), where |delta|
        is at least its mean over the region's references, plus some rounding of the predictions.
    """
    eps = torch.finfo(contributions.delta.dtype).eps
    size = torch.maximum(
        contributions.prediction.abs().unsqueeze(1), contributions.prediction_reference.abs()
    )
    delta = contributions.delta.abs()
    return 3 * math.sqrt(eps) * torch.maximum(delta, delta.mean(1, keepdim=True)) + 100 * eps * size
