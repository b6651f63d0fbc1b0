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
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["END", "Words", "has_one_walk", "order_edges"]

END = 4

Words = Callable[[int, int], NDArray[np.uint64]]
"""From the words that a reference needs and the number of the draw, to (reference, word)."""

# A sort key: the base an edge leaves (2 bits), random bits, the base it leads to (3 bits).
_SOURCE_BITS, _SUCCESSOR_BITS = 2, 3
_SHORT = 4096  # bases that keys of 32 bits will do for: at the very worst one row in 16 has a tie

_Keys = NDArray[np.unsignedinteger[Any]]


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


def _count_edges(bases: NDArray[np.uint8]) -> NDArray[np.intp]:
    """Count how often each base is followed by each vertex, shape (sequence, 4, successor=5)."""
    n_sequences = len(bases)
    kinds = np.full(bases.shape, END, dtype=np.intp)
    kinds[:, :-1] = bases[:, 1:]
    kinds += 5 * bases
    kinds += 4 * 5 * np.arange(n_sequences)[:, None]
    counts = np.bincount(kinds.reshape(-1), minlength=4 * 5 * n_sequences)
    return counts.reshape(n_sequences, 4, 5)


def _tree_weights(counts: NDArray[np.intp]) -> NDArray[np.float64]:
    """Count the ways to pick the edges of each tree, shape (sequence, tree=125)."""
    ways = counts.astype(np.float64)
    # A base that does not occur hangs on END, in one way, or trees without it would weigh nothing.
    ways[counts.sum(axis=2) == 0, END] = 1
    a, c, g, t = ways.reshape(len(ways), -1).T[_TREE_EDGES.T]
    weights: NDArray[np.float64] = (a * c * g * t).T
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
    counts = _count_edges(bases[None])
    possible = np.flatnonzero(_tree_weights(counts))
    if len(possible) > 1:
        return False
    left_over = counts[0]
    left_over[np.arange(4), _TREES[possible[0]]] -= 1
    return bool(((left_over > 0).sum(axis=1) <= 1).all())


def order_edges(bases: NDArray[np.uint8], words: Sequence[Words]) -> NDArray[np.uint8]:
    """Draw the order in which each base is left by its edges, for several sequences at once.

    Edges are sorted by random keys. Rows with two keys alike draw all of theirs again, since any
    rule for ties would favour some order; what is left is uniform, however short the keys.

    Parameters
    ----------
    bases : uint8, shape (sequence, position)
        Values 0 to 3, at least one position.
    words : sequence of callable
        See `Words`; one for each sequence, all for as many references. The first word of a
        reference draws the tree, the others the keys.

    Returns
    -------
    successors : uint8, shape (sequence, reference, position)
        The successors of A in the order of use, then those of C, G and T.
    """
    counts = _count_edges(bases)
    short = bases.shape[1] <= _SHORT
    edges = _list_edges(counts, np.dtype(np.uint32 if short else np.uint64))
    n_words = 1 + -(-edges[0].nbytes // 8)
    drawn = np.stack([draw_from(n_words, 0) for draw_from in words])
    last = _draw_last_edges(counts, drawn[:, :, 0])
    keys = _sort_keys(edges[:, None], last, drawn[:, :, 1:])
    draw = 0
    while len(tied := _find_ties(keys)):
        draw += 1
        for sequence in np.unique(tied[:, 0]):
            rows = tied[tied[:, 0] == sequence, 1]
            again = words[sequence](n_words, draw)[rows, 1:]
            keys[sequence, rows] = _sort_keys(edges[sequence], last[sequence, rows], again)
    return keys.astype(np.uint8) & np.uint8(2**_SUCCESSOR_BITS - 1)


def _list_edges(counts: NDArray[np.intp], dtype: np.dtype[np.unsignedinteger[Any]]) -> _Keys:
    """List edges as keys without random bits, those of one kind side by side: (sequence, edge)."""
    sources = np.arange(4, dtype=dtype) << dtype.type(8 * dtype.itemsize - _SOURCE_BITS)
    kinds = sources[:, None] | np.arange(5, dtype=dtype)
    edges = np.repeat(np.tile(kinds.reshape(-1), len(counts)), counts.reshape(-1))
    return edges.reshape(len(counts), -1)


def _draw_last_edges(counts: NDArray[np.intp], words: NDArray[np.uint64]) -> NDArray[np.intp]:
    """Draw the edges by which bases are left last, as places in a list (sequence, reference, 4)."""
    cumulative = _tree_weights(counts).cumsum(axis=1)
    drawn = (words >> np.uint64(11)) * 2.0**-53 * cumulative[:, -1:]
    trees = (cumulative[:, None] <= drawn[:, :, None]).sum(axis=2)
    # Edges of one kind are alike, so any of them will do. There is one to END, which is last
    # anyway; a base that does not occur is given that one.
    places = counts.reshape(len(counts), -1).cumsum(axis=1).reshape(counts.shape) - 1
    sequences = np.arange(len(counts))
    final = counts[:, :, END].argmax(axis=1)
    places[:, :, END] = places[sequences, final, END][:, None]
    flat = places.reshape(len(counts), -1)
    last: NDArray[np.intp] = flat[sequences[:, None, None], _TREE_EDGES[trees]]
    return last


def _sort_keys(edges: _Keys, last: NDArray[np.intp], words: NDArray[np.uint64]) -> _Keys:
    """Give edges random bits, the last ones the highest, and sort them where the words are."""
    n_bits = 8 * edges.itemsize - _SOURCE_BITS
    random = edges.dtype.type(2**n_bits - 2**_SUCCESSOR_BITS)
    keys = words.view(edges.dtype)[..., : edges.shape[-1]]
    keys &= random
    np.put_along_axis(keys, last, random, axis=-1)
    keys |= edges
    keys.sort(axis=-1)
    return keys


def _find_ties(keys: _Keys) -> NDArray[np.intp]:
    """List the (sequence, reference) in which two edges out of a base have the same bits."""
    differences = keys[..., 1:] ^ keys[..., :-1]
    return np.argwhere((differences < 2**_SUCCESSOR_BITS).any(axis=-1))
