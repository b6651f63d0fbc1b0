"""Passes of a setting over a sample of regions: what they give, and how long they take."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from seqlift.batches import References, batches
from seqlift.explain import Explainer
from seqlift.faithfulness import correlation
from seqlift.pilot_sample import Sample
from seqlift.pilot_settings import Setting
from seqlift.stages import ahead

__all__ = ["PASSES", "Standard", "Tried", "score_standard"]

Floats = NDArray[np.floating[Any]]

# A setting is timed until it has run so long, but not more often than this.
ENOUGH = 1.0
PASSES = 3
# Regions of a pass that is timed, at most.
MOST_REGIONS_TIMED = 256


class Found(NamedTuple):
    """What a pass gave; everything has an entry for each region.

    Attributes
    ----------
    tracks : list of float (position,)
        At the bases; N left out.
    error, size : float, shape (region,)
        Means over references of the completeness error and of |delta|.
    total, delta : float, shape (region,)
        Sum of the track, and mean delta.
    """

    tracks: list[Floats]
    error: Floats
    size: Floats
    total: Floats
    delta: Floats


@dataclass
class Tried:
    """A setting under way.

    Attributes
    ----------
    setting : Setting
    explainer : Explainer
    scheme : References
    seconds : float
        A region, by the fastest pass: what else the machine does only adds to it.
    spent : float
        Seconds of all passes.
    """

    setting: Setting
    explainer: Explainer
    scheme: References
    seconds: float = field(default=np.inf, init=False)
    spent: float = field(default=0.0, init=False)

    def score(self, sample: Sample) -> Found:
        """Score a sample as `seqlift score` would, up to the writing of files."""
        started = time.perf_counter()
        found = _score(self.explainer, self.scheme, sample)
        elapsed = time.perf_counter() - started
        self.spent += elapsed
        self.seconds = min(self.seconds, elapsed / len(sample.rows))
        return found

    def time_again(self, sample: Sample) -> None:
        """Score the sample once more, as often over as a second allows, if it has been quick."""
        if self.spent < ENOUGH:
            n = min(MOST_REGIONS_TIMED, round(ENOUGH / self.seconds))
            self.score(sample.repeated(max(n, len(sample.rows))))


class Standard(NamedTuple):
    """What the independent set of references gave.

    Attributes
    ----------
    tracks : list of float (position,)
        For each region, from all of them; N left out.
    halves : float, shape (region,)
        Correlation of the tracks from the two halves; NaN where one of them does not vary.
    """

    tracks: list[Floats]
    halves: Floats

    def correlations(self, tracks: list[Floats]) -> Floats:
        """Correlate other tracks of the same regions; one that does not vary agrees with none."""
        found = [correlation(one, own) for one, own in zip(tracks, self.tracks, strict=True)]
        known: Floats = np.nan_to_num(np.array(found))
        return known


def score_standard(explainer: Explainer, scheme: References, sample: Sample) -> Standard:
    """Score a sample against an independent set of references, half by half.

    Parameters
    ----------
    explainer : Explainer
        With the plain estimator.
    scheme : References
        Of an even number.
    sample : Sample

    Returns
    -------
    Standard
    """
    tracks: list[Floats] = []
    halves: list[float] = []
    for batch in ahead(batches(sample, _length(explainer), [scheme])):
        references = batch.references[0]
        twice = references.reshape(-1, scheme.n_made // 2, *references.shape[2:])
        found = explainer.contribute(
            torch.from_numpy(np.repeat(batch.one_hot, 2, axis=0)), torch.from_numpy(twice)
        )
        both = found.scores.sum(1).double().cpu().numpy()
        for one, other, is_base in zip(both[::2], both[1::2], batch.one_hot.max(1), strict=True):
            is_known = is_base > 0
            tracks.append((one + other)[is_known] / 2)
            halves.append(correlation(one[is_known], other[is_known]))
    return Standard(tracks, np.array(halves))


def _score(explainer: Explainer, scheme: References, sample: Sample) -> Found:
    tracks: list[Floats] = []
    numbers: list[Floats] = []
    for batch in ahead(batches(sample, _length(explainer), [scheme])):
        found = explainer.contribute(
            torch.from_numpy(batch.one_hot), torch.from_numpy(batch.references[0])
        )
        track, delta = found.scores.sum(1).double(), found.delta.double()
        error, size = found.completeness_error.double().mean(1), delta.abs().mean(1)
        sums = torch.stack([error, size, track.sum(1), delta.mean(1)])
        numbers.append(sums.cpu().numpy())
        is_base = batch.one_hot.max(1) > 0
        own = track.cpu().numpy()
        tracks += [values[known] for values, known in zip(own, is_base, strict=True)]
    return Found(tracks, *np.concatenate(numbers, axis=1))


def _length(explainer: Explainer) -> int:
    assert explainer.length is not None
    return explainer.length
