"""Train the model, keep the epoch with the lowest validation loss, and export it.

Everything random comes from one seed and runs on one thread: the same machine trains the same
model, another one the same up to rounding.
"""

import copy
import sys
import time
from pathlib import Path

import numpy as np
import torch
from model import PeakModel, export
from torch.nn.functional import binary_cross_entropy_with_logits

sys.stdout = sys.stderr = Path(snakemake.log[0]).open("w", buffering=1)
torch.set_num_threads(snakemake.threads)

BATCH = 1000  # where nothing is learned
settings = dict(snakemake.params.training)
if snakemake.params.quick:
    settings |= {"epochs": 1, "negatives_per_peak": 1}


def load(path, split):
    """Return one-hot sequences, positives first, and their labels (uint8, float32)."""
    arrays = np.load(path)
    positives, negatives = arrays[f"{split}_positives"], arrays[f"{split}_negatives"]
    labels = torch.from_numpy(arrays[f"{split}_labels"]).float()
    no_labels = torch.zeros(len(negatives), labels.shape[1])
    sequences = torch.from_numpy(np.concatenate([positives, negatives]))
    return sequences, torch.cat([labels, no_labels]), len(positives)


def draw_epoch(n, n_positives):
    """Draw all positives and a share of the negatives, in random order."""
    n_negatives = n_positives * settings["negatives_per_peak"]
    negatives = n_positives + torch.randperm(n - n_positives)[:n_negatives]
    rows = torch.cat([torch.arange(n_positives), negatives])
    return rows[torch.randperm(len(rows))].split(settings["batch_size"])


def shift(sequences):
    """Turn a batch round by a few bp, so that a motif's place cannot be learned."""
    most = settings["max_shift"]
    return sequences.roll(int(torch.randint(-most, most + 1, ())), -1)


def validate(model, sequences, labels, weight):
    model.eval()
    with torch.no_grad():
        logits = torch.cat([model(batch.float()) for batch in sequences.split(BATCH)])
    return binary_cross_entropy_with_logits(logits, labels, pos_weight=weight).item()


def train_epoch(model, optimizer, scheduler, sequences, labels, n_positives, weight):
    model.train()
    losses = []
    for rows in draw_epoch(len(sequences), n_positives):
        logits = model(shift(sequences[rows].float()))
        loss = binary_cross_entropy_with_logits(logits, labels[rows], pos_weight=weight)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        losses.append(loss.item())
    return float(np.mean(losses))


def fit(model, train, validation):
    """Train; return the best weights and a line for each epoch."""
    sequences, labels, n_positives = train
    n_rows = n_positives * (1 + settings["negatives_per_peak"])
    # The square root: full balance makes the few CTCF peaks weigh 25 times their number.
    weight = (n_rows / labels.sum(0) - 1).sqrt()
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=settings["learning_rate"], weight_decay=settings["weight_decay"]
    )
    n_steps = -(-n_rows // settings["batch_size"]) * settings["epochs"]
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, settings["learning_rate"], total_steps=n_steps, pct_start=0.2
    )
    best_loss, best_epoch, best = np.inf, 0, None
    history = []
    for epoch in range(settings["epochs"]):
        start = time.perf_counter()
        loss = train_epoch(model, optimizer, scheduler, sequences, labels, n_positives, weight)
        validation_loss = validate(model, *validation[:2], weight)
        history.append((epoch, loss, validation_loss))
        print(*history[-1], f"{time.perf_counter() - start:.1f} s")
        if validation_loss < best_loss:
            best_loss, best_epoch, best = validation_loss, epoch, copy.deepcopy(model.state_dict())
        elif epoch - best_epoch >= settings["patience"]:
            break
    return best, history


torch.manual_seed(snakemake.params.seed)
train, validation = (load(snakemake.input[0], split) for split in ("train", "validation"))
model = PeakModel(n_outputs=train[1].shape[1], dropout=settings["dropout"])
best, history = fit(model, train, validation)
model.load_state_dict(best)
export(model.eval(), snakemake.output.model)
lines = ["epoch\tloss\tvalidation_loss"] + [f"{e}\t{a:.6f}\t{b:.6f}" for e, a, b in history]
Path(snakemake.output.history).write_text("\n".join(lines) + "\n")
