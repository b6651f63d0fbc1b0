"""A captured graph made ready to be run often: graph to graph, the same function up to rounding."""

from __future__ import annotations

from collections.abc import Callable

from torch import fx

from seqlift.model.passes.batch_norm import fold_batch_norm
from seqlift.model.passes.join import join
from seqlift.model.passes.layout import channels_last
from seqlift.model.passes.positions import read_positions

__all__ = ["PASSES", "join", "optimise"]

# In this order: a folded normalisation no longer stands between a convolution and its activation,
# and positions are the last axis before channels are.
PASSES: dict[str, Callable[[fx.GraphModule], fx.GraphModule]] = {
    "fold batch norm": fold_batch_norm,
    "positions read": read_positions,
    "channels last": channels_last,
}


def optimise(graph: fx.GraphModule) -> fx.GraphModule:
    """Run every pass.

    Parameters
    ----------
    graph : fx.GraphModule
        Placed (see `seqlift.model.placement`), with one placeholder; left as it is.

    Returns
    -------
    fx.GraphModule
        Nodes that are still there keep their names.
    """
    for function in PASSES.values():
        graph = function(graph)
    return graph
