"""From multipliers to contribution scores.

hyp[b] = mean over references of m[b] − Σ_c ref[c]·m[c]; a contribution score is hyp times one-hot.
For one-hot sequences the sum over base and position is the mean over references of f(x) − f(ref).

The estimator "base-marginal" puts the expectation of the reference's own base in place of its
sample, hyp[b] = m[b] − Σ_c π[c]·m[c] with π the base composition of the sequence. Fewer references
then do, but scores no longer sum to delta, and they are slightly biased: a multiplier was measured
with the reference that was there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from seqlift.deeplift.interpreter import Multipliers

__all__ = [
    "ESTIMATORS",
    "Contributions",
    "Part",
    "agree",
    "average",
    "combine",
    "completeness_tolerance",
    "is_incomplete",
    "join",
    "part",
    "pick",
    "relative_error",
    "widen",
]

ESTIMATORS = ("plain", "base-marginal")

# What stands below for the precision of products with less of it than float32 has; it makes a
# hundredth of delta rounding.
LOWERED = {"bfloat16": 1e-5, "tf32": 1e-5}

# Far more than rounding makes of a result, even that of bfloat16 or of a maximum whose winner
# changes: this share of its size, and of the prediction where it is nothing.
FAR = 0.02
NOISE = 1e-4
COMPARED = (
    "hypothetical", "tracks", "delta", "prediction", "prediction_reference", "multipliers",
)  # fmt: skip


class Contributions(NamedTuple):
    """Contribution scores of a set of sequences, in units of the target.

    Attributes
    ----------
    hypothetical : Tensor, shape (region, base=4, position)
        The contribution each base would get, mean over references.
    scores : Tensor, shape (region, base=4, position)
        Contribution scores: hypothetical times one-hot.
    delta : Tensor, shape (region, reference)
        Target at the sequence minus target at the reference; NaN for references not used.
    completeness_error : Tensor, shape (region, reference)
        |Σ (x − ref)·m − delta|, absolute; NaN for references not used.
    standard_error : Tensor, shape (region, position)
        Of the track (scores summed over bases) over references; NaN with a single reference.
    prediction : Tensor, shape (region,)
        Target at the sequence.
    prediction_reference : Tensor, shape (region, reference)
        Target at each reference; NaN for references not used.
    n_references : int64 Tensor, shape (region,)
        References used.
    multipliers : Tensor, shape (region, reference, base=4, position), or None
        Only when asked for.
    members : Tensor, shape (region, member, position), or None
        Of an ensemble, the track of each member; all else is the mean over members, and
        `completeness_error` the mean of theirs, which that of the mean does not exceed.
    """

    hypothetical: Tensor
    scores: Tensor
    delta: Tensor
    completeness_error: Tensor
    standard_error: Tensor
    prediction: Tensor
    prediction_reference: Tensor
    n_references: Tensor
    multipliers: Tensor | None = None
    members: Tensor | None = None


class Part(NamedTuple):
    """What some of the references of a batch, or of some of its regions, add to its scores."""

    hypothetical: Tensor  # (region, base=4, position), sum over these references
    tracks: Tensor  # (region, reference, position)
    delta: Tensor  # (region, reference)
    completeness_error: Tensor  # (region, reference)
    prediction: Tensor  # (region,)
    prediction_reference: Tensor  # (region, reference)
    multipliers: Tensor | None  # (region, reference, base=4, position)
    rows: Tensor | None = None  # int64, the regions of the batch that it is of; None is all
    members: Tensor | None = None  # (region, member, position), tracks, sum over these references


def part(
    one_hot: Tensor,
    references: Tensor,
    found: Multipliers,
    *,
    compares: bool = True,
    estimator: str = "plain",
    keep_multipliers: bool = False,
) -> Part:
    """Turn the multipliers of a batch and some of its references into their part of the scores.

    Parameters
    ----------
    one_hot : Tensor, shape (region, base=4, position)
    references : Tensor, shape (region, reference, base=4, position)
    found : Multipliers
    compares : bool
        Whether a base is scored against the reference; if not, hyp = m.
    estimator : str
        "plain" or "base-marginal".
    keep_multipliers : bool

    Returns
    -------
    Part
    """
    m = found.multipliers
    is_base = one_hot.sum(1).unsqueeze(1)
    observed = (one_hot.unsqueeze(1) * m).sum(2)
    at_reference = (references * m).sum(2) if compares else torch.zeros_like(observed)
    expected = at_reference
    if compares and estimator == "base-marginal":
        composition = one_hot.mean(2) / one_hot.mean(2).sum(1, keepdim=True).clamp(min=1e-9)
        expected = is_base * (composition[:, None, :, None] * m).sum(2)
    delta = found.prediction.unsqueeze(1) - found.prediction_reference
    return Part(
        m.sum(1) - expected.sum(1).unsqueeze(1),
        observed - is_base * expected,
        delta,
        ((observed - at_reference).sum(-1) - delta).abs(),
        found.prediction,
        found.prediction_reference,
        m if keep_multipliers else None,
    )


def agree(found: Part, expected: Part) -> bool:
    """Say whether what was computed in two ways is the same, or one of them is grossly wrong.

    Parameters
    ----------
    found, expected : Part
        Of the same regions and references.

    Returns
    -------
    bool
        False if a region's results differ by more than a fiftieth of their size (sums of absolute
        numbers), or are not numbers.
    """
    noise = NOISE * expected.prediction.abs()
    for name in COMPARED:
        one, other = getattr(found, name), getattr(expected, name)
        if other is not None:
            other = other.reshape(len(noise), -1)
            difference = (one.reshape(other.shape) - other).abs().sum(1)
            if not bool((difference <= FAR * other.abs().sum(1) + noise).all()):
                return False
    return True


def average(parts: Sequence[Part]) -> Part:
    """Return the mean of what the members of an ensemble give for the same pairs."""
    if len(parts) == 1:
        return parts[0]

    def mean(values: tuple[Tensor | None, ...]) -> Tensor | None:
        there = [value for value in values if value is not None]
        return torch.stack(there).mean(0) if there else None

    fields = map(mean, zip(*parts, strict=True))
    members = torch.stack([one.tracks.sum(1) for one in parts], 1)
    return Part(*fields)._replace(members=members)  # type: ignore[arg-type]


def pick(piece: Part, rows: Tensor, wanted: Tensor) -> Part:
    """Keep some regions of a part.

    Parameters
    ----------
    piece : Part
        Of the regions `rows` of a batch.
    rows : int64 Tensor
    wanted : bool Tensor, shape (region of the batch,)

    Returns
    -------
    Part
        Of the regions that are among both, with `rows` set where that is not all of the batch.
    """
    if bool(wanted.all()):
        return piece
    kept = wanted[rows]
    device = piece.delta.device
    if not bool(kept.all()):
        here = kept.to(device)
        piece = Part(*(None if value is None else value[here] for value in piece))  # type: ignore[arg-type]
    return piece._replace(rows=rows[kept].to(device))


def combine(one_hot: Tensor, parts: Sequence[Part]) -> Contributions:
    """Put the parts of all references of a batch together.

    Parameters
    ----------
    one_hot : Tensor, shape (region, base=4, position)
    parts : sequence of Part
        In the order of the references; the first is of all regions.

    Returns
    -------
    Contributions

    References
    ----------
    Shrikumar et al. 2017, section 3.1; hypothetical scores as in the authors' implementation.
    """
    n_references = torch.zeros(len(one_hot), dtype=torch.int64, device=one_hot.device)
    total = torch.zeros_like(one_hot)
    for piece in parts:
        rows = slice(None) if piece.rows is None else piece.rows
        n_references[rows] += piece.delta.shape[1]
        total[rows] += piece.hypothetical
    hypothetical = total / n_references[:, None, None]
    members = _sum_of_members(parts)
    multipliers = [p.multipliers for p in parts if p.multipliers is not None]
    return Contributions(
        hypothetical,
        hypothetical * one_hot,
        _side_by_side([p.delta for p in parts], parts),
        _side_by_side([p.completeness_error for p in parts], parts),
        _standard_error(_side_by_side([p.tracks for p in parts], parts), n_references),
        parts[0].prediction,
        _side_by_side([p.prediction_reference for p in parts], parts),
        n_references,
        _side_by_side(multipliers, parts) if multipliers else None,
        None if members is None else members / n_references[:, None, None],
    )


def _sum_of_members(parts: Sequence[Part]) -> Tensor | None:
    first = parts[0].members
    if first is None:
        return None
    total = first.clone()
    for piece in parts[1:]:
        assert piece.members is not None
        total[slice(None) if piece.rows is None else piece.rows] += piece.members
    return total


def _side_by_side(values: Sequence[Tensor], parts: Sequence[Part]) -> Tensor:
    """Join along the axis of references; NaN where a region was no longer among them."""
    n_regions = len(values[0])

    def filled(value: Tensor, rows: Tensor | None) -> Tensor:
        if rows is None:
            return value
        whole = value.new_full((n_regions, *value.shape[1:]), torch.nan)
        whole[rows] = value
        return whole

    return torch.cat([filled(v, p.rows) for v, p in zip(values, parts, strict=True)], 1)


def _standard_error(tracks: Tensor, n_references: Tensor) -> Tensor:
    """Return the standard error over references (dimension 1); NaN with one reference."""
    n = n_references[:, None].to(tracks.dtype)
    squares = (tracks - tracks.nanmean(1, keepdim=True)).square().nansum(1)
    return (squares / (n - 1) / n).sqrt()


def relative_error(one_hot: Tensor, parts: Sequence[Part]) -> Tensor:
    """Return the largest standard error of each region's track, over its largest score.

    Returns
    -------
    Tensor, shape (region,)
        Zero where all scores and errors are; NaN with one reference.
    """
    found = combine(one_hot, parts)
    largest = found.scores.sum(1).abs().amax(1)
    error = found.standard_error.amax(1)
    return torch.where(error == 0, error, error / largest)


def completeness_tolerance(contributions: Contributions, precision: str = "float32") -> Tensor:
    """Return the completeness error that rounding alone explains, generously.

    Parameters
    ----------
    contributions : Contributions
    precision : str
        With "bfloat16" and "tf32" a hundredth of delta is rounding.

    Returns
    -------
    Tensor, shape (region, reference)
        About a thousandth of |delta| in float32 (the root of the type's precision), where |delta|
        is at least its mean over the region's references, plus some rounding of the predictions.
    """
    eps = LOWERED.get(precision, torch.finfo(contributions.delta.dtype).eps)
    size = torch.maximum(
        contributions.prediction.abs().unsqueeze(1), contributions.prediction_reference.abs()
    )
    delta = contributions.delta.abs()
    delta = torch.maximum(delta, delta.nanmean(1, keepdim=True))
    return 3 * math.sqrt(eps) * delta + 100 * eps * size


def is_incomplete(contributions: Contributions, precision: str = "float32") -> Tensor:
    """Find the pairs whose completeness error is more than rounding explains.

    Returns
    -------
    Tensor of bool, shape (region, reference)
        Errors that are NaN count; references that were not used do not.
    """
    error = contributions.completeness_error
    is_used = (
        torch.arange(error.shape[1], device=error.device) < contributions.n_references[:, None]
    )
    return is_used & ~(error <= completeness_tolerance(contributions, precision))


def widen(found: Contributions, n_references: int) -> Contributions:
    """Fill up to as many references as were offered, NaN where none was used."""

    def fill(value: Tensor) -> Tensor:
        missing = (len(value), n_references - value.shape[1], *value.shape[2:])
        return torch.cat([value, value.new_full(missing, torch.nan)], 1)

    if found.delta.shape[1] == n_references:
        return found
    return found._replace(
        delta=fill(found.delta),
        completeness_error=fill(found.completeness_error),
        prediction_reference=fill(found.prediction_reference),
        multipliers=None if found.multipliers is None else fill(found.multipliers),
    )


def join(found: Sequence[Contributions]) -> Contributions:
    """Put the contributions of batches of regions together, in their order."""

    def along_regions(values: tuple[Tensor | None, ...]) -> Tensor | None:
        return None if values[0] is None else torch.cat([v for v in values if v is not None])

    return Contributions(*map(along_regions, zip(*found, strict=True)))  # type: ignore[arg-type]
