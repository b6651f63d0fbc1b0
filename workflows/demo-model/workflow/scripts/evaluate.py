"""Test the model on the chromosome that it was not trained on: peaks against background windows."""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from metrics import auroc, average_precision, confidence_interval

from seqlift.sequence.onehot import encode_many

sys.stdout = sys.stderr = Path(snakemake.log[0]).open("w", buffering=1)
torch.set_num_threads(snakemake.threads)

BATCH = 500
STATISTICS = {"auroc": auroc, "average_precision": average_precision}
factors = snakemake.params.factors
model = torch.export.load(snakemake.input.model).module(check_guards=False)


def predict(table):
    one_hot = torch.from_numpy(encode_many(table["sequence"].tolist())).float()
    with torch.no_grad():
        logits = torch.cat([model(batch) for batch in one_hot.split(BATCH)])
    return table.drop(columns="sequence").join(
        pd.DataFrame(logits.numpy(), columns=factors, index=table.index)
    )


def measure(positives, negatives):
    result = {"n_peaks": len(positives), "n_windows": len(negatives)}
    for name, statistic in STATISTICS.items():
        rng = np.random.default_rng(snakemake.params.seed)
        interval = confidence_interval(
            statistic, positives, negatives, snakemake.params.n_bootstraps, rng
        )
        value = statistic(positives, negatives)
        result[name] = {"value": round(value, 4), "interval": [round(x, 4) for x in interval]}
    return result


peaks = predict(pd.read_csv(snakemake.input.peaks, sep="\t").query("split == 'test'"))
windows = predict(pd.read_csv(snakemake.input.background, sep="\t").query("split == 'test'"))
peaks["kind"] = "peak"
pd.concat([peaks, windows]).to_csv(snakemake.output.predictions, sep="\t", index=False)

metrics = {}
for factor in factors:
    positives = peaks.loc[peaks["factor"] == factor, factor].to_numpy()
    own = windows[windows["factor"] == factor]
    metrics[factor] = {
        kind: measure(positives, own.loc[own["kind"] == kind, factor].to_numpy())
        for kind in ("random", "gc-matched")
    }
Path(snakemake.output.metrics).write_text(json.dumps(metrics, indent=2) + "\n")
