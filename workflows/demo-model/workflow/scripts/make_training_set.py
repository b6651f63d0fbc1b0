"""Encode peaks, their dinucleotide shuffles and background windows with the labels of each."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from seqlift.sequence.onehot import encode_many
from seqlift.sequence.shuffle import dinucleotide_shuffle

sys.stdout = sys.stderr = Path(snakemake.log[0]).open("w", buffering=1)

factors = snakemake.params.factors
peaks = pd.read_csv(snakemake.input.peaks, sep="\t")
background = pd.read_csv(snakemake.input.background, sep="\t")

arrays = {}
for split, n_shuffles in snakemake.params.shuffles.items():
    is_peak = peaks["split"] == split
    positives = encode_many(peaks.loc[is_peak, "sequence"].tolist())
    shuffles = dinucleotide_shuffle(positives, n_shuffles, seed=snakemake.params.seed)
    windows = encode_many(background.loc[background["split"] == split, "sequence"].tolist())
    arrays[f"{split}_positives"] = positives
    # A peak of one factor is a negative of the others.
    arrays[f"{split}_labels"] = np.stack(
        [peaks.loc[is_peak, "factor"].to_numpy() == factor for factor in factors], axis=1
    )
    arrays[f"{split}_negatives"] = np.concatenate(
        [shuffles.reshape(-1, *windows.shape[1:]), windows]
    )
np.savez_compressed(snakemake.output[0], **arrays)
for name, array in arrays.items():
    print(name, array.shape, array.dtype)
