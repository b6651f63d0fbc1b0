"""Measure what agreement costs: track correlation with the limit of many other references, and seconds a region.

References are drawn beforehand, for every way and every tool; what is timed is their use.
"""

import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pandas as pd
import torch
from accuracy import correlations
from commands import best_batch_size
from contenders import TAKES_NO_BATCH_SIZE, installed_peers
from sequences import sequences_for
from timing import in_turn
from tools import Tool, job_of

import seqlift
from seqlift.deeplift.scores import ESTIMATORS
from seqlift.explain import Explainer
from seqlift.sequence.references import make_references

sys.stdout = sys.stderr = Path(snakemake.log[0]).open("w", buffering=1)
torch.set_num_threads(snakemake.threads)
params, row, quality = snakemake.params, snakemake.params.row, snakemake.params.quality
program = seqlift.load_model(snakemake.input.program)
one_hot = sequences_for(row, quality["sequences"], params.seed)


def draw(scheme, n, seed):
    return torch.from_numpy(make_references(one_hot.numpy(), scheme, n, seed=seed))


def explainer(estimator="plain"):
    return Explainer(
        program, length=row["length"], estimator=estimator, device=params.device, **params.explainer
    )


def ways():
    """Yield the name, the setting and the work of every way to score all sequences."""
    flat = draw("flat", 1, params.seed)
    yield "flat", 1, partial(explainer().contribute, one_hot, flat)
    for estimator in ESTIMATORS:
        score = explainer(estimator).contribute
        for n in quality["counts"]:
            yield estimator, n, partial(score, one_hot, shuffles[:, :n])
        for error in quality["errors"]:
            name = f"adaptive, {estimator}"
            yield name, error, partial(score, one_hot, shuffles, reference_error=error)


def peer_ways(counts, stack):
    """Yield peers' plain shuffles, as many as plain shuffles take to reach each level."""
    for name in installed_peers():
        size = 0 if name in TAKES_NO_BATCH_SIZE else best_batch_size(snakemake.input.seconds, name)
        for n in counts if name != "autograd" else []:
            one = stack.enter_context(
                Tool(job_of(snakemake, name, "float32", quality["sequences"], n))
            )
            one.run(size)
            yield name, n, partial(one.run, size)


def limit_track():
    """Return the limit, and how reliable it is: its halves' correlation, for both together (Spearman-Brown)."""
    many = draw("dinucleotide-shuffle", quality["limit"], params.seed + 1)
    half = quality["limit"] // 2
    a, b = (
        explainer().contribute(one_hot, part).scores.sum(1) for part in many.tensor_split([half], 1)
    )
    between = correlations(a, b)
    return (a + b) / 2, float((2 * between / (1 + between)).mean())


def enough(found):
    """Return the smallest count of plain shuffles that reaches each level that is reached."""
    plain = sorted((n, line["correlation"]) for (way, n), line in found.items() if way == "plain")
    reached = [[n for n, r in plain if r >= level] for level in quality["levels"]]
    return sorted({counts[0] for counts in reached if counts})


most = max(quality["counts"] + [quality["at_most"]])
shuffles = draw("dinucleotide-shuffle", most, params.seed)
limit, reliability = limit_track()
works, found = {}, {}
for way, setting, work in ways():
    scores = work()
    agreement = correlations(scores.scores.sum(1).cpu(), limit.cpu())
    used = scores.n_references.double().mean()
    found[way, setting] = {"references": float(used), "correlation": float(agreement.mean())}
    works[way, setting] = lambda work=work: work().hypothetical
lines = []
with ExitStack() as stack:
    for peer, n, work in peer_ways(enough(found), stack):
        works[peer, n] = work
        found[peer, n] = found["plain", n]
    for i, (way, setting), spent in in_turn(works, params.rounds):
        seconds = {"round": i, "seconds_a_region": spent / len(one_hot)}
        lines.append({"way": way, "setting": setting} | found[way, setting] | seconds)
table = pd.DataFrame(lines)
table.insert(0, "row", snakemake.wildcards.row)
table["reliability"] = reliability
table.to_csv(snakemake.output.quality, sep="\t", index=False, float_format="%.6g")
