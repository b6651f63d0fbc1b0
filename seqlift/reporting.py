"""What a run makes of its scores at the end: tracks, logos, the summary, and warnings."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from seqlift.batches import References
from seqlift.errors import CompletenessWarning, IncompleteError, ReferenceWarning
from seqlift.output.bigwig import write_bigwig
from seqlift.output.hdf5 import ScoresFile
from seqlift.plan import Plan
from seqlift.results import TargetResults
from seqlift.scoring import Run
from seqlift.strongest import draw_region
from seqlift.windows import Source

__all__ = ["draw_logos", "judge", "summarise", "write_tracks"]


def write_tracks(
    plan: Plan, source: Source, results: Sequence[TargetResults], written: dict[str, Path]
) -> dict[str, Any]:
    """Write a bigWig for every result; return what the tracks look like, by its name."""
    if source.contigs is None or plan.shard is not None:
        return {}
    summaries = {}
    for result in results:
        with ScoresFile(written[f"scores {result.name}"]) as scores:
            summaries[result.name] = write_bigwig(
                written[f"track {result.name}"],
                source.contigs,
                scores,
                scores.track,
                overlap=plan.overlap,
            )
    return summaries


def draw_logos(plan: Plan, results: Sequence[TargetResults], written: dict[str, Path]) -> None:
    """Draw the regions with the strongest cores, best first."""
    for result in results:
        of = f"target {result.target}"
        if len(plan.references) > 1:
            of += f", {result.references}"
        with ScoresFile(written[f"scores {result.name}"]) as scores:
            for k, position in enumerate(result.strongest(), start=1):
                draw_region(scores, position, written[f"logo {k} {result.name}"], of)


def summarise(
    state: Run,
    results: Sequence[TargetResults],
    schemes: Sequence[References],
    attributes: dict[str, Any],
    tracks: dict[str, Any],
    written: dict[str, Path],
) -> dict[str, Any]:
    """Return what `PREFIX.json` holds.

    Settings are those of every scores file. What only one scheme has stands among them where it is
    the only one, and by scheme where there are several.
    """
    own = {scheme.label: scheme.attributes for scheme in schemes}
    alone = schemes[0].attributes if len(schemes) == 1 else {"references": own}
    n_scored = state.counts["scored"]
    scored = max(state.seconds["score"], 1e-9)
    return {
        "settings": attributes | alone,
        "counts": {"padded": 0, "dropped": 0, **state.counts},
        "targets": {
            result.name: {
                "target": result.target,
                "references": result.references,
                "removed_activation": result.removed_activation,
                "completeness": result.completeness.summary(),
                **_asymmetry(result, written),
                "track": tracks.get(result.name),
            }
            for result in results
        },
        "seconds": state.seconds,
        "files": {kind: path.name for kind, path in state.plan.files(n_scored).items()},
        "regions_per_second": (n_scored - state.n_kept) / scored,
        "model_busy": state.explaining / scored / state.n_devices,
        "threads": torch.get_num_threads(),
    }


def _asymmetry(result: TargetResults, written: dict[str, Path]) -> dict[str, float]:
    """Say how much the strands differ, where both were scored: median over regions."""
    if result.n_strands == 1:
        return {}
    with ScoresFile(written[f"scores {result.name}"]) as scores:
        return {"strand_asymmetry_median": float(np.median(scores.strand_asymmetry()))}


def judge(state: Run, results: Sequence[TargetResults]) -> None:
    """Warn, or fail, about what the user must not overlook.

    Raises
    ------
    IncompleteError
        If contributions do not sum to delta, and the plan has that as a failure.

    Warns
    -----
    CompletenessWarning, ReferenceWarning
    """
    plan = state.plan
    for label, stuck in state.unshufflable.items():
        if stuck:
            scheme = f" ({label})" if len(plan.references) > 1 else ""
            warnings.warn(
                f"{stuck} of {state.counts['scored']} sequences have no other shuffle{scheme}, so "
                "their scores are 0; see status unshufflable in "
                f"{plan.file('.regions.tsv')}",
                ReferenceWarning,
                stacklevel=3,
            )
    for result in results:
        found = result.completeness
        if not found.n_over or plan.on_incomplete == "ignore":
            continue
        message = (
            f"target {result.name}: contributions of {found.n_over} of {found.n_pairs} pairs of "
            "sequence and reference miss their delta by more than rounding "
            f"(largest error {found.worst:.3g})"
        )
        if plan.on_incomplete == "fail":
            raise IncompleteError(f"{message}; nothing was written (--on-incomplete fail)")
        warnings.warn(message, CompletenessWarning, stacklevel=3)
