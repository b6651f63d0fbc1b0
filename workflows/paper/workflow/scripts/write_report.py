"""Put all tables and figures in one page that needs no other file."""

import html
import sys
from pathlib import Path
from string import Template

import pandas as pd
import yaml
from page import machine, percent, picture, table, versions

sys.stdout = sys.stderr = Path(snakemake.log[0]).open("w", buffering=1)
config, titles = snakemake.params.config, snakemake.params.titles
MOTIFS = ("GATA1", "TAL1")


def read(name, **options):
    return pd.read_csv(snakemake.input[name], sep="\t", **options)


def references(explanation):
    return explanation.partition(".")[2] or "none"


def missed_table():
    rows = read("missed").set_index(["explanation", "motif"])
    published = read("published", comment="#").set_index("explanation")
    lines = []
    for explanation, title in titles.items():
        ours = [rows.loc[(explanation, motif)] for motif in MOTIFS]
        cells = [f"{percent(r.share_missed)} [{100 * r.low:.2f}, {100 * r.high:.2f}]" for r in ours]
        known = explanation in published.index
        theirs = [f"{published.loc[explanation, motif]:g} %" if known else "" for motif in MOTIFS]
        lines.append([title, reference_title(explanation), *cells, *theirs])
    numbers = {motif: int(rows.loc[(next(iter(titles)), motif)].n_strong) for motif in MOTIFS}
    header = [f"{motif}, {numbers[motif]:,} matches" for motif in MOTIFS]
    theirs = [f"authors' network, {motif}" for motif in MOTIFS]
    return table(["method", "reference", *header, *theirs], lines)


def reference_title(explanation):
    names = {
        "none": "",
        "flat": "flat",
        "shuffles": f"{config['scoring']['n_references']} shuffles",
    }
    return "flat" if explanation == "gradient-difference" else names[references(explanation)]


def noise_table():
    noise = read("noise").query("task == 'both'").set_index("explanation")
    other = read("missed").set_index(["explanation", "motif"])["other_over_own"]
    lines = [
        [
            title,
            reference_title(name),
            f"{noise.loc[name, 'mean_abs_ratio']:.3f}",
            f"{noise.loc[name, 'sd_ratio']:.3f}",
            *(f"{other[(name, motif)]:.3f}" for motif in MOTIFS),
        ]
        for name, title in titles.items()
    ]
    header = [
        "method",
        "reference",
        "mean |score| outside / inside",
        "sd outside / mean |score| inside",
    ]
    return table([*header, *(f"{motif}: other task / own" for motif in MOTIFS)], lines)


def agreement_table():
    found = read("agreement").pivot(index="method", columns="task", values="correlation")
    tasks = ["both", *MOTIFS]
    lines = [
        [title, *(f"{found.loc[name.split('.')[0], task]:.3f}" for task in tasks)]
        for name, title in titles.items()
        if references(name) == "flat"
    ]
    return table(["method", *(f"task {task}" for task in tasks)], lines)


def digits_table():
    found = read("summary").set_index(["from", "to", "method"])
    pairs = [tuple(pair) for pair in config["digits"]["pairs"]]
    lines = []
    for method, title in snakemake.params.digit_titles.items():
        cells = [found.loc[(*pair, method)] for pair in pairs]
        lines.append([title, *(f"{c['50%']:.2f} [{c['25%']:.2f}, {c['75%']:.2f}]" for c in cells)])
    header = [f"{a} → {b} ({int(found.loc[(a, b)]['count'].iloc[0])} images)" for a, b in pairs]
    return table(["method", *header], lines)


def times():
    """Return minutes in all, and a table by step; what a benchmark file says is the job's time."""
    seconds = {}
    for path in sorted(Path("benchmarks").rglob("*.tsv")):
        step = path.relative_to("benchmarks").with_suffix("").as_posix()
        seconds[step] = float(pd.read_csv(path, sep="\t")["s"].iloc[-1])
    lines = [[step, f"{s:.1f}"] for step, s in sorted(seconds.items(), key=lambda x: -x[1])]
    return f"{sum(seconds.values()) / 60:.1f}", table(["step", "seconds"], lines)


simulation = config["simulation"]
minutes, time_table = times()
accuracy = read("accuracy").iloc[0]
areas = read("areas")
text = Template(Path(snakemake.input.template).read_text(encoding="utf-8")).substitute(
    command=snakemake.params.command,
    machine=html.escape(machine()),
    versions=html.escape(versions()),
    minutes=minutes,
    n_sequences=f"{sum(simulation[part] for part in ('train', 'validation', 'held_out')):,}",
    length=simulation["length"],
    background="/".join(map(str, simulation["background"])),
    n_train=f"{simulation['train']:,}",
    n_validation=f"{simulation['validation']:,}",
    n_held_out=f"{simulation['held_out']:,}",
    per_sequence=config["matches"]["per_sequence"],
    strong=config["matches"]["strong"],
    n_references=config["scoring"]["n_references"],
    auroc=table([f"task {task}" for task in areas["task"]], [[f"{a:.4f}" for a in areas["auroc"]]]),
    missed=missed_table(),
    noise=noise_table(),
    agreement=agreement_table(),
    scatter="\n".join(picture(path, Path(path).stem) for path in snakemake.input.scatter),
    accuracy=percent(accuracy["accuracy"]),
    n_digits=int(accuracy["n_held_out"]),
    erased=f"{100 * config['digits']['erased']:g}",
    digits=digits_table(),
    digit_figures="\n".join(picture(snakemake.input[name], name) for name in ("digits", "digit")),
    settings=html.escape(yaml.safe_dump(config, sort_keys=False)),
    times=time_table,
)
Path(snakemake.output.report).write_text(text, encoding="utf-8")
