"""Find the best matches to each motif in the held-out sequences, and the positions under motifs."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from pwm import log_odds, read_motifs, scan, top_matches

from seqlift.sequence.onehot import encode_many

sys.stdout = sys.stderr = Path(snakemake.log[0]).open("w", buffering=1)

settings = snakemake.params.matches
sequences = pd.read_csv(snakemake.input.sequences, sep="\t").query("split == 'held_out'")
sequences = sequences.reset_index(drop=True)  # the order of the FASTA, and so of the scores
sites = pd.read_csv(snakemake.input.sites, sep="\t")
one_hot = encode_many(sequences["sequence"].tolist())

is_motif = np.zeros((len(one_hot), one_hot.shape[2]), dtype=bool)
region_of = {name: region for region, name in enumerate(sequences["name"])}
for site in sites[sites["name"].isin(region_of)].itertuples(index=False):
    is_motif[region_of[site.name], site.start : site.end] = True

rows = []
for motif, frequencies in read_motifs(snakemake.input.motifs).items():
    width = frequencies.shape[1]
    scores = scan(one_hot, log_odds(frequencies, snakemake.params.background))
    for region, start in np.argwhere(scores >= settings["strong"]):
        is_motif[region, start : start + width] = True
    for region, kind in enumerate(sequences["kind"]):
        for rank, start in enumerate(
            top_matches(scores[region], settings["per_sequence"], width), 1
        ):
            match = (start, start + width, scores[region, start])
            rows.append((region, sequences["name"][region], kind, motif, rank, *match))

columns = ["region", "name", "kind", "motif", "rank", "start", "end", "log_odds"]
matches = pd.DataFrame(rows, columns=columns)
matches.to_csv(snakemake.output.matches, sep="\t", index=False, float_format="%.4f")
np.save(snakemake.output.is_motif, is_motif)
print(matches[matches["log_odds"] >= settings["strong"]].groupby(["kind", "motif"]).size())
