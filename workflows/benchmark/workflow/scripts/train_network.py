"""Train a network on sequences with motifs for a while, so that its scores mean something; save it twice.

It learns weighted sums of how many instances of each motif there are. The demo model is trained already.
"""

import shutil
import sys
from pathlib import Path

import models
import numpy as np
import pandas as pd
import torch
from sequences import N_MOTIFS, motif_sequences

from seqlift.cli.demo import MODEL, data_folder

sys.stdout = sys.stderr = Path(snakemake.log[0]).open("w", buffering=1)
torch.set_num_threads(snakemake.threads)
row = snakemake.params.row
HELD_OUT = 200


def draw(n, seed, n_outputs):
    """Return sequences, and for each output a sum of motifs with weights of its own."""
    one_hot, counts = motif_sequences(n, length, seed)
    weights = torch.randn(N_MOTIFS, n_outputs, generator=torch.Generator().manual_seed(0))
    return one_hot.float(), counts @ weights


def train(model, n_outputs):
    optimizer = torch.optim.Adam(model.parameters(), lr=training["learning_rate"])
    model.train()
    for step in range(training["steps"]):
        one_hot, wanted = draw(training["batch_size"], snakemake.params.seed + 1 + step, n_outputs)
        loss = torch.nn.functional.mse_loss(model(one_hot), wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(step, loss.item())


def held_out_correlation(model, n_outputs):
    """Return how well the first output, which is what is explained, predicts new sequences."""
    one_hot, wanted = draw(HELD_OUT, snakemake.params.seed, n_outputs)
    with torch.no_grad():
        found = torch.cat([model(part)[:, 0] for part in one_hot.split(20)])
    return np.corrcoef(found, wanted[:, 0])[0, 1]


torch.manual_seed(snakemake.params.seed)
model = models.make(row["network"])
correlation = float("nan")
if row["network"]["kind"] == "demo":
    shutil.copyfile(data_folder() / MODEL, snakemake.output.program)
else:
    training = row["training"]
    length = training["length"]
    with torch.no_grad():
        n_outputs = model.eval()(torch.zeros(1, 4, length)).shape[1]
    train(model, n_outputs)
    correlation = held_out_correlation(model.eval(), n_outputs)
    models.export(model, row["length"], snakemake.output.program)
torch.save(model.state_dict(), snakemake.output.weights)
table = pd.DataFrame([{"row": snakemake.wildcards.row, "held_out_correlation": correlation}])
table.to_csv(snakemake.output.quality, sep="\t", index=False, float_format="%.3f")
