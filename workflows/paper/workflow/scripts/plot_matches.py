"""Draw each match to a motif by its log-odds and its total score, as in the paper's figure 5."""

import sys
from pathlib import Path

import matplotlib
import pandas as pd
from simulation import CLASSES, TASKS

matplotlib.use("Agg")
from matplotlib import pyplot as plt

sys.stdout = sys.stderr = Path(snakemake.log[0]).open("w", buffering=1)

# Okabe and Ito's colours, which nobody confuses.
COLOURS = {"none": "#999999", "GATA1": "#0072B2", "TAL1": "#009E73", "both": "#D55E00"}
motif = snakemake.wildcards.motif
strong = snakemake.params.strong


def draw(axis, matches, task):
    # In one go and in random order, so that no class lies on top.
    shuffled = matches.sample(frac=1, random_state=0)
    axis.scatter(
        shuffled["log_odds"],
        shuffled[task],
        c=shuffled["kind"].map(COLOURS),
        s=2.5,
        alpha=0.5,
        linewidths=0,
        rasterized=True,
    )
    axis.axhline(0, color="black", linewidth=0.6)
    axis.axvline(strong, color="black", linewidth=0.6, linestyle=":")
    axis.tick_params(labelsize=7, length=2)
    axis.spines[["top", "right"]].set_visible(False)


def note_missed(axis, matches):
    found = matches[(matches["kind"] == "both") & (matches["log_odds"] >= strong)]
    share = (found["both"] <= 0).mean()
    axis.text(
        0.03,
        0.97,
        f"missed {share:.1%}",
        transform=axis.transAxes,
        va="top",
        fontsize=8,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1},
    )


titles = snakemake.params.titles
tables = [pd.read_csv(path, sep="\t") for path in snakemake.input.totals]
tables = [table[table["motif"] == motif] for table in tables]
figure, axes = plt.subplots(
    len(TASKS),
    len(tables),
    figsize=(0.8 + 1.75 * len(tables), 6),
    sharex=True,
    squeeze=False,
    layout="constrained",
)
for column, (title, table) in enumerate(zip(titles, tables, strict=True)):
    axes[0, column].set_title(title, fontsize=9)
    for row, task in enumerate(TASKS):
        draw(axes[row, column], table, task)
    note_missed(axes[0, column], table)
for row, task in enumerate(TASKS):
    axes[row, 0].set_ylabel(f"task {task}\ntotal score", fontsize=9)
figure.supxlabel(f"log-odds of the match to {motif} (natural logarithm)", fontsize=9)
handles = [plt.Line2D([], [], marker="o", linestyle="", color=COLOURS[kind]) for kind in CLASSES]
names = {"none": "no motif", "GATA1": "GATA1 alone", "TAL1": "TAL1 alone", "both": "both motifs"}
labels = [f"sequences with {names[kind]}" if kind != "none" else names[kind] for kind in CLASSES]
figure.legend(handles, labels, loc="outside upper center", ncols=4, fontsize=8, frameon=False)
figure.savefig(snakemake.output.figure, dpi=110)
