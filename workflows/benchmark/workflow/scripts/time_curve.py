"""Time seqlift and tangermeme along one axis, batch size or references, each point in a process of its own."""

import sys
from itertools import product
from pathlib import Path

import pandas as pd
from commands import best_batch_size
from tools import Tool, job_of

sys.stdout = sys.stderr = Path(snakemake.log[0]).open("w", buffering=1)
params, axis = snakemake.params, snakemake.wildcards.axis
TOOLS = [*(("seqlift", p) for p in params.row["precisions"]), ("tangermeme", "float32")]


def measure(tool, precision, value):
    """Return seconds and peak memory; off its own axis seqlift chooses its batch size, tangermeme has its best."""
    own = 0 if tool == "seqlift" else best_batch_size(snakemake.input.seconds)
    n_references = value if axis == "n_references" else params.n_references
    job = job_of(snakemake, tool, precision, params.sequences, n_references)
    batch_size = value if axis == "batch_size" else own
    with Tool(job) as one:
        one.run(batch_size)  # what is done once
        return one.run(batch_size)


lines = []
for i, value, (tool, precision) in product(range(params.rounds), params.values, TOOLS):
    found = measure(tool, precision, value)
    print(i + 1, axis, value, tool, precision, found)
    rate = params.sequences / found["seconds"]
    lines.append((tool, precision, value, i, rate, found["peak_gb"]))
columns = ["tool", "precision", axis, "round", "sequences_per_second", "peak_gb"]
table = pd.DataFrame(lines, columns=columns)
table.to_csv(snakemake.output.curve, sep="\t", index=False, float_format="%.6g")
