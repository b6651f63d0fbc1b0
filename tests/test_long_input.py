"""Memory does not grow with the number of regions, measured in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tiny import make_contigs, write_fasta

ROOT = Path(__file__).parents[1]
# Reads a BED as a run does before its first batch: the names of contigs, and then every row.
READ = """\
import resource, sys
from seqlift.genome.fasta import Genome
from seqlift.windows import GenomeSource, count_items

with Genome("genome.fa") as genome:
    source = GenomeSource(genome, sys.argv[1], 40, "pad")
    print(count_items(source)[0])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)  # KiB
"""


def peak(n_lines: int) -> int:
    """Return the peak of memory for a BED of so many lines, KiB."""
    with Path("peaks.bed").open("w") as stream:
        for first in range(0, n_lines, 10_000):
            stream.writelines(
                f"chr1\t{i % 400}\t{i % 400 + 20}\tpeak_{i}\t0\t+\n"
                for i in range(first, min(first + 10_000, n_lines))
            )
    run = subprocess.run(
        [sys.executable, "-c", READ, "peaks.bed"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
        capture_output=True,
        text=True,
    )
    n_rows, memory = map(int, run.stdout.split())
    assert n_rows == n_lines
    return memory


@pytest.mark.large
def test_memory_does_not_grow_with_the_regions(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_fasta(make_contigs(), Path("genome.fa"))
    few = peak(100_000)
    many = peak(int(os.environ.get("SEQLIFT_LONG_BED", "1_000_000")))
    assert many - few < 8 << 10
