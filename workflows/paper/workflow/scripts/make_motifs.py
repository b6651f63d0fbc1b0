"""Write `resources/motifs.tsv` from JASPAR: run by hand, needs pyjaspar, which holds the database.

python make_motifs.py > ../resources/motifs.tsv
"""

import sys

from pyjaspar import jaspardb

RELEASE = "JASPAR2024"
MOTIFS = {"GATA1": "MA0035.3", "TAL1": "MA0091.1"}  # by the name of their task

print(
    f"""\
# Counts of bases at the positions of two motifs, from JASPAR CORE ({RELEASE}, https://jaspar.elixir.no),
# as pyjaspar {sys.modules["pyjaspar"].__version__} has them; written by scripts/make_motifs.py.
# Licence: CC BY 4.0. Credit: Rauluseviciute et al. (2024), JASPAR 2024, Nucleic Acids Res. 52:D174-D182."""
)
print("motif", "profile", "name", "position", *"ACGT", sep="\t")
for motif, profile in MOTIFS.items():
    found = jaspardb(release=RELEASE).fetch_motif_by_id(profile)
    for position in range(found.length):
        counts = [f"{found.counts[base][position]:g}" for base in "ACGT"]
        print(motif, found.matrix_id, found.name, position, *counts, sep="\t")
