"""The ways to read one number a sequence from an output, and how each is written.

A readout follows the name of its output, or stands alone where it is clear which output is meant:

``INDEX``
    One number of a row of numbers, counting from 0.
``counts``
    The sum of a row of log counts: one for each strand, or one alone (ChromBPNet, bpnet-refactor).
``profile``
    Σ s·m over strands and positions, l the logits, m = l − mean(l), s = softmax(m) held constant at
    the sequence (ChromBPNet).
``profile-bpnet``
    Σ m·softmax(m) as one element-wise step (bpnet-lite).
``position:P``, ``positions:A-B``
    The number at a position of a profile, counting from 0, and the sum from A to B, both included.
    ``CLASS.`` goes before where there are several numbers a position: strands, or splice classes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx

from seqlift.deeplift.rules.profile import HOLD, TIMES_SOFTMAX

__all__ = ["FORMS", "Readout", "add_call", "parse_readout"]

aten = torch.ops.aten

FORMS = "counts, profile, profile-bpnet, [CLASS.]position:P or [CLASS.]positions:A-B"
NUMBER = "0|[1-9][0-9]{0,17}"  # one way to write each; 64 bits hold it

DEFINITIONS = {
    "counts": "sum of log counts",
    "profile": "sum over strands and positions of s*m, where m is the logits minus their mean and "
    "s is softmax(m), held constant at the sequence",
    "profile-bpnet": "sum over strands and positions of m*softmax(m), where m is the logits minus "
    "their mean; one element-wise step",
}


class Readout(NamedTuple):
    """How an output becomes one number a sequence.

    Attributes
    ----------
    kind : str
        "index", "positions", or a key of `DEFINITIONS`.
    channel : int or None
        The index, or the class of "positions".
    first, end : int
        Positions, half-open.
    """

    kind: str
    channel: int | None = None
    first: int = 0
    end: int = 0

    def fits(self, sizes: Sequence[int]) -> bool:
        """Say whether an output can be read so, by its sizes behind the row axis."""
        wide = [size for size in sizes if size != 1]
        if self.kind == "index":
            assert self.channel is not None
            return len(wide) <= 1 and self.channel < math.prod(wide)
        if self.kind != "positions":
            return bool(wide) or self.kind == "counts"
        if not wide or self.end > max(wide) or len(wide) > 2:
            return False
        if len(wide) == 1:
            return self.channel in (None, 0)
        return self.channel is not None and self.channel < min(wide)

    def mirrored(self, sizes: Sequence[int], *, is_profile: bool = False) -> Readout:
        """Return what reads the same positions of the reverse complement.

        Parameters
        ----------
        sizes : sequence of int
            Of the output behind the row axis.
        is_profile : bool
            Whether an index is a position.
        """
        last = max(sizes, default=1)
        if self.kind == "index" and is_profile:
            return self._replace(channel=last - 1 - (self.channel or 0))
        if self.kind != "positions":
            return self
        return self._replace(first=last - self.end, end=last - self.first)

    def define(self, output: str) -> str:
        """Say what is read, in words."""
        if self.kind == "index":
            return f"{output}, number {self.channel}"
        if self.kind in DEFINITIONS:
            return f"{output}: {DEFINITIONS[self.kind]}"
        of_class = "" if self.channel is None else f" of class {self.channel}"
        if self.end == self.first + 1:
            return f"{output}: position {self.first}{of_class}"
        return f"{output}: sum of positions {self.first} to {self.end - 1}{of_class}"

    def add(self, source: fx.Node) -> fx.Node:
        """Add the nodes that read an output, behind which the graph is inserting.

        Parameters
        ----------
        source : fx.Node
            The output, shape (row, ...), which the readout fits.

        Returns
        -------
        fx.Node
            Shape (row,).
        """
        if self.kind == "index":
            return _column(source, self.channel or 0)
        if self.kind == "positions":
            return self._add_positions(source)
        if len(_value(source).shape) == 1:  # one log count a sequence
            return source
        values = add_call(aten.flatten.using_ints, source, 1)
        if self.kind == "counts":
            return add_call(aten.sum.dim_IntList, values, [1])
        centred = add_call(aten.sub.Tensor, values, add_call(aten.mean.dim, values, [1], True))
        if self.kind == "profile":
            weight = add_call(HOLD, add_call(aten.softmax.int, centred, 1))
            weighted = add_call(aten.mul.Tensor, weight, centred)
        else:
            weighted = add_call(TIMES_SOFTMAX, centred)
        return add_call(aten.sum.dim_IntList, weighted, [1])

    def _add_positions(self, source: fx.Node) -> fx.Node:
        sizes = _value(source).shape
        wide = [axis for axis in range(1, len(sizes)) if sizes[axis] != 1]
        along = max(wide, key=lambda axis: (sizes[axis], axis))
        found = add_call(aten.slice.Tensor, source, along, self.first, self.end)
        for axis in range(len(sizes) - 1, 0, -1):
            if axis == along:
                found = add_call(aten.sum.dim_IntList, found, [axis])
            else:
                found = add_call(aten.select.int, found, axis, self.channel if axis in wide else 0)
        return found


def parse_readout(text: str) -> Readout | None:
    """Read a readout as it is written, or return None."""
    if re.fullmatch(NUMBER, text):
        return Readout("index", int(text))
    if text in DEFINITIONS:
        return Readout(text)
    found = re.fullmatch(
        rf"(?:(?P<channel>{NUMBER})\.)?position(?:s:(?P<first>{NUMBER})-(?P<last>{NUMBER})|"
        rf":(?P<only>{NUMBER}))",
        text,
    )
    if found is None:
        return None
    channel, first, last = found["channel"], found["first"], found["last"]
    if found["only"] is not None:
        first = last = found["only"]
    if int(last) < int(first):
        return None
    return Readout(
        "positions", None if channel is None else int(channel), int(first), int(last) + 1
    )


def add_call(operator: Any, *args: Any) -> fx.Node:  # noqa: ANN401
    """Add a node to the graph of the first argument, with its shape."""
    graph: fx.Graph = args[0].graph
    node = graph.call_function(operator, args)
    values = [_value(a) if isinstance(a, fx.Node) else a for a in args]
    node.meta["val"] = operator(*values)
    return node


def _value(node: fx.Node) -> Tensor:
    value = node.meta["val"]
    assert isinstance(value, Tensor)
    return value


def _column(source: fx.Node, index: int) -> fx.Node:
    sizes = _value(source).shape
    for axis in range(len(sizes) - 1, 0, -1):
        source = add_call(aten.select.int, source, axis, 0 if sizes[axis] == 1 else index)
    return source
