"""Where a value changes when one base of the sequence is substituted.

A convolution of width k spreads a change over k positions, a pooling gathers it again; everything
outside that window is what it was. The window of a value depends on which position was substituted,
never on the letters, so it is worked out once for a graph; its width is one number, so that
windows of many substitutions make one tensor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Reach", "Rows", "Windows", "cut", "flat", "slide", "union"]


@dataclass(frozen=True, slots=True)
class Windows:
    """The part of a value that may change, for each position of the sequence.

    Attributes
    ----------
    axis : int
        Of the value, at least 1; axis 0 holds the rows.
    length : int
        Size of the whole value along the axis.
    start : int64 Tensor, shape (position of the sequence,)
        First place along the axis; all `width` places are within the value.
    width : int
    """

    axis: int
    length: int
    start: Tensor
    width: int

    def at(self, axis: int) -> Windows:
        """Return the same windows of a value with another order of axes."""
        return replace(self, axis=axis)

    def are(self, reach: Reach) -> bool:
        """Say whether an operator that reads this far reads just these windows."""
        return self.width == reach.width and torch.equal(self.start, reach.start)


class Reach(NamedTuple):
    """What an operator must read to write some windows.

    Attributes
    ----------
    start : int64 Tensor, shape (position of the sequence,)
        May be negative, or pass the end: there the operator reads its padding.
    width : int
    """

    start: Tensor
    width: int


class Rows(NamedTuple):
    """Which substitution each row of a batch is.

    Attributes
    ----------
    region : int64 Tensor, shape (row,)
        Row of the unchanged sequences.
    position : int64 Tensor, shape (row,)
    """

    region: Tensor
    position: Tensor


def union(windows: Sequence[Windows]) -> Windows:
    """Return the smallest windows that hold all of some windows of values of one shape."""
    first = windows[0]
    starts = torch.stack([each.start for each in windows]).amin(0)
    ends = torch.stack([each.start + each.width for each in windows]).amax(0)
    width = int((ends - starts).max())
    return replace(first, start=starts.clamp(max=first.length - width), width=width)


def slide(
    windows: Windows, length: int, kernel: int, stride: int, padding: int, dilation: int = 1
) -> tuple[Windows, Reach]:
    """Move windows through an operator that slides a kernel along the axis.

    Parameters
    ----------
    windows : Windows
        Of what the operator reads.
    length : int
        Size of what it writes.
    kernel, stride, padding, dilation : int
        Padding is that on the left; it is negative where places are cut off.

    Returns
    -------
    windows : Windows
        Of what the operator writes.
    reach : Reach
        What it reads for them, from which it writes them and nothing else without padding.
    """
    span = dilation * (kernel - 1)
    # Place o reads o·stride − padding + dilation·(0 ... kernel − 1).
    first = -torch.div(span - padding - windows.start, stride, rounding_mode="floor")
    last = torch.div(windows.start + windows.width - 1 + padding, stride, rounding_mode="floor")
    first, last = first.clamp(min=0), last.clamp(max=length - 1)
    width = max(1, int((last - first).max()) + 1)
    start = first.clamp(max=length - width)
    return (
        Windows(windows.axis, length, start, width),
        Reach(start * stride - padding, (width - 1) * stride + span + 1),
    )


def flat(value: Tensor, axis: int) -> Tensor:
    """Return a value as a table with one line for each row and each place along the axis."""
    return value.movedim(axis, 1).flatten(0, 1).contiguous()


def cut(
    whole: Tensor, changed: Tensor | None, windows: Windows, rows: Rows, reach: Reach, fill: float
) -> Tensor:
    """Cut stretches out of values at the unchanged sequences, with what changed written over them.

    Parameters
    ----------
    whole : Tensor, shape (region × place, ...)
        The value at the unchanged sequences as `flat` gives it.
    changed : Tensor, shape (row, ...) with `windows.width` places along the axis, or None
    windows : Windows
        Where `changed` belongs.
    rows : Rows
    reach : Reach
        The stretches.
    fill : float
        Stands where a stretch leaves the value.

    Returns
    -------
    Tensor, shape (row, ...) with `reach.width` places along the axis
        Strided with the axis outermost but for the rows.
    """
    place = reach.start[rows.position, None] + torch.arange(reach.width, device=whole.device)
    is_inside = (place >= 0) & (place < windows.length)
    line = torch.where(is_inside, rows.region[:, None] * windows.length + place, len(whole))
    table = [whole, whole.new_full((1, *whole.shape[1:]), fill)]
    if changed is not None:
        offset = place - windows.start[rows.position, None]
        row = torch.arange(len(changed), device=whole.device)[:, None]
        is_changed = (offset >= 0) & (offset < windows.width)
        line = torch.where(is_changed, len(whole) + 1 + row * windows.width + offset, line)
        table.append(flat(changed, windows.axis))
    found = torch.cat(table).index_select(0, line.flatten())
    return found.unflatten(0, line.shape).movedim(1, windows.axis)  # type: ignore[no-untyped-call,no-any-return]
