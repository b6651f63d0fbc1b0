"""Time seqlift, its peers, the floor and the ceiling on one network, in turn; see how exact they are.

Written as well is where seqlift's time goes, by operator.
"""

import ctypes
import gc
import sys
from contextlib import ExitStack, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import models
import pandas as pd
import torch
from accuracy import agreement, incompleteness
from contenders import TAKES_NO_BATCH_SIZE, installed_peers
from limit import n_operations
from sequences import sequences_for
from timing import seconds
from tools import Tool, job_of
from torch.profiler import ProfilerActivity, profile

import seqlift
from seqlift.explain import Explainer
from seqlift.sequence.references import make_references

sys.stdout = sys.stderr = Path(snakemake.log[0]).open("w", buffering=1)
torch.set_num_threads(snakemake.threads)
params, row = snakemake.params, snakemake.params.row
length, n_sequences = row["length"], row["sequences"]
program = seqlift.load_model(snakemake.input.program)
network = models.load(row["network"], snakemake.input.weights)
one_hot = sequences_for(row, n_sequences, params.seed)
shuffles = make_references(one_hot.numpy(), n_references=params.n_references, seed=params.seed)
references = torch.from_numpy(shuffles)


def explainer(precision, **options):
    return Explainer(program, length=length, precision=precision, device=params.device, **options)


def tool(name, precision):
    return Tool(job_of(snakemake, name, precision, n_sequences, params.n_references))


def batch_sizes(name):
    """Return those to try; seqlift chooses its own."""
    return [0] if name in ("seqlift", *TAKES_NO_BATCH_SIZE) else row["batch_sizes"]


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


def measure_peer(name, precision, track):
    """Hold a peer's track against seqlift's in float64."""
    line = {"tool": name, "precision": precision, "than": "float64"}
    return line | agreement(track, exact.scores.sum(1).cpu())


def profile_of(precision, explainer):
    """Return a table of the operators that seqlift's time goes to."""
    is_on_device = params.device != "cpu"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if is_on_device else [])]
    with profile(activities=activities) as found:
        seconds(lambda: explainer.contribute(one_hot, references).hypothetical)
    order = "self_cuda_time_total" if is_on_device else "self_cpu_time_total"
    table = found.key_averages().table(sort_by=order, row_limit=25, max_name_column_width=50)
    return f"seqlift {precision}\n{table}\n"


def give_back_memory():
    """Return to the system what seqlift has kept for this process, which the tools will need."""
    gc.collect()
    with suppress(AttributeError, OSError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


def tracks_of_first_runs(tools):
    """Run every tool once with each batch size, which is no round; yield the tracks of the peers."""
    with TemporaryDirectory() as folder:
        path = f"{folder}/track.pt"
        for (name, precision), one in tools.items():
            for size in batch_sizes(name):
                print(f"{name} {precision} {size}, first run: {one.run(size, path)['seconds']} s")
            if name not in ("seqlift", "limit"):
                yield name, precision, torch.load(path)


def rounds(tools):
    """Yield a line for every run: each round runs everything once, one after the other."""
    for i in range(params.rounds):
        for (name, precision), one in tools.items():
            for size in batch_sizes(name):
                spent = one.run(size)["seconds"]
                print(f"round {i + 1}: {name} {precision} {size}: {spent:.3f} s")
                yield name, precision, size, i, spent


exact = explainer("float64").contribute(one_hot, references)
explainers = {p: explainer(p, **params.explainer) for p in row["precisions"]}
accuracy = list(measure_seqlift(explainers))
profiles = [profile_of(precision, e) for precision, e in explainers.items()]
Path(snakemake.output.profile).write_text("\n".join(profiles), encoding="utf-8")
peer_precisions = [p for p in row["precisions"] if p in ("float32", "tf32")]
explainers.clear()
give_back_memory()
keys = [
    *(("seqlift", precision) for precision in row["precisions"]),
    *((name, precision) for precision in peer_precisions for name in installed_peers()),
    *(("limit", precision) for precision in row["precisions"]),
]
with ExitStack() as stack:
    tools = {key: stack.enter_context(tool(*key)) for key in keys}
    accuracy += [measure_peer(*found) for found in tracks_of_first_runs(tools)]
    lines = list(rounds(tools))

columns = ["tool", "precision", "batch_size", "round", "seconds"]
table = pd.DataFrame(lines, columns=columns)
table.insert(0, "row", snakemake.wildcards.row)
table["sequences"] = n_sequences
table["operations"] = n_operations(network, length, params.n_references) * n_sequences
table.to_csv(snakemake.output.seconds, sep="\t", index=False, float_format="%.6g")
table = pd.DataFrame(accuracy)
table.insert(0, "row", snakemake.wildcards.row)
table.to_csv(snakemake.output.accuracy, sep="\t", index=False, float_format="%.9g")
