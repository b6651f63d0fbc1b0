"""Write the chromosome with N everywhere but about the peaks, bgzipped and indexed."""

import sys
from pathlib import Path

import pandas as pd
import pysam

from seqlift.genome.fasta import Genome

sys.stdout = sys.stderr = Path(snakemake.log[0]).open("w", buffering=1)

LINE = 60
chrom, flank = snakemake.params.chrom, snakemake.params.flank

genome = Genome(snakemake.input.genome, index=snakemake.input.fai, contig_style="match")
with genome:
    contig = genome.match_contigs([chrom])[chrom]
    sequence = genome.fetch(contig, 0, genome.contigs[contig]).encode()
masked = bytearray(b"N" * len(sequence))
peaks = pd.read_csv(snakemake.input.peaks, sep="\t")
for peak in peaks[peaks["chrom"] == chrom].itertuples():
    middle = (peak.start + peak.end) // 2
    window = slice(max(0, middle - flank), min(len(sequence), middle + flank))
    masked[window] = sequence[window]
with pysam.BGZFile(snakemake.output.fasta, "w") as out:
    out.write(f">{chrom}\n".encode())
    for start in range(0, len(masked), LINE):
        out.write(bytes(masked[start : start + LINE]) + b"\n")
pysam.faidx(snakemake.output.fasta)
print(f"{len(masked) - masked.count(b'N')} of {len(masked)} bp kept")
