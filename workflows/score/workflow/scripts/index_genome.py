"""Make the index of a genome away from the genome, and check that it can be read through it."""

import sys
from pathlib import Path

from seqlift.errors import SeqliftError
from seqlift.genome.fasta import Genome

sys.stderr = Path(snakemake.log[0]).open("w", buffering=1)

folder = Path(snakemake.output.index)
folder.mkdir(parents=True)
try:
    with Genome(snakemake.input.genome, index=folder / "genome.fai") as genome:
        print(f"{len(genome.contigs)} contigs in {genome.name}", file=sys.stderr)
except SeqliftError as error:
    sys.exit(f"seqlift: error: {error}")
