"""Uniform random Eulerian walks over (k-1)-mers: the arithmetic of the k-let shuffle.

A stretch of DNA is a walk over its (k-1)-mers, and its k-lets are the edges. Any walk from the
first to the last (k-1)-mer that uses the same edges has the same count of every k-let. It is drawn
as over single bases (`eulerian.py`): first the edge by which each vertex is left for the *last*
time, so that these edges form a tree that leads to the last (k-1)-mer, then the order of the
others. But there are far too many trees to list, so a tree is drawn by popping cycles:

1. every vertex but the root draws one of its edges;
2. as long as drawn edges form cycles, the vertices on them draw again, and only these.

What is left is a tree, and any tree comes with a chance in proportion to the number of ways to pick
its edges (Propp & Wilson 1998, theorem 4), in whatever order the cycles are popped: Wilson's
loop-erased random walks are one order, all cycles at once is another and suits numpy.

References
----------
Altschul & Erickson (1985), Mol. Biol. Evol. 2:526-538.
Propp & Wilson (1998), J. Algorithms 27:170-217, section 7 (a tree with a given root).
Jiang et al. (2008), BMC Bioinformatics 9:192 (uShuffle, which draws the tree so).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqlift.sequence.eulerian import Words

__all__ = [
    "KletGraph",
    "draw_tree",
    "has_one_klet_walk",
    "klet_graph",
    "order_klets",
]

_ORDER, _TREE = 0, 1  # numbers of draws; those of the tree go on from there


class KletGraph(NamedTuple):
    """A run of bases as a walk.

    Attributes
    ----------
    walk : int, shape (step,)
        The vertex, a (k-1)-mer, at each step; vertices are counted in alphabetical order.
    edges : uint8, shape (step - 1,)
        The base that each edge adds.
    targets : int, shape (vertex, base=4)
        Where each base leads; the vertex itself where it never follows.
    counts : int, shape (vertex, base=4)
        How often it follows: the counts of the k-lets.
    """

    walk: NDArray[np.intp]
    edges: NDArray[np.uint8]
    targets: NDArray[np.intp]
    counts: NDArray[np.intp]

    @property
    def root(self) -> int:
        """The last vertex, where all walks end."""
        return int(self.walk[-1])


def klet_graph(bases: NDArray[np.uint8], k: int) -> KletGraph:
    """Read a run of bases as a walk over its (k-1)-mers.

    Parameters
    ----------
    bases : uint8, shape (position,)
        Values 0 to 3, at least k - 1 of them.
    k : int
        At least 2.

    Returns
    -------
    graph : KletGraph
    """
    walk = _ranks(bases, k - 1)
    edges = bases[k - 1 :]
    n_vertices = int(walk.max()) + 1
    targets = np.repeat(np.arange(n_vertices)[:, None], 4, axis=1)
    targets[walk[:-1], edges] = walk[1:]
    counts = np.bincount(4 * walk[:-1] + edges, minlength=4 * n_vertices).reshape(-1, 4)
    return KletGraph(walk, edges, targets, counts)


def _ranks(bases: NDArray[np.uint8], width: int) -> NDArray[np.intp]:
    """Give each place the rank of the word that starts there, in alphabetical order."""
    ranks, known = bases.astype(np.intp), 1
    while known < width:
        # Two words of the known width, side by side or overlapping, are one of a larger width.
        step = min(known, width - known)
        pairs = ranks[:-step] * (ranks.max() + 1) + ranks[step:]
        ranks, known = np.unique(pairs, return_inverse=True)[1], known + step
    return np.unique(ranks, return_inverse=True)[1]


def has_one_klet_walk(graph: KletGraph) -> bool:
    """Tell whether every Eulerian walk spells the same sequence.

    That is so exactly if one tree is possible and leaves every vertex with edges of one kind. If
    there are two trees, one of them is had from the other by changing a single edge: that of a
    vertex from which on, towards the root, the two agree.

    Parameters
    ----------
    graph : KletGraph

    Returns
    -------
    has_one : bool
    """
    tree = _last_edges_taken(graph)
    left_over = graph.counts.copy()
    is_inner = np.arange(len(left_over)) != graph.root
    left_over[is_inner, tree[is_inner]] -= 1
    if ((left_over > 0).sum(axis=1) > 1).any():
        return False
    towards_root = graph.targets[np.arange(len(tree)), tree].tolist()
    others = zip(*np.nonzero((left_over > 0) & is_inner[:, None]), strict=True)
    return all(
        graph.targets[vertex, base] == towards_root[vertex]
        or _passes(int(graph.targets[vertex, base]), int(vertex), towards_root, graph.root)
        for vertex, base in others
    )


def _last_edges_taken(graph: KletGraph) -> NDArray[np.uint8]:
    """Return the base that each vertex is left by last in the sequence itself: one of the trees."""
    last = np.zeros(len(graph.targets), dtype=np.uint8)
    last[graph.walk[:-1]] = graph.edges  # of assignments to one place, numpy keeps the last
    return last


def _passes(start: int, vertex: int, towards_root: list[int], root: int) -> bool:
    """Tell whether a vertex lies on the way from another to the root."""
    place = start
    while place not in (vertex, root):
        place = towards_root[place]
    return place == vertex


def order_klets(graph: KletGraph, words: Words) -> NDArray[np.intp]:
    """Draw the order in which each vertex is left by its edges.

    Parameters
    ----------
    graph : KletGraph
        Of at least one edge.
    words : callable
        See `Words`.

    Returns
    -------
    successors : int, shape (reference, edge)
        The successors of the first vertex in the order of use, then those of the next.
    """
    sources = graph.walk[:-1]
    # A sort key: the vertex that an edge leaves, whether it is the last, random bits, its base.
    n_bits = max(1, int(len(graph.targets) - 1).bit_length())
    is_last = np.uint64(1 << (63 - n_bits))
    keys = words(len(sources), _ORDER) & np.uint64((1 << (63 - n_bits)) - 4)
    keys |= (sources.astype(np.uint64) << np.uint64(64 - n_bits)) | graph.edges
    rows = np.arange(len(keys))[:, None]
    keys[rows, _places(graph, draw_tree(graph, words))] |= is_last
    keys.sort(axis=1)
    bases = keys.astype(np.uint8) & np.uint8(3)
    successors: NDArray[np.intp] = graph.targets[np.sort(sources), bases]
    return successors


def _places(graph: KletGraph, tree: NDArray[np.uint8]) -> NDArray[np.intp]:
    """Find an edge for each of a tree, shape (reference, vertex but the root)."""
    # Edges between the same two vertices are alike, so any of them will do.
    place_of = np.zeros(graph.counts.size, dtype=np.intp)
    place_of[4 * graph.walk[:-1] + graph.edges] = np.arange(len(graph.edges))
    vertices = np.delete(np.arange(len(graph.targets)), graph.root)
    places: NDArray[np.intp] = place_of[4 * vertices + tree[:, vertices]]
    return places


def draw_tree(graph: KletGraph, words: Words) -> NDArray[np.uint8]:
    """Draw the base that each vertex is left by last.

    Parameters
    ----------
    graph : KletGraph
    words : callable
        See `Words`.

    Returns
    -------
    tree : uint8, shape (reference, vertex)
        Of no meaning at the root.
    """
    vertices = np.arange(len(graph.targets))
    # No tree holds an edge from a vertex to itself; leaving it out changes no other's chance.
    weights = np.where(graph.targets == vertices[:, None], 0, graph.counts)
    only = weights.argmax(axis=1)
    is_open = (weights > 0).sum(axis=1) > 1
    is_open[graph.root] = False
    # Where there is one way to go on, it is gone, up to a vertex that has a choice, or the root.
    ahead = np.where(is_open, vertices, graph.targets[vertices, only])
    ahead[graph.root] = graph.root
    while (ahead[ahead] != ahead).any():
        ahead = ahead[ahead]
    choosers = np.flatnonzero(is_open)
    number = np.full(len(vertices), len(choosers))
    number[choosers] = np.arange(len(choosers))
    targets = number[ahead[graph.targets[choosers]]]
    chosen = _pop_cycles(targets, weights[choosers], words)
    tree = np.repeat(only[None].astype(np.uint8), len(chosen), axis=0)
    tree[:, choosers] = chosen
    return tree


def _pop_cycles(
    targets: NDArray[np.intp], weights: NDArray[np.intp], words: Words
) -> NDArray[np.uint8]:
    """Draw one of four edges for each vertex, so that all lead to the root, the last number."""
    n = len(targets)
    vertices = np.arange(n)
    cumulative = np.where(targets == vertices[:, None], 0, weights).cumsum(axis=1)
    draw = _TREE
    chosen = _choose(cumulative, words(n, draw))
    looping = np.arange(len(chosen))
    while True:
        is_cyclic = _find_cycles(targets[vertices, chosen[looping]])
        is_looping = is_cyclic.any(axis=1)
        looping, is_cyclic = looping[is_looping], is_cyclic[is_looping]
        if not len(looping):
            return chosen
        draw += 1
        again = _choose(cumulative, words(n, draw)[looping])
        chosen[looping] = np.where(is_cyclic, again, chosen[looping])


def _choose(cumulative: NDArray[np.intp], words: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """Draw an edge of each vertex by its weight, shape (reference, vertex)."""
    fractions = (words >> np.uint64(11)) * 2.0**-53
    ranks = fractions * cumulative[:, 3]
    chosen: NDArray[np.uint8] = (ranks[..., None] >= cumulative[:, :3]).sum(-1, dtype=np.uint8)
    return chosen


def _find_cycles(following: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Find the vertices on cycles, where following leads (reference, vertex); the root is last."""
    n_rows, n = following.shape
    far = np.concatenate([following, np.full((n_rows, 1), n)], axis=1)
    for _ in range(n.bit_length()):
        far = np.take_along_axis(far, far, axis=1)
    # More steps than there are vertices end at the root or on a cycle, and reach all of a cycle.
    is_reached = np.zeros(far.shape, dtype=np.bool_)
    np.put_along_axis(is_reached, far, True, axis=1)
    return is_reached[:, :n]
