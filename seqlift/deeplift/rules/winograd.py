"""Convolutions of width three in half the multiplications, on a CPU.

Four neighbouring results of a convolution of width three take twelve products. Winograd's minimal
filtering takes six: products of sums of inputs with sums of weights, of which the results are sums
again. The sums are cheap only while they are in the cache, which no composition of operators keeps
them in; so this is a function in C++ (winograd.cpp), compiled along with the program that calls it.
Errors stay within a few roundings (the points are 0, ±1, ±2).

A dilated convolution is one for every remainder of the position by the dilation.

For the memory's sake the function can do what stands around a convolution as well, element by
element; `fusing.py` writes that into a program.

References
----------
Winograd (1980), Arithmetic Complexity of Computations; Lavin & Gray (2016), Fast Algorithms for
Convolutional Neural Networks, CVPR, F(4, 3).
"""

from __future__ import annotations

import ctypes
from functools import cache
from importlib import resources
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["CONVOLVE", "Kernel", "convolve_winograd", "takes_winograd"]

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


class Kernel(NamedTuple):
    """What is done around a convolution: expressions of C++ on vectors of numbers.

    Attributes
    ----------
    taken, beside, given : int
        Tensors that are convolved, that stand beside the results, and that come out.
    take : str
        Of ``in[i]``, the numbers of `taken`; must be zero where they are.
    give : str
        Statements that set ``out[i]``, of the result ``y`` and the numbers ``in[i]`` of `beside`.
    """

    taken: int = 1
    take: str = "in[0]"
    beside: int = 0
    given: int = 1
    give: str = "out[0] = y;"

    def definitions(self) -> str:
        """Return what winograd.cpp wants defined."""
        return (
            f"#define TAKEN {self.taken}\n"
            f"#define TAKE(in) {self.take}\n"
            f"#define BESIDE {self.beside}\n"
            f"#define GIVEN {self.given}\n"
            f"#define GIVE(y, in, out) {self.give}\n"
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
    return width == WIDTH and is_wide and value.dtype == weight.dtype == torch.float32


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
    "Tensor[] beside, int n_given, str code) -> Tensor[]",
)
def _convolve(
    taken: list[Tensor],
    sums: Tensor,
    bias: Tensor | None,
    padding: int,
    dilation: int,
    beside: list[Tensor],
    n_given: int,
    code: str,
) -> list[Tensor]:
    """Convolve what `code` makes of `taken`; return what it makes of the results and `beside`.

    Parameters
    ----------
    taken : list of Tensor, shape (row, position, channel in)
        The rows of the longest are convolved; neighbouring rows share one of the others.
    sums : Tensor, from `_in_panels`
    bias : Tensor or None, shape (channel out,)
    padding, dilation : int
    beside : list of Tensor, shape (row, position, channel out)
    n_given : int
    code : str
        The definitions of a `Kernel`.

    Returns
    -------
    list of Tensor, shape (row, position, channel out)
    """
    given: list[Tensor] = _of_shape(taken, sums, bias, padding, dilation, beside, n_given, code)
    bias = None if bias is None else bias.contiguous()  # a parameter may be one number, expanded
    taken, beside, sums = [*map(_whole, taken)], [*map(_whole, beside)], sums.contiguous()
    n_rows, _, n_out = given[0].shape
    _, length, n_in = taken[0].shape
    sizes = (n_rows, length, n_in, n_out, padding, dilation, torch.get_num_threads())
    has_room = _library(code).seqlift_winograd(
        *_shared(taken, n_rows),
        *_shared(beside, n_rows),
        _pointers(given),
        ctypes.c_void_p(sums.data_ptr()),
        ctypes.c_void_p(None if bias is None else bias.data_ptr()),
        *map(ctypes.c_int64, sizes),
    )
    if not has_room:
        raise MemoryError("no memory for the sums of a convolution")
    return given


CONVOLVE = torch.ops.seqlift.convolve_winograd.default


@_convolve.register_fake
def _of_shape(
    taken: list[Tensor],
    sums: Tensor,
    bias: Tensor | None,
    padding: int,
    dilation: int,
    beside: list[Tensor],
    n_given: int,
    code: str,
) -> list[Tensor]:
    n_rows = max(len(tensor) for tensor in (*taken, *beside))
    n_positions = taken[0].shape[1] + 2 * padding - dilation * (WIDTH - 1)
    shape = n_rows, n_positions, sums.shape[1] * PANEL
    return [taken[0].new_empty(shape) for _ in range(n_given)]


def _whole(tensor: Tensor) -> Tensor:
    return tensor.contiguous()


def _pointers(tensors: list[Tensor]) -> ctypes.Array[ctypes.c_void_p]:
    return (ctypes.c_void_p * len(tensors))(*(tensor.data_ptr() for tensor in tensors))


def _shared(
    tensors: list[Tensor], n_rows: int
) -> tuple[ctypes.Array[ctypes.c_void_p], ctypes.Array[ctypes.c_int64]]:
    """Return where tensors lie, and how many rows share a row of each."""
    sharing = [n_rows // max(len(tensor), 1) for tensor in tensors]
    return _pointers(tensors), (ctypes.c_int64 * len(tensors))(*sharing)


@cache
def _library(code: str) -> ctypes.CDLL:
    """Compile winograd.cpp, or load what was compiled before, as torch does its own code."""
    from torch._inductor.codecache import CppCodeCache

    source = resources.files("seqlift.deeplift.rules").joinpath("winograd.cpp").read_text("utf-8")
    # Products and sums in one step: half the time. Torch leaves them apart.
    library = CppCodeCache.load(f"{code}\n{source}", extra_flags=("-ffp-contract=fast",))
    library.seqlift_winograd.restype = ctypes.c_bool
    return library  # type: ignore[no-any-return]
