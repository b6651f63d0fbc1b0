"""What an evaluation measured in one scores file, and the numbers that come of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqlift.faithfulness import (
    FRACTIONS,
    Estimate,
    Progress,
    area,
    by_region,
    gain,
    median,
    pooled,
    ratio,
    spearman_brown,
)

__all__ = ["CURVES", "Findings", "Measure", "measures"]

Floats = NDArray[np.floating[Any]]

CURVES = ("deletion", "insertion")
NOTHING = Estimate(np.nan, np.nan, np.nan, 0, 0)


class Measure(NamedTuple):
    """One line of the table.

    Attributes
    ----------
    name : str
    estimate : Estimate
    detail : str
        A fraction of the bases, or the other file; "." for most.
    note : str
        Why there is no value; "." where there is one.
    """

    name: str
    estimate: Estimate
    detail: str = "."
    note: str = "."


@dataclass
class Findings:
    """What was measured in one file; lists have an entry for each sampled region.

    Attributes
    ----------
    track, loss : list of float (position,)
        Contribution score and effect of mutagenesis at the sampled positions.
    hypothetical, change : list of float (substitution,)
        Difference of hypothetical contributions, and of the target, at each substitution.
    scored, random : list of Progress
        In the order of the scores, and in a random one.
    halves : list of float
        Correlation of the tracks from the two halves of the references.
    total, delta : list of float
        Sum of the scores, and mean delta.
    completeness_error, deltas : float, shape (region, reference)
        Of all regions of the file.
    no_curves, no_halves : str
        Why there are none; empty where there are.
    """

    completeness_error: Floats
    deltas: Floats
    track: list[Floats] = field(default_factory=list)
    loss: list[Floats] = field(default_factory=list)
    hypothetical: list[Floats] = field(default_factory=list)
    change: list[Floats] = field(default_factory=list)
    scored: list[Progress] = field(default_factory=list)
    random: list[Progress] = field(default_factory=list)
    halves: list[float] = field(default_factory=list)
    total: list[float] = field(default_factory=list)
    delta: list[float] = field(default_factory=list)
    no_curves: str = ""
    no_halves: str = ""

    def curve(self, name: str, kind: str = "scored") -> Floats:
        """Return a curve over all regions, as fractions of the way, shape (fraction,).

        Parameters
        ----------
        name : {"deletion", "insertion"}
        kind : {"scored", "random"}
        """
        found: list[Progress] = getattr(self, kind)
        whole = sum(p.whole for p in found)
        total: Floats = np.sum([getattr(p, name) for p in found], axis=0)
        return total / whole if whole else np.full(len(FRACTIONS), np.nan)


def measures(found: Findings, *, seed: int = 0) -> Iterator[Measure]:
    """Go through the numbers about a file, in the order of the table.

    Parameters
    ----------
    found : Findings
    seed : int
        Of the intervals.

    Yields
    ------
    Measure
    """
    yield from _mutagenesis(found, seed)
    for name in CURVES:
        yield from _curves(found, name, seed)
    yield from _completeness(found, seed)
    halves = median(np.array(found.halves), seed=seed)
    yield _measure("split-half", halves, found.no_halves)
    yield _measure("split-half-corrected", spearman_brown(halves), found.no_halves)


def _measure(name: str, estimate: Estimate, missing: str = "") -> Measure:
    if missing:
        return Measure(name, NOTHING, note=missing)
    return Measure(name, estimate, note="." if np.isfinite(estimate.value) else "does not vary")


def _mutagenesis(found: Findings, seed: int) -> Iterator[Measure]:
    pairs = {
        "mutagenesis": (found.track, found.loss),
        "hypothetical": (found.hypothetical, found.change),
    }
    for name, (scores, effects) in pairs.items():
        for kind, ranked in (("pearson", False), ("spearman", True)):
            whole = pooled(scores, effects, ranked=ranked, seed=seed)
            yield _measure(f"{name}-{kind}", whole)
            own = by_region(scores, effects, ranked=ranked, seed=seed)
            yield _measure(f"{name}-{kind}-region", own)


def _curves(found: Findings, name: str, seed: int) -> Iterator[Measure]:
    names = (f"{name}-area", f"{name}-area-random", f"{name}-gain")
    if found.no_curves:
        yield from (_measure(measure, NOTHING, found.no_curves) for measure in names)
        return
    whole = np.array([p.whole for p in found.scored])
    own, by_chance = (
        np.array([area(getattr(p, name)) for p in kind]) for kind in (found.scored, found.random)
    )
    yield from map(_measure, names, gain(own, by_chance, whole, seed=seed))
    for i, fraction in enumerate(FRACTIONS):
        done = np.array([getattr(p, name)[i] for p in found.scored])
        yield Measure(f"{name}-curve", ratio(done, whole, seed=seed), f"{fraction:g}")


def _completeness(found: Findings, seed: int) -> Iterator[Measure]:
    # References may have run out for a region, which leaves NaN.
    error, delta = np.nanmean(found.completeness_error, 1), np.nanmean(np.abs(found.deltas), 1)
    yield _measure("completeness-mean", ratio(error, delta, seed=seed))
    size = float(delta.mean())
    largest = float(np.nanmax(found.completeness_error)) / size if size else np.nan
    n = len(delta)
    yield _measure("completeness-max", Estimate(largest, np.nan, np.nan, n, n))
    total, mean = np.array(found.total), np.array(found.delta)
    yield _measure("sum-to-delta", ratio(np.abs(total - mean), np.abs(mean), seed=seed))
