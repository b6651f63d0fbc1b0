"""Operators that slide a kernel along the positions, and so widen or thin out a window."""

# ruff: noqa: ANN401  (an operator takes and returns anything)

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from seqlift.deeplift.methods.local_site import Site, Step, in_place
from seqlift.deeplift.methods.local_windows import Reach, Windows, slide
from seqlift.deeplift.rules.convolution import convolution

__all__ = ["convolved", "max_pooled", "mean_pooled", "padded", "sliced"]

aten = torch.ops.aten

ALL = torch.iinfo(torch.int64).max  # torch's end of a slice that has none


def sliced(site: Site) -> Step | None:
    """Take every so many places, of the positions or of another axis."""
    axis, windows = site.given["dim"] % len(site.shape), site.windows
    start, end, step = (site.given.get(name) for name in ("start", "end", "step"))
    if axis == 0 and not start and step == 1 and end in (None, ALL):  # as torch writes x[:, a:b]
        return in_place(site, windows.axis)
    if axis != windows.axis:
        return in_place(site, windows.axis) if axis else None
    first, _, step = slice(start, end, step).indices(windows.length)
    moved, reach = slide(windows, site.result[axis], 1, step, -first)

    def take(value: Tensor, *_: Any, **__: Any) -> Tensor:
        return value[(slice(None),) * axis + (slice(None, None, step),)]

    return Step(moved, reach, take)


def padded(site: Site) -> Step | None:
    """Add constants on either side, of the positions or of other axes."""
    rank, windows = len(site.shape), site.windows
    pads = list(site.given["pad"])
    others = {rank - 1 - i // 2: pads[i : i + 2] for i in range(0, len(pads), 2)}
    along = others.pop(windows.axis, [0, 0])
    if site.given.get("mode", "constant") != "constant" or any(others.get(0, ())):
        return None
    if along == [0, 0]:
        return in_place(site, windows.axis)
    if any(any(pad) for pad in others.values()):
        return None
    moved, reach = slide(windows, site.result[windows.axis], 1, 1, along[0])
    return Step(moved, reach, lambda value, *_, **__: value, site.given.get("value") or 0.0)


def _each(setting: Any, n_axes: int) -> list[int]:
    listed = [setting] if isinstance(setting, int) else list(setting)
    return listed * n_axes if len(listed) == 1 else listed


class _Kernel(NamedTuple):
    """The settings of a sliding operator, for each axis that it slides along."""

    size: list[int]
    stride: list[int]
    padding: list[int]
    dilation: list[int]

    def along(self, site: Site) -> tuple[Windows, Reach, list[int]] | None:
        """Return windows, reach, and the padding that is left to the operator: other axes'."""
        place = site.windows.axis - 2
        if len(site.shape) != len(self.size) + 2 or place < 0:
            return None
        size, stride, padding, dilation = (setting[place] for setting in self)
        length = site.result[site.windows.axis]
        moved, reach = slide(site.windows, length, size, stride, padding, dilation)
        rest = [0 if i == place else padding for i, padding in enumerate(self.padding)]
        return moved, reach, rest


CONVOLUTIONS: dict[int, Callable[..., Tensor]] = {
    1: convolution,
    2: aten.conv2d.default,
    3: aten.conv3d.default,
}


def convolved(site: Site) -> Step | None:
    """Convolve; what lies beyond either end is zero."""
    given, size = site.given, list(site.given["weight"].shape[2:])
    n_axes = len(size)
    stride, dilation = _each(given["stride"], n_axes), _each(given["dilation"], n_axes)
    padding = _padding(given["padding"], size, dilation)
    found = padding and _Kernel(size, stride, padding, dilation).along(site)
    if not found or given.get("transposed"):
        return None
    moved, reach, rest = found

    def convolve(value: Tensor, weight: Tensor, bias: Any = None, *_: Any, **__: Any) -> Tensor:
        run = CONVOLUTIONS[n_axes]
        return run(value, weight, bias, stride, rest, dilation, given["groups"])

    return Step(moved, reach, convolve)


def _padding(setting: Any, size: list[int], dilation: list[int]) -> list[int] | None:
    """Return the padding on the left; None where that on the right is another that matters."""
    if setting == "same":
        total = [d * (k - 1) for k, d in zip(size, dilation, strict=True)]
        # On one axis, what is on the right follows from the length of the result.
        is_even = len(size) == 1 or all(n % 2 == 0 for n in total)
        return [n // 2 for n in total] if is_even else None
    return [0] * len(size) if setting == "valid" else _each(setting, len(size))


POOLINGS = {
    aten.avg_pool1d.default: 1,
    aten.avg_pool2d.default: 2,
    aten.max_pool1d.default: 1,
    aten.max_pool1d_with_indices.default: 1,
    aten.max_pool2d.default: 2,
    aten.max_pool2d_with_indices.default: 2,
}


def _pooled(site: Site, dilation: Any, fill: float, *rest: Any) -> Step | None:
    given, n_axes = site.given, POOLINGS[site.operator]
    size = _each(given["kernel_size"], n_axes)
    stride, padding = _each(given["stride"] or size, n_axes), _each(given["padding"], n_axes)
    found = _Kernel(size, stride, padding, _each(dilation, n_axes)).along(site)
    if not found:
        return None
    moved, reach, left = found
    return Step(
        moved, reach, lambda value, *_, **__: site.operator(value, size, stride, left, *rest), fill
    )


def max_pooled(site: Site) -> Step | None:
    """Take maxima; what lies beyond either end never is one."""
    given = site.given
    return _pooled(site, given["dilation"], -math.inf, given["dilation"], given["ceil_mode"])


def mean_pooled(site: Site) -> Step | None:
    """Average over windows that have all their places, padding being places."""
    given = site.given
    is_padded = any(_each(given["padding"], 1)) and not given["count_include_pad"]
    if given["ceil_mode"] or is_padded:
        return None
    rest = (given["divisor_override"],) if given.get("divisor_override") else ()
    return _pooled(site, 1, 0.0, False, True, *rest)
