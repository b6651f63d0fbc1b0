"""How faithful scores files are to their model: from files and a model to a table and a figure.

Files of the same windows are asked the same questions, and the model is asked each of them once.
"""

from __future__ import annotations

import hashlib
import itertools
import warnings
from collections.abc import Callable, Hashable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from seqlift.deeplift.methods import MethodOptions
from seqlift.errors import InputDataWarning, InputError
from seqlift.evaluation_figure import draw_evaluation
from seqlift.evaluation_plan import OWN, EvaluationPlan
from seqlift.evaluation_table import Row, write_table
from seqlift.explain import PRECISIONS, Explainer
from seqlift.faithfulness import correlation, median
from seqlift.findings import Findings, Measure, measures
from seqlift.logo import save_logo
from seqlift.model.capture import Captured, capture
from seqlift.model.load import LoadedModel
from seqlift.model.placement import find_device
from seqlift.opening import threads
from seqlift.output.atomic import check_targets, whole_files
from seqlift.probe import Probe, substitutions
from seqlift.sampled import Sampled, Window, open_sampled
from seqlift.sequence.references import make_references

__all__ = ["evaluate"]

# References that the bases of a region are replaced by.
N_REPLACEMENTS = 4
CANNOT_REMAKE = "the references cannot be made again from the file"
NO_REFERENCES = "not applicable: the method uses no references"
ONE_REFERENCE = "not applicable: one reference"

Floats = NDArray[np.floating[Any]]


@dataclass
class _Run:
    """An evaluation under way: the model, and what it has said already."""

    plan: EvaluationPlan
    model: LoadedModel
    advance: Callable[[], None]
    captured: dict[int, Captured] = field(default_factory=dict)
    probes: dict[Hashable, Probe] = field(default_factory=dict)
    answers: dict[Hashable, Any] = field(default_factory=dict)

    def probe(self, scored: Sampled) -> Probe:
        """Return the target of a file, ready to be asked."""
        key = _target_key(scored)
        if key not in self.probes:
            self.probes[key] = Probe(
                self.capture(scored.file.length),
                scored.setting("target"),
                scored.setting("target_activation"),
                PRECISIONS[self.plan.precision],
                find_device(self.plan.device),
                self.plan.batch_size,
            )
        return self.probes[key]

    def capture(self, length: int) -> Captured:
        """Capture the model at a length, once."""
        if length not in self.captured:
            self.captured[length] = capture(self.model.model, length, self.model.form)
        return self.captured[length]

    def once(self, ask: Callable[[], Any], *about: Hashable) -> Any:  # noqa: ANN401
        """Ask the model unless it has been asked the same for another file."""
        if len(self.plan.scores) == 1:
            return ask()
        if about not in self.answers:
            self.answers[about] = ask()
        return self.answers[about]


def evaluate(
    plan: EvaluationPlan, progress: Callable[[int, int], None] = lambda done, total: None
) -> list[Row]:
    """Measure how faithful scores are to their model; write a table and a figure.

    Parameters
    ----------
    plan : EvaluationPlan
    progress : callable
        Called with the number of regions done and of all, summed over files.

    Returns
    -------
    rows : list of Row
        As written to `OUTPUT.tsv`.

    Raises
    ------
    SeqliftError
        If a file or the model cannot be used, or they do not belong together.

    Warns
    -----
    InputDataWarning
        If the files cannot be compared in some respect.
    """
    check_targets(plan.files(), force=plan.force)
    with ExitStack() as stack:
        stack.enter_context(threads(plan.threads))
        files = [open_sampled(f, plan.regions_sampled, plan.seed, stack) for f in plan.scores]
        model = plan.load_one(plan.model, plan.weights)
        done, total = itertools.count(1), sum(len(scored.windows) for scored in files)
        run = _Run(plan, model, lambda: progress(next(done), total))
        for scored in files:
            _require_model(scored, run)
        table, figure = stack.enter_context(whole_files(*plan.files(), force=plan.force))
        is_same = _have_same_windows(files)
        _warn_of_differences(files, plan, is_same)
        found = [_look_at(scored, run) for scored in files]
        agreement = _agreement(files, plan) if is_same else {}
        numbers = [
            [*measures(own, seed=plan.seed), *agreement.get(scored.path, ())]
            for scored, own in zip(files, found, strict=True)
        ]
        rows = [_row(f, m) for f, own in zip(files, numbers, strict=True) for m in own]
        write_table(table, rows)
        save_logo(draw_evaluation(plan.scores, found, numbers), figure, format="png", dpi=150)
    return rows


# --- checks ---------------------------------------------------------------------------------------


def _require_model(scored: Sampled, run: _Run) -> None:
    """Refuse a model other than the one that was scored: its answers would mean nothing."""
    for name, plain in (("n_models", "1"), ("strands", "forward"), ("stranded", "False")):
        if scored.setting(name) not in (".", plain):
            raise InputError(
                f"{scored.path} was scored with {name} {scored.setting(name)}; expected one model "
                "on the forward strand, which is what an evaluation asks"
            )
    known, digest = scored.setting("model_digest"), run.model.digest
    if known not in (".", digest):
        raise InputError(
            f"{scored.path} was scored with another model (SHA-256 {known[:12]}…; {run.plan.model} "
            f"has {digest[:12]}…); give the one that was scored"
        )
    window = scored.windows[0]
    stored = scored.file.prediction(window.rows)
    found = run.probe(scored).outputs(scored.one_hot(window)[None])
    if not _agree(found, stored, scored):
        raise InputError(
            f"{scored.path} has {stored[0]:.6g} for the model's output at {window.place}, and the "
            f"model gives {found[0]:.6g} now; score the regions again with it"
        )


def _agree(found: Floats, stored: Floats, scored: Sampled) -> bool:
    """Say whether outputs are those stored, up to the rounding of either."""
    # TF32 has eleven bits and bfloat16 eight; files of older versions have TF32 as float32.
    tolerance = 3e-2 if scored.setting("precision") == "bfloat16" else 3e-3
    size = float(np.abs(stored).max())
    return bool((np.abs(found - stored) <= tolerance * size + 1e-6).all())


def _warn_of_differences(files: list[Sampled], plan: EvaluationPlan, is_same: bool) -> None:
    if not is_same:
        warnings.warn(
            "the files do not hold the same windows, so their numbers are about different regions "
            "and their agreement is left out",
            InputDataWarning,
            stacklevel=3,
        )
    schemes = sorted({scored.scheme for scored in files})
    if len(schemes) > 1 and plan.replacement == OWN:
        warnings.warn(
            f"the files have different references ({', '.join(schemes)}), so their deletion and "
            "insertion curves cannot be compared; --replacement SCHEME uses the same for all",
            InputDataWarning,
            stacklevel=3,
        )


def _have_same_windows(files: list[Sampled]) -> bool:
    first = files[0]
    return all(scored.places == first.places for scored in files) and all(
        np.array_equal(scored.one_hot(window), first.one_hot(same))
        for scored in files[1:]
        for window, same in zip(scored.windows, first.windows, strict=True)
    )


# --- measuring ------------------------------------------------------------------------------------


def _look_at(scored: Sampled, run: _Run) -> Findings:
    """Measure everything in the sample of one file."""
    found = Findings(scored.file.completeness_error(), scored.file.delta())
    remakes = _remakes_references(scored, run)
    found.no_curves = "" if remakes or run.plan.replacement != OWN else CANNOT_REMAKE
    found.no_halves = _why_no_halves(scored, remakes)
    explainer = None if found.no_halves else _explainer(scored, run)
    for window in scored.windows:
        one_hot = scored.one_hot(window)
        _mutate(found, scored, window, one_hot, run)
        if not found.no_curves:
            _replace(found, scored, window, one_hot, run)
        if explainer is not None:
            found.halves.append(_halves(scored, window, one_hot, explainer))
        found.total.append(float(scored.track(window).sum(dtype=np.float64)))
        found.delta.append(float(np.nanmean(scored.file.delta(window.rows), dtype=np.float64)))
        run.advance()
    return found


def _why_no_halves(scored: Sampled, remakes: bool) -> str:
    if not scored.uses_references:
        return NO_REFERENCES
    if scored.file.n_references < 2:
        return ONE_REFERENCE
    return "" if remakes else CANNOT_REMAKE


def _remakes_references(scored: Sampled, run: _Run) -> bool:
    """Say whether the file's references can be made again, by what the model says of them."""
    window = scored.windows[0]
    references = scored.make_references(scored.one_hot(window), N_REPLACEMENTS)
    if references is None:
        return False
    stored = scored.file.prediction_reference(window.rows)[0][: len(references)]
    found = run.probe(scored).outputs(references)[: len(stored)]
    is_used = np.isfinite(stored)
    return _agree(found[is_used], stored[is_used], scored)


def _mutate(
    found: Findings, scored: Sampled, window: Window, one_hot: NDArray[np.uint8], run: _Run
) -> None:
    positions = _draw_positions(one_hot, window.seed, run.plan.positions)
    effects = run.once(
        lambda: run.probe(scored).effects(one_hot, positions),
        *("effects", _target_key(scored), window.seed, _digest(one_hot)),
    )
    hypothetical = scored.hypothetical(window)[:, positions]
    observed = np.where(one_hot[:, positions] > 0, hypothetical, 0).sum(0)
    others = np.take_along_axis(hypothetical.T, substitutions(one_hot, positions), axis=1)
    found.track.append(scored.track(window)[positions])
    found.loss.append(effects.loss)
    found.hypothetical.append((others - observed[:, None]).ravel())
    found.change.append(effects.change.ravel())


def _target_key(scored: Sampled) -> Hashable:
    return scored.setting("target"), scored.setting("target_activation"), scored.file.length


def _draw_positions(one_hot: NDArray[np.uint8], seed: int, n: int) -> NDArray[np.int64]:
    known = np.flatnonzero(one_hot.max(0))
    if not 0 < n < len(known):
        return known
    return np.sort(np.random.default_rng(seed).choice(known, n, replace=False))


def _replace(
    found: Findings, scored: Sampled, window: Window, one_hot: NDArray[np.uint8], run: _Run
) -> None:
    plan = run.plan
    references = (
        scored.make_references(one_hot, N_REPLACEMENTS)
        if plan.replacement == OWN
        else make_references(one_hot[None], plan.replacement, N_REPLACEMENTS, seed=plan.seed)[0]
    )
    assert references is not None
    ask = partial(run.probe(scored).progress, one_hot, references, seed=window.seed)
    found.scored.append(ask(scored.track(window)))
    # Scores that are all the same leave the order to chance.
    at_random = partial(ask, np.zeros(one_hot.shape[1]))
    about = ("random", _target_key(scored), window.seed, _digest(one_hot), _digest(references))
    found.random.append(run.once(at_random, *about))


def _digest(array: NDArray[Any]) -> bytes:
    return hashlib.blake2b(array.tobytes()).digest()


def _explainer(scored: Sampled, run: _Run) -> Explainer:
    """Return an explainer that works as the file was made."""
    method, numbers = scored.setting("method"), ("steps", "window", "stride")
    known = {name: int(scored.attributes[name]) for name in numbers if name in scored.attributes}
    return Explainer(
        run.capture(scored.file.length),
        target=scored.setting("target"),
        target_activation=scored.setting("target_activation"),
        method=method,
        rules=scored.setting("rules") if method == "deeplift" else "rescale",  # the only choice
        estimator=scored.setting("estimator"),
        options=MethodOptions(**known),
        precision=run.plan.precision,
        device=run.plan.device,
        batch_size=run.plan.batch_size,
    )


def _halves(
    scored: Sampled, window: Window, one_hot: NDArray[np.uint8], explainer: Explainer
) -> float:
    """Correlate the tracks from the two halves of the references."""
    n = scored.count_references(window) // 2
    if n == 0:
        return np.nan
    references = scored.make_references(one_hot, 2 * n)
    assert references is not None
    twice = torch.from_numpy(np.stack([one_hot, one_hot]))
    compared = torch.from_numpy(references.reshape(2, n, *one_hot.shape))
    one, other = explainer.contribute(twice, compared).scores.sum(1).cpu().numpy()
    is_base = one_hot.max(0) > 0
    return correlation(one[is_base], other[is_base])


def _agreement(files: list[Sampled], plan: EvaluationPlan) -> dict[str, list[Measure]]:
    """Correlate the tracks of every two files, region by region."""
    found: dict[str, list[Measure]] = {}
    pairs = list(itertools.combinations(range(len(files)), 2))
    values = np.zeros((len(pairs), len(files[0].windows)))
    for i, windows in enumerate(zip(*(scored.windows for scored in files), strict=True)):
        is_base = files[0].one_hot(windows[0]).max(0) > 0
        tracks = [s.track(w)[is_base] for s, w in zip(files, windows, strict=True)]
        values[:, i] = [correlation(tracks[a], tracks[b]) for a, b in pairs]
    for (a, b), own in zip(pairs, values, strict=True):
        value = median(own, seed=plan.seed)
        for one, other in ((a, b), (b, a)):
            measure = Measure("agreement", value, files[other].path)
            found.setdefault(files[one].path, []).append(measure)
    return found


def _row(scored: Sampled, measure: Measure) -> Row:
    return Row(
        scored.path,
        scored.setting("target"),
        scored.setting("method"),
        scored.setting("rules"),
        scored.setting("estimator"),
        scored.scheme,
        scored.file.n_references,
        measure,
    )
