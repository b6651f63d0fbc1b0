"""How much memory a pair of a sequence and a reference takes."""

from __future__ import annotations

import math

import torch
from torch import Tensor, fx

from seqlift.deeplift.dataflow import varying_nodes
from seqlift.deeplift.rules.linear import PIECES
from seqlift.deeplift.rulesets import RESHAPES

__all__ = ["bytes_a_pair"]

NO_MEMORY = {*RESHAPES, *PIECES}

# A value, its slope, and what an operator works in.
COPIES = 3


def bytes_a_pair(graph: fx.Graph, dtype: torch.dtype) -> int:
    """Estimate the memory that one pair takes at its peak, from above.

    Parameters
    ----------
    graph : fx.Graph
        Captured; sizes that are not known (the number of rows) count as one row.
    dtype : torch.dtype
        That values are computed in.

    Returns
    -------
    int
    """
    values = [
        _numbers(node)
        for node in varying_nodes(graph)
        if node.op == "call_function" and node.target not in NO_MEMORY
    ]
    return COPIES * dtype.itemsize * sum(values)


def _numbers(node: fx.Node) -> int:
    leaves = node.meta.get("val")
    leaves = leaves if isinstance(leaves, (tuple, list)) else [leaves]
    return sum(
        math.prod(size for size in leaf.shape if isinstance(size, int))
        for leaf in leaves
        if isinstance(leaf, Tensor)
    )
