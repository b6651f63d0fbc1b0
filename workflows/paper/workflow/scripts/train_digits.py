"""Train the network of the digits, on one thread and from one seed, and export it."""

import sys
from pathlib import Path

import torch
from digits import DigitNetwork, load
from network import export
from torch.nn.functional import cross_entropy

sys.stdout = sys.stderr = Path(snakemake.log[0]).open("w", buffering=1)
torch.set_num_threads(snakemake.threads)
settings = snakemake.params.digits
(images, digits), (held_out, wanted) = load(settings["held_out"], snakemake.params.seed)

torch.manual_seed(snakemake.params.seed)
model = DigitNetwork()
optimizer = torch.optim.Adam(model.parameters())
for _ in range(settings["epochs"]):
    for rows in torch.randperm(len(images)).split(32):
        loss = cross_entropy(model(images[rows]), digits[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

model.eval()
with torch.no_grad():
    accuracy = (model(held_out).argmax(1) == wanted).float().mean().item()
text = f"n_train\tn_held_out\taccuracy\n{len(images)}\t{len(held_out)}\t{accuracy:.4f}\n"
Path(snakemake.output.accuracy).write_text(text, encoding="utf-8")
export(model, images[:2], snakemake.output.network)
