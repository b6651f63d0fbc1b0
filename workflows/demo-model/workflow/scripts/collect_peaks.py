"""Join each peak with its sequence, and say in which part of the data it is.

The nth sequence of a FASTA belongs to the nth line of the BED; the names of the p73 sequences are
coordinates of another assembly and cannot be used for that. On the chromosome that we have, every
sequence is compared with the genome: that the coordinates are of hg19, 0-based, forward strand, is
checked.
"""

import csv
import sys
from pathlib import Path

from seqlift.genome.bed import read_regions
from seqlift.genome.fasta import Genome
from seqlift.genome.records import read_fasta

sys.stdout = sys.stderr = Path(snakemake.log[0]).open("w", buffering=1)

test_chrom = snakemake.params.test_chrom
validation_chroms = snakemake.params.validation_chroms


def split_of(chrom):
    if chrom == test_chrom:
        return "test"
    return "validation" if chrom in validation_chroms else "train"


def read_signals(fasta):
    """Read the number that the p73 FASTA has after each name; the CTCF FASTA has none."""
    with Path(fasta).open() as lines:
        return [(line.split()[1:] or ["0"])[0] for line in lines if line.startswith(">")]


def require_genome_agrees(region, sequence, genome):
    found = genome.fetch(region.chrom, region.start, region.end)
    if found != sequence:
        raise SystemExit(f"{region}: the genome has {found}, the FASTA {sequence}")


n_checked = 0
genome = Genome(snakemake.input.genome, index=snakemake.input.fai, contig_style="match")
with genome, Path(snakemake.output[0]).open("w") as out:
    table = csv.writer(out, delimiter="\t", lineterminator="\n")
    table.writerow(["factor", "chrom", "start", "end", "signal", "split", "sequence"])
    for factor, bed, fasta in zip(
        snakemake.params.factors, snakemake.input.beds, snakemake.input.fastas, strict=True
    ):
        records = zip(read_regions(bed), read_fasta(fasta), read_signals(fasta), strict=True)
        for region, (_, sequence), signal in records:
            if region.chrom == test_chrom:
                require_genome_agrees(region, sequence, genome)
                n_checked += 1
            where = [region.chrom, region.start, region.end]
            table.writerow([factor, *where, signal, split_of(region.chrom), sequence])
print(f"{n_checked} sequences of {test_chrom} are those of the genome at the coordinates")
