import itertools
import math
from collections import Counter
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from seqlift.sequence.klet import draw_tree, has_one_klet_walk, klet_graph, order_klets
from seqlift.sequence.onehot import encode, to_indices

sixty_examples = settings(max_examples=60)


def graph_of(sequence, k):
    return klet_graph(to_indices(encode(sequence)), k)


def random_words(n_references, seed=1):
    """Words as a stream gives them, from another generator."""

    def words(n, draw):
        source = np.random.default_rng([seed, draw])
        return source.integers(0, 2**64, (n_references, n), dtype=np.uint64)

    return words


def constant_words(n_references, value):
    return lambda n, draw: np.full((n_references, n), value, dtype=np.uint64)


def test_a_graph_by_hand():
    # AC, CA, AA, AC, CG: the vertices AA AC CA CG in alphabetical order.
    graph = graph_of("ACAACG", 3)
    assert graph.walk.tolist() == [1, 2, 0, 1, 3]
    assert graph.edges.tolist() == [0, 0, 1, 2]
    assert graph.root == 3
    assert graph.targets.tolist() == [[0, 1, 0, 0], [2, 1, 3, 1], [0, 2, 2, 2], [3, 3, 3, 3]]
    assert graph.counts.tolist() == [[0, 1, 0, 0], [1, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 0]]


@sixty_examples
@given(st.text("ACGT", min_size=12, max_size=60), st.integers(2, 12))
def test_vertices_are_words_in_alphabetical_order(sequence, k):
    words = [sequence[i : i + k - 1] for i in range(len(sequence) - k + 2)]
    ranks = {word: rank for rank, word in enumerate(sorted(set(words)))}
    assert graph_of(sequence, k).walk.tolist() == [ranks[word] for word in words]


def all_trees(graph):
    """Every choice of an edge for each vertex but the root that leads there, with its weight."""
    inner = [v for v in range(len(graph.targets)) if v != graph.root]
    options = [[b for b in range(4) if graph.counts[v, b]] for v in inner]
    for chosen in itertools.product(*options):
        tree = dict(zip(inner, chosen, strict=True))
        if all(leads_to_root(graph, tree, vertex) for vertex in inner):
            yield chosen, math.prod(int(graph.counts[v, b]) for v, b in tree.items())


def leads_to_root(graph, tree, vertex):
    for _ in range(len(tree) + 1):
        if vertex == graph.root:
            return True
        vertex = int(graph.targets[vertex, tree[vertex]])
    return False


@pytest.mark.parametrize(
    ("sequence", "k"),
    [
        ("ACGTACCGATGCATTGAC", 2),
        ("AAACAAGCCAGGAAGGGCGGACGGCCAAGC", 3),
        ("ACGGCCCGCCCAAGGCCACGGCGACGCCAC", 3),
        ("CACCCCCCCAACCACAAACCCAAA", 4),
        ("AAACCCACAACCACCACCACCCCCCCAAACCACC", 5),
    ],
)
def test_trees_come_by_their_weight(sequence, k):
    graph = graph_of(sequence, k)
    weight_of = dict(all_trees(graph))
    assert len(weight_of) > 2
    assert len(set(weight_of.values())) > 1
    n = 400 * len(weight_of)
    inner = [v for v in range(len(graph.targets)) if v != graph.root]
    drawn = Counter(map(tuple, draw_tree(graph, random_words(n))[:, inner].tolist()))
    assert set(drawn) <= set(weight_of)
    expected = np.array(list(weight_of.values())) * n / sum(weight_of.values())
    assert chisquare([drawn[tree] for tree in weight_of], expected).pvalue > 0.001


@sixty_examples
@given(st.text("ACGT", min_size=30, max_size=200) | st.text("AC", min_size=30), st.integers(2, 6))
def test_every_tree_leads_to_the_root(sequence, k):
    graph = graph_of(sequence, k)
    for row in draw_tree(graph, random_words(3)).tolist():
        tree = {v: b for v, b in enumerate(row) if v != graph.root}
        assert all(leads_to_root(graph, tree, vertex) for vertex in tree)
        assert all(graph.counts[v, b] for v, b in tree.items())


@pytest.mark.parametrize("word", [0, 2**64 - 1])
def test_the_extreme_words_draw_edges_that_there_are(word):
    """For vertices with one edge out of four kinds, and with two."""
    graph = graph_of("TTGTTTTGTGTTG", 2)
    tree = draw_tree(graph, constant_words(2, word))
    inner = [v for v in range(len(graph.targets)) if v != graph.root]
    assert all(graph.counts[v, tree[0, v]] for v in inner)


@pytest.mark.parametrize("seed", range(3))
def test_edges_are_only_put_in_order(seed):
    graph = graph_of("".join(Random(seed).choices("ACGT", k=60)), 3)
    sources = np.sort(graph.walk[:-1])
    wanted = sorted(zip(graph.walk[:-1].tolist(), graph.walk[1:].tolist(), strict=True))
    for row in order_klets(graph, random_words(4, seed)):
        assert sorted(zip(sources.tolist(), row.tolist(), strict=True)) == wanted


@pytest.mark.parametrize(
    ("sequence", "k", "has_one"),
    [
        ("ACG", 3, True),
        ("AAAAAA", 3, True),
        ("ACACACAC", 3, True),
        ("ACACCC", 3, True),
        ("ACACCACA", 3, False),
        ("ACACAACACC", 3, False),
        ("ACCACAAC", 2, False),
    ],
)
def test_a_walk_without_another(sequence, k, has_one):
    assert has_one_klet_walk(graph_of(sequence, k)) is has_one
