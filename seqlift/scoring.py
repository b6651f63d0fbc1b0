"""The loop of a run: batches of windows in, scores files and the table of regions out.

Reading, making references, the model and writing run at the same time, each on its own batch.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from seqlift.batches import Batch, References, read_batches
from seqlift.ensembles import datasets_of
from seqlift.explain import Explainer
from seqlift.explaining import Explained
from seqlift.journal import Journal
from seqlift.orientation import in_genome_orientation, on_own_strand
from seqlift.output.hdf5 import ScoresWriter
from seqlift.output.regions_tsv import RegionRow, RegionsWriter
from seqlift.plan import Plan
from seqlift.results import Completeness, TargetResults, region_row
from seqlift.stages import ahead, behind
from seqlift.windows import Source

__all__ = ["Explain", "Run", "score"]

Explain = Callable[[Iterator[Batch]], Generator[Explained, None, None]]


@dataclass
class Run:
    """A run under way: its plan and what was counted.

    Attributes
    ----------
    plan : Plan
    started : float
        By the clock of `time.perf_counter`, seconds.
    seconds : dict of str to float
        What each stage took.
    counts : dict of str to int
        Rows by what became of them.
    unshufflable : dict of str to int
        Sequences without another shuffle, by scheme.
    explaining : float
        Seconds that the model worked, summed over devices.
    n_kept : int
        Sequences whose scores an earlier run had kept.
    n_devices : int
    """

    plan: Plan
    started: float = field(default_factory=time.perf_counter)
    seconds: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    unshufflable: dict[str, int] = field(default_factory=dict)
    explaining: float = 0.0
    n_kept: int = 0
    n_devices: int = 1

    def timed(self, name: str) -> None:
        """Give the time since the last call to a stage."""
        self.seconds[name] = time.perf_counter() - self.started - sum(self.seconds.values())


def score(
    state: Run,
    source: Source,
    schemes: Sequence[References],
    explainers: Sequence[Explainer],
    explain: Explain,
    regions_at_once: int,
    written: dict[str, Path],
    attributes: dict[str, Any],
    journal: Journal,
    rows: range,
    progress: Callable[[int, int], None],
) -> list[TargetResults]:
    """Score every batch for every target against every scheme.

    Parameters
    ----------
    state : Run
        What is counted is added to it.
    source : Source
    schemes : sequence of References
    explainers : sequence of Explainer
        Of all targets; what is written about each.
    explain : callable
        Scores batches, here or on other devices.
    regions_at_once : int
        That the model takes, there.
    written : dict of str to Path
        Where to write, by the names of `Plan.files`.
    attributes : dict
        Of every scores file.
    journal : Journal
        Has the first batches, if the run goes on from an earlier one, and keeps the others.
    rows : range
        Which rows of the source, counting from 0.
    progress : callable
        See `seqlift.pipeline.run`.

    Returns
    -------
    results : list of TargetResults
        Target by target, and for each scheme by scheme.
    """
    length = explainers[0].length
    assert length is not None
    with ExitStack() as stack:
        table = stack.enter_context(RegionsWriter(written["regions"]))
        results = []
        for explainer in explainers:
            for i, scheme in product(range(len(explainer.targets)), schemes):
                result = _open_result(state.plan, explainer, i, scheme, written, attributes)
                stack.enter_context(result.writer)
                results.append(result)
        batches = read_batches(source, length, schemes, regions_at_once, rows, journal.sizes)
        batches = on_own_strand(batches) if state.plan.stranded else batches
        read = stack.enter_context(closing(ahead(batches)))
        write = stack.enter_context(behind(partial(_write, state, results, table)))
        done = 0

        def hand_over(one: Explained) -> None:
            nonlocal done
            state.explaining += one.seconds
            write(one)
            done += len(one.batch.items)
            progress(done, state.counts["rows"])

        for one in journal.replay(read):
            hand_over(one)
        keep = stack.enter_context(behind(journal.write))
        explained = stack.enter_context(closing(explain(read)))
        for one in explained:
            keep(one)
            hand_over(one)
    return results


def _open_result(
    plan: Plan,
    explainer: Explainer,
    index: int,
    scheme: References,
    written: dict[str, Path],
    attributes: dict[str, Any],
) -> TargetResults:
    """Open the scores file of one of an explainer's targets and a scheme."""
    target, removed = explainer.targets[index], explainer.removed_activations[index]
    name = plan.result(target, scheme.label)
    own = {
        "target": target,
        "target_definition": explainer.definitions[index],
        "removed_activation": removed,
    }
    writer = ScoresWriter(
        written[f"scores {name}"],
        explainer.length or 0,
        scheme.n_made,
        dtype="float64" if plan.precision == "float64" else "float32",
        extra=datasets_of(explainer.n_models, explainer.n_strands),
        attributes=attributes | scheme.attributes | own,
    )
    completeness = Completeness(plan.precision, is_promised=explainer.method.sums_to_delta)
    return TargetResults(
        name,
        target,
        scheme.label,
        writer,
        plan.logos,
        removed,
        completeness,
        explainer.n_models,
        explainer.n_strands,
    )


def _write(
    state: Run, results: list[TargetResults], table: RegionsWriter, explained: Explained
) -> None:
    """Write a batch to every scores file, and its rows to the table in the order of the input."""
    batch, found = in_genome_orientation(explained.batch, explained.found)
    n_schemes = len(batch.is_unshufflable)
    rows: list[list[RegionRow]] = [
        results[i].add(batch, batch.is_unshufflable[i % n_schemes], scores)
        for i, scores in enumerate(found)
    ]
    kept = 0
    for item in batch.items:
        _count(state, item.status)
        if item.status == "dropped":
            table.write(region_row(item))
            continue
        for scored in rows:
            table.write(scored[kept])
        kept += 1
    _count_unshufflable(state, batch)


def _count(state: Run, status: str) -> None:
    if status != "scored":
        state.counts[status] = state.counts.get(status, 0) + 1


def _count_unshufflable(state: Run, batch: Batch) -> None:
    """Count the sequences without another shuffle, by scheme and under any of them."""
    for label, is_unshufflable in zip(state.plan.schemes, batch.is_unshufflable, strict=True):
        state.unshufflable[label] = state.unshufflable.get(label, 0) + int(is_unshufflable.sum())
    under_any = int(np.any(batch.is_unshufflable, axis=0).sum())
    state.counts["unshufflable"] = state.counts.get("unshufflable", 0) + under_any
