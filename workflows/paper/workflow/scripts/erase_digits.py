"""Erase from held-out digits the pixels that each method ranks highest; write how the log-odds change.

This is the library's `Explainer`, given pictures: the engine knows no genome.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from digits import N_PIXELS, erase, load, pixel_scores

import seqlift
from seqlift.deeplift.methods import MethodOptions
from seqlift.explain import Explainer

sys.stdout = sys.stderr = Path(snakemake.log[0]).open("w", buffering=1)
torch.set_num_threads(snakemake.threads)
params = snakemake.params
settings = params.digits
model = seqlift.load_model(snakemake.input.network)
network = torch.export.load(snakemake.input.network).module(check_guards=False)
_, (images, digits) = load(settings["held_out"], params.seed)
steps = MethodOptions(steps=params.steps)
n_most = int(N_PIXELS * settings["erased"])


def score(explainer, rows):
    references = torch.zeros_like(rows)[:, None]  # black
    found = explainer.contribute(rows, references, keep_multipliers=True)
    return pixel_scores(found.multipliers, rows, references)


def log_odds(rows, source, target):
    with torch.no_grad():
        logits = network(rows)
    return logits[:, source] - logits[:, target]


changes, examples = [], {}
for method, options in params.methods.items():
    explainers = {
        digit: Explainer(
            model, target=digit, length=N_PIXELS // 4, device="cpu", options=steps, **options
        )
        for digit in {digit for pair in settings["pairs"] for digit in pair}
    }
    for source, target in settings["pairs"]:
        rows = images[digits == source]
        difference = score(explainers[source], rows) - score(explainers[target], rows)
        erased, n_erased = erase(rows, difference, n_most)
        before, after = log_odds(rows, source, target), log_odds(erased, source, target)
        examples[f"{method}/{source}/{target}"] = np.stack(
            [rows[0].flatten(), difference[0], erased[0].flatten()]
        )
        for image, values in enumerate(zip(n_erased, before, after, strict=True)):
            n, was, now = (value.item() for value in values)
            changes.append((method, source, target, image, n, was, now, was - now))

columns = ["method", "from", "to", "image", "n_erased", "before", "after", "change"]
table = pd.DataFrame(changes, columns=columns)
table.to_csv(snakemake.output.changes, sep="\t", index=False, float_format="%.5g")
np.savez(snakemake.output.examples, **examples)
summary = table.groupby(["from", "to", "method"], sort=False)["change"].describe()
summary.reset_index().to_csv(snakemake.output.summary, sep="\t", index=False, float_format="%.5g")
