"""Show that a region costs the same time and memory in a large job as in a small one.

    python workflows/benchmark/scale.py -o scale

Makes BED files of several sizes on a genome (a random one, unless one is given), runs `seqlift score` on each as a
process of its own, size by size and round after round, and prints a line a run. Then medians: seconds and processor
seconds a region, without those of a run on a few regions, and the largest resident memory. Writes PREFIX.tsv and
PREFIX.png.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from seqlift.cli.demo import MODEL, data_folder
from seqlift.genome.fasta import Genome

FEW = 10  # regions of the run that shows what starting and stopping cost
MIB = 2**20


class Run(NamedTuple):
    """What one command took: seconds by the clock and of the processors, and bytes."""

    n: int
    seconds: float
    processor: float
    memory: float
    scoring: float


def make_genome(path: Path, n_bases: int, rng: np.random.Generator) -> Path:
    """Write one contig of random letters, 60 a line."""
    # Piece by piece: the system counts the largest memory of this process as its children's, too.
    with path.open("wb") as file:
        file.write(b">chr1\n")
        for first in range(0, n_bases // 60, 10_000):
            n_lines = min(10_000, n_bases // 60 - first)
            letters = np.frombuffer(b"ACGT\n", np.uint8)[
                rng.integers(0, 4, (n_lines, 61), np.uint8)
            ]
            letters[:, -1] = ord("\n")
            file.write(letters.tobytes())
    return path


def make_regions(path: Path, genome: Path, n: int, rng: np.random.Generator) -> Path:
    """Write regions of 200 bp anywhere on the contigs, in no order, as peak callers rank them."""
    with Genome(genome) as sizes:
        names, lengths = list(sizes.contigs), np.array(list(sizes.contigs.values()))
    contigs = rng.choice(len(names), n, p=lengths / lengths.sum())
    starts = (rng.random(n) * np.maximum(1, lengths[contigs] - 200)).astype(int)
    with path.open("w") as file:
        for i, (contig, start) in enumerate(zip(contigs.tolist(), starts.tolist(), strict=True)):
            file.write(f"{names[contig]}\t{start}\t{start + 200}\tregion-{i}\t0\t+\n")
    return path


def score(command: list[str], folder: Path, n: int) -> Run:
    """Run the command in a process of its own, and ask the system what it took."""
    started = time.perf_counter()
    process = subprocess.Popen([*command, "-o", str(folder / f"out-{n}"), "--force", "-q"])
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(process.returncode)
    memory = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    scoring = json.loads((folder / f"out-{n}.json").read_text())["seconds"]["score"]
    seconds = time.perf_counter() - started
    return Run(n, seconds, usage.ru_utime + usage.ru_stime, memory, scoring)


def summarise(runs: list[Run], sizes: list[int]) -> list[dict[str, float]]:
    """Return medians for each size; times without those of the run on a few regions."""

    def median(n: int, name: str) -> float:
        return statistics.median(getattr(run, name) for run in runs if run.n == n)

    return [
        {
            "regions": n,
            "seconds a region": (median(n, "seconds") - median(FEW, "seconds")) / (n - FEW),
            "scoring, seconds a region": median(n, "scoring") / n,
            "processor seconds a region": (median(n, "processor") - median(FEW, "processor"))
            / (n - FEW),
            "largest memory, MiB": median(n, "memory") / MIB,
        }
        for n in sizes
    ]


def draw(table: list[dict[str, float]], path: Path) -> None:
    figure = Figure(figsize=(7, 3), layout="constrained")
    time_axis, memory_axis = figure.subplots(1, 2)
    sizes = [row["regions"] for row in table]
    for name in ("seconds a region", "processor seconds a region"):
        time_axis.plot(sizes, [1e3 * row[name] for row in table], "o-", label=name.split()[0])
    time_axis.set(ylabel="milliseconds a region")
    time_axis.legend(frameon=False)
    memory_axis.plot(sizes, [row["largest memory, MiB"] for row in table], "o-")
    memory_axis.set(ylabel="largest resident memory (MiB)")
    for axis in (time_axis, memory_axis):
        axis.set(xscale="log", xlabel="regions")
        axis.set_ylim(bottom=0)
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("-m", "--model", default=str(data_folder() / MODEL))
    parser.add_argument("-g", "--genome", type=Path, help="a random one if none is given")
    parser.add_argument("--bases", type=int, default=100_000_000, help="of the random genome")
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 30_000, 100_000])
    parser.add_argument("--references", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--options", default="", help="more words for the command line, as one")
    parser.add_argument("-o", "--output", default="scale", metavar="PREFIX")
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        genome = arguments.genome or make_genome(folder / "random.fa", arguments.bases, rng)
        command = [
            sys.executable,
            "-m",
            "seqlift",
            "score",
            "-m",
            arguments.model,
            "-g",
            str(genome),
        ]
        command += ["-n", str(arguments.references), *shlex.split(arguments.options)]
        sizes = [FEW, *arguments.sizes]
        regions = {n: make_regions(folder / f"{n}.bed", genome, n, rng) for n in sizes}
        runs = []
        for _ in range(arguments.rounds):
            for n in sizes:
                runs.append(score([*command, "-r", str(regions[n])], folder, n))
                print(
                    f"{n:>9,} regions  {runs[-1].seconds:8.1f} s  {runs[-1].processor:8.1f} s of processors"
                    f"  {runs[-1].memory / MIB:7.0f} MiB",
                    flush=True,
                )
    table = summarise(runs, arguments.sizes)
    lines = [
        "\t".join(table[0]),
        *("\t".join(f"{value:.6g}" for value in row.values()) for row in table),
    ]
    Path(f"{arguments.output}.tsv").write_text("\n".join(lines) + "\n")
    print(*lines, sep="\n")
    for name in table[0]:
        if name != "regions":
            change = table[-1][name] / table[0][name] - 1
            print(
                f"{name}: {change:+.1%} from {arguments.sizes[0]:,} to {arguments.sizes[-1]:,} regions"
            )
    draw(table, Path(f"{arguments.output}.png"))


if __name__ == "__main__":
    main()
