"""The two indices of a bigWig: contigs by name (a B+ tree), blocks by place (an R-tree).

References
----------
Kent et al. 2010, "BigWig and BigBed: enabling browsing of large distributed datasets",
Bioinformatics 26:2204, supplement: tables 8 to 11 and 14 to 17.
"""

import struct
from array import array
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

__all__ = ["Blocks", "contig_tree", "place_tree"]

_BLOCK_SIZE = 256  # children of a node, as UCSC has it
_CONTIG_MAGIC, _PLACE_MAGIC = 0x78CA8C91, 0x2468ACE0
_NODE = struct.Struct("<BBH")

_PLACE = [("contig", "<u4"), ("start", "<u4"), ("end_contig", "<u4"), ("end", "<u4")]
_LEAF = np.dtype([*_PLACE, ("offset", "<u8"), ("size", "<u8")])
_INNER = np.dtype([*_PLACE, ("child", "<u8")])


class Blocks:
    """Where the blocks of some data lie in the genome and in the file; a few numbers for each."""

    def __init__(self) -> None:
        self._places = array("I")
        self._bytes = array("Q")

    def __len__(self) -> int:
        return len(self._bytes) // 2

    def add(self, contig: int, start: int, end: int, offset: int, size: int) -> None:
        """Add a block behind those before.

        Parameters
        ----------
        contig : int
            Its number.
        start, end : int
            0-based half-open.
        offset, size : int
            In the file, bytes.
        """
        self._places.extend((contig, start, end))
        self._bytes.extend((offset, size))

    def leaves(self, moved_by: int = 0) -> NDArray[np.void]:
        """Return the blocks as leaves of the tree, with their data so many bytes further on."""
        leaves = np.zeros(len(self), _LEAF)
        contig, start, end = np.frombuffer(self._places, np.uint32).reshape(-1, 3).T
        offset, size = np.frombuffer(self._bytes, np.uint64).reshape(-1, 2).T
        leaves["contig"], leaves["start"] = contig, start
        leaves["end_contig"], leaves["end"] = contig, end
        leaves["offset"], leaves["size"] = offset + np.uint64(moved_by), size
        return leaves


def place_tree(leaves: NDArray[np.void], at: int) -> bytes:
    """Return the R-tree over blocks.

    Parameters
    ----------
    leaves : structured array
        See `Blocks.leaves`.
    at : int
        Where in the file the tree will be, which is where the data end.
    """
    levels = [leaves]
    while len(levels[0]) > _BLOCK_SIZE:
        levels.insert(0, _parents(levels[0]))
    whole = _parents(leaves, len(leaves)) if len(leaves) else np.zeros(1, _INNER)
    box = [int(whole[name][0]) for name, _ in _PLACE]
    header = struct.pack("<IIQ4IQII", _PLACE_MAGIC, _BLOCK_SIZE, len(leaves), *box, at, 1, 0)
    parts, here = [header], at + len(header)
    for level in levels:
        n_nodes = max(1, -(-len(level) // _BLOCK_SIZE))
        here += _NODE.size * n_nodes + level.nbytes
        if level is not leaves:
            level["child"] = _node_offsets(levels[len(parts)], len(level), here)
        parts.append(_nodes(level, is_leaf=level is leaves))
    return b"".join(parts)


def _parents(children: NDArray[np.void], size: int = _BLOCK_SIZE) -> NDArray[np.void]:
    """Return the nodes above, each about as many of those below; blocks ascend."""
    first = np.arange(0, len(children), size)
    last = np.minimum(first + size, len(children)) - 1
    parents = np.zeros(len(first), _INNER)
    for names, rows in ((("contig", "start"), first), (("end_contig", "end"), last)):
        for name in names:
            parents[name] = children[name][rows]
    return parents


def _node_offsets(level: NDArray[np.void], n_nodes: int, at: int) -> NDArray[np.int64]:
    """Return where the nodes of a level are; all but the last are full."""
    return at + np.arange(n_nodes) * (_NODE.size + _BLOCK_SIZE * level.dtype.itemsize)


def _nodes(level: NDArray[np.void], *, is_leaf: bool) -> bytes:
    parts = []
    for first in range(0, max(1, len(level)), _BLOCK_SIZE):
        some = level[first : first + _BLOCK_SIZE]
        parts += [_NODE.pack(is_leaf, 0, len(some)), some.tobytes()]
    return b"".join(parts)


def contig_tree(contigs: Mapping[str, int], at: int) -> bytes:
    """Return the B+ tree from names to numbers and lengths.

    Parameters
    ----------
    contigs : mapping of str to int
        Lengths in bp; their order gives the numbers.
    at : int
        Where in the file the tree will be.
    """
    numbered = [(name.encode(), i, length) for i, (name, length) in enumerate(contigs.items())]
    key_size = max(len(name) for name, _, _ in numbered)
    leaf = np.dtype([("key", f"S{key_size}"), ("number", "<u4"), ("length", "<u4")])
    inner = np.dtype([("key", f"S{key_size}"), ("child", "<u8")])
    levels = [np.array(sorted(numbered), leaf)]
    while len(levels[0]) > _BLOCK_SIZE:
        above = np.zeros(-(-len(levels[0]) // _BLOCK_SIZE), inner)
        above["key"] = levels[0]["key"][::_BLOCK_SIZE]
        levels.insert(0, above)
    header = struct.pack("<IIIIQQ", _CONTIG_MAGIC, _BLOCK_SIZE, key_size, 8, len(numbered), 0)
    parts, here = [header], at + len(header)
    for i, level in enumerate(levels):
        here += _NODE.size * -(-len(level) // _BLOCK_SIZE) + level.nbytes
        is_leaf = i == len(levels) - 1
        if not is_leaf:
            level["child"] = _node_offsets(levels[i + 1], len(level), here)
        parts.append(_nodes(level, is_leaf=is_leaf))
    return b"".join(parts)
