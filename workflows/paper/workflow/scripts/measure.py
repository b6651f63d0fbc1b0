"""Sum one method's scores under the matches, and compare them with those outside motifs."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from measures import noise, totals
from simulation import TASKS

from seqlift.output.reader import ScoresFile

sys.stdout = sys.stderr = Path(snakemake.log[0]).open("w", buffering=1)


def read_track(path):
    """Return (region, position) and the names of the regions."""
    with ScoresFile(path) as scores:
        names = [region.name or region.chrom for region in scores.regions()]
        track = scores.track()
        if snakemake.params.difference is None:
            return names, track
        # Multipliers times (one-hot - flat reference): what the authors' code calls gradient times input.
        reference = np.asarray(snakemake.params.difference)[:, None]
        return names, track - (scores.hypothetical() * reference).sum(1)


matches = pd.read_csv(snakemake.input.matches, sep="\t")
is_motif = np.load(snakemake.input.is_motif)
is_both = (matches.drop_duplicates("region").set_index("region")["kind"] == "both").to_numpy()
expected = matches.drop_duplicates("region")["name"].tolist()
rows = []
for task, path in zip(TASKS, snakemake.input.scores, strict=True):
    names, track = read_track(path)
    if names != expected:
        sys.exit(f"{path} does not hold the held-out sequences in their order")
    matches[task] = totals(track, matches["region"], matches["start"], matches["end"])
    rows.append({"task": task} | noise(track[is_both], is_motif[is_both]))
matches.to_csv(snakemake.output.totals, sep="\t", index=False, float_format="%.6g")
pd.DataFrame(rows).to_csv(snakemake.output.noise, sep="\t", index=False, float_format="%.6g")
