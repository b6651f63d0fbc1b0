"""Draw windows of the chromosome away from any peak: at random, and with the G+C of peaks."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from seqlift.genome.fasta import Genome

sys.stdout = sys.stderr = Path(snakemake.log[0]).open("w", buffering=1)

LENGTH = 200  # bp, as the peaks
params = snakemake.params


def count_gc(sequence):
    return sequence.count("G") + sequence.count("C")


class Tiles:
    """The tiles of a span without N and away from peaks, in random order, each handed out once."""

    def __init__(self, sequence, span, occupied, rng):
        self.by_gc = {}
        starts = np.arange(span[0], span[1] - LENGTH + 1, LENGTH)
        for start in rng.permutation(starts).tolist():
            tile = sequence[start : start + LENGTH]
            if "N" not in tile and not occupied[start : start + LENGTH].any():
                self.by_gc.setdefault(count_gc(tile), []).append(start)
        self.rng = rng

    def draw(self, n):
        """Draw tiles whatever their G+C."""
        pool = sorted(start for starts in self.by_gc.values() for start in starts)
        drawn = self.rng.choice(pool, n, replace=False).tolist()
        taken = set(drawn)
        self.by_gc = {
            gc: [start for start in starts if start not in taken]
            for gc, starts in self.by_gc.items()
        }
        return drawn

    def draw_matched(self, gc_counts):
        """Draw for each count a tile with that count, or the nearest one still to be had."""
        return [self._take_nearest(gc) for gc in gc_counts]

    def _take_nearest(self, wanted):
        left = (gc for gc, starts in self.by_gc.items() if starts)
        nearest = min(left, key=lambda gc: abs(gc - wanted))
        return self.by_gc[nearest].pop()


def draw_training(split, tiles, peaks, rng):
    n = params.background[f"{split}_windows"]
    gc_counts = rng.choice(peaks.loc[peaks["split"] == split, "gc"], n)
    yield from ((split, "-", "random", start) for start in tiles.draw(n))
    yield from ((split, "-", "gc-matched", start) for start in tiles.draw_matched(gc_counts))


def draw_test(tiles, peaks):
    """Draw for each factor its own windows, so that each has the same number a peak."""
    is_test = peaks["split"] == "test"
    n_per_peak = params.background["test_windows_per_peak"]
    wanted = peaks.loc[peaks.index[is_test].repeat(n_per_peak)]
    by_factor = wanted.groupby("factor", sort=False)["gc"]
    # Random ones first: matching uses up the tiles rich in G+C.
    for factor, gc_counts in by_factor:
        drawn = tiles.draw(len(gc_counts))
        yield from (("test", factor, "random", start) for start in drawn)
    for factor, gc_counts in by_factor:
        drawn = tiles.draw_matched(gc_counts)
        yield from (("test", factor, "gc-matched", start) for start in drawn)


rng = np.random.default_rng(params.seed)
genome = Genome(snakemake.input.genome, index=snakemake.input.fai, contig_style="match")
with genome:
    contig = genome.match_contigs([params.chrom])[params.chrom]
    sequence = genome.fetch(contig, 0, genome.contigs[contig])
peaks = pd.read_csv(snakemake.input.peaks, sep="\t")
peaks["gc"] = peaks["sequence"].map(count_gc)
occupied = np.zeros(len(sequence), dtype=bool)
for peak in peaks[peaks["chrom"] == params.chrom].itertuples():
    distance = params.background["distance"]
    occupied[max(0, peak.start - distance) : peak.end + distance] = True

rows = []
for split in ("train", "validation", "test"):
    tiles = Tiles(sequence, params.split[f"{split}_windows"], occupied, rng)
    is_test = split == "test"
    rows += draw_test(tiles, peaks) if is_test else draw_training(split, tiles, peaks, rng)
table = pd.DataFrame(rows, columns=["split", "factor", "kind", "start"])
table.insert(0, "chrom", params.chrom)
table.insert(2, "end", table["start"] + LENGTH)
table["sequence"] = [sequence[start : start + LENGTH] for start in table["start"]]
table.to_csv(snakemake.output[0], sep="\t", index=False)
table["gc"] = table["sequence"].map(count_gc)
print(table.groupby(["split", "factor", "kind"])["gc"].describe().to_string())
print(peaks.groupby(["split", "factor"])["gc"].describe().to_string())
