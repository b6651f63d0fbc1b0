"""The whole job: from a model and a file of regions to tracks, tables and logos.

`Plan` (in `plan.py`) says what to do; `run` does it. Everything that can be checked is checked
before the first batch, and the results of a run appear together or not at all.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

import seqlift
from seqlift.deeplift.scores import Contributions
from seqlift.errors import (
    CompletenessWarning,
    IncompleteError,
    ReferenceWarning,
    ShapeError,
)
from seqlift.explain import Explainer
from seqlift.genome.fasta import Genome
from seqlift.genome.regions import format_region
from seqlift.logo import draw_logo, save_logo
from seqlift.model.capture import capture, fixed_length
from seqlift.model.load import LoadedModel, load_model
from seqlift.output.atomic import check_targets, whole_files
from seqlift.output.bigwig import write_bigwig
from seqlift.output.hdf5 import ScoresFile, ScoresWriter
from seqlift.output.regions_tsv import RegionRow, RegionsWriter
from seqlift.output.summary import write_summary
from seqlift.plan import Plan
from seqlift.results import TargetResults, region_row
from seqlift.sequence.references import find_scheme
from seqlift.windows import (
    Batch,
    FastaSource,
    GenomeSource,
    ReferencePlan,
    Source,
    ahead,
    batches,
    count_items,
    first_length,
    is_read_once,
)

__all__ = ["run"]


@dataclass
class _Run:
    """A run under way: its plan, what was opened for it, and what was counted."""

    plan: Plan
    started: float = field(default_factory=time.perf_counter)
    seconds: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def timed(self, name: str) -> None:
        """Give the time since the last call to a stage."""
        self.seconds[name] = time.perf_counter() - self.started - sum(self.seconds.values())


def run(
    plan: Plan, progress: Callable[[int, int], None] = lambda done, total: None
) -> dict[str, Any]:
    """Score the regions of a plan and write every result.

    Parameters
    ----------
    plan : Plan
    progress : callable
        Called with the number of rows done and of all rows, after each batch.

    Returns
    -------
    summary : dict
        As written to `PREFIX.json`.

    Raises
    ------
    SeqliftError
        Before the first batch if anything that can be checked is wrong. No result is left behind.

    Warns
    -----
    CompletenessWarning, ReferenceWarning
    """
    state = _Run(plan)
    check_targets(plan.files().values(), force=plan.force)
    find_scheme(plan.references)
    references = ReferencePlan(plan.references, plan.n_references, plan.seed)
    with ExitStack() as stack:
        stack.enter_context(_threads(plan.threads))
        model = load_model(plan.model, weights=plan.weights, allow_pickle=plan.allow_pickle)
        explainers = _prepare(plan, model)
        state.timed("prepare_model")
        source, provenance = _open(plan, explainers, stack)
        state.counts["rows"], state.counts["scored"] = count_items(source)
        state.timed("check_input")
        attributes = _attributes(plan, model, explainers, references) | provenance
        files = plan.files(state.counts["scored"])
        paths = stack.enter_context(whole_files(*files.values(), force=plan.force))
        written = dict(zip(files, paths, strict=True))
        results = _score(state, source, references, explainers, written, attributes, progress)
        state.timed("score")
        tracks = _write_tracks(plan, source, results, written)
        state.timed("write_tracks")
        _draw_logos(results, written)
        state.timed("draw_logos")
        summary = _summary(state, results, attributes, tracks)
        write_summary(written["summary"], summary)
        _judge(plan, state, results)
    return summary


@contextmanager
def _threads(n: int | None) -> Iterator[None]:
    """Let torch use so many threads, and as many as before when it is over."""
    before = torch.get_num_threads()
    torch.set_num_threads(before if n is None else n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _prepare(plan: Plan, model: LoadedModel) -> list[Explainer]:
    """Capture the model once and make one explainer a target."""
    length = plan.length
    if length is None and fixed_length(model.model) is None:
        if plan.fasta is None or is_read_once(plan.fasta):
            raise ShapeError("the model does not say how many positions it takes; give --length")
        length = first_length(plan.fasta)
    captured = capture(model.model, length)
    return [
        Explainer(
            captured,
            target=target,
            rules=plan.rules,
            precision=plan.precision,
            device=plan.device,
            target_activation=plan.target_activation,
            batch_size=plan.batch_size,
        )
        for target in plan.targets
    ]


def _open(
    plan: Plan, explainers: list[Explainer], stack: ExitStack
) -> tuple[Source, dict[str, str]]:
    """Open the input; return it with what should be recorded about it."""
    length = explainers[0].length
    assert length is not None
    if plan.fasta is not None:
        return FastaSource(plan.fasta, length), {"sequences": plan.fasta}
    assert plan.genome is not None
    assert plan.regions is not None
    genome = Genome(plan.genome, index=plan.fai, contig_style=plan.contig_style)
    stack.callback(genome.close)
    source = GenomeSource(genome, plan.regions, length, plan.edges)
    found = {"genome": plan.genome, "genome_digest": genome.digest(), "regions": plan.regions}
    return source, found


def _attributes(
    plan: Plan, model: LoadedModel, explainers: list[Explainer], references: ReferencePlan
) -> dict[str, Any]:
    """Return what every result file says about how it was made."""
    return {
        "seqlift_version": seqlift.__version__,
        "torch_version": str(torch.__version__),
        "command_line": plan.command_line,
        "model": model.source,
        "model_digest": model.digest,
        "target_activation": plan.target_activation,
        "rules": plan.rules,
        "reference_scheme": references.scheme,
        "n_references": references.n_made,
        "seed": references.seed,
        "precision": plan.precision,
        "device": str(explainers[0].device),
        "method": "deeplift",
    }


def _score(
    state: _Run,
    source: Source,
    references: ReferencePlan,
    explainers: list[Explainer],
    written: dict[str, Path],
    attributes: dict[str, Any],
    progress: Callable[[int, int], None],
) -> list[TargetResults]:
    """Score every batch; the next one is read and the last one written meanwhile."""
    length = explainers[0].length
    assert length is not None
    with ExitStack() as stack:
        table = stack.enter_context(RegionsWriter(written["regions"]))
        results = []
        for explainer in explainers:
            own = {"target": explainer.target, "removed_activation": explainer.removed_activation}
            writer = ScoresWriter(
                written[f"scores {explainer.target}"],
                length,
                references.n_made,
                dtype=state.plan.precision,
                attributes=attributes | own,
            )
            stack.enter_context(writer)
            removed = explainer.removed_activation
            results.append(TargetResults(explainer.target, writer, state.plan.logos, removed))
        thread = stack.enter_context(ThreadPoolExecutor(1, thread_name_prefix="seqlift-write"))
        pending: Future[None] | None = None
        done = 0
        for batch in ahead(batches(source, length, references)):
            found = [_contribute(explainer, batch) for explainer in explainers]
            if pending is not None:
                pending.result()
            pending = thread.submit(_write, state, batch, found, results, table)
            done += len(batch.items)
            progress(done, state.counts["rows"])
        if pending is not None:
            pending.result()
    return results


def _contribute(explainer: Explainer, batch: Batch) -> Contributions | None:
    if not batch.kept:
        return None
    one_hot, references = torch.from_numpy(batch.one_hot), torch.from_numpy(batch.references)
    return explainer.contribute(one_hot, references)


def _write(
    state: _Run,
    batch: Batch,
    found: list[Contributions | None],
    results: list[TargetResults],
    table: RegionsWriter,
) -> None:
    """Write a batch to every target's file, and its rows to the table in the order of the input."""
    rows: list[dict[int, RegionRow]] = [
        result.add(batch, scores) if scores is not None else {}
        for result, scores in zip(results, found, strict=True)
    ]
    kept = 0
    for item in batch.items:
        _count(state, item.status)
        if item.status == "dropped":
            table.write(region_row(item, "."))
            continue
        for scored in rows:
            table.write(scored[kept])
        kept += 1
    state.counts["unshufflable"] = state.counts.get("unshufflable", 0) + int(
        batch.is_unshufflable.sum()
    )


def _count(state: _Run, status: str) -> None:
    if status != "scored":
        state.counts[status] = state.counts.get(status, 0) + 1


def _write_tracks(
    plan: Plan, source: Source, results: list[TargetResults], written: dict[str, Path]
) -> dict[str, Any]:
    """Write a bigWig for every target; return what the tracks look like."""
    if source.contigs is None:
        return {}
    summaries = {}
    for result in results:
        with ScoresFile(written[f"scores {result.target}"]) as scores:
            summaries[result.target] = write_bigwig(
                written[f"track {result.target}"],
                source.contigs,
                scores.regions(),
                scores.track,
                overlap=plan.overlap,
            )
    return summaries


def _draw_logos(results: list[TargetResults], written: dict[str, Path]) -> None:
    """Draw the regions with the strongest cores, best first."""
    for result in results:
        with ScoresFile(written[f"scores {result.target}"]) as scores:
            for k, position in enumerate(result.strongest(), start=1):
                path = written[f"logo {k} {result.target}"]
                _draw_logo(scores, position, path, result.target)


def _draw_logo(scores: ScoresFile, position: int, path: Path, target: str) -> None:
    rows = slice(position, position + 1)
    region = scores.regions(rows)[0]
    label = region.name if region.name != "." else format_region(region)
    figure = draw_logo(
        scores.scores(rows)[0],
        region=region,
        title=f"{label}, target {target}",
        reverse=region.strand == "-",
    )
    save_logo(figure, path, format="png")


def _summary(
    state: _Run, results: list[TargetResults], attributes: dict[str, Any], tracks: dict[str, Any]
) -> dict[str, Any]:
    scored = max(state.seconds["score"], 1e-9)
    return {
        "settings": attributes,
        "counts": {"padded": 0, "dropped": 0, **state.counts},
        "targets": {
            result.target: {
                "removed_activation": result.removed_activation,
                "completeness": result.completeness.summary(),
                "track": tracks.get(result.target),
            }
            for result in results
        },
        "seconds": state.seconds,
        "regions_per_second": state.counts["scored"] / scored,
        "threads": torch.get_num_threads(),
    }


def _judge(plan: Plan, state: _Run, results: list[TargetResults]) -> None:
    """Warn, or fail, about what the user must not overlook."""
    stuck = state.counts["unshufflable"]
    if stuck:
        warnings.warn(
            f"{stuck} of {state.counts['scored']} sequences have no other shuffle, so their scores "
            f"are 0; see status unshufflable in {plan.file('.regions.tsv')}",
            ReferenceWarning,
            stacklevel=3,
        )
    for result in results:
        found = result.completeness
        if not found.n_over or plan.on_incomplete == "ignore":
            continue
        message = (
            f"target {result.target}: contributions of {found.n_over} of {found.n_pairs} pairs of "
            "sequence and reference miss their delta by more than rounding "
            f"(largest error {found.worst:.3g})"
        )
        if plan.on_incomplete == "fail":
            raise IncompleteError(f"{message}; nothing was written (--on-incomplete fail)")
        warnings.warn(message, CompletenessWarning, stacklevel=3)
