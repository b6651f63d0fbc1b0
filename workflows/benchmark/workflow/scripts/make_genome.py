"""Write a random chromosome with its index, and BED files of 200 bp at random places of it."""

import sys
from pathlib import Path

import numpy as np
import pysam

sys.stdout = sys.stderr = Path(snakemake.log[0]).open("w", buffering=1)
CHROM, WIDTH, MARGIN, LINE = "chr1", 200, 10_000, 60
size = snakemake.params.size
rng = np.random.default_rng(snakemake.params.seed)
letters = np.frombuffer(b"ACGT", dtype=np.uint8)[rng.integers(0, 4, size)].tobytes().decode()
lines = "\n".join(letters[first : first + LINE] for first in range(0, size, LINE))
Path(snakemake.output.genome).write_text(f">{CHROM}\n{lines}\n", encoding="ascii")
pysam.faidx(snakemake.output.genome)
for path, n in zip(snakemake.output.regions, snakemake.params.regions, strict=True):
    starts = np.sort(rng.integers(MARGIN, size - MARGIN, n))
    text = "".join(f"{CHROM}\t{start}\t{start + WIDTH}\tregion_{start}\n" for start in starts)
    Path(path).write_text(text, encoding="ascii")
