"""Time whole commands for some numbers of regions, in turn: seconds from start to end, and peak memory."""

import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
from commands import best_batch_size, run, seqlift_command, tangermeme_command

sys.stdout = sys.stderr = Path(snakemake.log[0]).open("w", buffering=1)
params, row = snakemake.params, snakemake.params.row


def job_for(regions):
    return {
        "network": row["network"],
        "length": row["length"],
        "program": snakemake.input.program,
        "weights": snakemake.input.weights,
        "genome": snakemake.input.genome,
        "regions": regions,
        "output": params.prefix,
        "n_references": params.n_references,
        "device": params.device,
        "threads": snakemake.threads,
        "options": params.options,
    }


def commands_for(n, regions):
    job = job_for(regions)
    found = {("seqlift", p): seqlift_command(job, p) for p in params.precisions}
    if n <= params.peer_regions:
        found["tangermeme", "float32"] = tangermeme_command(job, batch_size)
    return found


def compile_beforehand():
    """Let seqlift compile for this network what it would compile for it once on any machine."""
    with TemporaryDirectory() as folder:
        few = Path(folder) / "few.bed"
        lines = Path(snakemake.input.regions[-1]).read_text().splitlines(keepends=True)
        few.write_text("".join(lines[: params.compiled_on]))
        for precision in params.precisions:
            job = job_for(few) | {"output": f"{folder}/scores"}
            spent, _ = run([*seqlift_command(job, precision), "--compile", "on"], snakemake.threads)
            print(f"compiled beforehand, {precision}: {spent:.1f} s")


batch_size = best_batch_size(snakemake.input.seconds)
works = {
    (n, *key): partial(run, command, snakemake.threads)
    for n, regions in zip(params.regions, snakemake.input.regions, strict=True)
    for key, command in commands_for(n, regions).items()
}
if params.compiled_on:
    compile_beforehand()
lines = []
for i in range(params.rounds):
    for (n, tool, precision), work in works.items():
        spent, peak = work()
        print(f"round {i + 1}: {tool} {precision}, {n} regions: {spent:.1f} s, {peak:.2f} GB")
        lines.append((tool, precision, n, i, spent, peak))
columns = ["tool", "precision", "regions", "round", "seconds", "peak_gb"]
table = pd.DataFrame(lines, columns=columns)
table.to_csv(snakemake.output.seconds, sep="\t", index=False, float_format="%.6g")
