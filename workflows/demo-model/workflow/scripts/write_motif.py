"""Write one motif of a .pfm file in MEME's minimal format."""

import sys
from pathlib import Path

sys.stdout = sys.stderr = Path(snakemake.log[0]).open("w", buffering=1)

HEADER = """\
MEME version 4

ALPHABET= ACGT

strands: + -

Background letter frequencies
A 0.25 C 0.25 G 0.25 T 0.25

"""


def read_counts(path, motif):
    """Read the name and the rows (A C G T) of the motif whose id is `motif`."""
    entries = Path(path).read_text().split("\n>")
    header, *lines = next(entry for entry in entries if entry.startswith(f"{motif}_")).splitlines()
    name = header.rsplit(".", 1)[-1]
    return name, [[float(x) for x in line.split()] for line in lines if line.strip()]


motif = snakemake.params.motif
name, rows = read_counts(snakemake.input[0], motif)
n_sites = max(sum(row) for row in rows)
shape = f"alength= 4 w= {len(rows)} nsites= {n_sites:g} E= 0"
lines = [" ".join(f"{count / sum(row):.6f}" for count in row) for row in rows]
text = "\n".join([f"MOTIF {motif} {name}", f"letter-probability matrix: {shape}", *lines])
Path(snakemake.output[0]).write_text(f"{HEADER}{text}\n")
