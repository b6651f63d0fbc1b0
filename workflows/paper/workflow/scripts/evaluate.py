"""Measure the network on the held-out sequences; end the run if it has not learned its tasks."""

import sys
from pathlib import Path

import pandas as pd
import torch
from measures import auroc, complain
from simulation import TASKS, labels

from seqlift.sequence.onehot import encode_many

sys.stdout = sys.stderr = Path(snakemake.log[0]).open("w", buffering=1)
torch.set_num_threads(snakemake.threads)

table = pd.read_csv(snakemake.input.sequences, sep="\t").query("split == 'held_out'")
one_hot = torch.from_numpy(encode_many(table["sequence"].tolist())).float()
network = torch.export.load(snakemake.input.network).module(check_guards=False)
with torch.no_grad():
    predicted = torch.cat([network(batch) for batch in one_hot.split(500)]).numpy()
is_positive = labels(table["kind"]).astype(bool)

areas = {
    task: auroc(predicted[is_positive[:, i], i], predicted[~is_positive[:, i], i])
    for i, task in enumerate(TASKS)
}
print(areas)
complaint = complain(areas, snakemake.params.least, len(table))
if complaint:
    sys.exit(complaint)
pd.DataFrame(areas.items(), columns=["task", "auroc"]).to_csv(
    snakemake.output.areas, sep="\t", index=False, float_format="%.4f"
)
