"""Convolutions of width three in half the multiplications, on a CPU.

Four neighbouring results of a convolution of width three take twelve products. Winograd's minimal
filtering takes six: products of sums of inputs with sums of weights, of which the results are sums
again. The sums are cheap only while they are in the cache, which no composition of operators keeps
them in; so this is a function in C++ (winograd.cpp), compiled along with the program that calls it.
Errors stay within a few roundings (the points are 0, ±1, ±2).

A dilated convolution is one for every remainder of the position by the dilation.

For the memory's sake the function can do what stands around a convolution as well, element by
element (`fusing.py`), and several convolutions row by row (`chaining.py`).

References
----------
Winograd (1980), Arithmetic Complexity of Computations; Lavin & Gray (2016), Fast Algorithms for
Convolutional Neural Networks, CVPR, F(4, 3).
"""

from __future__ import annotations

import torch
from torch import Tensor

from seqlift.deeplift.rules.winograd_steps import Kernel, Step, run_steps

__all__ = ["CONVOLVE", "convolve_winograd", "takes_winograd"]

WIDTH = 3
PANEL = 16  # channels that lie together in memory

# Channels from which it pays, in and out (on two cores with AVX-512 1.1 times as fast as the plain
# convolution with 32, 1.4 with 64, 1.6 with 512).
FEWEST = 32

OF_WEIGHTS = (
    (1 / 4, 0, 0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0, 0, 1),
)


PLAIN = Kernel().definitions()


def takes_winograd(value: Tensor, weight: Tensor) -> bool:
    """Say whether `convolve_winograd` takes these, and is the quicker way.

    Parameters
    ----------
    value : Tensor, shape (row, channel, position)
    weight : Tensor, shape (channel out, channel in, width)

    Returns
    -------
    bool
    """
    n_out, n_in, width = weight.shape
    is_wide = min(n_out, n_in) >= FEWEST and n_out % PANEL == n_in % PANEL == 0
    has_type = value.dtype == weight.dtype == torch.float32 and value.device.type == "cpu"
    return width == WIDTH and is_wide and has_type


def convolve_winograd(
    value: Tensor, weight: Tensor, bias: Tensor | None, padding: int, dilation: int
) -> Tensor:
    """Convolve with weights of width three and stride one.

    Parameters
    ----------
    value : Tensor, shape (row, channel, position), float32, on a CPU
        Best with channels last in memory.
    weight : Tensor, shape (channel out, channel in, 3), float32
        Channels in multiples of 16.
    bias : Tensor or None, shape (channel out,)
    padding, dilation : int

    Returns
    -------
    Tensor, shape (row, channel, position)
        With channels last in memory.
    """
    steps = value.transpose(1, 2).contiguous()
    (found,) = CONVOLVE([steps], _in_panels(weight), bias, padding, dilation, [], 1, PLAIN)
    return found.transpose(1, 2)  # type: ignore[no-any-return]


def _in_panels(weight: Tensor) -> Tensor:
    """Return the sums of weights, shape (sum=6, panel, channel in, 16), formed in float64."""
    taps = weight.double().permute(2, 1, 0)
    sums = torch.tensordot(taps.new_tensor(OF_WEIGHTS), taps, 1).to(weight.dtype)
    return sums.unflatten(2, (-1, PANEL)).transpose(1, 2).contiguous()  # type: ignore[no-any-return]


@torch.library.custom_op(
    "seqlift::convolve_winograd",
    mutates_args=(),
    device_types="cpu",
    schema="(Tensor[] taken, Tensor sums, Tensor? bias, int padding, int dilation, "
    "Tensor[]? beside, int n_given, str code) -> Tensor[]",
)
def _convolve(
    taken: list[Tensor],
    sums: Tensor,
    bias: Tensor | None,
    padding: int,
    dilation: int,
    beside: list[Tensor] | None,
    n_given: int,
    code: str,
) -> list[Tensor]:
    """Convolve what `code` makes of `taken`; return what it makes of the results and `beside`.

    Parameters
    ----------
    taken : list of Tensor, shape (row, position, channel in)
        There are as many rows as the longest has; neighbouring rows share one of the others.
    sums : Tensor, from `_in_panels`
    bias : Tensor or None, shape (channel out,)
    padding, dilation : int
    beside : list of Tensor or None, shape (row, position, channel out)
        torch's libraries (`ahead.py`) hand on an empty list as None.
    n_given : int
    code : str
        The definitions of a `Kernel`.

    Returns
    -------
    list of Tensor, shape (row, position, channel out)
    """
    given: list[Tensor] = _of_shape(taken, sums, bias, padding, dilation, beside, n_given, code)
    step = Step(
        [tensor.contiguous() for tensor in taken],
        sums.contiguous(),
        None if bias is None else bias.contiguous(),  # a parameter may be one number, expanded
        padding,
        dilation,
        taken[0].shape[1],
        [tensor.contiguous() for tensor in beside or ()],
        given,
        code,
    )
    run_steps([step], len(given[0]))
    return given


CONVOLVE = torch.ops.seqlift.convolve_winograd.default


@_convolve.register_fake
def _of_shape(
    taken: list[Tensor],
    sums: Tensor,
    bias: Tensor | None,
    padding: int,
    dilation: int,
    beside: list[Tensor] | None,
    n_given: int,
    code: str,
) -> list[Tensor]:
    n_rows = max(map(len, taken))
    n_positions = taken[0].shape[1] + 2 * padding - dilation * (WIDTH - 1)
    shape = n_rows, n_positions, sums.shape[1] * PANEL
    return [taken[0].new_empty(shape) for _ in range(n_given)]
