"""Time seqlift, its peers, the floor and the ceiling on one network, in turn; see how exact they are.

Written as well is where seqlift's time goes, by operator.
"""

import sys
from functools import partial
from pathlib import Path

import models
import pandas as pd
import torch
from accuracy import agreement, incompleteness
from contenders import PEERS, TAKES_NO_BATCH_SIZE, hush, installed_peers
from limit import limit, n_operations
from sequences import sequences_for
from timing import in_turn, seconds
from torch.profiler import ProfilerActivity, profile

import seqlift
from seqlift.explain import Explainer
from seqlift.sequence.references import make_references

sys.stdout = sys.stderr = Path(snakemake.log[0]).open("w", buffering=1)
torch.set_num_threads(snakemake.threads)
hush()
params, row = snakemake.params, snakemake.params.row
length, n_sequences = row["length"], row["sequences"]
program = seqlift.load_model(snakemake.input.program)
network = models.load(row["network"], snakemake.input.weights, params.device)
one_hot = sequences_for(row, n_sequences, params.seed)
shuffles = make_references(one_hot.numpy(), n_references=params.n_references, seed=params.seed)
references = torch.from_numpy(shuffles)


def explainer(precision, **options):
    return Explainer(program, length=length, precision=precision, device=params.device, **options)


def peer_works():
    x, r = one_hot.float().to(params.device), references.float().to(params.device)
    return {
        (name, "float32", size): partial(PEERS[name], network, x, r, size)
        for name in installed_peers()
        for size in ([0] if name in TAKES_NO_BATCH_SIZE else row["batch_sizes"])
    }


def limit_works():
    return {
        ("limit", precision, size): limit(
            network, length, n_sequences, params.n_references, size, precision
        )
        for precision in row["precisions"]
        for size in row["batch_sizes"]
    }


def measure_seqlift(explainers):
    """Hold float32 against float64, and every other precision against float32."""
    found = {p: e.contribute(one_hot, references) for p, e in explainers.items()}
    for precision, scores in found.items():
        than = exact if precision == "float32" else found["float32"]
        yield {
            "tool": "seqlift",
            "precision": precision,
            "than": "float64" if precision == "float32" else "float32",
            "incompleteness": incompleteness(scores.completeness_error, scores.delta),
        } | agreement(scores.scores, than.scores)


def measure_peer(key, work):
    """Hold a peer's track against seqlift's in float64; its first run is no round."""
    first, track = seconds(work)
    print(f"{key}, first run: {first:.3f} s")
    line = {"tool": key[0], "precision": key[1], "than": "float64"}
    return line | agreement(track, exact.scores.sum(1).cpu())


def profile_of(precision, work):
    """Return a table of the operators that seqlift's time goes to."""
    is_on_device = params.device != "cpu"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if is_on_device else [])]
    with profile(activities=activities) as found:
        seconds(work)
    order = "self_cuda_time_total" if is_on_device else "self_cpu_time_total"
    table = found.key_averages().table(sort_by=order, row_limit=25, max_name_column_width=50)
    return f"seqlift {precision}\n{table}\n"


exact = explainer("float64").contribute(one_hot, references)
explainers = {p: explainer(p, **params.explainer) for p in row["precisions"]}
accuracy = list(measure_seqlift(explainers))
works = {
    ("seqlift", p, 0): lambda e=e: e.contribute(one_hot, references).hypothetical
    for p, e in explainers.items()
}
profiles = [profile_of(precision, work) for (_, precision, _), work in works.items()]
Path(snakemake.output.profile).write_text("\n".join(profiles), encoding="utf-8")
peers = peer_works()
accuracy += [measure_peer(key, work) for key, work in peers.items()]
works |= peers | limit_works()
lines = [(*key, i, spent) for i, key, spent in in_turn(works, params.rounds)]

columns = ["tool", "precision", "batch_size", "round", "seconds"]
table = pd.DataFrame(lines, columns=columns)
table.insert(0, "row", snakemake.wildcards.row)
table["sequences"] = n_sequences
table["operations"] = n_operations(network, length, params.n_references) * n_sequences
table.to_csv(snakemake.output.seconds, sep="\t", index=False, float_format="%.6g")
table = pd.DataFrame(accuracy).drop_duplicates(["tool", "precision"])
table.insert(0, "row", snakemake.wildcards.row)
table.to_csv(snakemake.output.accuracy, sep="\t", index=False, float_format="%.3g")
