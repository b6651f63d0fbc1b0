"""The whole job: from a model and a file of regions to tracks, tables and logos.

`Plan` (in `plan.py`) says what to do; `run` does it. Everything that can be checked is checked
before the first batch, and the results of a run appear together or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

import torch

import seqlift
from seqlift.batches import References
from seqlift.blindness import warn_if_blind
from seqlift.explain import Explainer
from seqlift.explainer_options import warn_if_slow
from seqlift.explaining import explain
from seqlift.journal import Journal, require_no_journal
from seqlift.model.load import LoadedModel
from seqlift.opening import open_source, threads
from seqlift.output.atomic import check_targets, remove_leftovers, whole_files
from seqlift.output.summary import write_summary
from seqlift.plan import Plan
from seqlift.preparing import expect, find_devices, prepare, regions_at_once
from seqlift.reporting import draw_logos, judge, summarise, write_tracks
from seqlift.schemes import open_schemes
from seqlift.scoring import Explain, Run, score
from seqlift.windows import Counted, GenomeSource, Source, count_items, count_scored
from seqlift.workers import Workers

__all__ = ["run", "shuffling_threads"]

CPU = torch.device("cpu")

# That shuffle for a device other than the CPU.
SHUFFLING_THREADS = 4


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
    CompletenessWarning, ReferenceWarning, SpeedWarning
    """
    devices = find_devices(plan.device)
    state = Run(plan, n_devices=len(devices))
    check_targets(plan.files().values(), force=plan.force)
    require_no_journal(plan.journal, resume=plan.resume, force=plan.force)
    is_left = plan.journal.exists()
    with ExitStack() as stack:
        stack.enter_context(threads(plan.threads))
        models = plan.load()
        # Beside workers, what is prepared here only says that it can be.
        explainers = prepare(plan, models, CPU if len(devices) > 1 else devices[0])
        workers = stack.enter_context(Workers(plan, devices)) if len(devices) > 1 else None
        state.timed("prepare_model")
        warn_if_slow(plan.precision, devices)
        source, provenance = _open(plan, explainers, stack)
        counted = count_items(source)
        rows = plan.rows(counted.n_rows)
        state.counts["rows"] = len(rows)
        state.counts["scored"] = (
            counted.n_scored if plan.shard is None else count_scored(source, rows)
        )
        warn_if_blind(explainers, source)
        state.timed("check_input")
        schemes = _open_schemes(plan, source, explainers, counted.n_rows, devices)
        state.timed("prepare_references")
        attributes = _attributes(plan, models, explainers, devices) | provenance
        attributes |= {"input_digest": counted.digest} | _shard_attributes(plan, counted)
        journal = stack.enter_context(_open_journal(plan, attributes, schemes, rows))
        files = plan.files(state.counts["scored"])
        if plan.resume or is_left:
            remove_leftovers(files.values())
        paths = stack.enter_context(whole_files(*files.values(), force=plan.force))
        written = dict(zip(files, paths, strict=True))
        state.n_kept = journal.n_scored
        n_left = state.counts["scored"] - state.n_kept
        expect(explainers, schemes, n_left)
        explain_batches: Explain = partial(
            explain, schemes=schemes, explainers=explainers, reference_error=plan.reference_error
        )
        at_once = regions_at_once(plan, explainers, schemes)
        if workers is not None:
            # Batches are those of one such device, and so are therefore the results.
            at_once = workers.begin(schemes, n_left)
            explain_batches = workers.explain
            state.timed("start_workers")
        results = score(
            state, source, schemes, explainers, explain_batches, at_once, written, attributes,
            journal, rows, progress,
        )  # fmt: skip
        state.timed("score")
        tracks = write_tracks(plan, source, results, written)
        state.timed("write_tracks")
        draw_logos(plan, results, written)
        state.timed("draw_logos")
        summary = summarise(state, results, schemes, attributes, tracks, written)
        write_summary(written["summary"], summary)
        judge(state, results)
    return summary


def _open(
    plan: Plan, explainers: list[Explainer], stack: ExitStack
) -> tuple[Source, dict[str, str | None]]:
    """Open the input; return it with what should be recorded about it."""
    length = explainers[0].length
    assert length is not None
    source = open_source(plan, length, stack)
    if not isinstance(source, GenomeSource):
        return source, {"sequences": plan.fasta}
    digest = source.genome.digest()
    return source, {"genome": plan.genome, "genome_digest": digest, "regions": plan.regions}


def _open_journal(
    plan: Plan, attributes: dict[str, Any], schemes: list[References], rows: range
) -> Journal:
    """Open what an earlier run left, if it was of the same; a new one otherwise."""
    settings = plan.determines() | {
        name: attributes.get(name)
        for name in (
            "seqlift_version", "torch_version", "model_digest", "genome_digest", "input_digest",
            "inputs_digest",
        )
    }  # fmt: skip
    settings["schemes"] = [scheme.attributes for scheme in schemes]
    return Journal(plan.journal, settings, rows, resume=plan.resume, force=plan.force)


def _open_schemes(
    plan: Plan,
    source: Source,
    explainers: list[Explainer],
    n_rows: int,
    devices: Sequence[torch.device],
) -> list[References]:
    """Make the reference schemes ready; what they need is read here."""
    length = explainers[0].length
    assert length is not None
    return open_schemes(
        plan.references,
        source,
        length,
        n_rows,
        n_references=plan.n_references,
        seed=plan.seed,
        background=plan.background,
        n_threads=shuffling_threads(devices),
    )


def shuffling_threads(devices: Sequence[torch.device]) -> int:
    """Return how many threads shuffle for each device; a model on the CPU has all but one."""
    if any(device.type == "cpu" for device in devices):
        return 1
    return max(1, min(SHUFFLING_THREADS, torch.get_num_threads() // len(devices)))


def _attributes(
    plan: Plan,
    models: list[LoadedModel],
    explainers: list[Explainer],
    devices: list[torch.device],
) -> dict[str, Any]:
    """Return what every scores file says about how it was made; schemes add what is theirs."""
    return {
        "seqlift_version": seqlift.__version__,
        "torch_version": str(torch.__version__),
        "command_line": plan.command_line,
        "model": ",".join(model.source for model in models),
        "model_digest": ",".join(model.digest for model in models),
        "n_models": len(models),
        "layout": ",".join(explainers[0].layouts),
        "bases": plan.bases.upper(),
        "inputs": ",".join(plan.inputs),
        "inputs_digest": _digests_of_inputs(models[0]),
        "strands": plan.strands,
        "swapped": ",".join(plan.swapped),
        "stranded": plan.stranded,
        "target_activation": plan.target_activation,
        "method": plan.method,
        **_method_attributes(plan),
        "seed": plan.seed,
        "precision": plan.precision,
        "compile": plan.compile,
        "device": ",".join(map(str, devices)),
    }


def _shard_attributes(plan: Plan, counted: Counted) -> dict[str, Any]:
    return {} if plan.shard is None else {"shard": plan.shard, "n_rows": counted.n_rows}


def _digests_of_inputs(model: LoadedModel) -> str:
    """Return what says which values the inputs beside the sequence were given."""
    given = model.form.constants.items()
    return ",".join(f"{name}={constant.digest}" for name, constant in given)


def _method_attributes(plan: Plan) -> dict[str, Any]:
    """Return what a method was told, and nothing that it leaves aside."""
    own: dict[str, dict[str, Any]] = {
        "deeplift": {"rules": plan.rules},
        "integrated-gradients": {"steps": plan.steps},
        "occlusion": {"window": plan.window, "stride": plan.stride},
    }
    rounds = {} if plan.reference_error is None else {"reference_error": plan.reference_error}
    return own.get(plan.method, {}) | {"estimator": plan.estimator} | rounds
