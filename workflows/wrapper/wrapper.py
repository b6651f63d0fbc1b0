"""A Snakemake wrapper for `seqlift score`: see test/Snakefile for a rule that uses it."""

from pathlib import Path

from snakemake.shell import shell

log = snakemake.log_fmt_shell(stdout=True, stderr=True)
extra = snakemake.params.get("extra", "")
targets = snakemake.params.get("targets", [0])
options = " ".join(f"--target {target}" for target in targets)

weights = snakemake.input.get("weights")
if weights:
    options += f" --weights {weights}"
if snakemake.input.get("fasta"):
    options += f" --fasta {snakemake.input.fasta}"
else:
    options += f" --genome {snakemake.input.genome} --regions {snakemake.input.regions}"

# All files of a run have one prefix: that of its summary.
summary = next(path for path in snakemake.output if str(path).endswith(".json"))
prefix = Path(summary).with_suffix("")
model = snakemake.params.get("model", "") or snakemake.input.model

# Snakemake has removed the results of a job that failed; what had been scored is gone on from.
shell(
    "seqlift score --model {model} {options} --output {prefix} --threads {snakemake.threads} "
    "--resume --force {extra} {log}"
)
