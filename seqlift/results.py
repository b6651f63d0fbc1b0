"""What a run writes for one target and scheme, and what it counts while writing.

`TargetResults` streams batches to the HDF5 and remembers the few regions whose logo will be drawn.
The files get their names from `seqlift.output.atomic`; nothing here renames anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqlift.batches import Batch
from seqlift.deeplift.scores import Contributions, is_incomplete
from seqlift.ensembles import of_members
from seqlift.output.hdf5 import ScoredBatch, ScoresWriter
from seqlift.output.regions_tsv import RegionRow
from seqlift.strongest import Strongest
from seqlift.windows import Item

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
    n_models, n_strands : int
        Of the ensemble.
    """

    name: str
    target: str
    references: str
    writer: ScoresWriter
    n_logos: int = 0
    removed_activation: str = ""
    completeness: Completeness = field(default_factory=Completeness)
    n_models: int = 1
    n_strands: int = 1
    _strongest: Strongest = field(init=False)

    def __post_init__(self) -> None:
        self._strongest = Strongest(self.n_logos)

    def add(
        self, batch: Batch, is_unshufflable: NDArray[np.bool_], found: Contributions
    ) -> list[RegionRow]:
        """Write a batch; return the rows of the table of regions, as `batch.kept` has them."""
        self.completeness.add(found)
        host = {name: _host(value) for name, value in found._asdict().items() if value is not None}
        extra = of_members(host.pop("members", None), self.n_models, self.n_strands)
        windows = [item.window for item in batch.kept]
        self.writer.append(ScoredBatch(regions=windows, one_hot=batch.one_hot, extra=extra, **host))
        self._strongest.add(host["scores"].sum(1))
        rows = []
        for item, is_stuck, numbers in zip(
            batch.kept, is_unshufflable, _numbers(batch, host), strict=True
        ):
            row = region_row(item, self.target, self.references, **numbers)
            if is_stuck:
                row = replace(row, status="unshufflable", reason=_NO_OTHER)
            rows.append(row)
        return rows

    def strongest(self) -> list[int]:
        """Return the positions in the HDF5 of the regions with the strongest cores."""
        return self._strongest.rows()


def _host(value: Tensor) -> NDArray[Any]:
    return value.cpu().numpy()


_NO_OTHER = "no other shuffle exists, so all scores are 0"


def _numbers(batch: Batch, host: Mapping[str, NDArray[Any]]) -> Iterator[dict[str, Any]]:
    """Go through the regions of a batch with what the table says of the scores of each."""
    n_used = host["n_references"]
    is_used = np.arange(host["delta"].shape[1]) < n_used[:, None]
    error, delta = host["completeness_error"], host["delta"]
    track = np.abs(host["scores"].sum(1))
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = np.where(error == 0, 0.0, error / np.abs(delta))

    def mean(values: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(values.sum(1, dtype=np.float64, where=is_used) / n_used)

    def largest(values: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(values.max(1, initial=-np.inf, where=is_used))

    # No position is the strongest of a track without scores.
    first = np.array([item.window.start for item in batch.kept], dtype=np.int64)
    strongest = np.where(track.any(1), first + track.argmax(1), None)
    columns = {
        "prediction": host["prediction"].astype(np.float64),
        "prediction_reference_mean": mean(host["prediction_reference"]),
        "delta_mean": mean(delta),
        "n_references": n_used,
        "completeness_error_max": largest(error).astype(np.float64),
        "completeness_error_relative": largest(relative).astype(np.float64),
        "n_unknown": (batch.one_hot.max(1) == 0).sum(1),
        "strongest_position": strongest,
    }
    for values in zip(*(column.tolist() for column in columns.values()), strict=True):
        yield dict(zip(columns, values, strict=True))


def region_row(
    item: Item,
    target: str = ".",
    references: str = ".",
    **numbers: Any,  # noqa: ANN401  of several types
) -> RegionRow:
    """Return a row of the table of regions; without numbers, as one that was dropped has it."""
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
        **numbers,
    )
