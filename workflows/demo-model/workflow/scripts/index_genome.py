"""Make the index of the genome, whose own folder may be read-only."""

import sys
from pathlib import Path

from seqlift.genome.fasta import Genome

sys.stdout = sys.stderr = Path(snakemake.log[0]).open("w", buffering=1)

with Genome(snakemake.input[0], index=snakemake.output.fai) as genome:
    print(genome.contigs)
