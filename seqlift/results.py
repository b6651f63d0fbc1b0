"""What a run writes for one target and scheme, and what it counts while writing.

`TargetResults` streams batches to the HDF5 and remembers the few regions whose logo will be drawn.
The files get their names from `seqlift.output.atomic`; nothing here renames anything.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqlift.deeplift.scores import Contributions, is_incomplete
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
    precision : str
        Of the run, which says what rounding explains.
    is_promised : bool
        Whether the method sums to delta; if not, no pair counts as beyond rounding.
    n_pairs, n_over : int
        Pairs of sequence and reference; those beyond what rounding explains.
    worst : float
        Largest error in units of the target.
    total_error, total_delta : float
        Sums of error and |delta| over all pairs.
    """

    precision: str = "float32"
    is_promised: bool = True
    n_pairs: int = 0
    n_over: int = 0
    worst: float = 0.0
    total_error: float = 0.0
    total_delta: float = 0.0

    def add(self, found: Contributions) -> None:
        """Count the pairs of a batch."""
        columns = torch.arange(found.delta.shape[1], device=found.delta.device)
        is_used = columns < found.n_references[:, None]
        error = found.completeness_error[is_used]
        self.n_pairs += error.numel()
        if self.is_promised:
            self.n_over += int(is_incomplete(found, self.precision).sum())
        self.worst = max(self.worst, float(error.max()))
        self.total_error += float(error.sum())
        self.total_delta += float(found.delta[is_used].abs().sum())

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
    """The results of one target against one scheme.

    Parameters
    ----------
    name : str
        TARGET, or TARGET.SCHEME where there are several schemes.
    target : str
    references : str
        The label of the scheme.
    writer : ScoresWriter
    n_logos : int
        How many regions to remember.
    removed_activation : str
        The final activation below which the target lies, or an empty string.
    """

    name: str
    target: str
    references: str
    writer: ScoresWriter
    n_logos: int = 0
    removed_activation: str = ""
    completeness: Completeness = field(default_factory=Completeness)
    _strongest: list[tuple[float, int]] = field(default_factory=list)
    _n_written: int = 0

    def add(
        self, batch: Batch, is_unshufflable: NDArray[np.bool_], found: Contributions
    ) -> dict[int, RegionRow]:
        """Write a batch; return the rows of the table of regions by position in `batch.kept`."""
        self.completeness.add(found)
        host = {name: _host(value) for name, value in found._asdict().items() if value is not None}
        windows = [item.window for item in batch.kept]
        self.writer.append(ScoredBatch(regions=windows, one_hot=batch.one_hot, **host))
        self._remember(host["scores"].sum(1))
        rows = {}
        for i, item in enumerate(batch.kept):
            row = region_row(item, self.target, self.references)
            if is_unshufflable[i]:
                row = replace(row, status="unshufflable", reason=_NO_OTHER)
            rows[i] = _with_scores(row, i, batch, host)
        return rows

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


_NO_OTHER = "no other shuffle exists, so all scores are 0"


def _with_scores(
    row: RegionRow, i: int, batch: Batch, host: Mapping[str, NDArray[Any]]
) -> RegionRow:
    """Fill in the numbers of region i of a batch."""
    used = slice(int(host["n_references"][i]))
    error, delta = host["completeness_error"][i, used], host["delta"][i, used]
    track = np.abs(host["scores"][i].sum(0))
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = np.max(np.where(error == 0, 0.0, error / np.abs(delta)))
    start = row.window_start or 0
    return replace(
        row,
        prediction=float(host["prediction"][i]),
        prediction_reference_mean=float(host["prediction_reference"][i, used].mean()),
        delta_mean=float(delta.mean()),
        n_references=len(delta),
        completeness_error_max=float(error.max()),
        completeness_error_relative=float(relative),
        n_unknown=int((batch.one_hot[i].sum(0) == 0).sum()),
        strongest_position=start + int(track.argmax()) if track.any() else None,
    )


def region_row(item: Item, target: str = ".", references: str = ".") -> RegionRow:
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
        references=references,
    )
