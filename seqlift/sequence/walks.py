"""Follow many Eulerian walks side by side, one Python step a position.

Each walk stands at a vertex and leaves it by the next of its edges; their order was drawn before
(`eulerian.py`, `klet.py`). One thread at a time walks: the calls of numpy are so short here that
two threads would only hand the interpreter to and fro, while all else leaves it free.
"""

import threading
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["walk", "walk_bases"]

_LINE = 8  # pointers in a cache line
_BITS = 16  # of a pointer, four of which share a word
_LONGEST = 2**_BITS - 1
_WALKING = threading.Lock()

Number = TypeVar("Number", bound=np.unsignedinteger)


def walk_bases(
    successors: NDArray[np.uint8], first_edges: NDArray[np.intp], starts: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Follow walks over four bases.

    The same as `walk`, and quicker: the four pointers of a row are one word, so that counting one
    of them up is arithmetic and not a write to a place that has to be looked up.

    Parameters
    ----------
    successors : uint8, shape (row, position)
        As for `walk`; values 0 to 4.
    first_edges : int, shape (row, vertex=5)
    starts : uint8, shape (row,)

    Returns
    -------
    bases : uint8, shape (position, row)
        As from `walk`.
    """
    n_rows, length = successors.shape
    if length > _LONGEST:
        return walk(successors, first_edges, starts)
    # A base is kept as the place of its pointer in the word.
    edges = (successors * np.uint8(_BITS)).reshape(-1)
    places = np.empty((length, n_rows), dtype=np.uint8)
    places[:1] = starts * np.uint8(_BITS)
    place = places[0].astype(np.uint64)
    shifts = _BITS * np.arange(4, dtype=np.uint64)
    pointers = np.bitwise_or.reduce(first_edges[:, :4].astype(np.uint64) << shifts, axis=1)
    rows = np.arange(n_rows, dtype=np.uint64) * np.uint64(length)
    mask = np.full(n_rows, 2**_BITS - 1, dtype=np.uint64)
    ones = np.ones(n_rows, dtype=np.uint64)
    edge = np.empty(n_rows, dtype=np.uint64)
    index = edge.view(np.intp)
    with _WALKING:
        for here in places[1:]:
            np.right_shift(pointers, place, edge)
            np.bitwise_and(edge, mask, edge)
            np.add(edge, rows, edge)
            np.left_shift(ones, place, place)
            np.add(pointers, place, pointers)
            # An index is out of bounds only in a walk that has ended; "clip" also spares numpy
            # the copy that its own check needs.
            edges.take(index, None, here, "clip")
            place[:] = here
    places //= np.uint8(_BITS)
    return places


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
    with _WALKING:
        for here in vertices[1:]:
            next_edge.take(vertex, None, edge, "clip")
            edges.take(edge, None, here, "clip")
            edge += 1
            next_edge[vertex] = edge
            np.add(rows, here, out=vertex)
    return vertices
