"""Show that joining shards takes a bounded memory, however many regions there are.

    python workflows/benchmark/merge.py --regions 100000 1000000

Writes shards with made-up scores on a made-up genome, joins them with `seqlift merge` in a process of its own, and
prints seconds and the largest resident memory for each number of regions.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from seqlift.genome.fasta import Genome
from seqlift.genome.regions import Region
from seqlift.output.hdf5 import ScoredBatch, ScoresWriter
from seqlift.output.regions_tsv import RegionRow, RegionsWriter

N_REFERENCES, AT_ONCE = 2, 4096
MIB = 2**20


def write_genome(folder: Path, size: int) -> Path:
    path = folder / "genome.fa"
    letters = np.frombuffer(b"ACGT", np.uint8)[np.random.default_rng(0).integers(0, 4, size)]
    with path.open("wb") as file:
        file.write(b">chr1\n" + letters.tobytes() + b"\n")
    return path


def write_shard(
    prefix: str, rows: range, length: int, size: int, total: int, settings: dict[str, object]
) -> None:
    """Write a scores file, a table and a summary as `seqlift score --shard` does."""
    random = np.random.default_rng(rows.start)
    with (
        ScoresWriter(f"{prefix}.h5", length, N_REFERENCES, attributes=settings) as writer,
        RegionsWriter(f"{prefix}.regions.tsv") as table,
    ):
        for first in range(rows.start, rows.stop, AT_ONCE):
            n = min(AT_ONCE, rows.stop - first)
            # In their order along the genome, as peaks most often are, and overlapping.
            starts = ((first + np.arange(n)) * (size - length) // total).tolist()
            regions = [
                Region("chr1", start, start + length, f"r{first + i}", "+", None, first + i + 1)
                for i, start in enumerate(starts)
            ]
            bases = random.integers(0, 4, (n, 1, length))
            one_hot = (bases == np.arange(4)[:, None]).astype(np.uint8)
            values = random.normal(size=(n, 4, length)).astype(np.float32)
            pairs = np.zeros((n, N_REFERENCES))
            writer.append(
                ScoredBatch(
                    regions=regions,
                    one_hot=one_hot,
                    hypothetical=values,
                    scores=values * one_hot,
                    delta=pairs + 1,
                    completeness_error=pairs,
                    prediction=pairs[:, 0],
                    prediction_reference=pairs,
                    standard_error=np.zeros((n, length)),
                    n_references=np.full(n, N_REFERENCES),
                )
            )
            for region in regions:
                table.write(
                    RegionRow(
                        region.row,
                        region.chrom,
                        region.start,
                        region.end,
                        region.name,
                        region.strand,
                        None,
                        region.start,
                        region.end,
                        "scored",
                        target="0",
                    )
                )
    counts = {"rows": len(rows), "scored": len(rows), "padded": 0, "dropped": 0}
    complete = {"n_pairs": 0, "n_beyond_rounding": 0, "max_error": 0.0}
    summary = {
        "settings": settings,
        "counts": counts,
        "targets": {"0": {"target": "0", "completeness": complete}},
        "seconds": {"score": 1.0},
        "files": {"scores 0": Path(f"{prefix}.h5").name},
    }
    Path(f"{prefix}.json").write_text(json.dumps(summary))


def join(folder: Path, n_shards: int, genome: Path) -> tuple[float, int]:
    """Return seconds and bytes of memory of joining."""
    shards = [str(folder / f"{i}.json") for i in range(1, n_shards + 1)]
    command = [sys.executable, "-m", "seqlift", "merge", "-q", *shards, "-g", str(genome)]
    measured = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True);"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    started = time.perf_counter()
    output = ["-o", str(folder / "joined")]
    done = subprocess.run(
        [sys.executable, "-c", measured, *command, *output],
        capture_output=True,
        text=True,
        check=True,
    )
    return time.perf_counter() - started, int(done.stdout) * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--regions", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--length", type=int, default=100, help="bp of a region")
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument("--genome", type=int, default=100_000_000, help="bp")
    options = parser.parse_args()
    print(options)
    for n in options.regions:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            path = write_genome(folder, options.genome)
            with Genome(path) as genome:
                digest = genome.digest()
            for i in range(1, options.shards + 1):
                rows = range((i - 1) * n // options.shards, i * n // options.shards)
                settings: dict[str, object] = {
                    "genome_digest": digest, "genome": "genome.fa", "target": "0", "n_rows": n,
                    "shard": f"{i}/{options.shards}", "compile": "off", "device": "cpu",
                    "command_line": "",
                }  # fmt: skip
                write_shard(str(folder / str(i)), rows, options.length, options.genome, n, settings)
            seconds, memory = join(folder, options.shards, path)
            print(f"{n:>12,} regions {seconds:>10.1f} s {memory / MIB:>10.0f} MiB", flush=True)


if __name__ == "__main__":
    main()
