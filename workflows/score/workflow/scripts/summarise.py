"""Put the summaries of all jobs in one table: counts, how nearly scores sum to delta, the track."""

import csv
import json
import sys
from pathlib import Path

sys.stderr = Path(snakemake.log[0]).open("w", buffering=1)

COUNTS = ("rows", "scored", "padded", "dropped", "unshufflable")
COMPLETENESS = ("n_pairs", "n_beyond_rounding", "max_error", "mean_error_over_mean_delta")
TRACK = ("n_bases", "minimum", "maximum", "mean")
SETTINGS = ("model", "model_digest", "genome", "genome_digest", "regions", "seqlift_version")


def pick(found, names):
    """Return values in the order of the columns; NA for the minimum of a track without bases."""
    values = (found[name] for name in names)
    return ["NA" if value is None else value for value in values]


def row(sample, target, summary):
    found = summary["targets"][target]
    return [
        sample,
        target,
        *pick(summary["counts"], COUNTS),
        *pick(found["completeness"], COMPLETENESS),
        *pick(found["track"], TRACK),
        summary["regions_per_second"],
        *pick(summary["settings"], SETTINGS),
    ]


header = ["sample", "target", *COUNTS, *COMPLETENESS, *TRACK, "regions_per_second", *SETTINGS]
with Path(snakemake.output.table).open("w", newline="", encoding="utf-8") as file:
    table = csv.writer(file, delimiter="\t", lineterminator="\n")
    table.writerow(header)
    for (sample, target), path in zip(
        snakemake.params.jobs, snakemake.input.summaries, strict=True
    ):
        table.writerow(row(sample, target, json.loads(Path(path).read_text(encoding="utf-8"))))
