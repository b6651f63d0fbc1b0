"""Train the network on the simulated sequences, keep the epoch with the lowest validation loss, and export it.

Everything random comes from one seed and runs on one thread: the same machine trains the same network, another one the
same up to rounding.
"""

import copy
import sys
import time
from pathlib import Path

import pandas as pd
import torch
from network import MotifNetwork, export
from simulation import TASKS, labels
from torch.nn.functional import binary_cross_entropy

from seqlift.sequence.onehot import encode_many

sys.stdout = sys.stderr = Path(snakemake.log[0]).open("w", buffering=1)
torch.set_num_threads(snakemake.threads)
settings = snakemake.params.training


def load(split):
    rows = table[table["split"] == split]
    one_hot = torch.from_numpy(encode_many(rows["sequence"].tolist())).float()
    return one_hot, torch.from_numpy(labels(rows["kind"])).float()


def train_epoch(model, optimizer, one_hot, wanted):
    model.train()
    total = 0.0
    for rows in torch.randperm(len(one_hot)).split(settings["batch_size"]):
        loss = binary_cross_entropy(model(one_hot[rows]), wanted[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() * len(rows)
    return total / len(one_hot)


def validate(model, one_hot, wanted):
    model.eval()
    with torch.no_grad():
        return binary_cross_entropy(model(one_hot), wanted).item()


def fit(model, train, validation):
    """Train; return the best weights and a line for each epoch."""
    optimizer = torch.optim.Adam(model.parameters(), lr=settings["learning_rate"])
    best_loss, best_epoch, best = float("inf"), 0, None
    history = []
    for epoch in range(settings["epochs"]):
        start = time.perf_counter()
        history.append((epoch, train_epoch(model, optimizer, *train), validate(model, *validation)))
        print(*history[-1], f"{time.perf_counter() - start:.1f} s")
        if history[-1][2] < best_loss:
            best_loss, best_epoch, best = history[-1][2], epoch, copy.deepcopy(model.state_dict())
        elif epoch - best_epoch >= settings["patience"]:
            break
    return best, history


table = pd.read_csv(snakemake.input.sequences, sep="\t")
torch.manual_seed(snakemake.params.seed)
model = MotifNetwork(len(TASKS))
train, validation = load("train"), load("validation")
best, history = fit(model, train, validation)
model.load_state_dict(best)
export(model, train[0][:2], snakemake.output.network)
pd.DataFrame(history, columns=["epoch", "loss", "validation_loss"]).to_csv(
    snakemake.output.history, sep="\t", index=False, float_format="%.6f"
)
