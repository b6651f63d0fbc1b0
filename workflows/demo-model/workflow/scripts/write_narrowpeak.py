"""Write the peaks of one factor on the test chromosome as narrowPeak, in order of position."""

import sys
from pathlib import Path

import pandas as pd

sys.stdout = sys.stderr = Path(snakemake.log[0]).open("w", buffering=1)

# score, pValue, qValue and summit are not in the source: 0 and -1 are narrowPeak's "none".
SCORE, STRAND, NO_VALUE, NO_SUMMIT = 0, ".", -1, -1
factor = snakemake.params.factor
peaks = pd.read_csv(snakemake.input[0], sep="\t")
peaks = peaks[(peaks["factor"] == factor) & (peaks["split"] == "test")].sort_values("start")

with Path(snakemake.output[0]).open("w") as out:
    for number, peak in enumerate(peaks.itertuples(), start=1):
        where = (peak.chrom, peak.start, peak.end, f"{factor}_{number}")
        measured = (SCORE, STRAND, peak.signal, NO_VALUE, NO_VALUE, NO_SUMMIT)
        print(*where, *measured, sep="\t", file=out)
