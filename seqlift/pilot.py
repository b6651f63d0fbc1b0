"""Which setting to choose before a long run: several of them on a sample of the regions.

Every setting scores the same windows as `seqlift score` would and is timed; its tracks are held
against those of a large set of other references.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from seqlift.batches import References
from seqlift.errors import RegionError
from seqlift.explain import Explainer
from seqlift.faithfulness import correlation, median, spearman_brown
from seqlift.logo import save_logo
from seqlift.model.capture import Captured, capture
from seqlift.model.load import LoadedModel
from seqlift.opening import model_length, open_source, threads
from seqlift.output.atomic import check_targets, whole_files
from seqlift.pilot_choice import Outcome, agree
from seqlift.pilot_figure import draw_pilot
from seqlift.pilot_report import Report, write_report
from seqlift.pilot_runs import PASSES, Found, Standard, Tried, score_standard
from seqlift.pilot_sample import Sample, draw_sample
from seqlift.pilot_settings import FLAT, SETTINGS, PilotPlan
from seqlift.schemes import open_schemes
from seqlift.sequence.references import DEFAULT_SCHEME, find_unshufflable
from seqlift.windows import Source, count_items, encode_windows

__all__ = ["pilot"]

Floats = NDArray[np.floating[Any]]


@dataclass
class _Run:
    """A pilot under way: what it works with, and what became of the regions."""

    plan: PilotPlan
    model: LoadedModel
    source: Source
    length: int
    tried: list[Tried]
    against: References
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def explainer(self) -> Explainer:
        """The one with every option as it is by default."""
        return next(t.explainer for t in self.tried if t.setting.references == DEFAULT_SCHEME)


def pilot(
    plan: PilotPlan, progress: Callable[[int, int], None] = lambda done, total: None
) -> Report:
    """Score a sample of the regions with several settings; write a table and a figure.

    Parameters
    ----------
    plan : PilotPlan
    progress : callable
        Called with the number of passes over the sample that are done, and of all.

    Returns
    -------
    report : Report
        As written to `OUTPUT.tsv`, if there is an output.

    Raises
    ------
    SeqliftError
        If the input or the model cannot be used, or no region of the sample tells anything.
    """
    check_targets(plan.files(), force=plan.force)
    with ExitStack() as stack:
        stack.enter_context(threads(plan.threads))
        run = _prepare(plan, stack)
        paths = stack.enter_context(whole_files(*plan.files(), force=plan.force))
        report = _measure(run, progress)
        if paths:
            write_report(paths[0], report)
            save_logo(draw_pilot(report), paths[1], format="png", dpi=150)
    return report


def _prepare(plan: PilotPlan, stack: ExitStack) -> _Run:
    """Open everything; all that can be wrong with it is found here."""
    model = plan.load_one(plan.model, plan.weights)
    captured = capture(model.model, model_length(model, plan), model.form)
    assert captured.length is not None
    explainers = _explainers(plan, captured)
    source = open_source(plan, captured.length, stack)
    n_rows, n_scored, _ = count_items(source)
    wanted = {(s.references, s.n_references) for s in SETTINGS}
    schemes = {key: _open_scheme(plan, source, captured.length, *key) for key in wanted}
    tried = [
        Tried(s, explainer, schemes[s.references, s.n_references])
        for s, explainer in zip(SETTINGS, explainers, strict=True)
    ]
    # Another seed, so that no setting is held against its own references.
    against = _open_scheme(plan, source, captured.length, DEFAULT_SCHEME, plan.against, 1)
    run = _Run(plan, model, source, captured.length, tried, against)
    run.counts |= {"rows": n_rows, "scored": n_scored}
    return run


def _explainers(plan: PilotPlan, captured: Captured) -> list[Explainer]:
    """Make the explainer of each setting; those that differ by references alone share one."""
    made: dict[tuple[str, str, str], Explainer] = {}
    for setting in SETTINGS:
        key = (setting.rules, setting.estimator, setting.precision)
        if key not in made:
            made[key] = Explainer(
                captured,
                target=plan.target,
                rules=setting.rules,
                estimator=setting.estimator,
                precision=setting.precision,
                device=plan.device,
                target_activation=plan.target_activation,
                batch_size=plan.batch_size,
            )
    return [made[s.rules, s.estimator, s.precision] for s in SETTINGS]


def _open_scheme(
    plan: PilotPlan, source: Source, length: int, name: str, n: int, seed_after: int = 0
) -> References:
    background = plan.background if name == FLAT else None
    (scheme,) = open_schemes(
        (name,), source, length, 0,
        n_references=n, seed=plan.seed + seed_after, background=background,
    )  # fmt: skip
    return scheme


def _measure(run: _Run, progress: Callable[[int, int], None]) -> Report:
    done, total = itertools.count(1), 1 + PASSES * len(run.tried)
    sample = _draw(run)
    standard = score_standard(run.explainer, run.against, sample)
    sample, standard = _without_constant(run, sample, standard)
    progress(next(done), total)
    outcomes = []
    for tried in run.tried:
        outcomes.append(_look_at(tried.score(sample), tried, standard, run.plan.seed))
        progress(next(done), total)
    # Turn by turn, so that what else the machine does is not put down to one setting.
    for _ in range(PASSES - 1):
        for tried in run.tried:
            tried.time_again(sample)
            progress(next(done), total)
    outcomes = [o._replace(seconds=t.seconds) for o, t in zip(outcomes, run.tried, strict=True)]
    facts = _facts(run, standard)
    return Report(facts, outcomes, run.counts["scored"], run.plan.background)


def _look_at(found: Found, tried: Tried, standard: Standard, seed: int) -> Outcome:
    correlations = standard.correlations(found.tracks)
    agreement, corrected = agree(correlations, standard.halves, seed=seed)
    completeness = _ratio(found.error, found.size)
    miss = _ratio(np.abs(found.total - found.delta), np.abs(found.delta))
    return Outcome(tried.setting, agreement, corrected, completeness, miss, tried.seconds)


def _ratio(error: Floats, size: Floats) -> float:
    """Divide sums over regions, because a single region may divide by almost nothing."""
    total = float(size.sum())
    return float(error.sum()) / total if total else np.nan


# --- the sample -----------------------------------------------------------------------------------


def _draw(run: _Run) -> Sample:
    """Draw the sample, and leave out regions whose every shuffle is the region itself."""
    sample = draw_sample(run.source, run.plan.regions_sampled, seed=run.plan.seed)
    one_hot = encode_windows(sample, list(sample.rows), run.length)
    shufflable = ~find_unshufflable(one_hot, DEFAULT_SCHEME)
    run.counts |= {"drawn": len(sample.rows), "unshufflable": int((~shufflable).sum())}
    run.counts["constant"] = 0
    return _kept(run, sample, shufflable)


def _without_constant(run: _Run, sample: Sample, standard: Standard) -> tuple[Sample, Standard]:
    """Leave out regions that the independent set gives a track without any differences."""
    varies = np.isfinite(standard.halves) & np.isfinite(
        [correlation(t, t) for t in standard.tracks]
    )
    run.counts["constant"] = int((~varies).sum())
    tracks = [t for t, keep in zip(standard.tracks, varies, strict=True) if keep]
    return _kept(run, sample, varies), Standard(tracks, standard.halves[varies])


def _kept(run: _Run, sample: Sample, keep: NDArray[np.bool_]) -> Sample:
    counts = run.counts
    if not keep.any():
        raise RegionError(
            f"none of the {counts['drawn']} sampled regions can be compared "
            f"({_left_out(counts)}); sample more with --regions-sampled, or choose another target"
        )
    return Sample(sample.source, [r for r, k in zip(sample.rows, keep, strict=True) if k])


def _left_out(counts: dict[str, int]) -> str:
    return (
        f"{counts['unshufflable']} without another shuffle, "
        f"{counts['constant']} with a track that does not vary"
    )


# --- the report -----------------------------------------------------------------------------------


def _facts(run: _Run, standard: Standard) -> dict[str, str]:
    plan, counts, n = run.plan, run.counts, len(standard.tracks)
    halves = median(standard.halves, seed=plan.seed)
    reliability = spearman_brown(halves)
    explainer = run.explainer
    (target,), (removed,) = explainer.targets, explainer.removed_activations
    if removed:
        target += f" (the logit below the final {removed})"
    device = str(explainer.device)
    if explainer.device.type == "cpu":
        n_threads = torch.get_num_threads()
        device += f", {n_threads} thread{'s' if n_threads > 1 else ''}"
    return {
        "model": run.model.source,
        "sha256": run.model.digest,
        "target": target,
        "input": f"{counts['rows']:,} rows, {counts['scored']:,} to score",
        "sample": f"{n} of {counts['drawn']} drawn with seed {plan.seed}; {_left_out(counts)}",
        "compared with": f"{plan.against} dinucleotide shuffles of seed {plan.seed + 1}, rescale",
        "reliability": f"{reliability.value:.4f} (its halves correlate {halves.value:.4f})",
        "agreement": "median correlation of tracks over regions; corrected for that reliability",
        "sums": "scores of estimator base-marginal do not sum to delta; sum_error is how far off",
        "cost": f"reading, references and scoring, without writing; {device}",
    }
