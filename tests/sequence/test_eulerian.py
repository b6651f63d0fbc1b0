from random import Random

import numpy as np
import pytest

from seqlift.sequence.eulerian import END, order_edges, walk
from seqlift.sequence.onehot import encode, to_indices
from tests.oracle.shuffle import pair_counts


def indices(sequence):
    return to_indices(encode(sequence))


def spell(bases):
    return ["".join("ACGT."[base] for base in row) for row in bases.T]


def first_edges(*sequences):
    return np.array([np.cumsum([0, *(s.count(base) for base in "ACGT")]) for s in sequences])


def test_each_base_is_left_by_its_edges_in_order():
    # A leaves to C, then T; C to A; T to the end.
    successors = np.array([[1, 3, 0, END]], dtype=np.uint8)
    assert spell(walk(successors, first_edges("ACAT"), indices("A"))) == ["ACAT"]


def test_walks_of_different_lengths_go_side_by_side():
    successors = np.array([[1, 3, 0, END], [2, END, END, END]], dtype=np.uint8)
    edges = first_edges("ACAT", "GG")
    assert spell(walk(successors, edges, indices("AG"))) == ["ACAT", "GG.."]


# The word at the final position draws the tree; its extremes must draw a possible one.
@pytest.mark.parametrize("word", [0, 1, 2**63, 2**64 - 2**11, 2**64 - 1])
@pytest.mark.parametrize("sequence", ["ACGTACGTTGCA", "TTAGCATTC", "AACCA", "GTGTTG", "CCC", "T"])
def test_every_word_draws_a_tree_that_leads_to_the_end(sequence, word):
    n_references = 50
    words = np.random.Philox(key=1).random_raw(n_references * len(sequence))
    words = words.reshape(n_references, len(sequence))
    words[:, -1] = word
    successors = order_edges(indices(sequence), words)
    edges = np.repeat(first_edges(sequence), n_references, axis=0)
    starts = np.repeat(indices(sequence[0]), n_references)
    for spelled in spell(walk(successors, edges, starts)):
        assert pair_counts(spelled) == pair_counts(sequence)


@pytest.mark.parametrize("seed", range(3))
def test_edges_are_only_put_in_order(seed):
    sequence = "".join(Random(seed).choices("ACGT", k=40))
    words = np.random.Philox(key=seed).random_raw(3 * 40).reshape(3, 40)
    expected = [
        sorted(ord(b) for a, b in zip(sequence, sequence[1:] + "~", strict=True) if a == base)
        for base in "ACGT"
    ]
    for row in order_edges(indices(sequence), words):
        letters = np.frombuffer(b"ACGT~", dtype=np.uint8)[row]
        by_base = np.split(letters, first_edges(sequence)[0, 1:4])
        assert [sorted(edges.tolist()) for edges in by_base] == expected
