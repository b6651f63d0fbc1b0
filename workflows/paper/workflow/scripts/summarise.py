"""Put what was measured of all methods in three tables: missed matches, noise, agreement of references."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from measures import correlation, count_missed, wilson_interval
from simulation import TASKS

from seqlift.output.reader import ScoresFile

sys.stdout = sys.stderr = Path(snakemake.log[0]).open("w", buffering=1)
params = snakemake.params


def missed(explanation, table):
    """Return a row for each motif: strong matches of sequences with both motifs, by their total for the task "both"."""
    rows = []
    for motif, matches in table.groupby("motif"):
        of_both = matches[matches["kind"] == "both"]
        n, n_missed = count_missed(of_both["both"], of_both["log_odds"], params.strong)
        low, high = wilson_interval(n_missed, n)
        rows.append(
            {
                "explanation": explanation,
                "motif": motif,
                "n_strong": n,
                "n_missed": n_missed,
                "share_missed": n_missed / n if n else np.nan,
                "low": low,
                "high": high,
                "other_over_own": other_over_own(motif, matches),
            }
        )
    return rows


def other_over_own(motif, matches):
    """Return the mean total of strong matches for the other motif's task, over that for the motif's own."""
    strong = matches[matches["log_odds"] >= params.strong]
    other = next(task for task in TASKS if task not in ("both", motif))
    return strong[other].mean() / strong[motif].mean()


def agreement(method, flat, shuffles):
    """Return a row for each task: the correlation of one flat pass with all shuffles."""
    rows = []
    for task, one, many in zip(TASKS, flat, shuffles, strict=True):
        with ScoresFile(one) as a, ScoresFile(many) as b:
            rows.append((method, task, b.n_references, correlation(a.track(), b.track())))
    return rows


def write(rows, path, **options):
    pd.DataFrame(rows, **options).to_csv(path, sep="\t", index=False, float_format="%.6g")


rows = []
for explanation, path in zip(params.explanations, snakemake.input.totals, strict=True):
    rows += missed(explanation, pd.read_csv(path, sep="\t"))
write(rows, snakemake.output.missed)

parts = [
    pd.read_csv(path, sep="\t").assign(explanation=explanation)
    for explanation, path in zip(params.explanations, snakemake.input.noise, strict=True)
]
write(pd.concat(parts), snakemake.output.noise)

rows = []
n = len(TASKS)
for i, method in enumerate(params.methods):
    span = slice(i * n, (i + 1) * n)
    rows += agreement(method, snakemake.input.flat[span], snakemake.input.shuffles[span])
columns = ["method", "task", "n_references", "correlation"]
write(rows, snakemake.output.agreement, columns=columns)
