"""Simulate all sequences; write them, the places of the motif instances, and the held-out ones as FASTA."""

import sys
from pathlib import Path

import pandas as pd
from pwm import read_motifs
from simulation import simulate

sys.stdout = sys.stderr = Path(snakemake.log[0]).open("w", buffering=1)

settings = snakemake.params.simulation
SPLITS = ("train", "validation", "held_out")
splits = [split for split in SPLITS for _ in range(settings[split])]
motifs = read_motifs(snakemake.input.motifs)

sequences, sites = [], []
for index, split in enumerate(splits):
    kind, sequence, placed = simulate(
        index, settings["length"], motifs, settings["background"], snakemake.params.seed
    )
    name = f"simulated{index:05d}"
    sequences.append((name, split, kind, sequence))
    sites += [(name, *site) for site in placed]

table = pd.DataFrame(sequences, columns=["name", "split", "kind", "sequence"])
table.to_csv(snakemake.output.sequences, sep="\t", index=False)
pd.DataFrame(sites, columns=["name", "motif", "start", "end"]).to_csv(
    snakemake.output.sites, sep="\t", index=False
)
held_out = table[table["split"] == "held_out"]
records = [f">{row.name}\n{row.sequence}\n" for row in held_out.itertuples(index=False)]
Path(snakemake.output.held_out).write_text("".join(records), encoding="utf-8")
print(table.groupby(["split", "kind"]).size())
