"""Follow many Eulerian walks side by side: compiled, or one Python step a position.

Each walk stands at a vertex and leaves it by the next of its edges; their order was drawn before
(`eulerian.py`, `klet.py`), so that nothing is left to chance, and the compiled walks (`walks.c`)
are those of numpy. They leave the interpreter to other threads. The calls of numpy are too short
for that: two threads would only hand it to and fro, so one at a time walks, and all else goes on.
"""

import ctypes
import threading
from functools import cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from seqlift import native

__all__ = ["walk", "walk_bases"]

_LINE = 8  # pointers in a cache line
_BITS = 16  # of a pointer, four of which share a word
_LONGEST = 2**_BITS - 1
_WALKING = threading.Lock()
_LOADING = threading.Lock()
_steps = 0  # that this process has taken so far
_WORTH_COMPILING = 2**20  # steps; compiling takes 0.2 s, but only once on a machine

# By the type of a vertex.
_FUNCTIONS = {np.dtype(f"uint{8 * size}"): f"seqlift_walk_{size}" for size in (1, 2, 4)}

Number = TypeVar("Number", bound=np.unsignedinteger)


def walk_bases(
    successors: NDArray[np.uint8], first_edges: NDArray[np.intp], starts: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Follow walks over four bases.

    The same as `walk`, and in numpy quicker.

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
    library = _library(successors.size)
    if library is None:
        return _walk_bases_in_numpy(successors, first_edges, starts)
    return _walk_compiled(library, successors, first_edges, starts)


def walk(
    successors: NDArray[Number], first_edges: NDArray[np.intp], starts: NDArray[Number]
) -> NDArray[Number]:
    """Follow many walks at once.

    Parameters
    ----------
    successors : uint8, uint16 or uint32, shape (row, position)
        For each vertex in turn the vertices that it is left for, in the order of use, as from
        `order_edges`. Shorter rows are filled up with any vertices.
    first_edges : int, shape (row, vertex)
        Where the successors of each vertex begin in its row.
    starts : of the same type, shape (row,)
        The first vertex of each walk.

    Returns
    -------
    vertices : of the same type, shape (position, row)
        Position first. What stands behind the end of a shorter walk has no meaning, unless its
        vertices lead to an end of their own.
    """
    library = _library(successors.size)
    if library is None:
        return _walk_in_numpy(successors, first_edges, starts)
    return _walk_compiled(library, successors, first_edges, starts)


def _library(n_steps: int) -> ctypes.CDLL | None:
    """Return the compiled walks, if there are any; so many steps are about to be taken."""
    global _steps
    with _LOADING:
        _steps += n_steps
        return _load(compiles=False) or _load(compiles=_steps >= _WORTH_COMPILING)


@cache
def _load(*, compiles: bool) -> ctypes.CDLL | None:
    library = native.load("seqlift.sequence", "walks.c", compiles=compiles)
    if library is None or not all(hasattr(library, name) for name in _FUNCTIONS.values()):
        return None  # a `$CC` of the user's own may hide what it compiles
    for name in _FUNCTIONS.values():
        function = getattr(library, name)
        function.argtypes = [ctypes.c_void_p] * 4 + [ctypes.c_ssize_t] * 3
        function.restype = None
    return library


def _walk_compiled(
    library: ctypes.CDLL,
    successors: NDArray[Number],
    first_edges: NDArray[np.intp],
    starts: NDArray[Number],
) -> NDArray[Number]:
    successors = np.ascontiguousarray(successors)
    starts = np.ascontiguousarray(starts, dtype=successors.dtype)
    next_edges = first_edges.astype(np.intp, order="C")
    vertices = np.empty_like(successors)
    arrays = (successors, next_edges, starts, vertices)
    follow = getattr(library, _FUNCTIONS[successors.dtype])
    follow(*(array.ctypes.data for array in arrays), *successors.shape, first_edges.shape[1])
    return vertices.T


def _walk_bases_in_numpy(
    successors: NDArray[np.uint8], first_edges: NDArray[np.intp], starts: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Keep the four pointers of a row in one word, so that counting one up is arithmetic.

    Otherwise it is a write to a place that has to be looked up.
    """
    n_rows, length = successors.shape
    if length > _LONGEST:
        return _walk_in_numpy(successors, first_edges, starts)
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


def _walk_in_numpy(
    successors: NDArray[Number], first_edges: NDArray[np.intp], starts: NDArray[Number]
) -> NDArray[Number]:
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
