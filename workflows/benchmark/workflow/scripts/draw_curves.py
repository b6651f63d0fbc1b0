"""Draw throughput and peak memory against batch size, references and number of regions."""

import sys
from pathlib import Path

import matplotlib
import pandas as pd

matplotlib.use("Agg")
from matplotlib import pyplot as plt

sys.stdout = sys.stderr = Path(snakemake.log[0]).open("w", buffering=1)
LABELS = {
    "batch_size": "pairs at a time",
    "n_references": "references of each sequence",
    "regions": "regions in one command",
}
COLOURS = {
    ("seqlift", "float32"): "#0072B2",
    ("seqlift", "bfloat16"): "#56B4E9",
    ("tangermeme", "float32"): "#D55E00",
}


def read(path):
    table = pd.read_csv(path, sep="\t")
    if "regions" in table:
        table["sequences_per_second"] = table["regions"] / table["seconds"]
    return table


def draw(axis, table, along, what):
    for (tool, precision), lines in table.groupby(["tool", "precision"], sort=False):
        found = lines.groupby(along)[what].agg(["median", "min", "max"])
        around = [found["median"] - found["min"], found["max"] - found["median"]]
        axis.errorbar(
            found.index,
            found["median"],
            around,
            label=f"{tool} {precision}",
            color=COLOURS.get((tool, precision)),
            marker="o",
            markersize=4,
            capsize=2,
        )
    values = sorted(table[along].unique())
    axis.set_xscale("log")
    axis.set_xlim(values[0] / 1.3, values[-1] * 1.3)
    axis.set_xticks(values, [f"{value:,}" for value in values])
    axis.minorticks_off()
    axis.set_ylim(0, 1.1 * table[what].max())
    axis.spines[["top", "right"]].set_visible(False)


figure, axes = plt.subplots(2, 3, figsize=(12, 6), sharex="col", layout="constrained")
for column, (along, title) in enumerate(LABELS.items()):
    table = read(snakemake.input[along])
    draw(axes[0, column], table, along, "sequences_per_second")
    draw(axes[1, column], table, along, "peak_gb")
    axes[0, column].set_title(snakemake.params.titles[along], fontsize=9)
    axes[1, column].set_xlabel(title)
axes[0, 0].set_ylabel("sequences a second")
axes[1, 0].set_ylabel("peak memory, GB")
axes[0, 0].legend(frameon=False, fontsize=9)
figure.savefig(snakemake.output.figure, dpi=110)
