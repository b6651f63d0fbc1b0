"""An operator in its place in a graph, and how it is run on windows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import fx
from torch._ops import OpOverload

from seqlift.deeplift.methods.local_windows import Reach, Windows

__all__ = ["Site", "Step", "in_place", "named"]


class Site(NamedTuple):
    """An operator in its place.

    Attributes
    ----------
    given : dict of str to object
        Arguments for one sequence, by the operator's names for them, with its defaults.
    windows : Windows
        Of what it reads.
    shape, result : tuple of int
        Of what it reads and of the (first) value that it returns, whole and for one sequence.
    keeps_rows : bool
        Whether both have one row a sequence in their first dimension.
    operator : OpOverload
    """

    given: dict[str, Any]
    windows: Windows
    shape: Sequence[int]
    result: Sequence[int]
    keeps_rows: bool
    operator: OpOverload

    def free(self, *axes: int) -> bool:
        """Say whether all of some axes are neither that of the rows nor that of the windows."""
        rank = len(self.shape)
        return all(axis % rank not in (0, self.windows.axis) for axis in axes)


@dataclass(frozen=True, slots=True)
class Step:
    """How an operator is run on windows.

    Attributes
    ----------
    windows : Windows
        Of what it writes.
    reach : Reach
        What it reads.
    run : callable
        Takes the operator's arguments, with a stretch of `reach` for each value that changes.
    fill : float
        Stands where the reach leaves the value.
    """

    windows: Windows
    reach: Reach
    run: Callable[..., Any]
    fill: float = 0.0


def named(node: fx.Node) -> dict[str, Any]:
    """Return the arguments of a node by name, with defaults."""
    assert isinstance(node.target, OpOverload)
    arguments = node.target._schema.arguments
    defaults = {a.name: a.default_value for a in arguments if a.has_default_value()}
    given = zip((a.name for a in arguments), node.args, strict=False)
    return {**defaults, **dict(given), **node.kwargs}


def in_place(site: Site, axis: int, run: Callable[..., Any] | None = None) -> Step:
    """Read and write the same windows, along an axis that may have moved.

    `run` stands for the operator where that must be told more.
    """
    windows = site.windows
    return Step(windows.at(axis), Reach(windows.start, windows.width), run or site.operator)
