"""Make one table of all rows: sequences a second, ratios to tangermeme and to the limit round by round, accuracy."""

import sys
from pathlib import Path

import pandas as pd
from timing import spread

sys.stdout = sys.stderr = Path(snakemake.log[0]).open("w", buffering=1)
KEY = ["tool", "precision"]


def at_best_batch_size(table):
    """Keep of each tool and precision the batch size with the lowest median time."""
    medians = table.groupby([*KEY, "batch_size"], sort=False)["seconds"].median()
    best = medians.groupby(KEY, sort=False).idxmin()
    return table.set_index([*KEY, "batch_size"]).loc[best.tolist()].reset_index()


def by_round(table, tool, precision):
    lines = table.query("tool == @tool and precision == @precision")
    return lines.set_index("round")["seconds"]


def peer_of(table, precision):
    """Return which of tangermeme's times count: of the same precision, or of the nearest that it has."""
    has = set(table.loc[table["tool"] == "tangermeme", "precision"])
    return "tangermeme", next((p for p in (precision, "tf32") if p in has), "float32")


def prefixed(name, values):
    return {f"{name}_{key}": value for key, value in spread(list(values)).items()}


def summarise(table, wanted):
    """Yield a line for each tool and precision of one row."""
    for (tool, precision), lines in table.groupby(KEY, sort=False):
        own = by_round(table, tool, precision)
        line = {"tool": tool, "precision": precision, "batch_size": lines["batch_size"].iloc[0]}
        line |= prefixed("rate", lines["sequences"] / lines["seconds"])
        others = {"ratio": peer_of(table, precision), "limit": ("limit", precision)}
        for name, other in others.items():
            seconds = by_round(table, *other)
            if len(seconds):
                line |= prefixed(name, seconds / own)
        if tool == "limit":
            line["gflops"] = (lines["operations"] / lines["seconds"]).median() / 1e9
        line["wanted"] = wanted.get(precision) if tool == "seqlift" else None
        yield line


def read_rows():
    for row, path, accuracy in zip(
        snakemake.params.rows, snakemake.input.rows, snakemake.input.accuracy, strict=True
    ):
        table = at_best_batch_size(pd.read_csv(path, sep="\t"))
        lines = pd.DataFrame(summarise(table, snakemake.params.wanted[row]))
        lines.insert(0, "row", row)
        yield lines.merge(pd.read_csv(accuracy, sep="\t"), on=["row", *KEY], how="left")


def read_command():
    table = pd.read_csv(snakemake.input.command, sep="\t").rename(columns={"regions": "sequences"})
    table["batch_size"] = 0
    lines = pd.DataFrame(summarise(table, snakemake.params.wanted["command"]))
    lines.insert(0, "row", "command")
    peak = table.groupby(KEY)["peak_gb"].median().reset_index()
    return lines.merge(peak, on=KEY)


def levels(table):
    """Yield the cheapest setting of each way that reaches each level; nothing where none does."""
    key = ["row", "way", "setting", "references", "correlation", "reliability"]
    medians = table.groupby(key, sort=False)["seconds_a_region"].agg(["median", "min", "max"])
    for (row, way), lines in medians.reset_index().groupby(["row", "way"], sort=False):
        for level in snakemake.params.levels:
            reaches = lines[lines["correlation"] >= level].sort_values("median").head(1)
            yield reaches.assign(row=row, way=way, level=level)


table = pd.concat([*read_rows(), read_command()], ignore_index=True)
table.to_csv(snakemake.output.table, sep="\t", index=False, float_format="%.9g")
quality = pd.concat([pd.read_csv(path, sep="\t") for path in snakemake.input.quality])
reached = pd.concat(levels(quality), ignore_index=True)
reached.to_csv(snakemake.output.quality, sep="\t", index=False, float_format="%.4g")
