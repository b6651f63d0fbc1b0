"""Write the README of data/: digests, sizes and metrics into the template."""

import hashlib
import json
import sys
from pathlib import Path
from string import Template

import pandas as pd

sys.stdout = sys.stderr = Path(snakemake.log[0]).open("w", buffering=1)

MADE_BY = {
    ".pt2": "`train.py`, `model.py`",
    ".gz": "`mask_genome.py`",
    ".fai": "`mask_genome.py`",
    ".gzi": "`mask_genome.py`",
    ".narrowPeak": "`collect_peaks.py`, `write_narrowpeak.py`",
    ".meme": "`write_motif.py`",
    ".json": "`evaluate.py`",
}
config = snakemake.params.config
factors = list(config["factors"])
peaks = pd.read_csv(snakemake.input.peaks, sep="\t")
background = pd.read_csv(snakemake.input.background, sep="\t")
test_peaks = peaks[peaks["split"] == "test"]


def table(rows):
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in rows)


def file_rows():
    for path in map(Path, snakemake.input.files):
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        yield f"`{path.name}`", f"{path.stat().st_size:,}", f"`{sha256}`", MADE_BY[path.suffix]


def size_rows():
    for split in ("train", "validation", "test"):
        n_peaks = (((peaks["split"] == split) & (peaks["factor"] == f)).sum() for f in factors)
        n_shuffles = config["background"].get(f"{split}_shuffles", 0)
        kinds = background.loc[background["split"] == split, "kind"].value_counts()
        yield split, *n_peaks, n_shuffles, f"{kinds['random']:,}", f"{kinds['gc-matched']:,}"


def metric_rows():
    for factor, against in json.loads(Path(snakemake.input.metrics).read_text()).items():
        for kind, measured in against.items():
            counts = (measured["n_peaks"], f"{measured['n_windows']:,}")
            yield (
                factor,
                f"{kind} windows",
                *counts,
                *map(estimate, (measured["auroc"], measured["average_precision"])),
            )


def estimate(measured):
    low, high = measured["interval"]
    return f"{measured['value']:.3f} [{low:.3f}, {high:.3f}]"


def span(name):
    first, last = config["split"][name]
    return f"{first:,} to {last:,}"


def count_kept():
    """Count the bases that the slice keeps: the union of the windows about the peaks."""
    flank = config["genome"]["slice_flank"]
    middles = (test_peaks["start"] + test_peaks["end"]) // 2
    return len({i for middle in middles for i in range(middle - flank, middle + flank)})


names = [Path(path).name for path in snakemake.input.files]
values = {
    "files": table(file_rows()),
    "sizes": table(size_rows()),
    "metrics": table(metric_rows()),
    "model": next(name for name in names if name.endswith(".pt2")),
    "slice": next(name for name in names if name.endswith(".gz")),
    "chrom": config["genome"]["chrom"],
    "flank": f"{config['genome']['slice_flank']:,}",
    "n_kept": f"{count_kept():,}",
    "gimme_version": config["gimmemotifs"]["version"],
    "gimme_sha256": config["gimmemotifs"]["sha256"],
    "motif_id": config["gimmemotifs"]["motif"],
    "motif_file": config["gimmemotifs"]["motif_file"],
    "factor_0": factors[0],
    "factor_1": factors[1],
    "n_test": len(test_peaks),
    "n_test_0": (test_peaks["factor"] == factors[0]).sum(),
    "n_test_1": (test_peaks["factor"] == factors[1]).sum(),
    "validation_chroms": ", ".join(config["split"]["validation_chroms"]),
    "distance": f"{config['background']['distance']:,}",
    "train_windows": span("train_windows"),
    "validation_windows": span("validation_windows"),
    "test_windows": span("test_windows"),
    "negatives_per_peak": config["training"]["negatives_per_peak"],
    "max_shift": config["training"]["max_shift"],
    "seed": config["seed"],
    "n_per_peak": config["background"]["test_windows_per_peak"],
    "n_bootstraps": f"{config['bootstrap']:,}",
}
template = Template(Path(snakemake.input.template).read_text())
Path(snakemake.output[0]).write_text(template.substitute(values))
