from collections import Counter
from random import Random

import numpy as np
import pytest
from scipy.stats import chisquare

from seqlift.sequence import eulerian
from seqlift.sequence.eulerian import order_edges
from seqlift.sequence.onehot import encode, to_indices
from seqlift.sequence.walks import walk_bases
from tests.oracle.shuffle import all_shuffles, pair_counts


def indices(sequence):
    return to_indices(encode(sequence))


def spell(bases):
    return ["".join("ACGT."[base] for base in row) for row in bases.T]


def first_edges(sequence):
    return np.cumsum([0, *(sequence.count(base) for base in "ACGT")])


def random_words(n_references, seed=0, mask=2**64 - 1):
    """Words as a stream gives them, from another generator; some bits of the keys may be none."""

    def words(n, draw):
        drawn = np.random.Philox(key=[seed, draw]).random_raw(n_references * n)
        drawn = drawn.reshape(n_references, n)
        drawn[:, 1:] &= np.uint64(mask)
        return drawn

    return words


def shuffle(sequence, n_references, words):
    edges = np.repeat(first_edges(sequence)[None], n_references, axis=0)
    starts = np.repeat(indices(sequence[0]), n_references)
    return spell(walk_bases(order_edges(indices(sequence)[None], [words])[0], edges, starts))


# The first word draws the tree; its extremes must draw a possible one.
@pytest.mark.parametrize("word", [0, 1, 2**63, 2**64 - 2**11, 2**64 - 1])
@pytest.mark.parametrize("sequence", ["ACGTACGTTGCA", "TTAGCATTC", "AACCA", "GTGTTG", "CCC", "T"])
def test_every_word_draws_a_tree_that_leads_to_the_end(sequence, word):
    plain = random_words(50, seed=1)

    def words(n, draw):
        drawn = plain(n, draw)
        drawn[:, 0] = word
        return drawn

    for spelled in shuffle(sequence, 50, words):
        assert pair_counts(spelled) == pair_counts(sequence)


@pytest.mark.parametrize("seed", range(3))
def test_edges_are_only_put_in_order(seed):
    sequence = "".join(Random(seed).choices("ACGT", k=40))
    expected = [
        sorted(ord(b) for a, b in zip(sequence, sequence[1:] + "~", strict=True) if a == base)
        for base in "ACGT"
    ]
    for row in order_edges(indices(sequence)[None], [random_words(3, seed)])[0]:
        letters = np.frombuffer(b"ACGT~", dtype=np.uint8)[row]
        by_base = np.split(letters, first_edges(sequence)[1:4])
        assert [sorted(edges.tolist()) for edges in by_base] == expected


def p_of_uniform(sequence, words):
    possible = list(all_shuffles(sequence))
    counts = Counter(shuffle(sequence, 500 * len(possible), words(500 * len(possible))))
    assert set(counts) <= set(possible)
    return chisquare([counts[spelled] for spelled in possible]).pvalue


SEQUENCES = ["ACCCACGATGATG", "ACAATAGA", "CACCACC", "GTTGTAGTCG"]
every_width = pytest.mark.parametrize("longest", [10**9, 0], ids=["32 bits", "64 bits"])


def coarse(bits):
    """A mask that leaves each key three random bits, so that many are alike."""
    return lambda n: random_words(n, 1, (7 << 59) | (7 << 27 if bits == 32 else 0))


@every_width
@pytest.mark.parametrize("sequence", SEQUENCES)
def test_orders_are_uniform(sequence, longest, monkeypatch):
    monkeypatch.setattr(eulerian, "_SHORT", longest)
    assert p_of_uniform(sequence, random_words) > 0.001


@every_width
@pytest.mark.parametrize("sequence", SEQUENCES)
def test_orders_are_uniform_where_keys_are_often_alike(sequence, longest, monkeypatch):
    monkeypatch.setattr(eulerian, "_SHORT", longest)
    assert p_of_uniform(sequence, coarse(32 if longest else 64)) > 0.001


def test_ties_would_not_be_uniform(monkeypatch):
    monkeypatch.setattr(eulerian, "_find_ties", lambda _: [])
    assert p_of_uniform("ACCCACGATGATG", coarse(32)) < 1e-20


def test_only_rows_with_a_tie_are_drawn_again():
    bases = indices("ACGTACGTTGCATTGC")
    plain = random_words(5)

    def words(n, draw):
        drawn = plain(n, draw)
        drawn[[1, 3], 1:] *= draw > 0  # at first, all keys of these rows are alike
        return drawn

    # Of a later draw the keys alone are used, and the tree stays that of the first.
    expected = plain(9, 0)
    expected[[1, 3], 1:] = plain(9, 1)[[1, 3], 1:]
    np.testing.assert_array_equal(
        order_edges(bases[None], [words]),
        order_edges(bases[None], [lambda n, draw: expected.copy()]),
    )


def test_sequences_side_by_side_are_ordered_as_alone():
    bases = np.stack([indices("ACGTACGTTG"), indices("TTTTTCCCCC"), indices("GATTACAGAT")])
    words = [random_words(4, 1), random_words(4, 2), coarse(32)(4)]
    together = order_edges(bases, words)
    for i in range(3):
        np.testing.assert_array_equal(
            together[i], order_edges(bases[i : i + 1], words[i : i + 1])[0]
        )
