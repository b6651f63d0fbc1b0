"""Put the tables, the figure, the machine, the versions and the command on one page, in Markdown."""

import sys
from pathlib import Path
from string import Template

import pandas as pd
import yaml
from timing import machine, versions

sys.stdout = sys.stderr = Path(snakemake.log[0]).open("w", buffering=1)
params, config = snakemake.params, snakemake.params.config
TOOLS = {"autograd": "plain autograd, no DeepLIFT", "limit": "convolutions alone"}
WAYS = {
    "flat": "seqlift, one flat pass",
    "plain": "seqlift, plain shuffles",
    "base-marginal": "seqlift, base-marginal",
    "adaptive, plain": "seqlift, adaptive counts, plain",
    "adaptive, base-marginal": "seqlift, adaptive counts, base-marginal",
}


def markdown(header, lines):
    rows = [header, ["---"] * len(header), *lines]
    return "\n".join(f"| {' | '.join(map(str, row))} |" for row in rows)


def around(line, name, form="{:.3g}"):
    """Write a median with the lowest and the highest round."""
    values = [line.get(f"{name}_{part}") for part in ("median", "low", "high")]
    if pd.isna(values[0]):
        return ""
    middle, low, high = (form.format(value) for value in values)
    return f"{middle} ({low} to {high})"


def tool_of(line):
    name = TOOLS.get(line["tool"], line["tool"])
    return f"{name}, batch size {line['batch_size']}" if line["batch_size"] else name


def accuracy_of(line):
    """Say what was measured: deviations from float64, or for another precision from float32."""
    if line["tool"] == "autograd" or pd.isna(line["median_deviation"]):
        return ""
    words = f"{line['median_deviation']:.1e} (worst {line['worst_deviation']:.1e})"
    if line["tool"] == "seqlift":
        if line["precision"] != "float32":
            words += f" from float32, correlation {line['correlation']:.6f}"
        words += f", completeness {line['incompleteness']:.1e}"
    return words


def speed_table():
    table = pd.read_csv(snakemake.input.table, sep="\t")
    header = ["work", "tool", "precision", "sequences a second", "× tangermeme", "wanted", "share of the convolutions' limit", "deviation"]  # fmt: skip
    lines = []
    for _, line in table.iterrows():
        wanted = "" if pd.isna(line["wanted"]) else f"{line['wanted']:g} ×"
        cells = [around(line, "rate"), around(line, "ratio"), wanted, around(line, "limit", "{:.0%}")]  # fmt: skip
        title = params.titles[line["row"]]
        lines.append([title, tool_of(line), line["precision"], *cells, accuracy_of(line)])
    return markdown(header, lines)


def limits():
    """Say what the convolutions alone reach."""
    table = pd.read_csv(snakemake.input.table, sep="\t").query("tool == 'limit'")
    lines = [
        [params.titles[line["row"]], line["precision"], f"{line['gflops']:.0f}"]
        for _, line in table.iterrows()
    ]
    return markdown(["network", "precision", "GFLOP/s"], lines)


def quality_table():
    reached = pd.read_csv(snakemake.input.quality, sep="\t")
    levels = config["quality"]["levels"]
    lines = []
    for (row, way), some in reached.groupby(["row", "way"], sort=False):
        cells = [quality_cell(some[some["level"] == level]) for level in levels]
        lines.append([params.titles[row], WAYS.get(way, f"{way}, plain shuffles"), *cells])
    return markdown(["network", "way", *(f"{level:g}" for level in levels)], lines)


def quality_cell(found):
    if found.empty:
        return "–"
    line = found.iloc[0]
    return f"{line['median']:.3g} s ({line['references']:.3g} references)"


def training_table():
    tables = [pd.read_csv(path, sep="\t") for path in snakemake.input.networks]
    lines = [
        [params.titles[row], f"{correlation:.2f}"]
        for row, correlation in pd.concat(tables).dropna().itertuples(index=False)
    ]
    return markdown(["network", "correlation on held-out sequences"], lines)


text = Template(Path(snakemake.input.template).read_text(encoding="utf-8")).substitute(
    command=params.command,
    machine=machine(config["device"]),
    threads=params.cores,
    device=config["device"],
    versions=versions(),
    n_references=config["n_references"],
    rounds=config["rounds"],
    regions=config["command"]["regions"],
    speed=speed_table(),
    limits=limits(),
    limit=config["quality"]["limit"],
    quality=quality_table(),
    training=training_table(),
    settings=yaml.safe_dump(config, sort_keys=False, allow_unicode=True),
)
Path(snakemake.output.page).write_text(text, encoding="utf-8")
