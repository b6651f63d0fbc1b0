"""What `seqlift score` does, as a script of tangermeme's own functions: regions of a genome to an npz.

The one argument is the job as JSON: what `time_command.py` makes.
"""

import json
import sys

import models
import numpy as np
import torch
from tangermeme.deep_lift_shap import deep_lift_shap
from tangermeme.ersatz import dinucleotide_shuffle
from tangermeme.io import extract_loci

job = json.loads(sys.argv[1])
torch.set_num_threads(job["threads"])
model = models.load(job["network"], job["weights"], job["device"])
one_hot = extract_loci(job["regions"], job["genome"], in_window=job["length"]).float()
hypothetical = deep_lift_shap(
    model, one_hot, target=0, references=dinucleotide_shuffle, n_shuffles=job["n_references"], random_state=0,
    hypothetical=True, batch_size=job["batch_size"], device=job["device"],
    warning_threshold=float("inf"),
)  # fmt: skip
np.savez(f"{job['output']}.tangermeme.npz", one_hot=one_hot, hypothetical=hypothetical.cpu())
