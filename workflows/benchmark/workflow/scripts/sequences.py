"""Sequences with motifs in them, random ones, and the windows of the demo; all from a seed."""

import numpy as np
import torch
from torch import Tensor, nn

from seqlift.cli.demo import data_folder
from seqlift.genome.bed import read_regions
from seqlift.genome.fasta import Genome
from seqlift.genome.regions import resize
from seqlift.sequence.onehot import encode_many

N_MOTIFS, WIDTH, AT_MOST = 4, 12, 3


def random_sequences(n: int, length: int, seed: int) -> Tensor:
    """Return one-hot sequences, uint8, shape (region, base=4, position)."""
    generator = torch.Generator().manual_seed(seed)
    letters = torch.randint(0, 4, (n, length), generator=generator)
    return nn.functional.one_hot(letters, 4).transpose(1, 2).to(torch.uint8).contiguous()


def motif_sequences(n: int, length: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return random sequences with none to three instances of each motif, and how many of each.

    The motifs are the same whatever the seed.

    Returns
    -------
    one_hot : uint8, shape (region, base=4, position)
    counts : float32, shape (region, motif)
    """
    motifs = np.random.default_rng(0).dirichlet([0.1] * 4, (N_MOTIFS, WIDTH))
    rng = np.random.default_rng(seed)
    letters = rng.integers(0, 4, (n, length))
    counts = rng.integers(0, AT_MOST + 1, (n, N_MOTIFS))
    insert(letters, counts, motifs, rng)
    one_hot = nn.functional.one_hot(torch.from_numpy(letters), 4).transpose(1, 2)
    return one_hot.to(torch.uint8).contiguous(), torch.from_numpy(counts).float()


def insert(
    letters: np.ndarray, counts: np.ndarray, motifs: np.ndarray, rng: np.random.Generator
) -> None:
    """Sample instances of motifs, and write them into sequences.

    Parameters
    ----------
    letters : int, shape (region, position)
        Changed in place.
    counts : int, shape (region, motif)
    motifs : float, shape (motif, position, base)
        Frequencies of A C G T.
    """
    width = motifs.shape[1]
    for row, numbers in zip(letters, counts, strict=True):
        # Places a motif's width apart, so that no instance falls on another.
        places = rng.permutation(len(row) // width)[: numbers.sum()] * width
        for place, motif in zip(places, np.repeat(motifs, numbers, axis=0), strict=True):
            row[place : place + width] = [rng.choice(4, p=column) for column in motif]


def demo_windows(n: int, length: int, seed: int) -> Tensor:
    """Return windows about the demo's CTCF peaks, each moved a little at random.

    Returns
    -------
    one_hot : uint8, shape (region, base=4, position)
    """
    rng = np.random.default_rng(seed)
    peaks = list(read_regions(data_folder() / "ctcf.chr20.narrowPeak"))
    found = []
    with Genome(data_folder() / "chr20.fa.gz") as genome:
        for k in range(n):
            window = resize(peaks[k % len(peaks)], length)
            start = window.start + int(rng.integers(-40, 41))
            found.append(genome.fetch(window.chrom, start, start + length))
    return torch.from_numpy(encode_many(found))


def sequences_for(row: dict, n: int, seed: int) -> Tensor:
    """Return sequences that a row's network has something to say about."""
    if row["network"]["kind"] == "demo":
        return demo_windows(n, row["length"], seed)
    return motif_sequences(n, row["length"], seed)[0]
