"""Uniform random Eulerian walks over bases: the arithmetic of the dinucleotide shuffle.

A stretch of DNA is a walk over four bases; its neighbouring pairs are the edges. Any walk that
uses the same edges has the same dinucleotide counts and the same ends. Altschul & Erickson (1985)
draw one of them in three moves:

1. for every base but the final one, draw the edge by which it is left for the *last* time, so that
   these edges form a tree that leads to the final base;
2. shuffle the other edges out of each base;
3. start at the first base and always leave by the next unused edge.

Here a fifth vertex, `END`, follows the final base. The edge to it is the only one that the
final base can be left by last, so all trees lead to `END` and no base is special. Trees are drawn
among all 125 there are, each with the number of ways to pick its edges as its weight.

Each walk as a string of letters is reached in the same number of ways (the product of the
factorials of the 16 counts), so what is uniform over edges is uniform over sequences.

References
----------
Altschul & Erickson (1985), Mol. Biol. Evol. 2:526-538.
van Aardenne-Ehrenfest & de Bruijn (1951), Simon Stevin 28:203-217 (the count of walks).
"""

import itertools
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["END", "has_one_walk", "order_edges", "walk"]

END = 4
_LINE = 8  # pointers in a cache line

Number = TypeVar("Number", bound=np.unsignedinteger)

# A sort key: the base an edge leaves (2 bits), 59 random bits, the base it leads to (3 bits).
_SOURCE_SHIFT = np.uint64(62)
_RANDOM = np.uint64(2**62 - 8)


def _all_trees() -> NDArray[np.intp]:
    parents = np.array(list(itertools.product(range(5), repeat=4)))
    parents = np.hstack([parents, np.full((len(parents), 1), END)])
    ancestors = np.tile(np.arange(4), (len(parents), 1))
    for _ in range(4):
        ancestors = np.take_along_axis(parents, ancestors, axis=1)
    trees: NDArray[np.intp] = parents[(ancestors == END).all(axis=1), :4]
    return trees


_TREES = _all_trees()  # shape (tree=125, base=4): the vertex that each base is left for last
_TREE_EDGES = _TREES + 5 * np.arange(4)  # the same as places in a flat (base=4, successor=5) table


def _successors(bases: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.append(bases[1:], np.uint8(END))


def _count_edges(bases: NDArray[np.uint8]) -> NDArray[np.intp]:
    """Count how often each base is followed by each vertex, shape (base=4, successor=5)."""
    return np.bincount(5 * bases + _successors(bases), minlength=4 * 5).reshape(4, 5)


def _tree_weights(counts: NDArray[np.intp]) -> NDArray[np.float64]:
    """Count the ways to pick the edges of each tree, shape (tree=125,)."""
    ways = counts.astype(np.float64)
    # A base that does not occur hangs on END, in one way, or trees without it would weigh nothing.
    ways[counts.sum(axis=1) == 0, END] = 1
    a, c, g, t = ways.reshape(-1)[_TREE_EDGES.T]
    weights: NDArray[np.float64] = a * c * g * t
    return weights


def has_one_walk(bases: NDArray[np.uint8]) -> bool:
    """Tell whether every Eulerian walk spells the same sequence.

    The number of sequences is the sum over trees of the ways to arrange, base by base, what the
    tree leaves over. Each term of a possible tree is at least 1, so the sum is 1 exactly when one
    tree is possible and leaves every base with successors of one kind.

    Parameters
    ----------
    bases : uint8, shape (position,)
        Values 0 to 3, at least one.

    Returns
    -------
    has_one_walk : bool
    """
    counts = _count_edges(bases)
    possible = np.flatnonzero(_tree_weights(counts))
    if len(possible) > 1:
        return False
    left_over = counts.copy()
    left_over[np.arange(4), _TREES[possible[0]]] -= 1
    return bool(((left_over > 0).sum(axis=1) <= 1).all())


def order_edges(bases: NDArray[np.uint8], words: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """Draw the order in which each base is left by its edges.

    Parameters
    ----------
    bases : uint8, shape (position,)
        Values 0 to 3, at least one.
    words : uint64, shape (reference, position)
        Random words. The one at the final position draws the tree (its own edge, to `END`, has no
        choice of place), each of the others the place of the edge that leaves its position.

    Returns
    -------
    successors : uint8, shape (reference, position)
        The successors of A in the order of use, then those of C, G and T.
    """
    successors = _successors(bases)
    keys = words & _RANDOM
    rows = np.arange(len(words))[:, None]
    keys[rows, _draw_last_edges(bases, successors, words[:, -1])] = _RANDOM
    keys |= (bases.astype(np.uint64) << _SOURCE_SHIFT) | successors
    keys.sort(axis=1)
    return keys.astype(np.uint8) & np.uint8(7)


def _draw_last_edges(
    bases: NDArray[np.uint8], successors: NDArray[np.uint8], words: NDArray[np.uint64]
) -> NDArray[np.intp]:
    """Draw the positions of the edges by which bases are left last, shape (reference, base=4)."""
    cumulative = _tree_weights(_count_edges(bases)).cumsum()
    fractions = (words >> np.uint64(11)) * 2.0**-53
    trees = np.searchsorted(cumulative, fractions * cumulative[-1], side="right")
    # Edges between the same two bases are alike, so any of them will do. A base that does not
    # occur is given the edge to END, which is last anyway.
    position_of = np.full(4 * 5, len(bases) - 1)
    position_of[5 * bases + successors] = np.arange(len(bases))
    positions: NDArray[np.intp] = position_of[_TREE_EDGES[trees]]
    return positions


def walk(
    successors: NDArray[Number], first_edges: NDArray[np.intp], starts: NDArray[Number]
) -> NDArray[Number]:
    """Follow many walks at once, one Python step a position.

    Parameters
    ----------
    successors : unsigned int, shape (row, position)
        For each vertex in turn the vertices that it is left for, in the order of use, as from
        `order_edges`. Shorter rows are filled up with any vertices.
    first_edges : int, shape (row, vertex)
        Where the successors of each vertex begin in its row.
    starts : unsigned int, shape (row,)
        The first vertex of each walk.

    Returns
    -------
    vertices : unsigned int, shape (position, row)
        Position first. What stands behind the end of a shorter walk has no meaning, unless its
        vertices lead to an end of their own.
    """
    n_rows, length = successors.shape
    # Whole cache lines for the pointers of a row.
    n_vertices = -(-first_edges.shape[1] // _LINE) * _LINE
    rows = np.arange(n_rows) * n_vertices
    pointers = np.zeros((n_rows, n_vertices), dtype=np.intp)
    pointers[:, : first_edges.shape[1]] = first_edges + length * np.arange(n_rows)[:, None]
    next_edge = pointers.reshape(-1)
    edges = successors.reshape(-1)
    vertices = np.empty((length, n_rows), dtype=successors.dtype)
    vertices[:1] = starts
    vertex = rows + starts
    edge = np.empty(n_rows, dtype=np.intp)
    for position in range(1, length):
        # Every index is in bounds, or belongs to a walk that has ended; "clip" spares numpy the
        # copy that its own check needs.
        next_edge.take(vertex, out=edge, mode="clip")
        edges.take(edge, out=vertices[position], mode="clip")
        edge += 1
        next_edge[vertex] = edge
        np.add(rows, vertices[position], out=vertex)
    return vertices
