"""What a run writes for one target, and what it counts while writing.

`TargetResults` streams batches to the HDF5 and remembers the few regions whose logo will be drawn.
The files get their names from `seqlift.output.atomic`; nothing here renames anything.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from seqlift.deeplift.scores import Contributions, completeness_tolerance
from seqlift.logo import crop_about_core
from seqlift.output.hdf5 import ScoredBatch, ScoresWriter
from seqlift.output.regions_tsv import RegionRow
from seqlift.windows import Batch, Item

__all__ = ["Completeness", "TargetResults"]


@dataclass
class Completeness:
    """How well contributions sum to delta, over all pairs so far.

    Attributes
    ----------
    n_pairs, n_over : int
        Pairs of sequence and reference; those beyond what rounding explains.
    worst : float
        Largest error in units of the target.
    total_error, total_delta : float
        Sums of error and |delta| over all pairs.
    """

    n_pairs: int = 0
    n_over: int = 0
    worst: float = 0.0
    total_error: float = 0.0
    total_delta: float = 0.0

    def add(self, found: Contributions) -> None:
        """Count the pairs of a batch."""
        error = found.completeness_error
        self.n_pairs += error.numel()
        self.n_over += int((~(error <= completeness_tolerance(found))).sum())  # NaN counts
        self.worst = max(self.worst, float(error.max()))
        self.total_error += float(error.sum())
        self.total_delta += float(found.delta.abs().sum())

    def summary(self) -> dict[str, Any]:
        """Return the counts for `PREFIX.json`."""
        mean = self.total_error / self.total_delta if self.total_delta else 0.0
        return {
            "n_pairs": self.n_pairs,
            "n_beyond_rounding": self.n_over,
            "max_error": self.worst,
            "mean_error_over_mean_delta": mean,
        }


@dataclass
class TargetResults:
    """The results of one target.

    Parameters
    ----------
    target : str
    writer : ScoresWriter
    n_logos : int
        How many regions to remember.
    removed_activation : str
        The final activation below which the target lies, or an empty string.
    """

    target: str
    writer: ScoresWriter
    n_logos: int = 0
    removed_activation: str = ""
    completeness: Completeness = field(default_factory=Completeness)
    _strongest: list[tuple[float, int]] = field(default_factory=list)
    _n_written: int = 0

    def add(self, batch: Batch, found: Contributions) -> dict[int, RegionRow]:
        """Write a batch; return the rows of the table of regions by position in `batch.kept`."""
        self.completeness.add(found)
        host = {name: _host(value) for name, value in found._asdict().items() if value is not None}
        windows = [item.window for item in batch.kept]
        self.writer.append(ScoredBatch(regions=windows, one_hot=batch.one_hot, **host))
        self._remember(host["scores"].sum(1))
        return {
            i: _scored_row(item, self.target, i, batch, host) for i, item in enumerate(batch.kept)
        }

    def _remember(self, tracks: NDArray[np.floating]) -> None:
        for track in tracks if self.n_logos else ():
            strength = crop_about_core(track).strength
            # Of equals the first wins, whatever the batches.
            heapq.heappush(self._strongest, (strength, -self._n_written))
            if len(self._strongest) > self.n_logos:
                heapq.heappop(self._strongest)
            self._n_written += 1

    def strongest(self) -> list[int]:
        """Return the positions in the HDF5 of the regions with the strongest cores."""
        return [-position for _, position in sorted(self._strongest, reverse=True)]


def _host(value: Tensor) -> NDArray[Any]:
    return value.cpu().numpy()


def _scored_row(
    item: Item, target: str, i: int, batch: Batch, host: Mapping[str, NDArray[Any]]
) -> RegionRow:
    error, delta = host["completeness_error"][i], host["delta"][i]
    track = np.abs(host["scores"][i].sum(0))
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = np.max(np.where(error == 0, 0.0, error / np.abs(delta)))
    stuck = bool(batch.is_unshufflable[i])
    return replace(
        region_row(item, target),
        status="unshufflable" if stuck else item.status,
        reason="no other shuffle exists, so all scores are 0" if stuck else item.reason,
        prediction=float(host["prediction"][i]),
        prediction_reference_mean=float(host["prediction_reference"][i].mean()),
        delta_mean=float(delta.mean()),
        completeness_error_max=float(error.max()),
        completeness_error_relative=float(relative),
        n_unknown=int((batch.one_hot[i].sum(0) == 0).sum()),
        strongest_position=item.window.start + int(track.argmax()) if track.any() else None,
    )


def region_row(item: Item, target: str) -> RegionRow:
    """Return a row of the table of regions without scores, as one that was dropped has it."""
    region, window = item.region, item.window
    return RegionRow(
        row=region.row,
        chrom=region.chrom,
        start=region.start,
        end=region.end,
        name=region.name,
        strand=region.strand,
        summit=region.summit,
        window_start=window.start,
        window_end=window.end,
        status=item.status,
        reason=item.reason,
        target=target,
    )
