"""How far tracks and scores are from those of another precision or another tool, and from completeness."""

import torch
from torch import Tensor


def deviations(found: Tensor, expected: Tensor) -> Tensor:
    """Return each region's largest difference, as a share of its largest expected value."""
    difference = (found.double() - expected.double()).flatten(1).abs().amax(1)
    return difference / expected.double().flatten(1).abs().amax(1)


def agreement(found: Tensor, expected: Tensor) -> dict[str, float]:
    """Return deviations of the worst and of the median region, and the lowest correlation of a track.

    Behind max pooling a region may deviate by more than rounding in any tool: where two values of a window are equal but for
    rounding, it decides which of them is the larger one, and takes the score.

    Parameters
    ----------
    found, expected : Tensor, shape (region, position) or (region, base=4, position)
        The sum over bases is the track.
    """
    apart = deviations(found, expected)
    tracks = (t.sum(1) if t.ndim == 3 else t for t in (found, expected))
    return {
        "worst_deviation": float(apart.max()),
        "median_deviation": float(apart.median()),
        "correlation": float(correlations(*tracks).min()),
    }


def correlations(found: Tensor, expected: Tensor) -> Tensor:
    """Return Pearson's correlation of each region's tracks.

    Parameters
    ----------
    found, expected : Tensor, shape (region, position)
    """
    a, b = (t.double() - t.double().mean(1, keepdim=True) for t in (found, expected))
    return torch.nn.functional.cosine_similarity(a, b, dim=1)


def incompleteness(error: Tensor, delta: Tensor) -> float:
    """Return what scores lack to sum to delta, as a share of |delta|: means over references, the worst region.

    Parameters
    ----------
    error, delta : Tensor, shape (region, reference)
    """
    return float((error.double().mean(1) / delta.double().abs().mean(1)).max())
