"""Sequences, captured zoo models and the checks that many tests make."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from seqlift.deeplift.scores import Contributions
from seqlift.explain import Explainer
from seqlift.model.capture import Captured, capture
from seqlift.sequence.onehot import from_indices
from seqlift.sequence.shuffle import dinucleotide_shuffle
from tests.zoo import LENGTH, ZOO, build

COMPLETE = 1e-10  # completeness error over the mean |delta|, float64
GROUP = 12


class _Together(nn.Module):
    """Several models side by side, so that capture's half second is paid once for all."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__()
        self.names = names
        self.models = nn.ModuleList(build(name) for name in names)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {name: model(x) for name, model in zip(self.names, self.models, strict=True)}


@functools.cache
def _captured_group(first: int) -> Captured:
    return capture(_Together(list(ZOO)[first : first + GROUP]), LENGTH)


@functools.cache
def explainer(
    name: str,
    precision: str = "float64",
    device: str = "cpu",
    target: int = 0,
    rules: str = "rescale",
) -> Explainer:
    """Return an explainer of one output of a zoo model; shared, so leave it as it is."""
    place = list(ZOO).index(name)
    captured = _captured_group(place - place % GROUP)
    return Explainer(
        captured, target=f"{name}.{target}", precision=precision, device=device, rules=rules
    )


@functools.cache
def model(name: str) -> nn.Module:
    """Return a zoo model with the weights that `explainer` uses; shared, so leave it as it is."""
    return build(name)


def random_sequences(n_regions: int, length: int = LENGTH, seed: int = 0) -> Tensor:
    """Return uniform random DNA, uint8 (region, base=4, position)."""
    bases = np.random.default_rng(seed).integers(0, 4, (n_regions, length))
    return torch.from_numpy(from_indices(bases))


@functools.cache
def with_shuffles(
    n_regions: int = 3, n_references: int = 20, length: int = LENGTH, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """Return random sequences and their dinucleotide shuffles, uint8."""
    one_hot = random_sequences(n_regions, length, seed)
    return one_hot, torch.from_numpy(dinucleotide_shuffle(one_hot, n_references, seed=seed))


def assert_complete(found: Contributions, tolerance: float = COMPLETE) -> None:
    """Check each pair's completeness error, and that the scores sum to the mean delta.

    Errors are measured against the mean |delta|, because single deltas may be near zero.
    """
    size = found.delta.abs().mean()
    assert size > 1e-6, "the model tells no sequence from its references: this proves nothing"
    assert found.completeness_error.max() <= tolerance * size
    error = found.scores.sum((1, 2)) - found.delta.mean(1)
    assert error.abs().max() <= tolerance * size


def assert_same_scores(found: Contributions, expected: Contributions, tolerance: float) -> None:
    """Compare scores, hypothetical scores and deltas, each against the largest expected one."""
    for field in ("scores", "hypothetical", "delta", "prediction", "standard_error"):
        one, other = getattr(found, field), getattr(expected, field)
        scale = float(other.abs().max())
        torch.testing.assert_close(one, other, rtol=0, atol=tolerance * scale, msg=_named(field))


def _named(field: str):
    return lambda message: f"{field}: {message}"


def rows_of(found: Contributions, rows: Sequence[int] | slice) -> Contributions:
    """Return some of the regions."""
    return Contributions(*(None if field is None else field[rows] for field in found))
