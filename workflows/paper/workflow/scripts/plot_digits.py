"""Draw how far each method's erased pixels turn a digit into another, and one example, as in the paper's figure 4."""

import sys
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from digits import SIDE

matplotlib.use("Agg")
from matplotlib import pyplot as plt

sys.stdout = sys.stderr = Path(snakemake.log[0]).open("w", buffering=1)
pairs = snakemake.params.pairs
methods = snakemake.params.methods
titles = snakemake.params.titles


def draw_changes(table):
    figure, axes = plt.subplots(
        1,
        len(pairs),
        figsize=(1 + 2.3 * len(pairs), 4.6),
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    for axis, (source, target) in zip(axes[0], pairs, strict=True):
        rows = table[(table["from"] == source) & (table["to"] == target)]
        values = [rows.loc[rows["method"] == method, "change"] for method in methods]
        axis.boxplot(
            values, widths=0.6, medianprops={"color": "#D55E00"}, flierprops={"markersize": 2}
        )
        axis.set_ylim(bottom=min(0, *(value.min() for value in values)))
        axis.set_xticks(range(1, len(methods) + 1), titles, fontsize=9, rotation=90)
        axis.set_title(f"{source} → {target} ({len(values[0])} images)", fontsize=10)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0, 0].set_ylabel("decrease of log-odds,\noriginal against target class", fontsize=10)
    figure.savefig(snakemake.output.changes, dpi=110)


def draw_example(examples):
    """One image: what each method counts for the original and against the target class, and what is left of it."""
    source, target = pairs[0]
    figure, axes = plt.subplots(
        2, 1 + len(methods), figsize=(1.35 * (1 + len(methods)), 3.2), layout="constrained"
    )
    for axis in axes.flat:
        axis.axis("off")
    original = examples[f"{methods[0]}/{source}/{target}"][0].reshape(SIDE, SIDE)
    axes[0, 0].imshow(original, cmap="gray_r", vmin=0, vmax=1)
    axes[0, 0].set_title(f"a {source}", fontsize=9)
    note = f"above: score for\n{source} minus score\nfor {target} (red: more)\n\nbelow: what is left\nof the {source}"
    axes[1, 0].text(0.5, 0.5, note, ha="center", va="center", fontsize=8)
    for column, (method, title) in enumerate(zip(methods, titles, strict=True), 1):
        _, difference, erased = examples[f"{method}/{source}/{target}"].reshape(3, SIDE, SIDE)
        most = np.abs(difference).max()
        axes[0, column].imshow(difference, cmap="RdBu_r", vmin=-most, vmax=most)
        axes[0, column].set_title(title, fontsize=8)
        axes[1, column].imshow(erased, cmap="gray_r", vmin=0, vmax=1)
    figure.savefig(snakemake.output.example, dpi=110)


draw_changes(pd.read_csv(snakemake.input.changes, sep="\t"))
with np.load(snakemake.input.examples) as examples:
    draw_example(examples)
